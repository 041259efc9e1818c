// SPDX-License-Identifier: Apache-2.0
//! Settings of the OTLP receiver, with the collector's keys.

use std::sync::Arc;

use basics::{Error, Result};
use http::{HeaderMap, HeaderName, HeaderValue};
use otlp_wire::Signal;
use pipeline::auth::ServerAuth;
use pipeline::config::shared::{GrpcServer, HttpServer};
use pipeline::config::{Checker, ComponentConfig};
use pipeline::telemetry::{CallMeter, ReceiverMeter};
use serde::Deserialize;

use super::cors::Cors;
use super::http::{Calls, Service};
use crate::net::inflate;

/// Largest request, compressed and plain, unless a key says otherwise: what OTLP SDKs may send.
/// The collector takes 4 MiB (gRPC) and 20 MiB (HTTP), too little for the largest batches.
pub const REQUEST_BYTES_MAX: usize = 64 << 20;

/// Settings of the receiver.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Which protocols to listen for; at least one.
    pub protocols: Protocols,
}

/// A protocol that is named is on, with its defaults where nothing else is said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Protocols {
    /// OTLP/gRPC, by default on `localhost:4317`.
    pub grpc: Option<GrpcServer>,
    /// OTLP/HTTP, by default on `localhost:4318`.
    pub http: Option<Http>,
}

/// Settings of OTLP/HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Where and how to listen.
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// Path for traces.
    pub traces_url_path: String,
    /// Path for metrics.
    pub metrics_url_path: String,
    /// Path for logs.
    pub logs_url_path: String,
    profiles_url_path: Option<String>,
}

impl Default for Http {
    fn default() -> Self {
        Http {
            server: HttpServer::default(),
            traces_url_path: "/v1/traces".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
            profiles_url_path: None,
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        let mut at = at.key("protocols");
        if self.protocols.grpc.is_none() && self.protocols.http.is_none() {
            at.error("", "must specify at least one protocol when using the OTLP receiver");
        }
        if let Some(grpc) = &self.protocols.grpc {
            grpc.validate(&mut at.key("grpc"));
        }
        if let Some(http) = &self.protocols.http {
            let mut at = at.key("http");
            http.server.validate(&mut at);
            http.check_paths(&mut at);
            at.check("response_headers", response_headers(&http.server));
            let names = http.server.compression_algorithms.as_deref().unwrap_or_default();
            for (index, name) in names.iter().enumerate() {
                if inflate::from_name(name).is_err() {
                    let message = format!("unsupported compression \"{name}\"");
                    at.key("compression_algorithms").item(index).error("", message);
                }
            }
        }
    }
}

/// Where OTLP/gRPC listens.
pub(super) fn grpc_endpoint(config: &GrpcServer) -> String {
    config.address("localhost:4317")
}

impl Http {
    fn check_paths(&self, at: &mut Checker<'_>) {
        let paths = [
            ("traces_url_path", &self.traces_url_path),
            ("metrics_url_path", &self.metrics_url_path),
            ("logs_url_path", &self.logs_url_path),
        ];
        for (key, path) in paths {
            // As Go parses URLs: a colon before the first slash would end a scheme.
            let has_scheme = path.split('/').next().is_some_and(|first| first.contains(':'));
            if has_scheme || rooted(path).parse::<http::uri::PathAndQuery>().is_err() {
                at.error(key, format!("\"{path}\" is not the path of a URL, such as /v1/traces"));
            }
        }
        if self.profiles_url_path.is_some() {
            at.no_effect("profiles_url_path", "profiles are not received");
        }
    }

    /// Where it listens.
    pub(super) fn endpoint(&self) -> String {
        self.server.address("localhost:4318")
    }

    /// Names of the content encodings taken; `None` = all.
    fn encodings(&self) -> Option<Vec<String>> {
        let mut names = self.server.compression_algorithms.clone()?;
        for name in &mut names {
            *name = name.trim().to_ascii_lowercase();
        }
        Some(names)
    }

    /// The service as configured.
    pub(super) fn service(
        &self,
        meter: ReceiverMeter,
        auth: Option<Arc<dyn ServerAuth>>,
        calls: Option<CallMeter>,
    ) -> Result<Service> {
        let cors = self.server.cors.as_ref().filter(|cors| !cors.allowed_origins.is_empty());
        Ok(Service {
            routes: vec![
                (rooted(&self.traces_url_path), Signal::Traces),
                (rooted(&self.metrics_url_path), Signal::Metrics),
                (rooted(&self.logs_url_path), Signal::Logs),
            ],
            limit: usize::try_from(self.server.body_bytes_max(REQUEST_BYTES_MAX as u64))
                .unwrap_or(usize::MAX),
            include_metadata: self.server.include_metadata,
            cors: cors.map(|cors| Cors {
                origins: cors.allowed_origins.clone(),
                headers: cors.allowed_headers.clone(),
                exposed: cors.exposed_headers.clone(),
                max_age: cors.max_age,
            }),
            response_headers: response_headers(&self.server)?,
            encodings: self.encodings(),
            read_time_max: self.server.read_timeout.and_then(|time| time.nonzero()),
            auth,
            meter,
            calls: calls.map(|meter| Calls {
                meter,
                endpoint: self.endpoint(),
                scheme: if self.server.is_tls() { "https" } else { "http" },
            }),
        })
    }
}

/// `path` with the slash it may lack in the configuration.
fn rooted(path: &str) -> String {
    format!("/{}", path.strip_prefix('/').unwrap_or(path))
}

fn response_headers(config: &HttpServer) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in config.response_headers.iter() {
        let wrong = || Error::invalid(format!("{name:?} is not a valid HTTP header"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.insert(parsed, HeaderValue::from_str(value).map_err(|_| wrong())?);
    }
    Ok(headers)
}
