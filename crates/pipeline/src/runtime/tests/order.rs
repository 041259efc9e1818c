// SPDX-License-Identifier: Apache-2.0
//! What starts and stops when.

use async_trait::async_trait;
use basics::{Error, Result};
use parking_lot::Mutex;

use super::*;
use crate::batch::Batch;
use crate::component::{Context, Exporter, Extension, Outlet, Processor, Stage};
use crate::testing::{Blueprint, Recorder, TestReceiver};

type Diary = Arc<Mutex<Vec<String>>>;

/// Writes what happens to it into the diary.
struct Noted(&'static str, Diary);

impl Noted {
    fn note(&self, what: &str) {
        self.1.lock().push(format!("{} {what}", self.0));
    }
}

#[async_trait]
impl Extension for Noted {
    async fn start(&self, _: &Host) -> Result<()> {
        self.note("start");
        Ok(())
    }
    fn pipelines_ready(&self) {
        self.note("ready");
    }
    fn pipelines_stopping(&self) {
        self.note("stopping");
    }
    async fn stop(&self) -> Result<()> {
        self.note("stop");
        Ok(())
    }
}

#[async_trait]
impl Exporter for Noted {
    async fn start(&self) -> Result<()> {
        self.note("start");
        Ok(())
    }
    async fn export(&self, batch: Batch) -> Result<()> {
        batch.settle(Ok(()));
        Ok(())
    }
    async fn stop(&self) -> Result<()> {
        self.note("stop");
        Ok(())
    }
}

#[async_trait]
impl Stage for Noted {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        out.forward(batch).await
    }
    async fn finish(&mut self, _: &Outlet) -> Result<()> {
        self.note("finish");
        Ok(())
    }
}

#[tokio::test]
async fn the_stop_is_the_start_in_reverse() {
    let (host, input, diary) = (host(), TestReceiver::new(), Diary::default());
    let stage = |name: &'static str| {
        let diary = diary.clone();
        move |_: Context| Ok(Processor::Stage(Box::new(Noted(name, diary.clone()))))
    };
    let plan = Blueprint::new()
        .extension("x1", Arc::new(Noted("x1", diary.clone())))
        .extension("x2", Arc::new(Noted("x2", diary.clone())))
        .receiver("in", &input)
        .processor("p1", stage("p1"))
        .processor("p2", stage("p2"))
        .exporter("out", Arc::new(Noted("out", diary.clone())))
        .pipeline("metrics", &["in"], &["p1", "p2"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    assert_eq!(*diary.lock(), ["x1 start", "x2 start", "out start", "x1 ready", "x2 ready"]);
    assert_eq!(host.health().ready_since(), Some(NOW));
    diary.lock().clear();
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(host.health().ready_since(), None);
    let expected =
        ["x1 stopping", "x2 stopping", "p1 finish", "p2 finish", "out stop", "x2 stop", "x1 stop"];
    assert_eq!(*diary.lock(), expected);
    assert_eq!(input.events(), ["start", "stop"]);
}

#[tokio::test]
async fn a_component_that_cannot_start_stops_those_before_it() {
    let (host, output) = (host(), Recorder::new());
    let (first, second, third) = (TestReceiver::new(), TestReceiver::new(), TestReceiver::new());
    second.fail_start(Error::invalid("port 4317 is in use"));
    let plan = Blueprint::new()
        .receiver("in/1", &first)
        .receiver("in/2", &second)
        .receiver("in/3", &third)
        .exporter("out", output.clone())
        .pipeline("metrics", &["in/1", "in/2", "in/3"], &[], &["out"]);
    let error = start(plan.plan(), &host).await.err().unwrap();
    assert_eq!(error.message(), "receiver in/2: port 4317 is in use");
    assert_eq!(first.events(), ["start", "stop"]);
    assert!(third.events().is_empty());
    assert_eq!(output.events(), ["start", "stop"]);
    assert_eq!(host.health().ready_since(), None);
}

#[tokio::test]
async fn an_exporter_that_cannot_start_keeps_the_receivers_closed() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.fail_start(Error::invalid("no such directory"));
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output).pipeline(
        "metrics",
        &["in"],
        &[],
        &["out"],
    );
    let error = start(plan.plan(), &host).await.err().unwrap();
    assert_eq!(error.message(), "exporter out: no such directory");
    assert!(input.events().is_empty());
}

#[test]
fn all_components_that_refuse_their_settings_are_named_and_nothing_runs() {
    let refuse = |_: Context| -> Result<Processor> { Err(Error::invalid("no actions")) };
    let plan = Blueprint::new()
        .receiver("in", &TestReceiver::new())
        .processor("attributes/1", refuse)
        .processor("attributes/2", refuse)
        .exporter("out", Recorder::new())
        .pipeline("metrics", &["in"], &["attributes/1"], &["out"])
        .pipeline("logs", &["in"], &["attributes/2"], &["out", "gone"]);
    // No tokio runtime here: building touches none.
    let errors = Graph::build(&plan.plan(), &host()).err().unwrap();
    let messages: Vec<_> = errors.iter().map(Error::message).collect();
    assert_eq!(
        messages,
        [
            "service::pipelines::logs: references exporter \"gone\" which is not configured",
            "processors::attributes/1: no actions",
        ]
    );
}
