// SPDX-License-Identifier: Apache-2.0
//! From a target that was found to where and how it is scraped: labels of the job added, rules
//! applied, the URL made.
//!
//! Labels that begin with `__` steer the scrape (`__address__`, `__scheme__`, `__metrics_path__`,
//! `__param_*`, `__scrape_interval__`, `__scrape_timeout__`) and are not put on samples.

use std::time::Duration;

use basics::percent::encoded;
use basics::{Error, Result};
use http::Uri;
use pipeline::relabel::{LabelSet, Relabel};

use super::config::{Global, Job};
use super::discovery::Found;
use super::target::Identity;

/// Where and how a target is scraped.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The page.
    pub uri: Uri,
    /// Time between scrapes.
    pub interval: Duration,
    /// For one scrape.
    pub timeout: Duration,
    /// Who it is.
    pub identity: Identity,
    /// Its labels before the rules.
    pub discovered: LabelSet,
}

/// What a target is recognised by when targets are found again.
pub type Key = (String, LabelSet, Duration, Duration);

impl Endpoint {
    /// What it is recognised by.
    pub fn key(&self) -> Key {
        (self.uri.to_string(), self.identity.labels.clone(), self.interval, self.timeout)
    }

    /// The endpoint of a target; `None` if the rules drop it.
    ///
    /// # Errors
    /// `Invalid` when there is no address, or what the rules made is of no use.
    pub fn new(
        job: &Job,
        global: &Global,
        relabel: &Relabel,
        found: &Found,
    ) -> Result<Option<Self>> {
        let mut labels: LabelSet = found.labels.iter().map(|(k, v)| (k, v)).collect();
        labels.set("__address__", &found.address);
        let (interval, timeout) = job.times(global);
        let text = basics::duration::format;
        for (key, value) in [
            ("job", job.job_name.as_str()),
            ("__scrape_interval__", &text(interval)),
            ("__scrape_timeout__", &text(timeout)),
            ("__metrics_path__", &job.metrics_path),
            ("__scheme__", &job.scheme),
        ] {
            if labels.get(key).is_empty() {
                labels.set(key, value);
            }
        }
        for (key, values) in &job.params {
            let name = format!("__param_{key}");
            if let (Some(first), "") = (values.first(), labels.get(&name)) {
                labels.set(&name, first);
            }
        }
        let scheme = labels.get("__scheme__").to_owned();
        let discovered = labels.clone();
        if !relabel.apply(&mut labels) {
            return Ok(None);
        }
        let address = labels.get("__address__").to_owned();
        if address.is_empty() {
            return Err(Error::invalid("no address"));
        }
        if address.contains('/') {
            return Err(Error::invalid(format!("\"{address}\" is not a valid hostname")));
        }
        let time = |key: &str| {
            basics::duration::parse_prometheus(labels.get(key))
                .ok()
                .or_else(|| basics::duration::parse(labels.get(key)).ok())
                .filter(|time| !time.is_zero())
                .ok_or_else(|| Error::invalid(format!("{key} is \"{}\"", labels.get(key))))
        };
        let (interval, timeout) = (time("__scrape_interval__")?, time("__scrape_timeout__")?);
        if timeout > interval {
            return Err(Error::invalid("scrape timeout cannot be greater than scrape interval"));
        }
        if labels.get("instance").is_empty() {
            labels.set("instance", &address);
        }
        let uri = uri(job, &labels)?;
        labels.retain(|key| !key.starts_with("__"));
        labels.sort();
        let identity = Identity { labels, scheme, timeout: timeout.as_secs_f64() };
        Ok(Some(Endpoint { uri, interval, timeout, identity, discovered }))
    }
}

/// The URL that the labels stand for.
fn uri(job: &Job, labels: &LabelSet) -> Result<Uri> {
    let (scheme, address) = (labels.get("__scheme__"), labels.get("__address__"));
    let path = labels.get("__metrics_path__");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut text = format!("{scheme}://{address}{slash}{path}");
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (key, value) in labels.iter() {
        if let Some(key) = key.strip_prefix("__param_") {
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    for (key, values) in &job.params {
        pairs.extend(values.iter().skip(1).map(|value| (key.clone(), value.clone())));
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    for (at, (key, value)) in pairs.iter().enumerate() {
        text.push(if at == 0 && !path.contains('?') { '?' } else { '&' });
        text.push_str(&format!("{}={}", encoded(key), encoded(value)));
    }
    text.parse().map_err(|_| Error::invalid(format!("target {address:?} makes no URL: {text}")))
}
