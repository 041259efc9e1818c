// SPDX-License-Identifier: Apache-2.0
//! Start in order, stop in the mirror order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use segment_log::Log;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::build::Graph;
use super::chain::{Chain, LinkKind, Rest};
use super::door::joined;
use super::replay::replay;
use crate::component::{Consumer, Outlet};
use crate::config::MetricsPage;
use crate::host::Host;
use crate::ledger::Book;
use crate::telemetry::{MetricsServer, register_process, serve_metrics};

/// Time to stop what was started when something else could not be.
const FAILED_START_DEADLINE: Duration = Duration::from_secs(5);

/// A running graph. Dropping it without [`Running::stop`] loses what is in flight.
pub struct Running {
    pub(super) graph: Graph,
    pub(super) metrics: Vec<(MetricsPage, MetricsServer)>,
    pub(super) started: Started,
    /// What reloads left behind.
    pub(super) draining: Vec<JoinHandle<()>>,
}

/// How many of each kind have been started.
#[derive(Default)]
pub(super) struct Started {
    extensions: usize,
    exporters: usize,
    processors: bool,
    receivers: usize,
}

impl Started {
    /// Everything of `graph`.
    pub fn all(&mut self, graph: &Graph) {
        self.extensions = graph.extensions.len();
        self.exporters = graph.exporters.len();
        self.processors = true;
        self.receivers = graph.receivers.len();
    }
}

impl Graph {
    /// Starts everything and returns when data is being received.
    ///
    /// # Errors
    /// The first component that cannot start; those started before it have been stopped.
    pub async fn start(self) -> Result<Running> {
        let mut running = Running::of(self);
        match running.bring_up(&[]).await {
            Ok(()) => {
                running.ready();
                Ok(running)
            }
            Err(error) => {
                // What stopping says matters less than why it had to be.
                let _ = running.stop(FAILED_START_DEADLINE).await;
                Err(error)
            }
        }
    }
}

impl Running {
    pub(super) fn of(graph: Graph) -> Self {
        let started = Started::default();
        Running { graph, metrics: Vec::new(), started, draining: Vec::new() }
    }

    /// Starts what the graph has, in order. What `live` logs hold has been replayed.
    pub(super) async fn bring_up(&mut self, live: &[Arc<Log>]) -> Result<()> {
        let host = self.graph.host.clone();
        register_process(host.telemetry(), host.clock());
        for page in &self.graph.metrics_pages {
            let telemetry = host.telemetry().clone();
            let (who, sockets) = (host.authenticators(), host.listeners());
            self.metrics.push((page.clone(), serve_metrics(telemetry, page, who, sockets).await?));
        }
        for (id, extension) in &self.graph.extensions {
            self.started.extensions += 1;
            extension.start(&host).await.map_err(|e| e.within(format!("extension {id}")))?;
        }
        for ((id, _), exporter) in &self.graph.exporters {
            self.started.exporters += 1;
            exporter.start().await.map_err(|e| e.within(format!("exporter {id}")))?;
        }
        for chain in self.chains() {
            host.ledger().open(&chain.books.live);
            find_log(chain)?;
        }
        self.started.processors = true;
        for chain in self.chains() {
            start_links(chain);
        }
        self.replay_logs(&host, live).await;
        for door in &self.graph.doors {
            door.set_open(true);
        }
        for (id, receiver) in &self.graph.receivers {
            self.started.receivers += 1;
            receiver.start().await.map_err(|e| e.within(format!("receiver {id}")))?;
        }
        Ok(())
    }

    fn ready(&self) {
        let host = &self.graph.host;
        host.set_overview(self.graph.overview());
        host.health().set_ready(host.clock().now());
        for (_, extension) in &self.graph.extensions {
            extension.pipelines_ready();
        }
        tracing::info!("Everything is ready. Begin running and processing data.");
    }

    async fn replay_logs(&self, host: &Host, live: &[Arc<Log>]) {
        let is_due = |chain: &&Arc<Chain>| {
            let log = chain.log.get();
            log.is_some_and(|log| !live.iter().any(|other| Arc::ptr_eq(other, log)))
        };
        let mut left: Vec<Arc<Chain>> = self.chains().filter(is_due).cloned().collect();
        while let Some(log) = left.first().and_then(|chain| chain.log.get()).cloned() {
            let of_it =
                |chain: &Arc<Chain>| chain.log.get().is_some_and(|other| Arc::ptr_eq(other, &log));
            let (chains, others): (Vec<_>, Vec<_>) = left.into_iter().partition(of_it);
            replay(&log, &chains, host.telemetry(), host.clock()).await;
            left = others;
        }
    }

    fn chains(&self) -> impl Iterator<Item = &Arc<Chain>> {
        self.graph.doors.iter().map(|door| &door.chain)
    }

    /// The logs of all chains.
    pub(super) fn logs(&self) -> Vec<Arc<Log>> {
        self.chains().filter_map(|chain| chain.log.get().cloned()).collect()
    }

    /// What the components share.
    pub fn host(&self) -> &Host {
        &self.graph.host
    }

    /// The pages with own metrics.
    pub fn metrics_servers(&self) -> impl Iterator<Item = &MetricsServer> {
        self.metrics.iter().map(|(_, server)| server)
    }

    /// The door of the pipeline `id`, for data that comes from inside the process.
    pub fn door(&self, id: &str) -> Option<Arc<dyn Consumer>> {
        let found = self.graph.doors.iter().find(|door| &*door.chain.pipeline == id)?;
        Some(found.clone())
    }

    /// Stops in the mirror order of the start: receivers, processors from the first to the last,
    /// exporters, extensions. Each phase gets half of the time that is left, the last one all.
    ///
    /// # Errors
    /// What the components said, joined, and how many items were given up; all have been stopped
    /// nevertheless.
    pub async fn stop(mut self, deadline: Duration) -> Result<()> {
        let end = Instant::now() + deadline;
        let host = self.graph.host.clone();
        host.health().set_not_ready();
        let books = host.ledger().books();
        let lost = || books.iter().map(Book::total_given_up).sum::<u64>();
        let lost_before = lost();
        let before = futures::future::join_all(std::mem::take(&mut self.draining));
        let (mut outcomes, _) =
            tokio::join!(self.stop_parts(end), tokio::time::timeout_at(end, before));
        if let Err(imbalance) = host.ledger().check() {
            tracing::warn!(%imbalance, "not all data is accounted for");
        }
        let in_flight: i64 = books.iter().map(|book| book.in_flight().max(0)).sum();
        let left = lost().saturating_sub(lost_before) + in_flight.unsigned_abs();
        if left > 0 {
            let text = format!("{left} items were not delivered before the end");
            tracing::error!(items = left, in_flight, "{text}");
            outcomes.push(("shutdown".to_owned(), Err(Error::retry(text))));
        }
        tracing::info!("Shutdown complete.");
        joined(outcomes.iter().map(|(id, outcome)| (id.as_str(), outcome)))
    }

    /// Stops what has been started; what each part said.
    pub(super) async fn stop_parts(&self, end: Instant) -> Vec<(String, Result<()>)> {
        let mut outcomes: Vec<(String, Result<()>)> = Vec::new();
        for (_, extension) in &self.graph.extensions[..self.started.extensions] {
            extension.pipelines_stopping();
        }
        let half = half_of(end);
        let receivers = &self.graph.receivers[..self.started.receivers];
        let stops =
            receivers.iter().map(|(id, it)| limited(half, format!("receiver {id}"), it.stop()));
        outcomes.extend(futures::future::join_all(stops).await);
        for door in &self.graph.doors {
            door.set_open(false);
        }
        if self.started.processors {
            let half = half_of(end);
            futures::future::join_all(self.chains().map(|chain| stop_links(chain, half))).await;
        }
        let half = half_of(end);
        let exporters = self.graph.exporters.iter().take(self.started.exporters);
        let stops =
            exporters.map(|((id, _), it)| limited(half, format!("exporter {id}"), it.stop()));
        outcomes.extend(futures::future::join_all(stops).await);
        for (id, extension) in self.graph.extensions[..self.started.extensions].iter().rev() {
            outcomes.push(limited(end, format!("extension {id}"), extension.stop()).await);
        }
        outcomes
    }
}

/// Half of the time until `end`.
fn half_of(end: Instant) -> Instant {
    let now = Instant::now();
    now + end.saturating_duration_since(now) / 2
}

async fn limited(
    deadline: Instant,
    id: String,
    stop: impl Future<Output = Result<()>>,
) -> (String, Result<()>) {
    let outcome = match timeout_at(deadline, stop).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::retry("did not stop in time")),
    };
    (id, outcome)
}

/// Finds the one log of the chain's exporters.
fn find_log(chain: &Chain) -> Result<()> {
    for edge in &chain.fanout.edges {
        let Some(log) = edge.exporter.log() else { continue };
        // Set once: a graph is started once.
        let _ = edge.durable.set(());
        if !Arc::ptr_eq(chain.log.get_or_init(|| log.clone()), &log) {
            return Err(Error::invalid(format!(
                "pipeline {}: its durable exporters have different logs",
                chain.pipeline
            )));
        }
    }
    Ok(())
}

/// Starts the tasks of a chain, the last first, so that whatever sends finds its receiver.
fn start_links(chain: &Arc<Chain>) {
    for link in chain.links.iter().rev() {
        match &link.kind {
            LinkKind::Gate(_) | LinkKind::Passes(_) => {}
            LinkKind::Watch(watch) => {
                let (chain, processor, meter) = (chain.clone(), link.first, watch.meter.clone());
                watch.start(|closed| {
                    let rest = Rest { chain, processor, stage: None, meter };
                    Outlet { down: Arc::new(rest), closed }
                });
            }
            LinkKind::Stage(stage) => {
                let (chain, processor, meter) = (chain.clone(), link.first, stage.meter.clone());
                let node = stage.clone();
                stage.start(|closed| {
                    let rest = Rest { chain, processor, stage: Some(node), meter };
                    Outlet { down: Arc::new(rest), closed }
                });
            }
        }
    }
}

/// Stops the tasks of a chain, the first first, so that what one sends the next one still takes.
async fn stop_links(chain: &Chain, deadline: Instant) {
    for link in &chain.links {
        match &link.kind {
            LinkKind::Gate(_) | LinkKind::Passes(_) => {}
            LinkKind::Watch(watch) => watch.stop(deadline).await,
            LinkKind::Stage(stage) => stage.stop(deadline).await,
        }
    }
}
