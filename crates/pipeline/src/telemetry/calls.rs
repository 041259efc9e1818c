// SPDX-License-Identifier: Apache-2.0
//! HTTP requests and gRPC calls, one histogram each for their time and their size.
//!
//! Named and labelled as OpenTelemetry's conventions have it and the Go collector shows them:
//! `http_{server,client}_*` and `rpc_{server,client}_call_duration`. They cost a look-up and a lock
//! a request, so they exist at level detailed only. No label holds what a stranger chose: unknown
//! methods and paths are told as such, the server's address is the configured one.

use super::{SECONDS, Telemetry};

/// Bounds for bytes of a body.
const BYTES: &[f64] =
    &[0.0, 100.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 1e7];

/// Counts requests to servers of ours, or of ours to others.
#[derive(Clone)]
pub struct CallMeter {
    telemetry: Telemetry,
    ours: bool,
}

/// A request that is over.
pub struct Ended<'a> {
    /// Address and port of the server, as configured.
    pub server: &'a str,
    /// `http` or `https`
    pub scheme: &'a str,
    /// `POST`
    pub method: &'a http::Method,
    /// The path served, where it is one of ours.
    pub route: Option<&'a str>,
    /// HTTP's version.
    pub version: http::Version,
    /// HTTP status; `None` when there was no answer.
    pub status: Option<http::StatusCode>,
    /// From its headers to the answer.
    pub seconds: f64,
    /// Bytes of the request's body as sent.
    pub request_bytes: u64,
    /// Bytes of the answer's body, where the server is ours.
    pub answer_bytes: u64,
}

impl CallMeter {
    /// For a server of ours; `None` unless all details are counted.
    pub fn server(telemetry: &Telemetry) -> Option<Self> {
        telemetry.is_detailed().then(|| CallMeter { telemetry: telemetry.clone(), ours: true })
    }

    /// For requests to others; `None` unless all details are counted.
    pub fn client(telemetry: &Telemetry) -> Option<Self> {
        telemetry.is_detailed().then(|| CallMeter { telemetry: telemetry.clone(), ours: false })
    }

    /// An HTTP request is over.
    pub fn http(&self, ended: &Ended<'_>) {
        let status = ended.status.map(|status| status.as_str().to_owned());
        let outcome = match &status {
            Some(status) => ("http_response_status_code", status.as_str()),
            None => ("error_type", "_OTHER"),
        };
        let (address, port) = ended.server.rsplit_once(':').unwrap_or((ended.server, ""));
        let mut labels = vec![
            ("http_request_method", method(ended.method)),
            outcome,
            ("network_protocol_name", "http"),
            ("network_protocol_version", version(ended.version)),
            ("server_address", address.trim_matches(['[', ']'])),
            ("url_scheme", ended.scheme),
        ];
        labels.extend(ended.route.map(|route| ("http_route", route)));
        if !port.is_empty() {
            labels.push(("server_port", port));
        }
        let (times, bodies) = match self.ours {
            true => ("http_server_request_duration", "http_server_request_body_size"),
            false => ("http_client_request_duration", "http_client_request_body_size"),
        };
        let of = |name, help, bounds| self.telemetry.histogram(name, help, &labels, bounds);
        of(times, "Seconds a request took.", SECONDS).observe(ended.seconds);
        of(bodies, "Bytes of the bodies of requests.", BYTES).observe(ended.request_bytes as f64);
        if self.ours {
            let answers = "http_server_response_body_size";
            of(answers, "Bytes of the bodies of answers.", BYTES)
                .observe(ended.answer_bytes as f64);
        }
    }

    /// A gRPC call of `path` (`/package.Service/Method`) is over with the status `code`.
    pub fn grpc(&self, path: &str, code: i32, seconds: f64) {
        let labels = [
            ("rpc_method", path.trim_start_matches('/')),
            ("rpc_response_status_code", grpc_code_name(code)),
            ("rpc_system_name", "grpc"),
        ];
        let name = match self.ours {
            true => "rpc_server_call_duration",
            false => "rpc_client_call_duration",
        };
        self.telemetry.histogram(name, "Seconds a call took.", &labels, SECONDS).observe(seconds);
    }
}

fn method(method: &http::Method) -> &str {
    const KNOWN: [http::Method; 8] = [
        http::Method::GET,
        http::Method::HEAD,
        http::Method::POST,
        http::Method::PUT,
        http::Method::DELETE,
        http::Method::OPTIONS,
        http::Method::PATCH,
        http::Method::CONNECT,
    ];
    if KNOWN.contains(method) { method.as_str() } else { "_OTHER" }
}

fn version(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_2 => "2",
        http::Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

/// The name of a gRPC status; what is none is told as unknown.
pub fn grpc_code_name(code: i32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    usize::try_from(code).ok().and_then(|at| NAMES.get(at)).unwrap_or(&"UNKNOWN")
}
