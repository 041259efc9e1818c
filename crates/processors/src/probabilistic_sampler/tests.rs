// SPDX-License-Identifier: Apache-2.0

mod golden;
mod logs;
mod spans;

use basics::Clock;
use otlp_wire::{Edited, Payload, Scratch};
use pipeline::config::from_yaml;
use pipeline::testing::context;

use super::*;

/// The pass that `yaml` configures for `signal`, and where it counts.
fn pass(yaml: &str, signal: Signal) -> (Box<dyn Pass>, Context) {
    let config = from_yaml::<Config>(yaml).unwrap_or_else(|errors| panic!("{yaml}: {errors}"));
    let context = context("probabilistic_sampler", signal, &Clock::manual(0));
    match build(Arc::new(config), context.clone()) {
        Ok(Processor::Pass(make)) => (make(), context),
        _ => panic!("no pass"),
    }
}

/// What is left of `payload`.
fn sampled(yaml: &str, payload: &Payload) -> Edited {
    let (pass, _) = pass(yaml, payload.signal());
    payload.edit(&mut [pass], &mut Scratch::new())
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn id_of(hex: &str) -> TraceId {
    bytes_of(hex).try_into().expect("32 digits")
}

#[test]
fn settings_without_meaning_are_told() {
    let cases = [
        ("sampling_percentage: -5", "sampling rate is negative: -5%"),
        ("sampling_percentage: .nan", "sampling rate is invalid: NaN%"),
        ("sampling_percentage: .inf", "sampling rate is invalid: inf%"),
        ("sampling_percentage: 1e-16", "sampling rate is too small"),
        ("sampling_precision: 0", "invalid sampling precision: 0"),
        ("sampling_precision: 15", "sampling precision is too great, should be <= 14: 15"),
        ("mode: sometimes", "mode"),
        ("attribute_source: span", "attribute_source"),
        ("hash_seed: -1", "hash_seed"),
        ("sampling_rate: 5", "unknown key \"sampling_rate\""),
    ];
    for (yaml, expected) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(expected), "{yaml}: {errors}");
    }
}

#[test]
fn it_is_for_traces_and_logs() {
    assert_eq!(factory().signals, [Signal::Traces, Signal::Logs]);
    let config = from_yaml::<Config>("mode: ''").unwrap();
    assert_eq!(
        (config.mode, config.fail_closed, config.sampling_precision),
        (Mode::Unset, true, 4)
    );
}
