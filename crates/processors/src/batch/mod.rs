// SPDX-License-Identifier: Apache-2.0
//! `batch`: collects small batches into large ones.
//!
//! In and out: any signal, in order; a batch goes on when it holds `send_batch_size` items or is
//! `timeout` old, cut into pieces of at most `send_batch_max_size` items. Joining is one copy.
//! Answers follow the data: who sent a part of what went on hears what became of it. Data of
//! different tenants or metadata, and data read back from a log, is kept apart. What is known of
//! the client is not passed on, but for `metadata_keys`.
//!
//! Bounds: `send_batch_size` items for each of `metadata_cardinality_limit` combinations.
//! Source: the Go collector's batch processor, reference section 5.1.

mod group;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Clock, Error, Result};
use otlp_wire::Signal;
use pipeline::component::ProcessorFactory;
use pipeline::config::{self, Checker, ComponentConfig};
use pipeline::telemetry::BatchMeter;
use pipeline::{Batch, Context, Fate, Meta, Outlet, Processor, Stage};
use serde::Deserialize;

use group::{Group, Key};

/// Settings of `batch`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Longest time an item waits; 0 = none waits.
    pub timeout: config::Duration,
    /// So many items go on without waiting any longer; 0 = none waits.
    pub send_batch_size: u32,
    /// Most items in one batch; 0 = no limit.
    pub send_batch_max_size: u32,
    /// Batches are kept apart by the values of these request headers, which go on with them.
    pub metadata_keys: Vec<String>,
    /// Most combinations of values of `metadata_keys` at a time.
    pub metadata_cardinality_limit: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            timeout: config::Duration::from_millis(200),
            send_batch_size: 8192,
            send_batch_max_size: 0,
            metadata_keys: Vec::new(),
            metadata_cardinality_limit: 1000,
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.send_batch_max_size > 0 && self.send_batch_max_size < self.send_batch_size {
            let text = "send_batch_max_size must be greater or equal to send_batch_size";
            at.error("send_batch_max_size", text);
        }
        let mut seen: Vec<String> = Vec::new();
        for key in &self.metadata_keys {
            let key = key.to_lowercase();
            if seen.contains(&key) {
                let text =
                    format!("duplicate entry in metadata_keys: \"{key}\" (case-insensitive)");
                at.error("metadata_keys", text);
            }
            seen.push(key);
        }
    }
}

/// The type `batch`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "batch",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "collects small batches into large ones",
        decode: config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let meter = BatchMeter::new(context.host.telemetry(), &context.id);
    Ok(Processor::Stage(Box::new(Batcher::new(&config, meter, context.clock))))
}

/// The stage.
struct Batcher {
    timeout: Duration,
    size: u64,
    max: u32,
    keys: Vec<String>,
    groups_max: usize,
    /// Non-empty groups, oldest first.
    groups: Vec<Group>,
    meter: BatchMeter,
    clock: Clock,
}

impl Batcher {
    fn new(config: &Config, meter: BatchMeter, clock: Clock) -> Self {
        Batcher {
            timeout: config.timeout.get(),
            size: u64::from(config.send_batch_size),
            max: config.send_batch_max_size,
            keys: config.metadata_keys.iter().map(|key| key.to_lowercase()).collect(),
            groups_max: config.metadata_cardinality_limit as usize,
            groups: Vec::new(),
            meter,
            clock,
        }
    }

    fn key(&self, meta: &Meta) -> Key {
        let wanted = |(name, _): &&(String, String)| self.keys.contains(name);
        Key {
            replay: meta.replay,
            tenant: meta.tenant.clone(),
            metadata: meta.headers.iter().filter(wanted).cloned().collect(),
        }
    }

    /// True when nothing waits for more.
    fn is_immediate(&self) -> bool {
        self.timeout.is_zero() || self.size == 0
    }

    /// The place of the group of `batch`; none when there are too many.
    fn group_of(&mut self, batch: &Batch) -> Option<usize> {
        let key = self.key(&batch.meta);
        if let Some(at) = self.groups.iter().position(|group| group.key == key) {
            return Some(at);
        }
        // The limit is on what the client can choose: without metadata keys there is none.
        if !self.keys.is_empty() && self.groups_max > 0 && self.groups.len() >= self.groups_max {
            return None;
        }
        self.groups.push(Group::new(key, self.clock.monotonic()));
        Some(self.groups.len() - 1)
    }

    /// Sends on what of group `at` is due: all of it, or down to less than a full batch.
    async fn send(&mut self, at: usize, all: bool, full: bool, out: &Outlet) -> Result<()> {
        let at_least = if all { 1 } else { self.size.max(1) };
        let batches = self.groups[at].take(self.max, at_least);
        if self.groups[at].is_empty() {
            self.groups.remove(at);
        } else {
            // What is left is as young as what it came with.
            self.groups[at].since = self.clock.monotonic();
        }
        self.meter.combinations(self.groups.len());
        let mut outcome = Ok(());
        for batch in batches {
            self.meter.sent(batch.items(), batch.payload.len(), full);
            if let Err(error) = out.forward(batch).await {
                outcome = Err(error);
            }
        }
        outcome
    }
}

#[async_trait]
impl Stage for Batcher {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        if batch.items() == 0 {
            out.discard(batch, Fate::Filtered);
            return Ok(());
        }
        let Some(at) = self.group_of(&batch) else {
            let error = Error::rejected("too many batcher metadata-value combinations");
            out.refuse(batch, &error);
            return Err(error);
        };
        self.groups[at].add(batch);
        if self.is_immediate() {
            return self.send(at, true, true, out).await;
        }
        if self.groups[at].items() >= self.size {
            return self.send(at, false, true, out).await;
        }
        Ok(())
    }

    async fn tick(&mut self, out: &Outlet) -> Result<()> {
        let now = self.clock.monotonic();
        let timeout = self.timeout;
        let due = |group: &Group| group.age(now) >= timeout;
        let mut outcome = Ok(());
        while let Some(at) = self.groups.iter().position(due) {
            outcome = outcome.and(self.send(at, true, false, out).await);
        }
        outcome
    }

    fn deadline(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        self.groups.iter().map(|group| self.timeout.saturating_sub(group.age(now))).min()
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        let mut outcome = Ok(());
        while !self.groups.is_empty() {
            outcome = outcome.and(self.send(0, true, false, out).await);
        }
        outcome
    }
}
