// SPDX-License-Identifier: Apache-2.0
//! Fused passes: order, what they drop, panics.

use basics::{Kind, Result};
use otlp_wire::{Data, Pass, PointView, Record, Verdict, Visits};

use super::*;
use crate::batch::Meta;
use crate::component::{Context, Processor};
use crate::ledger::Reason;
use crate::testing::{Blueprint, Recorder, TestReceiver, batch, watched};

/// Drops points whose attribute `n` is at least `from`; panics on 13 if it is told to.
struct DropFrom(i64, bool);

impl Pass for DropFrom {
    fn visits(&self) -> Visits {
        Visits::POINTS
    }
    fn point(&mut self, point: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        let n = point.attr("n").and_then(|value| value.as_int()).unwrap_or(0);
        assert!(!(self.1 && n == 13), "told to panic");
        if n >= self.0 { Verdict::Drop } else { Verdict::Keep }
    }
}

/// The same, to keep a sample.
struct SampleFrom(DropFrom);

impl Pass for SampleFrom {
    fn visits(&self) -> Visits {
        self.0.visits()
    }
    fn is_sampler(&self) -> bool {
        true
    }
    fn point(&mut self, point: &mut Record<'_>, at: &otlp_wire::Context<'_>) -> Verdict {
        self.0.point(point, at)
    }
}

/// Writes the resource's `stage` to the point, then (`edits`) puts its own there.
struct Stamp(&'static str, bool);

impl Pass for Stamp {
    fn reads_context(&self) -> bool {
        !self.1
    }
    fn resource(&mut self, resource: &mut Record<'_>) {
        if self.1 {
            resource.attrs().upsert("stage", self.0);
        }
    }
    fn point(&mut self, point: &mut Record<'_>, at: &otlp_wire::Context<'_>) -> Verdict {
        if !self.1 {
            let seen = at.resource().attr("stage").map_or("none".into(), |v| v.text());
            point.attrs().upsert(self.0, &*seen);
        }
        Verdict::Keep
    }
}

/// Writes how the client is called to the resource.
#[derive(Clone, Default)]
struct Caller(String);

impl Pass for Caller {
    fn visits(&self) -> Visits {
        Visits::RESOURCES
    }
    fn begin(&mut self, origin: &otlp_wire::Origin<'_>) {
        let told = |pairs: &[(String, String)]| pairs.first().map(|(_, value)| value.clone());
        let client = origin.client.map(|client| client.to_string());
        let known = [told(origin.headers), told(origin.auth), client];
        self.0 = known.map(Option::unwrap_or_default).join(" ");
    }
    fn resource(&mut self, resource: &mut Record<'_>) {
        resource.attrs().upsert("caller", &*self.0);
    }
}

fn pass<P: Pass + 'static>(
    make: impl Fn() -> P + Send + Sync + Clone + 'static,
) -> impl Fn(Context) -> Result<Processor> + Send + Sync {
    move |_| {
        let make = make.clone();
        Ok(Processor::Pass(Box::new(move || Box::new(make()))))
    }
}

#[tokio::test]
async fn what_a_sampler_leaves_out_is_told_apart_from_what_is_filtered() {
    for (filtered_from, sampled_from, filtered, sampled) in
        [(6, 2, 4, 4), (6, 9, 4, 0), (9, 4, 1, 5), (9, 0, 1, 9)]
    {
        let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
        let plan = Blueprint::new()
            .receiver("in", &input)
            .processor("filter", pass(move || DropFrom(filtered_from, false)))
            .processor("sampler", pass(move || SampleFrom(DropFrom(sampled_from, false))))
            .exporter("out", output.clone())
            .pipeline("metrics", &["in"], &["filter", "sampler"], &["out"]);
        let running = start(plan.plan(), &host).await.unwrap();
        input.send(batch(10)).await.unwrap();
        settled(&host, &["metrics"]).await;
        assert_eq!(count(&host, "metrics", "out", Fate::Filtered), filtered);
        assert_eq!(count(&host, "metrics", "out", Fate::SampledOut), sampled);
        running.stop(DEADLINE).await.unwrap();
    }
}

#[tokio::test]
async fn each_pass_counts_what_it_was_given_and_what_it_let_through() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("a", pass(|| DropFrom(6, false)))
        .processor("b", pass(|| DropFrom(2, false)))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["a", "b"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (some, answer) = watched(batch(10));
    input.send(some).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Filtered), 8);
    assert_eq!(count(&host, "metrics", "out", Fate::Delivered), 2);
    for (id, incoming, outgoing) in [("a", 10.0, 6.0), ("b", 6.0, 2.0)] {
        let labels = [("processor", id), ("otel_signal", "metrics")];
        let value = |name| host.telemetry().value(name, &labels);
        assert_eq!(value("otelcol_processor_incoming_items"), Some(incoming));
        assert_eq!(value("otelcol_processor_outgoing_items"), Some(outgoing));
    }
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_left_is_a_success() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("a", pass(|| DropFrom(0, false)))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["a"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (some, answer) = watched(batch(10));
    input.send(some).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    assert!(output.batches().is_empty());
    settled(&host, &["metrics"]).await;
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_pass_that_panics_refuses_that_batch_for_good_and_takes_the_next() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("a", pass(|| DropFrom(100, true)))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["a"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (poison, answer) = watched(batch(20));
    assert_eq!(input.send(poison).await.unwrap_err().kind(), Kind::Rejected);
    assert_eq!(answer.get().unwrap().unwrap_err().kind(), Kind::Rejected);
    input.send(batch(3)).await.unwrap();
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Panic)), 20);
    assert_eq!(output.items(), 3);
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_pass_sees_the_resource_as_the_passes_before_it_left_it() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("reads1", pass(|| Stamp("first", false)))
        .processor("edits1", pass(|| Stamp("one", true)))
        .processor("reads2", pass(|| Stamp("second", false)))
        .processor("edits2", pass(|| Stamp("two", true)))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["reads1", "edits1", "reads2", "edits2"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    input.send(batch(1)).await.unwrap();
    let batches = output.batches();
    let resource = batches[0].payload.metrics().next().unwrap();
    assert_eq!(resource.attr("stage").unwrap().text(), "two");
    let metric = resource.scopes().next().unwrap().metrics().next().unwrap();
    let Data::Gauge { mut points } = metric.data() else { panic!("a gauge") };
    let point = points.next().unwrap();
    assert_eq!(point.attrs().get("first").unwrap().text(), "none");
    assert_eq!(point.attrs().get("second").unwrap().text(), "one");
    settled(&host, &["metrics"]).await;
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn passes_are_told_of_the_request_of_each_batch() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("other", pass(|| DropFrom(9, false)))
        .processor("caller", pass(Caller::default))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["other", "caller"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let known = |value: &str| vec![("key".to_owned(), value.to_owned())];
    let meta = Meta {
        client: Some("10.1.2.3:4711".parse().unwrap()),
        headers: known("shop"),
        auth: known("ada"),
        ..Meta::default()
    };
    let mut some = batch(2);
    some.meta = Arc::new(meta);
    input.send(some).await.unwrap();
    input.send(batch(2)).await.unwrap();
    settled(&host, &["metrics"]).await;
    let callers: Vec<String> = output
        .batches()
        .iter()
        .flat_map(|batch| batch.payload.metrics())
        .map(|resource| resource.attr("caller").map_or(String::new(), |v| v.text().into_owned()))
        .collect();
    assert_eq!(callers, ["shop ada 10.1.2.3:4711", "  "]);
    running.stop(DEADLINE).await.unwrap();
}
