// SPDX-License-Identifier: Apache-2.0
//! Sends the requests of a lane in order; narrows down what a peer refuses.
//!
//! A refusal of a request's content (400, 413, 422) costs all of its series, also those that are
//! fine: Prometheus takes none of a request that has one sample out of order. Such a request is
//! halved, and its halves again, until the refused series is alone and counted. The halves stay in
//! the lane, so a failure in between loses nothing. Bound: [`HALVINGS_MAX`] for a lane; after that
//! a refused request counts whole. Other refusals (401, 404) concern every request and end the
//! batch. Source: remote write specifications 1.0 and 2.0.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use basics::{Error, Kind, Result};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request as HttpRequest, Uri};
use pipeline::Context;
use pipeline::telemetry::Counter;

use super::body::{Holds, Lane, Request, halves};
use super::config::Config;
use super::{v1, v2};
use crate::net::answer;
use crate::net::client::{self, Answer, Client, Parts};

/// The collector's default for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often the requests of a lane are halved. One bad series among 10,000 takes 14; this finds
/// about five, and a peer that refuses everything costs a hundred requests more.
const HALVINGS_MAX: u32 = 64;

/// How a lane went.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Samples and histograms that the peer refused for good.
    pub rejected: u64,
    /// What it said about the first of them.
    pub said: String,
    /// Why the rest of the lane is still there.
    pub failed: Option<Error>,
}

/// Sends requests to one endpoint.
pub(super) struct Sender {
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    v2: bool,
    /// The peer answered without saying what it wrote; told once.
    warned: AtomicBool,
    counters: Counters,
}

struct Counters {
    batches: Counter,
    rejected: Counter,
    samples: Counter,
    histograms: Counter,
    exemplars: Counter,
}

/// What a peer does with a request.
enum Verdict {
    Taken,
    /// It refuses content; `written` of it is there all the same (2.0).
    Refused {
        written: u64,
        said: String,
    },
}

impl Sender {
    pub fn new(config: &Config, context: &Context) -> Result<Self> {
        let http = config.http();
        let v2 = config.is_v2();
        let mut headers = client::headers(http.headers.iter())?;
        let agent = HeaderValue::from_static(client::USER_AGENT);
        headers.entry(USER_AGENT).or_insert(agent);
        let (kind, version) = match v2 {
            false => ("application/x-protobuf", "0.1.0"),
            true => ("application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0"),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static(version));
        let uri = crate::settings::url(&http.endpoint)?;
        Ok(Sender {
            client: Client::http(http, [&uri], context)?,
            uri,
            headers,
            timeout: http.timeout.map_or(TIMEOUT, |timeout| timeout.get()),
            v2,
            warned: AtomicBool::new(false),
            counters: Counters::new(context, &crate::settings::without_user(&http.endpoint)),
        })
    }

    /// Sends what is in the lane, in order; what is left stays in it.
    pub async fn deliver(&self, lane: &mut Lane) -> Outcome {
        let mut outcome = Outcome::default();
        let mut halvings = HALVINGS_MAX;
        while let Some(request) = lane.front() {
            let verdict = match self.send(request).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    outcome.failed = Some(error);
                    return outcome;
                }
            };
            let Some(request) = lane.pop_front() else { break };
            let Verdict::Refused { written, said } = verdict else { continue };
            let field = if self.v2 { v2::FIELD } else { v1::FIELD };
            // Who wrote a part of it has refused the rest already, one by one.
            let parts = if written == 0 && halvings > 0 { halves(&request, field) } else { None };
            match parts {
                Some((first, second)) => {
                    halvings -= 1;
                    lane.push_front(second);
                    lane.push_front(first);
                }
                None => {
                    let rejected = request.holds.values().saturating_sub(written);
                    self.counters.rejected.add(rejected);
                    outcome.rejected += rejected;
                    if outcome.said.is_empty() {
                        outcome.said = said;
                    }
                }
            }
        }
        outcome
    }

    async fn send(&self, request: &Request) -> Result<Verdict> {
        let mut http = HttpRequest::new(Parts::new([request.body.clone()]));
        *http.method_mut() = http::Method::POST;
        *http.uri_mut() = self.uri.clone();
        *http.headers_mut() = self.headers.clone();
        let answer = self.client.send(http);
        self.counters.batches.inc();
        let answer = match self.timeout.is_zero() {
            true => answer.await?,
            false => tokio::time::timeout(self.timeout, answer)
                .await
                .map_err(|_| Error::retry(format!("no answer within {:?}", self.timeout)))??,
        };
        let written = self.written(&answer, &request.holds);
        if answer.status.is_success() {
            return Ok(Verdict::Taken);
        }
        let said = answer::said(&answer);
        if matches!(answer.status.as_u16(), 400 | 413 | 422) {
            let said = format!("{}: {said}", answer.status);
            return Ok(Verdict::Refused { written: written.unwrap_or(0), said });
        }
        let error = answer::from_http_status(&answer, &said);
        // Unlike OTLP, every server error may pass.
        match answer.status.is_server_error() && !error.kind().is_retryable() {
            true => Err(Error::new(Kind::Retry { after: None }, error.message())),
            false => Err(error),
        }
    }

    /// Samples and histograms that a 2.0 peer says it wrote; counts them.
    fn written(&self, answer: &Answer, sent: &Holds) -> Option<u64> {
        if !self.v2 {
            return None;
        }
        let told = |what: &str| -> Option<u64> {
            let name = format!("x-prometheus-remote-write-{what}-written");
            answer.headers.get(name)?.to_str().ok()?.trim().parse().ok()
        };
        let Some(samples) = told("samples") else {
            if answer.status.is_success() && !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(uri = %self.uri, "the peer does not say what it wrote (X-Prometheus-Remote-Write-Samples-Written); it may not know remote write 2.0 and drop what it gets");
            }
            return None;
        };
        let histograms = told("histograms").unwrap_or(0);
        self.counters.samples.add(samples);
        self.counters.histograms.add(histograms);
        self.counters.exemplars.add(told("exemplars").unwrap_or(0));
        let written = samples + histograms;
        if answer.status.is_success() && written < sent.values() {
            let missing = sent.values() - written;
            self.counters.rejected.add(missing);
            tracing::warn!(uri = %self.uri, missing, "the peer took a request but not all of its samples");
        }
        Some(written)
    }
}

impl Counters {
    fn new(context: &Context, endpoint: &str) -> Self {
        let labels = [("exporter", &*context.id), ("endpoint", endpoint)];
        let counter = |name: &'static str, help: &'static str| {
            context.host.telemetry().counter(name, help, &labels)
        };
        Counters {
            batches: counter(
                "otelcol_exporter_prometheusremotewrite_sent_batches",
                "Requests sent, whatever became of them.",
            ),
            rejected: counter(
                "otelcol_exporter_prometheusremotewrite_rejected_samples",
                "Samples that the peer refused for good.",
            ),
            samples: counter(
                "otelcol_exporter_prometheusremotewrite_written_samples",
                "Samples that a 2.0 peer says it wrote.",
            ),
            histograms: counter(
                "otelcol_exporter_prometheusremotewrite_written_histograms",
                "Histograms that a 2.0 peer says it wrote.",
            ),
            exemplars: counter(
                "otelcol_exporter_prometheusremotewrite_written_exemplars",
                "Exemplars that a 2.0 peer says it wrote.",
            ),
        }
    }
}
