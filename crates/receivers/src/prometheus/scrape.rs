// SPDX-License-Identifier: Apache-2.0
//! Fetching one page over HTTP.
//!
//! Bounds: the size of a page, as sent and inflated, taken from the process's budget before it is
//! read; the time of a scrape; a few redirects.

use std::time::Duration;

use basics::{Error, Result};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use net::connect::Connector;
use net::tls::ClientTls;
use pipeline::{Budget, Permit};

use super::config::{Global, Job, Login, Protocol, TlsConfig};
use super::page::Format;
use crate::net::body::{self, BodyError};
use crate::net::inflate;

/// Largest page by default: a million series.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// As Go's HTTP client, which Prometheus uses.
const REDIRECTS_MAX: usize = 10;

/// Asked for by default, best first, as Prometheus does.
const PROTOCOLS: [Protocol; 4] =
    [Protocol::OpenMetrics100, Protocol::OpenMetrics001, Protocol::Text100, Protocol::Text004];

/// A page as it came.
#[derive(Debug)]
pub struct Fetched {
    /// Inflated.
    pub bytes: Bytes,
    /// How it is written.
    pub format: Format,
    /// Memory it takes.
    pub permit: Permit,
}

/// Fetches the pages of one job.
#[derive(Debug)]
pub struct Fetcher {
    headers: HeaderMap,
    login: Login,
    fallback: Format,
    bytes_max: usize,
    redirects_max: usize,
    client: Client<Connector, Empty<Bytes>>,
}

impl Fetcher {
    /// A fetcher with the job's headers and limits.
    ///
    /// # Errors
    /// `Invalid` when the certificates of `tls_config` cannot be used.
    pub fn new(job: &Job, global: &Global) -> Result<Self> {
        let connector = Connector::new(tls(job)?);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(job.times(global).0.saturating_mul(2))
            .pool_max_idle_per_host(1)
            .build::<_, Empty<Bytes>>(connector);
        let mut headers = HeaderMap::new();
        let native = job.scrape_native_histograms.unwrap_or(global.scrape_native_histograms);
        let asked = job.scrape_protocols.as_ref().or(global.scrape_protocols.as_ref());
        let asked = asked.cloned().unwrap_or_else(|| {
            let first = native.then_some(Protocol::PrometheusProto);
            first.into_iter().chain(PROTOCOLS).collect()
        });
        if let Ok(accept) = HeaderValue::from_str(&accept(&asked)) {
            headers.insert(ACCEPT, accept);
        }
        let encoding = if job.enable_compression { "gzip" } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        let agent = HeaderValue::from_static(concat!("foreglow/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, agent);
        let limit = [job.body_size_limit.0, global.body_size_limit.0, PAGE_BYTES_MAX as u64];
        let limit = limit.into_iter().find(|bytes| *bytes > 0).unwrap_or_default();
        Ok(Fetcher {
            headers,
            login: job.login.clone(),
            fallback: job.fallback_scrape_protocol.map_or(Format::Text, format_of),
            bytes_max: usize::try_from(limit).unwrap_or(usize::MAX),
            redirects_max: if job.follow_redirects { REDIRECTS_MAX } else { 0 },
            client,
        })
    }

    /// Fetches the page at `uri`.
    ///
    /// # Errors
    /// Why there is no page: no answer in time, another status than 200, too large.
    pub async fn fetch(&self, uri: &Uri, timeout: Duration, budget: &Budget) -> Result<Fetched> {
        let page = async {
            let answer = self.ask(uri, timeout).await?;
            self.read(answer, budget).await
        };
        match tokio::time::timeout(timeout, page).await {
            Ok(page) => page,
            Err(_) => Err(Error::retry(format!("no answer within {timeout:?}"))),
        }
    }

    async fn ask(&self, uri: &Uri, timeout: Duration) -> Result<http::Response<Incoming>> {
        let mut headers = self.headers.clone();
        let seconds = timeout.as_secs_f64().to_string();
        if let Ok(seconds) = HeaderValue::from_str(&seconds) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        self.log_in(&mut headers)?;
        let mut uri = uri.clone();
        for _ in 0..=self.redirects_max {
            let mut request = Request::new(Empty::new());
            *request.uri_mut() = uri.clone();
            *request.headers_mut() = headers.clone();
            let answer = self.client.request(request).await;
            let answer =
                answer.map_err(|e| Error::retry("cannot reach the target").caused_by(e))?;
            let status = answer.status();
            if status == http::StatusCode::OK {
                return Ok(answer);
            }
            let elsewhere = answer.headers().get(LOCATION).filter(|_| status.is_redirection());
            let Some(next) = elsewhere.filter(|_| self.redirects_max > 0) else {
                return Err(Error::retry(format!("the target answered {status}")));
            };
            let next = next.to_str().ok().and_then(|text| resolve(&uri, text));
            let next = next.ok_or_else(|| Error::invalid("the target sends us to no URL"))?;
            if next.host() != uri.host() {
                // Who is meant to know the secret is the target, not whoever it names.
                headers.remove(http::header::AUTHORIZATION);
            }
            uri = next;
        }
        Err(Error::retry(format!("the target redirects more than {REDIRECTS_MAX} times")))
    }

    fn log_in(&self, headers: &mut HeaderMap) -> Result<()> {
        if self.login.is_empty() {
            return Ok(());
        }
        for (name, value) in self.login.headers()? {
            let wrong = || Error::invalid(format!("the header {name} of a job is not valid"));
            let mut value = HeaderValue::from_str(&value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.append(HeaderName::try_from(&name).map_err(|_| wrong())?, value);
        }
        Ok(())
    }

    async fn read(&self, answer: http::Response<Incoming>, budget: &Budget) -> Result<Fetched> {
        let (parts, stream) = answer.into_parts();
        let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        let encoding = inflate::from_name(header(CONTENT_ENCODING))
            .map_err(|name| Error::invalid(format!("the page has content encoding {name}")))?;
        let read = body::read(stream, self.bytes_max, None, budget).await;
        let (bytes, mut permit) = read.map_err(|e| match e {
            BodyError::TooLarge { limit } => {
                Error::invalid(format!("the page is larger than {limit} bytes (body_size_limit)"))
            }
            BodyError::Broken(why) => Error::retry(format!("cannot read the page: {why}")),
            BodyError::Refused(error) => error,
        })?;
        let plain = match encoding {
            None => bytes,
            Some(encoding) => inflate::inflate(encoding, &bytes, self.bytes_max)
                .map_err(|e| Error::invalid(format!("the page: {e}")))?
                .into(),
        };
        permit.resize(plain.len() as u64)?;
        let format = named_format(header(CONTENT_TYPE)).unwrap_or(self.fallback);
        Ok(Fetched { bytes: plain, format, permit })
    }
}

/// TLS of a job; none where no target can have `https`, since it costs reading the authorities.
fn tls(job: &Job) -> Result<Option<ClientTls>> {
    let given = job.login.tls_config.as_ref();
    let made_of_labels = !job.relabel_configs.is_empty() || !job.file_sd_configs.is_empty();
    if job.scheme != "https" && given.is_none() && !made_of_labels {
        return Ok(None);
    }
    let settings = given.map(TlsConfig::settings).unwrap_or_default();
    ClientTls::new(settings, &["http/1.1"]).map(Some)
}

/// The `Accept` header that asks for `protocols`, best first.
fn accept(protocols: &[Protocol]) -> String {
    const ESCAPING: &str = ";escaping=allow-utf-8";
    // One more than there are formats, as Prometheus weighs them.
    let mut weight = 6;
    let mut text = String::new();
    for protocol in protocols {
        let (name, escaping) = match protocol {
            Protocol::PrometheusProto => (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
                "",
            ),
            Protocol::Text004 => ("text/plain;version=0.0.4", ""),
            Protocol::Text100 => ("text/plain;version=1.0.0", ESCAPING),
            Protocol::OpenMetrics001 => ("application/openmetrics-text;version=0.0.1", ""),
            Protocol::OpenMetrics100 => ("application/openmetrics-text;version=1.0.0", ESCAPING),
        };
        text.push_str(&format!("{name}{escaping};q=0.{weight},"));
        weight -= 1;
    }
    text.push_str(&format!("*/*;q=0.{weight}"));
    text
}

fn format_of(protocol: Protocol) -> Format {
    match protocol {
        Protocol::PrometheusProto => Format::Protobuf,
        Protocol::Text004 | Protocol::Text100 => Format::Text,
        Protocol::OpenMetrics001 | Protocol::OpenMetrics100 => Format::OpenMetrics,
    }
}

/// What a content type says.
fn named_format(content_type: &str) -> Option<Format> {
    match content_type.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        "application/openmetrics-text" => Some(Format::OpenMetrics),
        "text/plain" => Some(Format::Text),
        "application/vnd.google.protobuf" => Some(Format::Protobuf),
        _ => None,
    }
}

/// Where a `Location` leads from `base`.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let absolute = location.starts_with("http://") || location.starts_with("https://");
    if absolute {
        return location.parse().ok();
    }
    let root = format!("{}://{}", base.scheme_str()?, base.authority()?);
    match location.starts_with('/') {
        true => format!("{root}{location}").parse().ok(),
        false => {
            let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
            format!("{root}{folder}/{location}").parse().ok()
        }
    }
}
