// SPDX-License-Identifier: Apache-2.0
//! Fetching one page over HTTP.

use std::time::Duration;

use basics::{Error, Result};
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT,
};
use http::{HeaderValue, Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pipeline::Budget;

use super::config::{Document, Job};
use super::families::{self, Page};
use super::target::Identity;
use crate::net::body::{self, BodyError};
use crate::net::inflate;

/// Largest page by default: a million series.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// What we can read, best first.
const ACCEPTED: &str =
    "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1";

/// Fetches the page of one target.
pub struct Scraper {
    /// Time between scrapes.
    pub interval: Duration,
    timeout: Duration,
    uri: Uri,
    authorization: Option<HeaderValue>,
    bytes_max: usize,
    samples_max: usize,
    client: Client<HttpConnector, Empty<bytes::Bytes>>,
}

/// The scrapers of all targets, and who they scrape.
///
/// # Errors
/// `Invalid` for a target that makes no URL.
pub fn scrapers(document: &Document) -> Result<Vec<(Scraper, Identity)>> {
    let mut all = Vec::new();
    for job in &document.scrape_configs {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build::<_, Empty<bytes::Bytes>>(connector);
        let (interval, timeout) = job.times(&document.global);
        for group in &job.static_configs {
            for address in &group.targets {
                let scraper = Scraper {
                    interval,
                    timeout,
                    uri: url(job, address)?,
                    authorization: authorization(job)?,
                    bytes_max: match job.body_size_limit.0 {
                        0 => PAGE_BYTES_MAX,
                        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
                    },
                    samples_max: job.sample_limit,
                    client: client.clone(),
                };
                all.push((scraper, identity(job, address, &group.labels)));
            }
        }
    }
    Ok(all)
}

fn identity(
    job: &Job,
    address: &str,
    labels: &std::collections::BTreeMap<String, String>,
) -> Identity {
    let own = |key: &str, default: &str| labels.get(key).map_or(default, String::as_str).to_owned();
    let rest = labels.iter().filter(|(key, value)| {
        !["job", "instance"].contains(&key.as_str()) && !key.starts_with("__") && !value.is_empty()
    });
    Identity {
        job: own("job", &job.job_name),
        instance: own("instance", address),
        scheme: job.scheme.clone(),
        labels: rest.map(|(key, value)| (key.clone(), value.clone())).collect(),
        honor_labels: job.honor_labels,
        honor_timestamps: job.honor_timestamps,
    }
}

fn url(job: &Job, address: &str) -> Result<Uri> {
    let slash = if job.metrics_path.starts_with('/') { "" } else { "/" };
    let mut text = format!("{}://{address}{slash}{}", job.scheme, job.metrics_path);
    let pairs = job.params.iter().flat_map(|(key, values)| values.iter().map(move |v| (key, v)));
    for (at, (key, value)) in pairs.enumerate() {
        text.push(if at == 0 && !job.metrics_path.contains('?') { '?' } else { '&' });
        text.push_str(&format!("{}={}", escaped(key), escaped(value)));
    }
    text.parse().map_err(|_| Error::invalid(format!("target {address:?} makes no URL: {text}")))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn authorization(job: &Job) -> Result<Option<HeaderValue>> {
    let Some(text) = job.authorization_header() else { return Ok(None) };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::invalid("the authorization of a scrape job is not a valid header"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

impl Scraper {
    /// What it fetches.
    pub fn url(&self) -> String {
        self.uri.to_string()
    }

    /// Fetches and reads the page.
    ///
    /// # Errors
    /// Why there is no page: no answer in time, another status than 200, too large, not the format.
    pub async fn scrape(&self, budget: &Budget) -> Result<Page> {
        match tokio::time::timeout(self.timeout, self.fetch(budget)).await {
            Ok(page) => page,
            Err(_) => Err(Error::retry(format!("no answer within {:?}", self.timeout))),
        }
    }

    async fn fetch(&self, budget: &Budget) -> Result<Page> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let agent = HeaderValue::from_static(concat!("foreglow/", env!("CARGO_PKG_VERSION")));
        headers.insert(USER_AGENT, agent);
        if let Ok(seconds) = HeaderValue::from_str(&self.timeout.as_secs_f64().to_string()) {
            headers.insert("x-prometheus-scrape-timeout-seconds", seconds);
        }
        if let Some(value) = &self.authorization {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let answer = self.client.request(request).await;
        let answer = answer.map_err(|e| Error::retry("cannot reach the target").caused_by(e))?;
        if answer.status() != http::StatusCode::OK {
            return Err(Error::retry(format!("the target answered {}", answer.status())));
        }
        let (parts, stream) = answer.into_parts();
        let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("");
        let encoding = inflate::from_name(header(CONTENT_ENCODING))
            .map_err(|name| Error::invalid(format!("the page has content encoding {name}")))?;
        let (bytes, mut permit) =
            body::read(stream, self.bytes_max, budget).await.map_err(|e| match e {
                BodyError::TooLarge { limit } => Error::invalid(format!(
                    "the page is larger than {limit} bytes (body_size_limit)"
                )),
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
        let text = std::str::from_utf8(&plain)
            .map_err(|e| Error::invalid("the page is not UTF-8").caused_by(e))?;
        let openmetrics = header(CONTENT_TYPE).starts_with("application/openmetrics-text");
        let page = families::read(text, openmetrics).map_err(|wrong| {
            Error::invalid(format!("the page is not in the text format: {wrong}"))
        })?;
        if self.samples_max > 0 && page.samples > self.samples_max {
            let (samples, limit) = (page.samples, self.samples_max);
            return Err(Error::invalid(format!(
                "the page has {samples} samples, sample_limit is {limit}"
            )));
        }
        Ok(page)
    }
}
