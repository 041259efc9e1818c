// SPDX-License-Identifier: Apache-2.0
//! Both samplers in one pipeline, with the runtime's accounts.

use std::sync::Arc;
use std::time::Duration;

use basics::Clock;
use otlp_wire::{Payload, write};
use pipeline::component::ProcessorFactory;
use pipeline::config::{ComponentConfig, from_yaml};
use pipeline::testing::{Blueprint, Recorder, TestReceiver, eventually};
use pipeline::{Batch, Budget, Fate, Graph, Host};

/// Ten spans, numbered in their ids: one of each of ten traces.
fn spans(number: u64) -> Payload {
    let mut w = write::Traces::new();
    w.resource(|r| r.str("service.name", "shop"));
    for trace in 0..10u64 {
        let mut trace_id = [trace as u8 + 1; 16];
        // The first byte of what consistent sampling takes for randomness.
        trace_id[9] = trace as u8 * 28;
        let span_id = (number * 10 + trace + 1).to_be_bytes();
        w.span(&write::Span { trace_id, span_id, ..<_>::default() }, |a| a.int("n", trace as i64));
    }
    w.finish()
}

fn with<C: ComponentConfig>(
    plan: Blueprint,
    id: &str,
    factory: ProcessorFactory,
    yaml: &str,
) -> Blueprint {
    let config = Arc::new(from_yaml::<C>(yaml).expect("a right configuration"));
    plan.processor(id, move |context| (factory.build)(config.clone(), context))
}

#[tokio::test]
async fn every_span_is_delivered_or_sampled_out_and_counted_once() {
    let (input, output) = (TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output.clone());
    let plan = with::<processors::probabilistic_sampler::Config>(
        plan,
        "half",
        processors::probabilistic_sampler::factory(),
        "{mode: equalizing, sampling_percentage: 50}",
    );
    let plan = with::<processors::tail_sampling::Config>(
        plan,
        "tail",
        processors::tail_sampling::factory(),
        "policies: [{name: some, type: numeric_attribute, \
                     numeric_attribute: {key: n, min_value: 8}}]",
    );
    let plan = plan.pipeline("traces", &["in"], &["half", "tail"], &["out"]).plan();
    let host = Host::with("unused".into(), Clock::manual(1), Budget::new(64 << 20));
    let running = Graph::build(&plan, &host).unwrap_or_else(|e| panic!("{e:?}")).start().await;
    let running = running.expect("starts");
    for number in 0..20 {
        input.send(Batch::new(spans(number), Arc::default())).await.expect("accepted");
    }
    let book = host.ledger().book("traces").expect("a book");
    // What waits for a decision is in flight; the other half is sampled out.
    eventually("all are taken over", || book.in_flight() == 100).await;
    running.stop(Duration::from_secs(20)).await.expect("stops");
    host.ledger().check().expect("a balanced ledger");
    // Traces 5 to 9 pass the first sampler, 8 and 9 the second.
    assert_eq!(book.count("out", Fate::SampledOut), 100 + 60);
    assert_eq!(book.count("out", Fate::Delivered), 40);
    assert_eq!((book.in_flight(), host.budget().used()), (0, 0));
    assert_eq!(output.items(), 40);
}
