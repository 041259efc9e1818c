// SPDX-License-Identifier: Apache-2.0
//! Exporter `elasticsearch`: all signals as documents, by the bulk API of Elasticsearch or of what
//! speaks it.
//!
//! A batch becomes documents in one of five shapes ([`Mode`]), each with the index it goes to
//! ([`route`]); they are written straight from the payload's bytes. Delivery is per document
//! ([`push`]): what the server could not take now is sent again alone, what it refuses is counted
//! with its reason. Queue and shutdown are [`crate::delivery`]'s.
//!
//! Bounds: a request, `flush.bytes` or 5 MB before compression; an answer, 2 KiB a document;
//! reasons told of one batch, 8.

mod bulk;
mod config;
mod ecs;
mod encode;
mod flat;
mod json;
mod legacy;
mod metrics;
mod otel;
mod push;
mod route;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Uri};
use otlp_wire::Signal;
use pipeline::component::ExporterFactory;
use pipeline::{Context, Encoding};

use pipeline::config::shared::Compression;

pub use config::{Config, Flush, LogstashFormat, Mapping, Retry, Switch};

use crate::delivery::{Delivery, DeliverySettings};
use crate::net::client::{self, Client};
use crate::settings;
use encode::Encoder;
use route::Router;

/// The shape of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// OTLP's own.
    Otel,
    /// Elastic Common Schema.
    Ecs,
    /// The collector's own names, flat.
    None,
    /// As `None`, attributes without a prefix.
    Raw,
    /// The body of a log record.
    BodyMap,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 5] = [Mode::Otel, Mode::Ecs, Mode::None, Mode::Raw, Mode::BodyMap];
    /// Their names, for messages.
    pub const NAMES: &str = "otel, ecs, none, raw, bodymap";

    /// As configurations call it.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Otel => "otel",
            Mode::Ecs => "ecs",
            Mode::None => "none",
            Mode::Raw => "raw",
            Mode::BodyMap => "bodymap",
        }
    }

    /// The mode of that name, in any case; `no` and nothing are `none`.
    pub fn from_name(name: &str) -> Option<Mode> {
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "" | "no" => Some(Mode::None),
            name => Mode::ALL.into_iter().find(|mode| mode.name() == name),
        }
    }
}

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "elasticsearch",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "documents by the bulk API of Elasticsearch",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter elasticsearch got another component's settings")
            })?;
            Ok(Arc::new(build(&config, &context)?))
        },
    }
}

/// The exporter as configured, for the signal of `context`.
///
/// # Errors
/// `Invalid` when a node's URL or a header is none.
pub fn build(config: &Config, context: &Context) -> Result<Delivery> {
    let compression = match config.client.compression {
        Some(Compression::None) => None,
        _ => Some(Encoding::Gzip),
    };
    let mut headers = client::headers(config.client.headers.iter())?;
    let (nodes, from_url) = nodes(config)?;
    if let Some(value) = config.authorization().or(from_url) {
        headers.extend(client::headers([(AUTHORIZATION.as_str(), value.as_str())])?);
    }
    with_content(&mut headers, compression);
    let fixed = match context.signal {
        Signal::Traces => &config.traces_index,
        Signal::Metrics => &config.metrics_index,
        Signal::Logs => &config.logs_index,
    };
    let logstash = config.logstash_format.enabled.then(|| config.logstash_format.clone());
    let is_logs = context.signal == Signal::Logs;
    let dynamic_id = if is_logs { config.logs_dynamic_id } else { config.traces_dynamic_id };
    let encoder = Encoder {
        signal: context.signal,
        mode: config.mode(),
        allowed: config.allowed(),
        router: Router { fixed: fixed.clone(), logstash: logstash.clone() },
        event_router: Router { fixed: config.logs_index.clone(), logstash },
        document_id: dynamic_id.enabled && context.signal != Signal::Metrics,
        ingest_pipeline: config.logs_dynamic_pipeline.enabled && is_logs,
        plain: false.into(),
        clock: context.clock.clone(),
    };
    let sender = push::Sender {
        client: Client::http(&config.client, &nodes, context)?,
        nodes,
        next: 0.into(),
        headers,
        compression,
        timeout: config.timeout(),
        request_bytes_max: config.request_bytes_max(),
        retry: config.retry.clone(),
        suppress_conflicts: config.suppress_conflict_errors,
        encoder,
    };
    let settings = DeliverySettings {
        // Each request has its own time, and documents are tried again one by one.
        timeout: Duration::ZERO,
        retry: None,
        queue: settings::queue(&config.queue()),
    };
    Ok(Delivery::new(context, settings, sender))
}

fn with_content(headers: &mut HeaderMap, compression: Option<Encoding>) {
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(client::USER_AGENT));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    if compression.is_some() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
}

/// What is asked for in an answer: nothing about documents that were taken but their status.
const FILTER: &str = "errors,items.*.status,items.*.error.type,items.*.error.reason";

/// The URLs of `_bulk`, and credentials that stand in one of them.
fn nodes(config: &Config) -> Result<(Vec<Uri>, Option<String>)> {
    let mut credentials = None;
    let mut nodes = Vec::new();
    for url in config.nodes()? {
        let uri = settings::url(&url)?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let host = match authority.rsplit_once('@') {
            Some((user, host)) => {
                let (user, password) = user.split_once(':').unwrap_or((user, ""));
                credentials = Some(config::basic(user, password));
                host
            }
            None => authority,
        };
        let path = uri.path().trim_end_matches('/').trim_end_matches("/_bulk");
        let mut query = format!("filter_path={FILTER}");
        if !config.pipeline.is_empty() {
            query.push_str("&pipeline=");
            query.push_str(&config.pipeline);
        }
        if let Some(own) = uri.query() {
            query.push('&');
            query.push_str(own);
        }
        let node = Uri::builder()
            .scheme(uri.scheme_str().unwrap_or("http"))
            .authority(host)
            .path_and_query(format!("{path}/_bulk?{query}"))
            .build();
        let wrong = |e| Error::invalid(format!("\"{url}\" is not a URL of a node")).caused_by(e);
        nodes.push(node.map_err(wrong)?);
    }
    Ok((nodes, credentials))
}
