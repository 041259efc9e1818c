// SPDX-License-Identifier: Apache-2.0
//! The processor in its place in a pipeline.
use super::*;
use pipeline::testing::{outlet, watched};

const SCALE: &str = "rules: [{model_name: scale, inputs: [cpu], outputs: [{name: cpu.predicted}]}]";

fn batch() -> Batch {
    Batch::new(payload(&[("h", "cpu", "", 0, 4.0)]), Arc::new(Meta::default()))
}

#[tokio::test]
async fn originals_go_on_untouched_and_results_follow_as_a_batch_of_their_own() {
    let mut stage = subject(SCALE).stage;
    let (out, rest) = outlet();
    let (batch, answer) = watched(batch());
    let bytes = batch.payload.bytes().clone();
    stage.take(batch, &out).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    assert_eq!(rest.forwarded()[0].payload.bytes(), &bytes);
    let generated = rest.generated();
    assert_eq!(generated.len(), 1);
    let expected = [("host.name=h | cpu.predicted{}", 8.0)];
    assert_eq!(values(&points(&generated[0].0)), pairs(&expected));
    stage.finish(&out).await.unwrap();
}

#[tokio::test]
async fn a_batch_that_is_refused_further_on_is_not_inferred() {
    let mut stage = subject(SCALE).stage;
    let (out, rest) = outlet();
    rest.fail(Error::overloaded("full"));
    assert!(stage.take(batch(), &out).await.is_err());
    assert!(rest.generated().is_empty());
}

#[tokio::test]
async fn results_that_are_refused_do_not_fail_the_batch() {
    let mut stage = subject("rules: [{model_name: sum, inputs: [other]}]").stage;
    let (out, rest) = outlet();
    stage.take(batch(), &out).await.unwrap();
    assert_eq!((rest.forwarded().len(), rest.generated().len()), (1, 0));
}

#[tokio::test]
async fn many_results_are_cut_into_payloads_a_peer_takes() {
    let mut stage = subject(SCALE).stage;
    let (out, rest) = outlet();
    let mut writer = Writer::new();
    writer.gauge("cpu", "", "", |points| {
        (0..25_000).for_each(|i| points.int(T0, i, |to| to.int("id", i)));
    });
    stage.take(Batch::new(writer.finish(), Arc::new(Meta::default())), &out).await.unwrap();
    let sizes: Vec<u32> = rest.generated().iter().map(|(payload, _)| payload.items()).collect();
    assert_eq!(sizes, [10_000, 10_000, 5_000]);
    assert!(rest.generated().iter().all(|(payload, _)| payload.len() < 4 << 20));
}

#[test]
fn the_factory_builds_what_the_configuration_says() {
    let host = pipeline::host::Host::new(std::path::PathBuf::new());
    let context = Context {
        id: "metricsinference".into(),
        signal: Signal::Metrics,
        pipeline: "metrics".into(),
        clock: Clock::manual(T0),
        host,
    };
    let built = (factory().build)(Arc::new(config(SCALE)), context.clone());
    assert!(matches!(built, Ok(Processor::Stage(_))));
    // A remote one connects to nothing while it is built, and needs no runtime for it.
    let remote = config(&format!("grpc: {{endpoint: 'localhost:1'}}\n{SCALE}"));
    assert!((factory().build)(Arc::new(remote), context).is_ok());
}
