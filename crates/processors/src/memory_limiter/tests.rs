// SPDX-License-Identifier: Apache-2.0

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use basics::Clock;
use pipeline::config::from_yaml;
use pipeline::testing::{batch, context};

use super::*;

const MIB: u64 = 1 << 20;

#[test]
fn limits_are_absolute_or_a_share_of_the_memory() {
    let second = Duration::from_secs(1);
    let cases = [
        ("limit_mib: 400, spike_limit_mib: 150", 250, 400),
        ("limit_mib: 400", 320, 400),
        ("limit_percentage: 50", 400, 500),
        ("limit_percentage: 50, spike_limit_percentage: 30", 200, 500),
        ("limit_mib: 400, limit_percentage: 90", 320, 400),
    ];
    for (yaml, soft, hard) in cases {
        let config = from_yaml::<Config>(&format!("{{check_interval: 1s, {yaml}}}")).expect(yaml);
        let limits = Limits { soft: soft * MIB, hard: hard * MIB, interval: second };
        assert_eq!(config.limits(1000 * MIB), limits, "{yaml}");
    }
}

#[test]
fn mistakes_are_told_in_the_collectors_words() {
    let cases = [
        ("{limit_mib: 10}", "'check_interval' must be greater than zero"),
        ("{check_interval: 1s}", "'limit_mib' or 'limit_percentage' must be greater than zero"),
        (
            "{check_interval: 1s, limit_mib: 10, spike_limit_mib: 10}",
            "'spike_limit_mib' must be smaller than 'limit_mib'",
        ),
        (
            "{check_interval: 1s, limit_percentage: 50, spike_limit_percentage: 60}",
            "'spike_limit_percentage' must be smaller than 'limit_percentage'",
        ),
        ("{check_interval: 1s, limit_percentage: 101}", "less than or equal to hundred"),
        ("{check_interval: 1s, limit_mibs: 5}", "did you mean \"limit_mib\""),
    ];
    for (yaml, wanted) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(wanted), "{yaml}: {errors}");
    }
}

/// A gate whose process takes as many bytes as the number says.
fn gate(clock: &Clock) -> (MemoryGate, Arc<AtomicU64>) {
    let resident = Arc::new(AtomicU64::new(0));
    let limits = Limits { soft: 100, hard: 120, interval: Duration::from_secs(1) };
    let told = resident.clone();
    let measure = Box::new(move || Some(told.load(Ordering::Relaxed)));
    let limiter = Arc::new(Limiter::new(limits, clock.clone(), measure));
    let host = context("memory_limiter", Signal::Metrics, clock).host;
    (MemoryGate { limiter, meter: GateMeter::new(host.telemetry(), "memory_limiter") }, resident)
}

#[test]
fn data_is_refused_above_the_soft_limit_and_taken_again_below() {
    let clock = Clock::manual(0);
    let (gate, resident) = gate(&clock);
    let ask = |bytes: u64, seconds: u64| {
        resident.store(bytes, Ordering::Relaxed);
        clock.advance(Duration::from_secs(seconds));
        gate.admit(&batch(3))
    };
    assert!(ask(100, 1).is_ok());
    assert!(ask(101, 0).is_ok(), "measured not more than once an interval");
    let error = ask(101, 1).unwrap_err();
    assert!(error.kind().is_retryable());
    assert_eq!(error.message(), "data refused due to high memory usage");
    assert_eq!((error.kind().grpc_code(), error.kind().http_status()), (14, 503));
    assert!(ask(50, 0).is_err());
    assert!(ask(50, 1).is_ok());
}

#[test]
fn uses_of_one_id_share_a_measurement_and_others_do_not() {
    let context = context("memory_limiter", Signal::Metrics, &Clock::manual(0));
    let built = |yaml: &str| {
        let config = from_yaml::<Config>(yaml).expect("a right configuration");
        build(Arc::new(config), context.clone()).expect("builds");
        let (config, total) = (from_yaml::<Config>(yaml).unwrap(), 0);
        let Limits { soft, hard, interval } = config.limits(total);
        let name = format!("memory_limiter {soft} {hard} {}", interval.as_nanos());
        context.host.find::<Limiter>(&name).expect("a shared limiter")
    };
    let first = built("{check_interval: 1s, limit_mib: 1000}");
    let second = built("{check_interval: 1s, limit_mib: 1000}");
    let other = built("{check_interval: 1s, limit_mib: 2000}");
    assert!(Arc::ptr_eq(&first, &second));
    assert!(!Arc::ptr_eq(&first, &other));
}

#[test]
fn the_memory_of_this_process_is_measured() {
    let context = context("memory_limiter", Signal::Metrics, &Clock::manual(0));
    let admitted = |limit: u32| {
        let yaml = format!("{{check_interval: 1s, limit_mib: {limit}}}");
        let config = Arc::new(from_yaml::<Config>(&yaml).expect("a right configuration"));
        match build(config, context.clone()) {
            Ok(Processor::Gate(gate)) => gate.admit(&batch(1)).is_ok(),
            _ => panic!("no gate"),
        }
    };
    assert!(!admitted(1), "a test takes more than one MiB");
    assert!(admitted(1 << 20), "and less than one TiB");
}
