// SPDX-License-Identifier: Apache-2.0
//! A sender's `OTEL_*` variables: what in them keeps telemetry from arriving.
//!
//! In: variables, and where this configuration listens. Out: findings, and where each signal goes by
//! them. Values of headers are never shown. Source: OpenTelemetry's specification of environment
//! variables and of the OTLP exporter.

use std::collections::BTreeMap;

use super::places::{self, Place, Speaks};
use super::report::Finding;

/// Signals as variables have them, and as paths do.
const SIGNALS: [(&str, &str); 3] = [("TRACES", "traces"), ("METRICS", "metrics"), ("LOGS", "logs")];

/// Names that all SDKs know. Others are somebody's own, unless they look like one of these.
const KNOWN: [&str; 34] = [
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_PROPAGATORS",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_TRACES_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_LOGS_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_INSECURE",
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_METRICS_EXEMPLAR_FILTER",
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_BLRP_SCHEDULE_DELAY",
    "OTEL_BLRP_EXPORT_TIMEOUT",
    "OTEL_BLRP_MAX_QUEUE_SIZE",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LOG_LEVEL",
    "OTEL_CONFIG_FILE",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
];

/// From this likeness on a name is taken for a mistyped one.
const LIKE: f64 = 0.93;

/// Where a signal goes by the variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// `http://host:port`
    pub base: String,
    /// Over gRPC.
    pub is_grpc: bool,
}

/// Variables of a process.
pub type Variables = BTreeMap<String, String>;

/// What is wrong with the variables, and where they send to; `places` = where we listen.
pub fn check(variables: &Variables, places: &[Place]) -> (Vec<Finding>, Vec<Route>) {
    let client = Client { variables, places };
    let mut found = Vec::new();
    let mut routes = Vec::new();
    client.switched_off(&mut found);
    client.sampler(&mut found);
    client.values(&mut found);
    client.lists(&mut found);
    client.names(&mut found);
    for signal in SIGNALS {
        if let Some(route) = client.route(signal, &mut found)
            && !routes.contains(&route)
        {
            routes.push(route);
        }
    }
    let is_any = variables.keys().any(|name| name.starts_with("OTEL_"));
    if found.is_empty() {
        let seen = match is_any {
            true => "nothing wrong in the OTEL_* variables",
            false => "no OTEL_* variables: SDKs send by http/protobuf to http://localhost:4318",
        };
        found.push(Finding::ok("variables", seen));
    }
    // What nobody has set is nobody's mistake: the default's way is told, not tried.
    (dedup(found), if is_any { routes } else { Vec::new() })
}

/// A base variable is wrong once, not once a signal.
fn dedup(findings: Vec<Finding>) -> Vec<Finding> {
    let mut kept: Vec<Finding> = Vec::new();
    for finding in findings {
        if !kept.contains(&finding) {
            kept.push(finding);
        }
    }
    kept
}

struct Client<'a> {
    variables: &'a Variables,
    places: &'a [Place],
}

impl Client<'_> {
    /// A variable; an empty one is as none, by the specification.
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.trim().is_empty())
    }

    fn switched_off(&self, found: &mut Vec<Finding>) {
        const DISABLED: &str = "OTEL_SDK_DISABLED";
        match self.get(DISABLED).map(str::to_ascii_lowercase).as_deref() {
            Some("true") => found.push(Finding::fail(
                DISABLED,
                "true: the SDK sends nothing at all",
                "unset it",
            )),
            None | Some("false") => {}
            Some(other) => found.push(Finding::warn(
                DISABLED,
                format!("{other}: neither true nor false, taken for false"),
                "unset it",
            )),
        }
        for (signal, word) in SIGNALS {
            let name = format!("OTEL_{signal}_EXPORTER");
            for value in self.get(&name).unwrap_or("otlp").split(',').map(str::trim) {
                match value {
                    "otlp" => {}
                    "none" => found.push(Finding::warn(
                        &name,
                        format!("none: no {word} are sent"),
                        format!("{name}=otlp, or unset it"),
                    )),
                    "console" | "logging" | "zipkin" | "prometheus" | "otlp/stdout" => {
                        found.push(Finding::warn(
                            &name,
                            format!("{value}: {word} do not come by OTLP"),
                            format!("{name}=otlp"),
                        ));
                    }
                    _ => found.push(Finding::fail(
                        &name,
                        format!("{value}: SDKs know otlp, console and none"),
                        format!("{name}=otlp"),
                    )),
                }
            }
        }
    }

    fn sampler(&self, found: &mut Vec<Finding>) {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(sampler) = self.get(NAME) else { return };
        match sampler {
            "always_on"
            | "parentbased_always_on"
            | "jaeger_remote"
            | "parentbased_jaeger_remote"
            | "xray" => {}
            "always_off" => {
                found.push(Finding::fail(NAME, "always_off: no trace is sent", "unset it"));
            }
            "parentbased_always_off" => found.push(Finding::warn(
                NAME,
                "parentbased_always_off: only traces that a caller has begun are sent",
                "unset it, unless that is wanted",
            )),
            "traceidratio" | "parentbased_traceidratio" => {
                let text = self.get(ARGUMENT).unwrap_or("1.0");
                match text.trim().parse::<f64>() {
                    Ok(0.0) => found.push(Finding::fail(
                        ARGUMENT,
                        "0: no trace is sent",
                        "a share above 0, or unset it for all",
                    )),
                    Ok(share) if (0.0..=1.0).contains(&share) => {}
                    _ => found.push(Finding::fail(
                        ARGUMENT,
                        format!("{text}: not a share between 0 and 1"),
                        "0.1 is a tenth",
                    )),
                }
            }
            _ => found.push(Finding::fail(
                NAME,
                format!("{sampler}: no sampler of the specification"),
                "parentbased_always_on (the default) or parentbased_traceidratio",
            )),
        }
    }

    /// Values that must be one of a few, numbers, or files.
    fn values(&self, found: &mut Vec<Finding>) {
        let scopes = || std::iter::once(String::new()).chain(SIGNALS.map(|(s, _)| format!("{s}_")));
        for scope in scopes() {
            let name = |what: &str| format!("OTEL_EXPORTER_OTLP_{scope}{what}");
            for (what, allowed) in [
                ("PROTOCOL", &["grpc", "http/protobuf", "http/json"][..]),
                ("COMPRESSION", &["gzip", "none"]),
                ("INSECURE", &["true", "false"]),
            ] {
                let name = name(what);
                if let Some(value) = self.get(&name).filter(|value| !allowed.contains(value)) {
                    let allowed = allowed.join(", ");
                    let seen = format!("{value}: not one of {allowed}");
                    found.push(Finding::fail(
                        name,
                        seen,
                        "SDKs fall back to their default, or fail",
                    ));
                }
            }
            for what in ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"] {
                let name = name(what);
                if let Some(path) =
                    self.get(&name).filter(|path| !std::path::Path::new(path).exists())
                {
                    let seen = format!("{path}: no such file here");
                    found.push(Finding::warn(name, seen, "a path that the sender can read"));
                }
            }
            self.number(&name("TIMEOUT"), 1000.0, "10000", found);
        }
        self.number("OTEL_METRIC_EXPORT_INTERVAL", 500.0, "1000 to 5000", found);
        for processor in ["BSP", "BLRP"] {
            for what in ["SCHEDULE_DELAY", "EXPORT_TIMEOUT"] {
                self.number(&format!("OTEL_{processor}_{what}"), 1.0, "1000", found);
            }
            let size = |what: &str| format!("OTEL_{processor}_MAX_{what}");
            let batch = self.number(&size("EXPORT_BATCH_SIZE"), 1.0, "512", found);
            let queue = self.number(&size("QUEUE_SIZE"), 1.0, "2048", found);
            if batch.unwrap_or(512.0) > queue.unwrap_or(2048.0) {
                let seen = "larger than the queue that it is filled from";
                found.push(Finding::warn(
                    size("EXPORT_BATCH_SIZE"),
                    seen,
                    "at most the queue's size",
                ));
            }
        }
        const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
        if self
            .get(INTERVAL)
            .and_then(|text| text.parse::<f64>().ok())
            .is_some_and(|ms| ms > 60_000.0)
        {
            let seen = "more than a minute: charts look empty until then";
            found.push(Finding::warn(INTERVAL, seen, "1000 to 5000 milliseconds"));
        }
    }

    /// A whole number of at least `least`.
    fn number(&self, name: &str, least: f64, right: &str, found: &mut Vec<Finding>) -> Option<f64> {
        let text = self.get(name)?;
        match text.trim().parse::<u64>() {
            Ok(number) if number as f64 >= least => return Some(number as f64),
            Ok(_) => found.push(Finding::warn(
                name,
                format!("{text}: very small; times are milliseconds"),
                format!("{name}={right}"),
            )),
            Err(_) => found.push(Finding::fail(
                name,
                format!("{text}: not a whole number; SDKs take their default, or fail"),
                format!("{name}={right}"),
            )),
        }
        None
    }

    /// `key=value,key=value`
    fn lists(&self, found: &mut Vec<Finding>) {
        let headers = std::iter::once("HEADERS".to_owned())
            .chain(SIGNALS.map(|(signal, _)| format!("{signal}_HEADERS")));
        let headers = headers.map(|name| format!("OTEL_EXPORTER_OTLP_{name}"));
        for name in headers.chain(["OTEL_RESOURCE_ATTRIBUTES".to_owned()]) {
            let Some(value) = self.get(&name) else { continue };
            for (number, pair) in (1..).zip(value.split(',')) {
                let wrong = match pair.split_once('=') {
                    None if pair.trim().is_empty() => Some("is empty"),
                    None if pair.contains(':') => Some("has : where = belongs"),
                    None => Some("has no ="),
                    Some((key, _)) if key.trim().is_empty() => Some("has no key"),
                    Some((key, _)) if name.ends_with("HEADERS") && key.trim().contains(' ') => {
                        Some("has a space in its key")
                    }
                    Some((_, value)) if !value.is_ascii() => Some("must be percent-encoded"),
                    Some((_, value)) if value.trim().starts_with('"') => {
                        Some("has quotes in its value: they are sent, too")
                    }
                    Some(_) => None,
                };
                if let Some(wrong) = wrong {
                    // Not the pair itself: it may be a password.
                    let seen = format!("part {number} {wrong}");
                    found.push(Finding::fail(&name, seen, "key1=value1,key2=value2"));
                }
            }
        }
        let is_named = self.get("OTEL_SERVICE_NAME").is_some()
            || self
                .get("OTEL_RESOURCE_ATTRIBUTES")
                .is_some_and(|all| all.contains("service.name="));
        if !is_named && self.variables.keys().any(|name| name.starts_with("OTEL_EXPORTER_OTLP")) {
            found.push(Finding::warn(
                "OTEL_SERVICE_NAME",
                "not set: unless the program names itself it is shown as unknown_service",
                "OTEL_SERVICE_NAME=shop",
            ));
        }
        let known =
            ["tracecontext", "baggage", "b3", "b3multi", "jaeger", "xray", "ottrace", "none"];
        let propagators = self.get("OTEL_PROPAGATORS").unwrap_or_default();
        for one in propagators.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            if !known.contains(&one) || one == "none" {
                let seen = format!("{one}: traces end at this process's edge");
                let right = "tracecontext,baggage";
                found.push(Finding::warn("OTEL_PROPAGATORS", seen, right));
            }
        }
    }

    /// Names that are nearly one of the known.
    fn names(&self, found: &mut Vec<Finding>) {
        let known: Vec<String> = KNOWN
            .iter()
            .flat_map(|name| {
                let of = |(signal, _): (&str, &str)| {
                    let rest = name.strip_prefix("OTEL_EXPORTER_OTLP_")?;
                    Some(format!("OTEL_EXPORTER_OTLP_{signal}_{rest}"))
                };
                SIGNALS.into_iter().filter_map(of).chain([(*name).to_owned()])
            })
            .collect();
        for name in self.variables.keys().filter(|name| name.starts_with("OTEL")) {
            if known.contains(name) {
                continue;
            }
            let near = known.iter().map(|right| (strsim::jaro_winkler(name, right), right));
            let nearest = near.max_by(|a, b| a.0.total_cmp(&b.0));
            if let Some((_, right)) = nearest.filter(|(likeness, _)| *likeness > LIKE) {
                let advice = format!("did you mean {right}?");
                found.push(Finding::warn(name, "no variable of the specification", advice));
            }
        }
    }

    /// Where a signal goes; none if that is no address.
    fn route(&self, (signal, word): (&str, &str), found: &mut Vec<Finding>) -> Option<Route> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT");
        let is_own = self.get(&own).is_some();
        let name = if is_own { own } else { "OTEL_EXPORTER_OTLP_ENDPOINT".to_owned() };
        let protocol = self
            .get(&format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"))
            .or_else(|| self.get("OTEL_EXPORTER_OTLP_PROTOCOL"));
        let is_grpc = protocol == Some("grpc");
        let default = if is_grpc { "http://localhost:4317" } else { "http://localhost:4318" };
        let url = self.get(&name).unwrap_or(default);
        if url != url.trim() || url.starts_with(['"', '\'']) {
            found.push(Finding::fail(
                &name,
                format!("{url:?}: spaces or quotes around it"),
                "remove them",
            ));
            return None;
        }
        let Some((scheme @ ("http" | "https"), rest)) = url.split_once("://") else {
            let right = format!("{name}=http://{}", url.rsplit("://").next().unwrap_or(url));
            let seen = format!("{url}: not an http:// or https:// URL");
            found.push(Finding::fail(&name, seen, right));
            return None;
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let base = format!("{scheme}://{host}");
        self.path(&name, is_own, is_grpc, word, (&base, path), found);
        let address = places::authority(url)?;
        let speaks_grpc = self.port(&name, protocol, (scheme, host, &address), found);
        // Some SDKs go by the port when they are told no protocol; that is warned of, and works.
        let is_grpc = is_grpc || (protocol.is_none() && speaks_grpc);
        Some(Route { base: format!("{scheme}://{address}"), is_grpc })
    }

    fn path(
        &self,
        name: &str,
        is_own: bool,
        is_grpc: bool,
        word: &str,
        (base, path): (&str, &str),
        found: &mut Vec<Finding>,
    ) {
        let path = path.trim_end_matches('/');
        let is_signal = SIGNALS.iter().any(|(_, word)| path.ends_with(&format!("v1/{word}")));
        if is_grpc && !path.is_empty() {
            let seen = format!("the path /{path} means nothing to gRPC");
            found.push(Finding::warn(name, seen, format!("{name}={base}")));
        } else if !is_grpc && !is_own && is_signal {
            let seen = format!("SDKs add /v1/{word} to it and ask for /{path}/v1/{word}");
            found.push(Finding::fail(name, seen, format!("{name}={base}")));
        } else if !is_grpc && is_own && path.is_empty() {
            let seen = format!("taken as it is: {word} are sent to /");
            found.push(Finding::fail(name, seen, format!("{name}={base}/v1/{word}")));
        } else if !is_grpc && is_own && is_signal && !path.ends_with(&format!("v1/{word}")) {
            let seen = format!("{word} are sent to /{path}");
            found.push(Finding::fail(name, seen, format!("{name}={base}/v1/{word}")));
        }
    }

    /// The port against the protocol, and the scheme against what is listened for there; true if
    /// the port is one for gRPC.
    fn port(
        &self,
        name: &str,
        protocol: Option<&str>,
        (scheme, host, address): (&str, &str, &str),
        found: &mut Vec<Finding>,
    ) -> bool {
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let here = self
            .places
            .iter()
            .find(|place| places::is_local(address) && place.port() == port && place.is_local());
        let speaks_grpc = match here.map(|place| &place.speaks) {
            Some(Speaks::Grpc) => Some(true),
            Some(Speaks::Http(_)) => Some(false),
            Some(other) => {
                let seen = format!("{host} is where the {} is, not OTLP", other.name());
                found.push(Finding::fail(
                    name,
                    seen,
                    "send to 4317 (grpc) or 4318 (http/protobuf)",
                ));
                return false;
            }
            None => match port {
                Some(4317) => Some(true),
                Some(4318) => Some(false),
                _ => None,
            },
        };
        let advice =
            |protocol: &str| format!("OTEL_EXPORTER_OTLP_PROTOCOL={protocol}, or the other port");
        match (speaks_grpc, protocol) {
            (Some(true), Some("http/protobuf" | "http/json")) => found.push(Finding::fail(
                name,
                format!("{host} takes gRPC, and the protocol is HTTP"),
                advice("grpc"),
            )),
            (Some(true), None) => found.push(Finding::warn(
                name,
                format!("{host} takes gRPC, and most SDKs send by HTTP unless told otherwise"),
                advice("grpc"),
            )),
            (Some(false), Some("grpc")) => found.push(Finding::fail(
                name,
                format!("{host} takes HTTP, and the protocol is grpc"),
                advice("http/protobuf"),
            )),
            _ => {}
        }
        if let Some(place) = here.filter(|place| place.is_tls != (scheme == "https")) {
            let (seen, right) = match place.is_tls {
                true => ("speaks TLS, and the URL is http", "https"),
                false => ("speaks no TLS, and the URL is https", "http"),
            };
            found.push(Finding::fail(name, format!("{host} {seen}"), format!("{right}://{host}")));
        }
        speaks_grpc == Some(true)
    }
}
