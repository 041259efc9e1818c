// SPDX-License-Identifier: Apache-2.0
//! What stands in YAML: mistakes are told at their place.

use otlp_wire::Signal;
use pipeline::Components;
use pipeline::component::{ExporterFactory, Factory};
use pipeline::config::{ComponentConfig, Environment, Input, decode, load};
use serde::Deserialize;

/// The other end of the pipelines here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Nothing {}

impl ComponentConfig for Nothing {}

fn components() -> Components {
    Components {
        receivers: vec![Factory {
            kind: "nothing",
            aliases: &[],
            signals: &Signal::ALL,
            summary: "",
            decode: decode::<Nothing>,
            build: |_, _| Err(basics::Error::invalid("is not built")),
        }],
        exporters: FACTORIES.map(|factory| factory()).into(),
        ..Components::default()
    }
}

/// The mistakes in `yaml`, one a line, each beginning with its path.
fn mistakes(yaml: &str, exporters: &str) -> Vec<String> {
    mistakes_of("metrics", yaml, exporters)
}

fn mistakes_of(signal: &str, yaml: &str, exporters: &str) -> Vec<String> {
    let text = format!(
        "receivers: {{nothing: }}\n{yaml}\nservice: {{pipelines: {{{signal}: {{receivers: [nothing], exporters: [{exporters}]}}}}}}"
    );
    let input = Input { configs: vec![format!("yaml:{text}")], ..Input::default() };
    match load(&input, &components(), Environment::process()) {
        Ok(_) => Vec::new(),
        Err(diagnostics) => diagnostics.error_lines(),
    }
}

const FACTORIES: [fn() -> ExporterFactory; 9] = [
    exporters::otlp::factory,
    exporters::otlphttp::factory,
    exporters::debug::factory,
    exporters::prometheusremotewrite::factory,
    exporters::elasticsearch::factory,
    exporters::embedded_store::factory,
    exporters::file::factory,
    exporters::jaeger::factory,
    exporters::jaeger_thrift::factory,
];

#[test]
fn mistakes_are_told_with_what_would_be_right() {
    for (exporter, told) in [
        ("otlp: {endpoint: 'a:1', tls: {ca_file: /no.pem}}", "tls::ca_file: cannot read /no.pem"),
        ("otlp: {tls: {insecure: true}}", "requires a non-empty"),
        (
            "otlp: {endpoint: 'a:1', tls: {insecure: true}, sending_queue: {storage: x}}",
            "references extension \"x\" which is not among",
        ),
        (
            "otlp: {endpoint: 'a:1', tls: {insecure: true}, headers: {'a b': c}}",
            "not a valid HTTP header",
        ),
        ("otlphttp: {}", "at least one endpoint must be specified"),
        ("otlphttp: {endpoint: 'ftp://a'}", "is not a URL such as"),
        ("otlphttp: {traces_endpoint: a}", "is not a URL such as http://host:4318"),
        ("otlphttp: {endpoint: 'http://a', compresion: gzip}", "unknown key \"compresion\""),
        ("debug: {verbosity: loud}", "verbosity level \"loud\" is not supported"),
        ("logging: {loglevel: loud}", "is not one of debug, info"),
        (
            "logging: {loglevel: info, verbosity: basic}",
            "'loglevel' and 'verbosity' are incompatible",
        ),
        (
            "debug: {output_paths: [stdout]}",
            "output_paths is not supported when use_internal_logger is true",
        ),
        ("prometheusremotewrite: {}", "endpoint must be specified"),
        (
            "prometheusremotewrite: {endpoint: 'http://a', remote_write_queue: {queue_size: 0}}",
            "a 0 size queue will drop all the data",
        ),
        (
            "prometheusremotewrite: {endpoint: 'http://a', translation_strategy: NoTranslation}",
            "names in UTF-8 need remote write 2.0",
        ),
        ("embedded_store: {durability: maybe}", "is none of sync, interval, none"),
        ("embedded_store: {retention: {time: 0s}}", "must be greater than zero"),
        ("elasticsearch: {}", "exactly one of [endpoint, endpoints, cloudid]"),
        ("elasticsearch: {endpoint: 'http://a', endpoints: ['http://b']}", "exactly one of"),
        ("elasticsearch: {endpoints: ['b:9200']}", "is not a URL"),
        ("elasticsearch: {cloudid: x}", "invalid CloudID"),
        ("elasticsearch: {endpoint: 'http://a', compression: zstd}", "one of [none, gzip]"),
        ("elasticsearch: {endpoint: 'http://a', mapping: {mode: x}}", "unknown mapping mode \"x\""),
        (
            "elasticsearch: {endpoint: 'http://a', mapping: {allowed_modes: [x]}}",
            "unknown allowed mapping mode",
        ),
        (
            "elasticsearch: {endpoint: 'http://a', retry: {max_requests: 1, max_retries: 1}}",
            "must not specify both",
        ),
        (
            "elasticsearch: {endpoint: 'http://a', metrics_index: i, metrics_dynamic_index: {enabled: true}}",
            "must not specify both metrics_index and metrics_dynamic_index",
        ),
        ("file: {}", "path must be non-empty"),
        ("file: {path: a, append: true, rotation: }", "append and rotation enabled at the same"),
        ("file: {path: a, format: xml}", "format"),
        ("file: {path: a, compression: gzip}", "compression is not supported"),
        ("file: {path: a, encoding: text}", "encoding extensions are not supported"),
        ("file: {path: a, group_by: {enabled: true}}", "exactly one *"),
        ("file: {path: '*.a', group_by: {enabled: true}}", "must not start with *"),
        ("file: {path: a, directory_permissions: '0755'}", "requires create_directory"),
        (
            "file: {path: a, create_directory: true, directory_permissions: '9'}",
            "must be a valid octal",
        ),
        (
            "file: {path: a, create_directory: true, directory_permissions: '1777'}",
            "contain invalid bits",
        ),
    ] {
        let name = exporter.split(':').next().expect("a name");
        let found = mistakes(&format!("exporters: {{{exporter}}}"), name);
        assert!(found.iter().any(|line| line.contains(told)), "{exporter}: {found:?}");
    }
}

#[test]
fn mistakes_of_exporters_for_traces_are_told_too() {
    for (exporter, told) in [
        ("jaeger: {tls: {insecure: true}}", "requires a non-empty"),
        ("jaeger: {endpoint: 'http://a:14268/api/traces'}", "the exporter for it is jaeger_thrift"),
        ("jaeger_thrift: {}", "requires a non-empty"),
        ("jaeger_thrift: {endpoint: 'a:14268'}", "is not a URL"),
    ] {
        let name = exporter.split(':').next().expect("a name");
        let found = mistakes_of("traces", &format!("exporters: {{{exporter}}}"), name);
        assert!(found.iter().any(|line| line.contains(told)), "{exporter}: {found:?}");
    }
}
