// SPDX-License-Identifier: Apache-2.0
//! Merging in the queue.

use pipeline::Meta;
use pipeline::testing::payload;

use super::*;

fn merging(batch: BatchSettings, consumers: usize) -> DeliverySettings {
    let queue = QueueSettings { batch: Some(batch), consumers, ..QueueSettings::default() };
    settings(Some(queue))
}

fn by_items(min_size: u64, max_size: u64) -> BatchSettings {
    BatchSettings {
        flush_timeout: Duration::from_secs(1),
        min_size,
        max_size,
        sizer: Sizer::Items,
        metadata_keys: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn requests_become_batches_of_the_size_that_is_wanted() {
    /// Smallest, largest, what comes, what is sent.
    type Case = (u64, u64, &'static [u32], &'static [u64]);
    let cases: [Case; 6] = [
        (10, 0, &[4, 4, 4, 4], &[12, 4]),
        (10, 10, &[4, 4, 4, 4], &[10, 6]),
        (10, 10, &[25], &[10, 10, 5]),
        (5, 10, &[26], &[10, 10, 6]),
        (1, 0, &[3, 3], &[3, 3]),
        (100, 0, &[1, 2, 3], &[6]),
    ];
    for (min, max, come, sent) in cases {
        let script = Script::new([]);
        let exporter = Delivery::new(&context(), merging(by_items(min, max), 1), script.clone());
        exporter.start().await.expect("starts");
        let mut answers = Vec::new();
        for items in come {
            let (batch, answer) = watched(batch(*items));
            exporter.export(batch).await.expect("room");
            answers.push(answer);
        }
        eventually("all are answered", || answers.iter().all(|a| a.get().is_some())).await;
        assert!(answers.iter().all(|a| matches!(a.get(), Some(Ok(())))));
        assert_eq!(script.items(), sent, "{min} {max} {come:?}");
        exporter.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_are_a_bound_for_every_batch() {
    let whole = payload(Signal::Metrics, "m", 1000).len() as u64;
    let batching = BatchSettings { sizer: Sizer::Bytes, ..by_items(1, whole / 7) };
    let (script, context) = (Script::new([]), context());
    let exporter = Delivery::new(&context, merging(batching, 1), script.clone());
    exporter.start().await.expect("starts");
    let (batch, answer) = watched(batch(1000));
    exporter.export(batch).await.expect("room");
    eventually("it is answered", || answer.get().is_some()).await;
    assert_eq!(script.items().iter().sum::<u64>(), 1000);
    assert!(script.items().len() >= 7, "{:?}", script.items());
    let largest = script.bytes().into_iter().max();
    assert!(largest.is_some_and(|bytes| bytes as u64 <= whole / 7), "{largest:?}");
    exporter.stop().await.expect("stops");
    assert_eq!(context.host.telemetry().value("otelcol_exporter_queue_size", &QUEUE), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_cut_fails_if_one_of_its_parts_does() {
    let script = Script::new([Ok(Pushed::default()), Err(Error::rejected("no"))]);
    let exporter = Delivery::new(&context(), merging(by_items(10, 10), 1), script.clone());
    exporter.start().await.expect("starts");
    let answers: Vec<Answer> = {
        let mut answers = Vec::new();
        for items in [6, 8, 6] {
            let (batch, answer) = watched(batch(items));
            exporter.export(batch).await.expect("room");
            answers.push(answer);
        }
        answers
    };
    eventually("all are answered", || answers.iter().all(|a| a.get().is_some())).await;
    assert_eq!(script.items(), [10, 10]);
    let outcomes: Vec<bool> = answers.iter().map(|a| a.get().expect("answered").is_ok()).collect();
    assert_eq!(outcomes, [true, false, false]);
    exporter.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn requests_of_other_senders_are_kept_apart() {
    let batching = BatchSettings { metadata_keys: vec!["tenant".to_owned()], ..by_items(100, 0) };
    let script = Script::new([]);
    let exporter = Delivery::new(&context(), merging(batching, 1), script.clone());
    exporter.start().await.expect("starts");
    for (tenant, items) in [("a", 1), ("b", 10), ("a", 2), ("b", 20)] {
        let headers =
            vec![("tenant".to_owned(), tenant.to_owned()), ("other".to_owned(), items.to_string())];
        let meta = Meta { headers, ..Meta::default() };
        let batch = Batch::new(payload(Signal::Metrics, "m", items), Arc::new(meta));
        exporter.export(batch).await.expect("room");
    }
    exporter.stop().await.expect("stops");
    let mut sent = script.items();
    sent.sort_unstable();
    assert_eq!(sent, [3, 30], "a stop flushes");
    let tenant = |meta: &Meta| meta.headers.clone();
    let kept: Vec<_> = script.metas().iter().map(|meta| tenant(meta).len()).collect();
    assert_eq!(kept, [1, 1], "only what they have in common");
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_wait_for_the_result() {
    let queue = QueueSettings { wait_for_result: true, ..QueueSettings::default() };
    let script = Script::new([Ok(Pushed::default()), Err(Error::rejected("no"))]);
    let exporter = Delivery::new(&context(), settings(Some(queue)), script.clone());
    exporter.start().await.expect("starts");
    exporter.export(batch(1)).await.expect("delivered");
    assert_eq!(script.items(), [1]);
    let error = exporter.export(batch(2)).await.expect_err("rejected");
    assert_eq!(error.kind(), Kind::Rejected);
    exporter.stop().await.expect("stops");
}

#[tokio::test(start_paused = true)]
async fn only_the_part_that_remains_is_sent_again() {
    let remains = |items, after| {
        let error = Error::new(Kind::Retry { after }, "a part was busy");
        let remains = Some(Box::new(payload(Signal::Metrics, "m", items)));
        Err(Unsent { error, remains, rest: Pushed { rejected: 1, message: "odd".to_owned() } })
    };
    let script = Script::default();
    script.parts([remains(6, None), remains(2, None), Ok(Pushed::default())]);
    let (context, settings) = (context(), settings(None));
    let exporter = Delivery::new(&context, settings.clone(), script.clone());
    let (first, answer) = watched(batch(10));
    exporter.export(first).await.expect("delivered");
    assert_eq!(script.items(), [10, 6, 2]);
    let told = answer.delivered().expect("answered").expect("delivered");
    assert_eq!((told.rejected, &*told.message), (2, "test: odd"));
    assert_eq!(counted(&context, "otelcol_exporter_sent_metric_points"), 10.0);

    // Without a queue whoever waits is told to send again; in one, what is lost is counted alone.
    for (queue, delivered) in [(None, None), (Some(QueueSettings::default()), Some(3))] {
        let (context, script) = (super::context(), Script::default());
        let no = Unsent { error: Error::retry("later"), ..Error::retry("").into() };
        script.parts([remains(2, None)].into_iter().chain(vec![Err(no); 20]));
        let settings = DeliverySettings { queue, ..settings.clone() };
        let exporter = Delivery::new(&context, settings, script.clone());
        exporter.start().await.expect("starts");
        let (batch, answer) = watched(batch(10));
        let _ = exporter.export(batch).await;
        eventually("it is answered", || answer.get().is_some()).await;
        let rejected = answer.delivered().and_then(|answer| answer.ok()).map(|d| d.rejected);
        assert_eq!(rejected, delivered);
        assert_eq!(counted(&context, "otelcol_exporter_sent_metric_points"), 8.0);
        assert_eq!(counted(&context, "otelcol_exporter_send_failed_metric_points"), 2.0);
        exporter.stop().await.expect("stops");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_full_of_what_is_being_merged_does_not_wait_for_more() {
    let batching = BatchSettings { flush_timeout: Duration::from_secs(3600), ..by_items(1000, 0) };
    let queue = QueueSettings {
        batch: Some(batching),
        size: 2,
        block_on_overflow: true,
        ..QueueSettings::default()
    };
    let script = Script::new([]);
    let exporter = Delivery::new(&context(), settings(Some(queue)), script.clone());
    exporter.start().await.expect("starts");
    let begun = Instant::now();
    for _ in 0..7 {
        exporter.export(batch(3)).await.expect("room");
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    exporter.stop().await.expect("stops");
    assert_eq!(script.items().iter().sum::<u64>(), 21);
}
