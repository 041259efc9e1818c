// SPDX-License-Identifier: Apache-2.0

use std::time::Duration;

use basics::Random;
use serde_json::json;
use testkit::{Backend, Fault};
use tokio::sync::watch;

use super::*;

fn load(url: String, requests: u64) -> Load {
    Load {
        url,
        mix: Mix::Path("/x".into()),
        pace: Pace::Closed,
        connections: 3,
        requests: Some(requests),
        duration: None,
        seed: 1,
    }
}

async fn run_all(load: Load) -> Tally {
    let (_go_on, stop) = watch::channel(false);
    run(load, Progress::default(), stop).await.expect("runs")
}

#[test]
fn requests_are_due_as_the_pace_says() {
    let due = |pace: Pace, index| pace.due(index).expect("timed").as_secs_f64();
    assert_eq!(Pace::Closed.due(7), None);
    assert_eq!(due(Pace::Steady(50.0), 100), 2.0);
    // 7 s at 5, 3 s at 20: 95 in ten seconds.
    let bursts = Pace::of("dev", None);
    assert_eq!(bursts, Pace::Bursts(5.0, 20.0));
    for (index, expected) in [(0, 0.0), (5, 1.0), (35, 7.0), (55, 8.0), (95, 10.0), (100, 11.0)] {
        assert!((due(bursts, index) - expected).abs() < 1e-9, "{index}: {}", due(bursts, index));
    }
    assert_eq!(bursts.rate(), Some(9.5));
    let before = |pace: Pace, seconds| pace.due_before(Duration::from_secs(seconds));
    assert_eq!(
        (before(bursts, 2), before(bursts, 10), before(bursts, 0)),
        (Some(10), Some(95), Some(0))
    );
    assert_eq!((before(Pace::Steady(50.0), 3), before(Pace::Closed, 3)), (Some(150), None));
    assert_eq!(Pace::of("prod", None).rate(), Some(50.0));
    assert_eq!(Pace::Steady(1e-300).due(u64::MAX), Some(Duration::MAX));
}

#[test]
fn the_shop_is_asked_by_weight() {
    let mut random = Random::seeded(3);
    let mut counts = std::collections::BTreeMap::<String, u32>::new();
    for _ in 0..10_000 {
        *counts.entry(Mix::Shop.next(&mut random).path).or_default() += 1;
    }
    for (path, weight) in [
        ("/health", 40),
        ("/api/products", 30),
        ("/api/orders", 15),
        ("/api/reports", 10),
        ("/api/payments", 5),
    ] {
        assert!(counts[path].abs_diff(weight * 100) < 200, "{counts:?}");
    }
}

#[test]
fn thresholds_are_read_and_checked() {
    let mut tally = Tally::default();
    for millis in 1..=100 {
        let time = Duration::from_millis(millis);
        tally.time(time, time);
    }
    (tally.successful, tally.failed, tally.elapsed) = (98, 2, Duration::from_secs(2));
    for (text, is_kept) in [
        ("p95<96ms", true),
        ("p95<95ms", false),
        ("p50 < 1s", true),
        ("max<=99ms", false),
        ("mean<60ms", true),
        ("errors<2.5%", true),
        ("errors<1%", false),
        ("rate>49", true),
        ("rate>51", false),
    ] {
        let threshold: Threshold = text.parse().expect(text);
        assert_eq!(threshold.check(&tally).1, is_kept, "{text}: {}", threshold.check(&tally).0);
        assert!(!threshold.check(&Tally::default()).1, "nothing was measured");
    }
    for text in ["p95", "p101<1s", "p95<5", "errors<5", "rate>x", "latency<1s"] {
        assert!(text.parse::<Threshold>().expect_err(text).contains("expected"), "{text}");
    }
}

#[tokio::test]
async fn what_is_sent_is_counted_by_what_became_of_it() {
    let backend = Backend::start().await;
    backend.fail([
        Fault::Http { status: 503, retry_after: None },
        Fault::Reset,
        Fault::Http { status: 404, retry_after: None },
    ]);
    let tally = run_all(load(backend.url(), 50)).await;
    assert_eq!((tally.successful, tally.failed, tally.total()), (47, 3, 50));
    assert_eq!((tally.statuses[&200], tally.statuses[&404], tally.statuses[&503]), (47, 1, 1));
    assert_eq!(tally.errors.values().sum::<u64>(), 1, "{:?}", tally.errors);
    assert_eq!((tally.times.len(), tally.slowest.len()), (49, 5));
    let received = backend.received();
    assert_eq!(received.len(), 50);
    let parents: std::collections::BTreeSet<_> = received
        .iter()
        .map(|r| r.headers["traceparent"].to_str().expect("text")[3..35].to_owned())
        .collect();
    assert_eq!(parents.len(), 50, "each its own trace");
    assert!(tally.slowest.iter().all(|slow| parents.contains(&slow.trace_id)));
    assert!(backend.connections() <= 3 + 1, "connections are kept");
}

#[tokio::test]
async fn a_server_that_stalls_does_not_hide_what_it_kept_from_being_sent() {
    let backend = Backend::start().await;
    backend.fail([Fault::Slow(Duration::from_millis(500))]);
    let stalled = Load { pace: Pace::Steady(100.0), connections: 1, ..load(backend.url(), 60) };
    let tally = run_all(stalled).await;
    let millis =
        |histogram: &hdrhistogram::Histogram<u64>| histogram.value_at_percentile(50.0) / 1000;
    // Those that were due meanwhile waited for a quarter of a second on average.
    assert!(millis(&tally.times) > 100, "{} ms", millis(&tally.times));
    assert!(millis(&tally.sent_times) < 100, "{} ms", millis(&tally.sent_times));
    assert!(tally.elapsed >= Duration::from_millis(580));
}

#[tokio::test]
async fn a_target_that_is_away_is_told_and_a_stop_ends_at_once() {
    let backend = Backend::start().await;
    let url = backend.url();
    backend.stop().await;
    let tally = run_all(load(url.clone(), 4)).await;
    assert_eq!(tally.failed, 4);
    assert_eq!(
        tally.errors.keys().collect::<Vec<_>>(),
        ["not answered: cannot connect: connection refused"]
    );
    let slow = Load { pace: Pace::Steady(0.001), ..load(url, 4) };
    let (told, stop) = watch::channel(false);
    let running = tokio::spawn(run(slow, Progress::default(), stop));
    told.send(true).expect("it runs");
    assert!(running.await.expect("no panic").expect("runs").total() <= 1);
    for (url, told) in [("https://h", "only http"), ("nothing", "only http"), ("http://", "URL")] {
        let (_go_on, stop) = watch::channel(false);
        let error = run(load(url.into(), 1), Progress::default(), stop).await.expect_err(url);
        assert!(format!("{error:#}").contains(told), "{error:#}");
    }
}

#[test]
fn the_report_has_the_lines_of_the_document() {
    let mut tally = Tally::default();
    for (count, millis) in [(60, 45), (310, 95), (120, 112), (10, 156)] {
        for _ in 0..count {
            let time = Duration::from_millis(millis);
            let micros = tally.time(time, time);
            tally.slow(micros, || ("POST /predict".into(), "ab".repeat(16)));
        }
    }
    (tally.successful, tally.elapsed) = (500, Duration::from_millis(10_204));
    let predict = Load {
        mix: Mix::Predict,
        pace: Pace::Steady(500.0),
        ..load("http://localhost:9002".into(), 500)
    };
    let about = predict.about(Some(50.0));
    let text = text(&about, &tally);
    let bar = |length| "\u{2588}".repeat(length);
    for line in [
        "Total requests:     500",
        "Successful:         500",
        "Failed:             0",
        "Duration:           10.2s",
        "Actual rate:        49.0 req/s",
        "  Min:              45ms",
        "  Median (p50):     95ms",
        "  p90:              112ms",
        &format!("  0-50ms:     {} 12%", bar(5)),
        &format!("  50-100ms:   {} 62%", bar(24)),
        &format!("  100-150ms:  {} 24%", bar(10)),
        &format!("  150-200ms:  {} 2%", bar(1)),
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} in\n{text}");
    }
    let opening = opening(&about);
    assert_eq!(
        opening,
        "Starting load test...\nURL: http://localhost:9002/predict\nTotal requests: 500\n\
         Concurrency: 3\nTarget rate: 50 req/s per worker (500 req/s in total)\n"
    );
    assert_eq!(progress(500, Some(500)), "Progress: [####################] 500/500");
    assert_eq!(progress(10, Some(40)), "Progress: [#####...............] 10/40");
    let told = json(&about, &tally);
    assert_eq!(
        (&told["total"], &told["slowest"][0]["trace_id"]),
        (&json!(500), &json!("ab".repeat(16)))
    );
}

#[tokio::test]
async fn the_shops_faults_are_switched_on_and_back() {
    let backend = Backend::start().await;
    let target = demo::Target { endpoint: Some(backend.url()), protocol: demo::Protocol::Http };
    let settings = demo::shop::Settings {
        environment: "qa".into(),
        data_plane_id: "dp-qa-01".into(),
        listen: "127.0.0.1:0".into(),
        faults: demo::shop::Faults::default(),
        target,
    };
    let (ready, address) = tokio::sync::oneshot::channel();
    let ready = |address: std::net::SocketAddr| ready.send(address).expect("waited for");
    let shop = tokio::spawn(demo::shop::run(settings, ready, std::future::pending()));
    let url = format!("http://{}", address.await.expect("it starts"));
    let shopping = Load { mix: Mix::Shop, connections: 20, ..load(url.clone(), 200) };
    let on = Faults::switch_on(&url, &json!({ "error_rate": 1 })).await.expect("reached");
    let bad = run_all(shopping.clone()).await;
    assert_eq!(bad.statuses.keys().copied().collect::<Vec<_>>(), [200, 500]);
    assert!((80..=160).contains(&bad.failed), "all but /health: {}", bad.failed);
    on.expect("a shop").restore().await.expect("restored");
    let good = run_all(shopping).await;
    assert_eq!((good.failed, good.total()), (0, 200));
    let nothing = Faults::switch_on(&backend.url(), &json!({})).await;
    assert!(nothing.is_ok_and(|faults| faults.is_none()), "a server without faults");
    shop.abort();
}
