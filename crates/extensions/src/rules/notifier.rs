// SPDX-License-Identifier: Apache-2.0
//! Alerts to Alertmanagers, by their API v2.
//!
//! In: notices of the groups. Each Alertmanager has a queue and a task of its own, so that one
//! that is away keeps the others waiting for nothing. A batch that fails is tried again for a
//! while; what is dropped after that comes again with the next telling, since a firing alert is
//! told every minute. Bounds: [`QUEUE_MAX`] notices, [`BATCH_MAX`] a request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use bytes::Bytes;
use exporters::net::answer::from_http_status;
use exporters::net::client::{Client, Parts, USER_AGENT, headers};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Request, Uri};
use parking_lot::Mutex;
use pipeline::Context;
use pipeline::relabel::{LabelSet, Relabel};
use pipeline::telemetry::Counter;
use query_api::rules::Notice;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::config::Config;

/// Notices that wait for one Alertmanager; the oldest go. Prometheus' number.
const QUEUE_MAX: usize = 10_000;
/// Notices of a request. Prometheus' number.
const BATCH_MAX: usize = 256;
/// How often a request is tried, and how long to wait in between.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);
/// For one request, unless its `timeout` says otherwise. Prometheus' default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where notices go.
pub struct Notifier {
    relabel: Relabel,
    external: Vec<(String, String)>,
    targets: Vec<Arc<Target>>,
}

struct Target {
    client: Client,
    uri: Uri,
    headers: HeaderMap,
    timeout: Duration,
    queue: Mutex<VecDeque<Value>>,
    filled: Notify,
    sent: Counter,
    dropped: Counter,
}

impl Notifier {
    /// To all Alertmanagers of the configuration.
    ///
    /// # Errors
    /// `Invalid` when a URL, a rule or a certificate is of no use.
    pub fn new(config: &Config, context: &Context) -> Result<Self> {
        let targets = config.alertmanagers.iter().map(|manager| {
            let endpoint = manager.client.endpoint.trim_end_matches('/');
            let uri: Uri = format!("{endpoint}/api/v2/alerts")
                .parse()
                .map_err(|_| Error::invalid(format!("alertmanager {endpoint:?} is no URL")))?;
            let telemetry = context.host.telemetry();
            let labels = [("alertmanager", endpoint)];
            Ok(Arc::new(Target {
                client: Client::http(&manager.client, [&uri], context)?,
                headers: headers(manager.client.headers.iter())?,
                timeout: manager.client.timeout.and_then(|time| time.nonzero()).unwrap_or(TIMEOUT),
                queue: Mutex::default(),
                filled: Notify::new(),
                sent: telemetry.counter(
                    "foreglow_alerts_sent_total",
                    "Alerts taken by an Alertmanager.",
                    &labels,
                ),
                dropped: telemetry.counter(
                    "foreglow_alerts_dropped_total",
                    "Alerts that did not reach an Alertmanager.",
                    &labels,
                ),
                uri,
            }))
        });
        Ok(Notifier {
            relabel: Relabel::new(&config.alert_relabel_configs)?,
            external: config.external_labels.clone().into_iter().collect(),
            targets: targets.collect::<Result<_>>()?,
        })
    }

    /// URLs of all Alertmanagers.
    pub fn urls(&self) -> Vec<String> {
        self.targets.iter().map(|target| target.uri.to_string()).collect()
    }

    /// Starts the tasks that send.
    pub fn start(&self, tasks: &mut JoinSet<()>) {
        for target in &self.targets {
            tasks.spawn(target.clone().run());
        }
    }

    /// Takes notices.
    pub fn tell(&self, notices: &[Notice]) {
        let messages: Vec<Value> =
            notices.iter().filter_map(|notice| self.message(notice)).collect();
        if messages.is_empty() {
            return;
        }
        for target in &self.targets {
            let mut queue = target.queue.lock();
            queue.extend(messages.iter().cloned());
            let over = queue.len().saturating_sub(QUEUE_MAX);
            queue.drain(..over);
            target.dropped.add(over as u64);
            drop(queue);
            target.filled.notify_one();
        }
    }

    /// The notice as it is sent; none if the rules drop it.
    fn message(&self, notice: &Notice) -> Option<Value> {
        let mut labels: LabelSet = notice.labels.iter().collect();
        for (name, value) in &self.external {
            if labels.get(name).is_empty() {
                labels.set(name, value);
            }
        }
        if !self.relabel.apply(&mut labels) {
            return None;
        }
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string();
        Some(json!({
            "labels": labels, "annotations": notice.annotations, "startsAt": time(notice.starts_ms),
            "endsAt": time(notice.ends_ms), "generatorURL": notice.generator_url,
        }))
    }
}

impl Target {
    async fn run(self: Arc<Self>) {
        loop {
            let batch: Vec<Value> = {
                let mut queue = self.queue.lock();
                let count = queue.len().min(BATCH_MAX);
                queue.drain(..count).collect()
            };
            if batch.is_empty() {
                self.filled.notified().await;
                continue;
            }
            let count = batch.len() as u64;
            match self.deliver(Bytes::from(Value::Array(batch).to_string())).await {
                Ok(()) => self.sent.add(count),
                Err(error) => {
                    self.dropped.add(count);
                    tracing::warn!(alertmanager = %self.uri, "{count} alerts were not taken: {error}");
                }
            }
        }
    }

    async fn deliver(&self, body: Bytes) -> Result<()> {
        let mut tries = 1;
        loop {
            match self.send(body.clone()).await {
                Err(error) if error.kind().is_retryable() && tries < TRIES => {
                    tokio::time::sleep(PAUSE * tries).await;
                    tries += 1;
                }
                outcome => return outcome,
            }
        }
    }

    async fn send(&self, body: Bytes) -> Result<()> {
        let mut request = Request::post(self.uri.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT))
            .body(Parts::new([body]))
            .map_err(|e| Error::invalid(format!("no request to an Alertmanager: {e}")))?;
        request.headers_mut().extend(self.headers.clone());
        let answer = tokio::time::timeout(self.timeout, self.client.send(request))
            .await
            .map_err(|_| Error::retry("no answer in time"))??;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(from_http_status(&answer, &exporters::net::answer::said(&answer))),
        }
    }
}
