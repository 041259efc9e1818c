// SPDX-License-Identifier: Apache-2.0
//! The embedded store as an exporter: one store for all signals, durable through its log.

use std::sync::Arc;

use basics::Kind;
use exporters::embedded_store::{Config, EmbeddedStore, STORE};
use otlp_wire::Signal;
use pipeline::testing::contract;
use pipeline::{Batch, Context, Exporter, Meta};
use store::Store;

use crate::support::context;

fn exporter(context: &Context, signal: Signal) -> EmbeddedStore {
    EmbeddedStore::new(Arc::new(Config::default()), Context { signal, ..context.clone() })
}

#[tokio::test]
async fn all_signals_share_one_store_and_its_log() {
    let data = tempfile::tempdir().expect("temp dir");
    let context = context(Signal::Metrics, data.path());
    let all: Vec<_> = Signal::ALL.into_iter().map(|s| (s, exporter(&context, s))).collect();
    let meta = Arc::new(Meta { received: testkit::otlp::NOW, ..Meta::default() });
    for (signal, exporter) in &all {
        assert!(exporter.log().is_none(), "not before it is started");
        exporter.start().await.expect("opens");
        let payload = testkit::otlp::payload(*signal, 10);
        exporter.export(Batch::new(payload, meta.clone())).await.expect("taken");
    }
    let store = context.host.find::<Store>(STORE).expect("shared");
    for (_, exporter) in &all {
        assert!(Arc::ptr_eq(&exporter.log().expect("durable"), store.log()));
    }
    assert_eq!(store.head().stats().total.points, 10);
    assert!(store.head().stats().series >= 10);
    for (_, exporter) in &all {
        exporter.stop().await.expect("stops");
    }
    assert!(data.path().join("store/log").is_dir());
}

#[tokio::test]
async fn it_does_what_every_exporter_does() {
    let data = tempfile::tempdir().expect("temp dir");
    let context = context(Signal::Metrics, data.path());
    let one = Arc::new(exporter(&context, Signal::Metrics));
    contract::exporter_delivers(one.clone(), Signal::Metrics).await;
    let late = Batch::new(testkit::otlp::metrics(1), Arc::new(Meta::default()));
    assert_eq!(one.export(late).await.expect_err("stopped").kind(), Kind::Closed);
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_is_named() {
    let data = tempfile::tempdir().expect("temp dir");
    std::fs::write(data.path().join("store"), "in the way").expect("temp dir");
    let error = exporter(&context(Signal::Logs, data.path()), Signal::Logs).start().await;
    let text = error.expect_err("a file is in the way").to_string();
    assert!(text.contains("embedded store in") && text.contains("store"), "{text}");
}
