// SPDX-License-Identifier: Apache-2.0
//! Where a configuration listens, and whom it talks to.

use std::sync::Arc;

use pipeline::Signal;
use pipeline::config::{Node, Plan, Value};

/// What is spoken at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP, at these paths for traces, metrics and logs.
    Http([String; 3]),
    /// `health_check`, at this path.
    Health(String),
    /// The page and the query APIs.
    Page,
    /// Jaeger's query API on a port of its own.
    Jaeger,
    /// Own metrics.
    Metrics,
}

impl Speaks {
    /// What it is called in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Speaks::Grpc => "OTLP/gRPC",
            Speaks::Http(_) => "OTLP/HTTP",
            Speaks::Health(_) => "health",
            Speaks::Page => "page",
            Speaks::Jaeger => "Jaeger API",
            Speaks::Metrics => "own metrics",
        }
    }
}

/// An address that is listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What is spoken there.
    pub speaks: Speaks,
    /// `host:port` as it can be connected to.
    pub address: String,
    /// Over TLS.
    pub is_tls: bool,
    /// The component or key that says so, for what to change.
    pub key: String,
}

impl Place {
    /// Its port.
    pub fn port(&self) -> Option<u16> {
        self.address.rsplit_once(':')?.1.parse().ok()
    }

    /// True if its port is one of this host.
    pub fn is_local(&self) -> bool {
        is_local(&self.address)
    }

    /// `http://host:port`
    pub fn base(&self) -> String {
        format!("http{}://{}", if self.is_tls { "s" } else { "" }, self.address)
    }
}

/// True if `address` is one of this host.
pub fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host == "localhost" || host.starts_with("127.") || host == "[::1]"
}

/// Whom an exporter or a processor talks to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The component's id.
    pub id: Arc<str>,
    /// `host:port`.
    pub address: String,
}

/// The model server of a `metricsinference`, and the models that are asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelServer {
    /// The processor's id.
    pub id: Arc<str>,
    /// `http://host:port`
    pub base: String,
    /// Names of models.
    pub models: Vec<String>,
}

/// Where `plan` listens.
pub fn places(plan: &Plan) -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |speaks, address: &str, is_tls, key: String| {
        // A unix domain socket has no port; nobody else can hold it.
        if let Some(address) = reachable(address) {
            places.push(Place { speaks, address, is_tls, key });
        }
    };
    for receiver in &plan.receivers {
        let Some(config) = receiver.config.downcast_ref::<receivers::otlp::Config>() else {
            continue;
        };
        let body = receiver.body.as_deref();
        let is_tls = |protocol: &str| {
            let key = body.and_then(|body| body.get("protocols")?.get(protocol)?.get("tls"));
            key.is_some_and(|tls| *tls.value() != Value::Null)
        };
        let key =
            |protocol: &str| format!("receivers.{}.protocols.{protocol}.endpoint", receiver.id);
        if let Some(grpc) = &config.protocols.grpc {
            let address = grpc.endpoint.as_deref().unwrap_or("localhost:4317");
            add(Speaks::Grpc, address, is_tls("grpc"), key("grpc"));
        }
        if let Some(http) = &config.protocols.http {
            let paths = [&http.traces_url_path, &http.metrics_url_path, &http.logs_url_path];
            let address = http.server.endpoint.as_deref().unwrap_or("localhost:4318");
            add(Speaks::Http(paths.map(Clone::clone)), address, is_tls("http"), key("http"));
        }
    }
    for extension in &plan.extensions {
        let key = format!("extensions.{}.endpoint", extension.id);
        if let Some(config) = extension.config.downcast_ref::<extensions::health_check::Config>() {
            let address = config.server.endpoint.as_deref().unwrap_or("localhost:13133");
            add(Speaks::Health(config.path.clone()), address, config.server.is_tls(), key);
        } else if let Some(config) =
            extension.config.downcast_ref::<extensions::query_server::Config>()
        {
            let is_tls = config.tls.is_some();
            add(Speaks::Page, &config.endpoint, is_tls, format!("{key} (or --listen)"));
            let jaeger = &config.jaeger.http_endpoint;
            add(Speaks::Jaeger, jaeger, is_tls, format!("extensions.{}.jaeger", extension.id));
        }
    }
    for page in &plan.telemetry.metrics.pages {
        let key = "service.telemetry.metrics".to_owned();
        add(Speaks::Metrics, &page.address, page.tls.is_some(), key);
    }
    places
}

/// Whom the exporters of `plan` send to.
pub fn peers(plan: &Plan) -> Vec<Peer> {
    // These listen, or write files.
    const NO_CLIENTS: [&str; 5] = ["prometheus", "file", "debug", "nop", "embedded_store"];
    let mut peers = Vec::new();
    for exporter in &plan.exporters {
        if NO_CLIENTS.contains(&exporter.factory.kind) {
            continue;
        }
        let keys =
            ["endpoint", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "endpoints"];
        let body = exporter.body.as_deref();
        for value in keys.iter().filter_map(|key| body?.get(key)) {
            for text in texts(value) {
                if let Some(address) = authority(text) {
                    peers.push(Peer { id: exporter.id.clone(), address });
                }
            }
        }
    }
    peers.dedup();
    peers
}

/// The model servers of `plan`.
pub fn model_servers(plan: &Plan) -> Vec<ModelServer> {
    let of = |processor: &pipeline::config::Instance<_>| {
        let config = processor.config.downcast_ref::<processors::metricsinference::Config>()?;
        let address = authority(&config.grpc.as_ref()?.endpoint)?;
        let mut models: Vec<_> = config.rules.iter().map(|rule| rule.model_name.clone()).collect();
        models.sort();
        models.dedup();
        Some(ModelServer { id: processor.id.clone(), base: format!("http://{address}"), models })
    };
    plan.processors.iter().filter_map(of).collect()
}

/// True if some pipeline of `plan` takes `signal`.
pub fn takes(plan: &Plan, signal: Signal) -> bool {
    plan.pipelines.iter().any(|pipeline| pipeline.signal == signal)
}

fn texts(node: &Node) -> Vec<&str> {
    match node.value() {
        Value::String(text) => vec![text],
        Value::Sequence(items) => items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// `host:port` of `host:port`, or of a URL, whose scheme then tells the port.
pub fn authority(text: &str) -> Option<String> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?']).next()?;
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if authority.is_empty() || scheme == "unix" {
        return None;
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(match (has_port, scheme) {
        (true, _) => authority.to_owned(),
        (false, "https") => format!("{authority}:443"),
        (false, "http") => format!("{authority}:80"),
        (false, _) => return None,
    })
}

/// Where to connect to reach who listens on `address`.
fn reachable(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Some(format!("{host}:{port}"))
}
