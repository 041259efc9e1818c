// SPDX-License-Identifier: Apache-2.0
//! Queues on a disk that forgets what was not synced.

use std::path::Path;

use basics::files::{Fault, TestFiles};
use pipeline::Meta;
use pipeline::storage::{Storage, StorageSettings};
use pipeline::testing::payload;
use segment_log::Durability;

use super::*;

/// A process that keeps queues on `disk`.
fn life(disk: &TestFiles) -> Context {
    let context = context();
    let settings =
        StorageSettings { directory: "/queues".into(), durability: Durability::Sync, bytes_max: 0 };
    let storage = || Ok(Storage::new(settings, disk.shared(), Clock::system()));
    context.host.shared::<Storage>("file_storage", storage).expect("made");
    context
}

fn durable(consumers: usize) -> QueueSettings {
    QueueSettings { storage: Some("file_storage".into()), consumers, ..QueueSettings::default() }
}

async fn started(context: &Context, queue: QueueSettings, script: &Script) -> Delivery {
    let exporter = Delivery::new(context, settings(Some(queue)), script.clone());
    exporter.start().await.expect("starts");
    exporter
}

#[tokio::test]
async fn what_was_acknowledged_is_sent_after_a_power_cut() {
    let disk = TestFiles::new();
    let mut random = Random::seeded(11);
    let first = life(&disk);
    let stuck = Script::gated();
    let exporter = started(&first, durable(2), &stuck).await;
    for items in 1..=5 {
        let (batch, answer) = watched(batch(items));
        exporter.export(batch).await.expect("room");
        assert!(matches!(answer.get(), Some(Ok(()))), "answered when it is on the disk");
    }
    eventually("two are being sent", || stuck.items().len() == 2).await;
    disk.crash_torn(&mut random);
    drop(exporter);

    let (second, script) = (life(&disk), Script::new([]));
    let exporter = started(&second, durable(1), &script).await;
    assert!(second.host.telemetry().value("otelcol_exporter_queue_size", &QUEUE) > Some(0.0));
    eventually("all are sent", || script.items().len() == 5).await;
    assert_eq!(script.items(), [1, 2, 3, 4, 5], "in order");
    exporter.stop().await.expect("stops");
    assert_eq!(second.host.telemetry().value("otelcol_exporter_queue_size", &QUEUE), Some(0.0));

    let script = Script::new([]);
    let exporter = started(&life(&disk), durable(1), &script).await;
    exporter.export(batch(9)).await.expect("room");
    eventually("the new one is sent", || !script.items().is_empty()).await;
    assert_eq!(script.items(), [9], "what was delivered is not sent again after an orderly stop");
    exporter.stop().await.expect("stops");
}

#[tokio::test]
async fn a_stop_during_back_off_keeps_what_is_not_sent() {
    for batching in [false, true] {
        let disk = TestFiles::new();
        let (first, script) = (life(&disk), Script::new((0..9).map(|_| later(None))));
        let mut queue = durable(1);
        if batching {
            queue.batch = Some(BatchSettings {
                flush_timeout: Duration::from_secs(3600),
                min_size: 4,
                max_size: 4,
                sizer: Sizer::Items,
                metadata_keys: Vec::new(),
            });
        }
        let exporter = started(&first, queue.clone(), &script).await;
        let answers = export_all(&exporter, 3).await;
        eventually("one was tried", || !script.items().is_empty()).await;
        exporter.stop().await.expect("stops");
        assert!(answers.iter().all(|a| matches!(a.get(), Some(Ok(())))));
        assert_eq!(counted(&first, "otelcol_exporter_send_failed_metric_points"), 0.0);

        let script = Script::new([]);
        let exporter = started(&life(&disk), queue, &script).await;
        if batching {
            eventually("the first are sent", || script.items().iter().sum::<u64>() >= 4).await;
        } else {
            eventually("all are sent", || script.items().len() == 3).await;
        }
        exporter.stop().await.expect("stops");
        assert_eq!(script.items().iter().sum::<u64>(), 6, "batching: {batching}");
    }
}

#[tokio::test]
async fn exporters_and_signals_share_a_storage_without_mixing() {
    let disk = TestFiles::new();
    let of =
        |context: &Context, id: &str, signal| Context { id: id.into(), signal, ..context.clone() };
    let all = [("a", Signal::Metrics, 1), ("a", Signal::Logs, 2), ("a/x", Signal::Metrics, 3)];
    let first = life(&disk);
    for (id, signal, items) in all {
        let exporter = started(&of(&first, id, signal), durable(1), &Script::gated()).await;
        let batch = Batch::new(payload(signal, "m", items), Arc::default());
        exporter.export(batch).await.expect("room");
    }
    disk.crash();
    let second = life(&disk);
    for (id, signal, items) in all {
        let script = Script::new([]);
        let exporter = started(&of(&second, id, signal), durable(1), &script).await;
        eventually("its own is sent", || !script.items().is_empty()).await;
        exporter.stop().await.expect("stops");
        assert_eq!(script.items(), [u64::from(items)], "{id} {signal:?}");
    }
}

#[tokio::test]
async fn the_bound_covers_what_an_earlier_run_left() {
    let disk = TestFiles::new();
    let three = || QueueSettings { size: 3, ..durable(1) };
    let (first, script) = (life(&disk), Script::gated());
    let exporter = started(&first, three(), &script).await;
    export_all(&exporter, 3).await;
    assert_eq!(exporter.export(batch(4)).await.expect_err("full").kind(), Kind::Overloaded);
    drop(exporter);
    disk.crash();
    let (second, script) = (life(&disk), Script::gated());
    let exporter = started(&second, three(), &script).await;
    assert_eq!(exporter.export(batch(4)).await.expect_err("full").kind(), Kind::Overloaded);
    script.open(1);
    eventually("there is room", || {
        second.host.telemetry().value("otelcol_exporter_queue_size", &QUEUE) == Some(2.0)
    })
    .await;
    exporter.export(batch(4)).await.expect("room");
    script.open(9);
    exporter.stop().await.expect("stops");
}

#[tokio::test]
async fn a_full_disk_refuses_and_a_damaged_record_is_set_aside() {
    let disk = TestFiles::new();
    let (first, script) = (life(&disk), Script::gated());
    let exporter = started(&first, durable(1), &script).await;
    disk.inject(Fault::DiskFull);
    let (refused, answer) = watched(batch(7));
    let error = exporter.export(refused).await.expect_err("no space");
    assert!(error.kind().is_retryable(), "{error}");
    assert!(matches!(answer.get(), Some(Err(_))));
    assert_eq!(counted(&first, "otelcol_exporter_enqueue_failed_metric_points"), 7.0);
    export_all(&exporter, 3).await;
    drop(exporter);
    disk.crash();
    // Somewhere in the second record: the first one has one point and fewer bytes than this.
    let segment = Path::new("/queues/test-metrics/00000000000000000000.seg");
    let record = payload(Signal::Metrics, "m", 1).len() + 25;
    disk.flip_bit(segment, record + 40, 3).expect("flipped");

    let (second, script) = (life(&disk), Script::new([]));
    let exporter = started(&second, durable(1), &script).await;
    eventually("the whole ones are sent", || script.items().len() == 2).await;
    exporter.stop().await.expect("stops");
    assert_eq!(script.items(), [1, 3]);
}

#[tokio::test]
async fn request_headers_survive() {
    let disk = TestFiles::new();
    let exporter = started(&life(&disk), durable(1), &Script::gated()).await;
    let headers = vec![("tenant".to_owned(), "a".to_owned())];
    let meta =
        Meta { headers: headers.clone(), tenant: "t".into(), received: 5, ..Meta::default() };
    let batch = Batch::new(payload(Signal::Metrics, "m", 2), Arc::new(meta));
    exporter.export(batch).await.expect("room");
    drop(exporter);
    disk.crash();
    let script = Script::new([]);
    let exporter = started(&life(&disk), durable(1), &script).await;
    eventually("it is sent", || !script.metas().is_empty()).await;
    exporter.stop().await.expect("stops");
    let meta = script.metas().remove(0);
    assert_eq!((&meta.headers, &*meta.tenant, meta.received), (&headers, "t", 5));
}

#[tokio::test]
async fn a_storage_that_is_not_there_is_named() {
    let exporter = Delivery::new(&context(), settings(Some(durable(1))), Script::new([]));
    let error = exporter.start().await.expect_err("no storage");
    assert!(error.message().contains("\"file_storage\""), "{error}");
}

#[tokio::test]
async fn a_new_configuration_takes_the_queue_over_when_the_old_one_lets_go() {
    let disk = TestFiles::new();
    let (context, stuck, script) = (life(&disk), Script::gated(), Script::new([]));
    let old = started(&context, durable(1), &stuck).await;
    export_all(&old, 3).await;
    eventually("one is being sent", || !stuck.items().is_empty()).await;
    let new = started(&context, durable(1), &script).await;
    assert!(script.items().is_empty(), "the old one still holds it");
    let (batch, answer) = watched(batch(4));
    let stop = async {
        stuck.open(1);
        old.stop().await
    };
    let (taken, stopped) = tokio::join!(new.export(batch), stop);
    taken.expect("waited for the log");
    stopped.expect("stops");
    assert!(matches!(answer.get(), Some(Ok(()))));
    eventually("all are sent", || script.items().len() == 3).await;
    assert_eq!((stuck.items(), script.items()), (vec![1], vec![2, 3, 4]));
    new.stop().await.expect("stops");
}

#[tokio::test]
async fn a_sender_that_goes_away_while_the_disk_writes_leaves_its_request_in_the_queue() {
    let disk = TestFiles::new();
    let (context, script) = (life(&disk), Script::gated());
    let exporter = started(&context, QueueSettings { size: 1, ..durable(1) }, &script).await;
    tokio::select! {
        biased;
        _ = exporter.export(batch(1)) => {}
        () = std::future::ready(()) => {}
    }
    eventually("it is being sent", || script.items() == [1]).await;
    assert_eq!(exporter.export(batch(2)).await.expect_err("full").kind(), Kind::Overloaded);
    script.open(1);
    eventually("it is delivered", || {
        context.host.telemetry().value("otelcol_exporter_queue_size", &QUEUE) == Some(0.0)
    })
    .await;
    script.open(1);
    exporter.export(batch(3)).await.expect("room");
    // What is not being sent yet at stop stays in the log.
    eventually("the next one is sent", || script.items() == [1, 3]).await;
    exporter.stop().await.expect("stops");
}
