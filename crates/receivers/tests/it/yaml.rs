// SPDX-License-Identifier: Apache-2.0
//! What stands in YAML: mistakes are told at their place.

use otlp_wire::Signal;
use pipeline::Components;
use pipeline::component::{ExporterFactory, ReceiverFactory};
use pipeline::config::{ComponentConfig, Environment, Input, decode, load};
use serde::Deserialize;

/// The other end of the pipelines here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

impl ComponentConfig for Nothing {}

fn components() -> Components {
    Components {
        receivers: FACTORIES.map(|factory| factory()).into(),
        exporters: vec![ExporterFactory {
            kind: "nothing",
            aliases: &[],
            signals: &Signal::ALL,
            summary: "",
            decode: decode::<Nothing>,
            build: |_, _| Err(basics::Error::invalid("is not built")),
        }],
        ..Components::default()
    }
}

/// The mistakes in `yaml`, one a line, each beginning with its path.
fn mistakes(yaml: &str, receiver: &str) -> Vec<String> {
    let text = format!(
        "{yaml}\nexporters: {{nothing: }}\nservice: {{pipelines: {{metrics: {{receivers: [{receiver}], exporters: [nothing]}}}}}}"
    );
    let input = Input { configs: vec![format!("yaml:{text}")], ..Input::default() };
    match load(&input, &components(), Environment::process()) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.error_lines(),
    }
}

const FACTORIES: [fn() -> ReceiverFactory; 3] =
    [receivers::otlp::factory, receivers::hostmetrics::factory, receivers::prometheus::factory];

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    let job = |keys: &str| {
        format!("prometheus: {{config: {{scrape_configs: [{{job_name: a, {keys}}}]}}}}")
    };
    for (receiver, told) in [
        ("otlp: {protocols: {}}".to_owned(), "must specify at least one protocol"),
        ("otlp: {protocols: {grpc: {endpoint: nowhere}}}".to_owned(), "has no port"),
        (
            "otlp: {protocols: {http: {tls: {cert_file: x}}}}".to_owned(),
            "tls::cert_file: cannot read x",
        ),
        ("hostmetrics: {}".to_owned(), "must specify at least one scraper"),
        (
            "hostmetrics: {scrapers: {cpu: }, collection_interval: 0s}".to_owned(),
            "must be greater than zero",
        ),
        (
            "hostmetrics: {scrapers: {disk: {include: {devices: ['['], match_type: regexp}}}}"
                .to_owned(),
            "regex parse error",
        ),
        ("prometheus: {}".to_owned(), "no Prometheus scrape_configs set"),
        (job("relabel_configs: [{action: drip}]"), "unknown relabel action"),
        (job("tls_config: {ca_file: /nowhere}"), "/nowhere"),
        (job("scrape_interval: 5x"), "5x"),
        (
            job("scrape_interval: 5s, scrape_timeout: 10s"),
            "scrape timeout greater than scrape interval",
        ),
        (job("static_configs: [{targets: ['http://a/']}]"), "is not a valid hostname"),
    ] {
        let name = receiver.split(':').next().expect("a name");
        let found = mistakes(&format!("receivers: {{{receiver}}}"), name);
        assert!(found.iter().any(|line| line.contains(told)), "{receiver}: {found:?}");
    }
}

#[test]
fn paths_may_lack_their_slash_but_not_be_something_else() {
    let with = |path: &str| {
        let http = format!("{{traces_url_path: '{path}'}}");
        mistakes(&format!("receivers: {{otlp: {{protocols: {{http: {http}}}}}}}"), "otlp")
    };
    assert_eq!(with("/v1/traces"), with("traces/ingest"));
    assert_eq!(with("/a:b"), Vec::<String>::new());
    for path in [":invalid", "scheme:x", "/with space"] {
        let told = with(path);
        assert!(told.len() == 1 && told[0].contains("traces_url_path"), "{path}: {told:?}");
    }
}
