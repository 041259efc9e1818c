// SPDX-License-Identifier: Apache-2.0
//! Passes in one scan do what they do one after the other: canonically encoded, the same bytes.
//! (As they are they may differ in where the attributes of an element stand that had lost all of
//! its attributes in between; protobuf gives the order of fields no meaning.)

use std::any::Any;
use std::sync::Arc;

use basics::Clock;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otlp_wire::{Pass, Payload, Scratch, Signal, write};
use pipeline::Processor;
use pipeline::component::ProcessorFactory;
use pipeline::config::{ComponentConfig, from_yaml};
use pipeline::testing::context;
use proptest::prelude::*;
use prost::Message;

type Make = Box<dyn Fn() -> Box<dyn Pass> + Send + Sync>;

fn pass<C: ComponentConfig>(factory: &ProcessorFactory, signal: Signal, yaml: &str) -> Make {
    let config: Arc<dyn Any + Send + Sync> = Arc::new(from_yaml::<C>(yaml).expect("right"));
    match (factory.build)(config, context(factory.kind, signal, &Clock::manual(0))) {
        Ok(Processor::Pass(make)) => make,
        _ => panic!("{} is no pass", factory.kind),
    }
}

/// Every pass that may be part of a scan; none reads what another one edits above it.
fn passes(signal: Signal) -> Vec<Make> {
    use processors::{attributes, probabilistic_sampler as sampler, redaction, resource};
    let mut all = vec![
        pass::<resource::Config>(
            &resource::factory(),
            signal,
            "attributes: [{key: added, value: x, action: upsert}, {key: k1, action: delete}]",
        ),
        pass::<attributes::Config>(
            &attributes::factory(),
            signal,
            "{actions: [{key: k0, action: hash}, {key: new, from_attribute: k2, action: insert}, \
             {key: k1, action: delete}]}",
        ),
        pass::<attributes::Config>(
            &attributes::factory(),
            signal,
            "actions: [{pattern: 'k[23]', action: delete}, {key: k0, value: 1, action: update}]",
        ),
        pass::<redaction::Config>(
            &redaction::factory(),
            signal,
            "{allow_all_keys: true, blocked_values: ['[0-9]{3}', bad], summary: debug}",
        ),
        pass::<redaction::Config>(
            &redaction::factory(),
            signal,
            "{allowed_keys: [k0, k1, new, added], blocked_key_patterns: ['1$'], summary: info}",
        ),
    ];
    if signal != Signal::Metrics {
        all.push(pass::<sampler::Config>(
            &sampler::factory(),
            signal,
            "{sampling_percentage: 50, hash_seed: 7}",
        ));
    }
    all
}

/// Elements with some of the attributes `k0` to `k3`, as the bits of the numbers say.
fn payload(signal: Signal, elements: &[u64]) -> Payload {
    const VALUES: [&str; 4] = ["plain", "bad", "id 12345", ""];
    let put = |a: &mut write::AttrWriter<'_>, bits: u64| {
        for key in (0..4).filter(|key| bits >> key & 1 == 1) {
            a.str(&format!("k{key}"), VALUES[(bits >> (4 + 2 * key) & 3) as usize]);
        }
    };
    let id = |bits: u64| u128::from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes();
    match signal {
        Signal::Traces => {
            let mut w = write::Traces::new();
            for group in elements.chunks(3) {
                w.resource(|a| put(a, group[0] >> 12));
                w.scope("scope", "");
                for bits in group {
                    let span = write::Span { trace_id: id(*bits), name: "s", ..<_>::default() };
                    w.span(&span, |a| put(a, *bits));
                    if bits >> 20 & 1 == 1 {
                        w.event(1, "e", |a| put(a, bits >> 8));
                    }
                }
            }
            w.finish()
        }
        Signal::Logs => {
            let mut w = write::Logs::new();
            for group in elements.chunks(3) {
                w.resource(|a| put(a, group[0] >> 12));
                for bits in group {
                    let body = VALUES[(bits >> 20 & 3) as usize].into();
                    let trace_id = Some(id(*bits));
                    w.log(&write::Log { trace_id, body, ..<_>::default() }, |a| put(a, *bits));
                }
            }
            w.finish()
        }
        Signal::Metrics => {
            let mut w = write::Metrics::new();
            for group in elements.chunks(3) {
                w.resource(|a| put(a, group[0] >> 12));
                w.gauge("g", "1", "", |p| {
                    for bits in group {
                        p.int(1, 1, |a| put(a, *bits));
                    }
                });
            }
            w.finish()
        }
    }
}

/// The payload as prost encodes it: fields by number.
fn canonical(payload: &Payload) -> Vec<u8> {
    match payload.signal() {
        Signal::Traces => payload.decode::<ExportTraceServiceRequest>().encode_to_vec(),
        Signal::Metrics => payload.decode::<ExportMetricsServiceRequest>().encode_to_vec(),
        Signal::Logs => payload.decode::<ExportLogsServiceRequest>().encode_to_vec(),
    }
}

proptest! {
    #[test]
    fn one_scan_gives_the_bytes_of_one_after_the_other(
        signal in proptest::sample::select(&Signal::ALL[..]),
        elements in proptest::collection::vec(0..1u64 << 24, 1..12),
        order in proptest::collection::vec(0..6usize, 1..6),
    ) {
        let payload = payload(signal, &elements);
        let known = passes(signal);
        let chosen: Vec<&Make> = order.iter().filter_map(|at| known.get(*at)).collect();
        let mut apart = Some(payload.clone());
        for make in &chosen {
            let Some(now) = apart else { break };
            apart = now.edit(&mut [make()], &mut Scratch::new()).or(&now);
        }
        let mut fused: Vec<Box<dyn Pass>> = chosen.iter().map(|make| make()).collect();
        let together = payload.edit(&mut fused, &mut Scratch::new()).or(&payload);
        prop_assert_eq!(together.as_ref().map(canonical), apart.as_ref().map(canonical));
        if let Some(together) = together {
            let again = Payload::admit(signal, together.bytes().clone());
            prop_assert_eq!(again.as_ref(), Ok(&together));
        }
    }
}
