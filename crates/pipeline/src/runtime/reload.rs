// SPDX-License-Identifier: Apache-2.0
//! A new plan under a running process: nothing refused, nothing lost, nothing opened twice.
//!
//! What is configured as before goes on: extensions, exporters (with their queues), pipelines
//! whose processors and exporters are all unchanged (with their state), and receivers, whose
//! inlets are turned to the new doors. The rest of the new graph is built and started while the
//! old one still works; servers of both share their sockets (`net::pool`). If a part cannot be
//! built or started, what was started of it is stopped and nothing has changed. After the turn the
//! parts that are no longer wanted drain in the background, receivers first.
//!
//! A component counts as changed when its settings differ, or when they name an extension that
//! changed (an authenticator, a storage).

use std::sync::Arc;
use std::time::Duration;

use basics::Error;
use hashbrown::HashSet;
use otlp_wire::Signal;
use tokio::time::Instant;

use super::build::Graph;
use super::door::Door;
use super::inlet::Turned;
use super::run::Running;
use crate::component::{Exporter, Extension, Factory, Receiver};
use crate::config::{Instance, PipelinePlan, Plan};
use crate::telemetry::{Counter, Gauge, Telemetry};

/// What of a running graph goes on under a new plan.
#[derive(Default)]
pub(crate) struct Kept<'g> {
    old: Option<&'g Graph>,
    extensions: Ids,
    receivers: Ids,
    exporters: Ids,
    pipelines: Ids,
}

type Ids = HashSet<Arc<str>>;

impl<'g> Kept<'g> {
    pub fn of(old: &'g Graph, plan: &Plan) -> Self {
        let before = &old.plan;
        let nothing = Ids::new();
        let extensions = unchanged(&before.extensions, &plan.extensions, &nothing);
        let all = before.extensions.iter().chain(&plan.extensions).map(|it| it.id.clone());
        let altered: Ids = all.filter(|id| !extensions.contains(id)).collect();
        let exporters = unchanged(&before.exporters, &plan.exporters, &altered);
        let processors = unchanged(&before.processors, &plan.processors, &altered);
        let mut receivers = unchanged(&before.receivers, &plan.receivers, &altered);
        receivers
            .retain(|id| Signal::ALL.iter().all(|s| feeds(before, id, *s) == feeds(plan, id, *s)));
        let goes_on = |pipeline: &&PipelinePlan| {
            let old = before.pipelines.iter().find(|old| old.id == pipeline.id);
            old.is_some_and(|old| {
                old.processors == pipeline.processors && old.exporters == pipeline.exporters
            }) && pipeline.processors.iter().all(|id| processors.contains(id))
                && pipeline.exporters.iter().all(|id| exporters.contains(id))
        };
        let pipelines = plan.pipelines.iter().filter(goes_on).map(|it| it.id.clone()).collect();
        Kept { old: Some(old), extensions, receivers, exporters, pipelines }
    }

    pub fn extension(&self, id: &str) -> Option<Arc<dyn Extension>> {
        let of = &self.old.filter(|_| self.extensions.contains(id))?.extensions;
        of.iter().find(|(other, _)| **other == *id).map(|(_, it)| it.clone())
    }

    pub fn exporter(&self, id: &Arc<str>, signal: Signal) -> Option<Arc<dyn Exporter>> {
        let of = &self.old.filter(|_| self.exporters.contains(id))?.exporters;
        of.get(&(id.clone(), signal)).cloned()
    }

    pub fn door(&self, pipeline: &str) -> Option<Arc<Door>> {
        let of = &self.old.filter(|_| self.pipelines.contains(pipeline))?.doors;
        of.iter().find(|door| *door.chain.pipeline == *pipeline).cloned()
    }

    pub fn receiver(&self, id: &str) -> Option<(Arc<dyn Receiver>, &'g Graph)> {
        let old = self.old.filter(|_| self.receivers.contains(id))?;
        let found = old.receivers.iter().find(|(other, _)| **other == *id)?;
        Some((found.1.clone(), old))
    }
}

/// True if the receiver `id` has a pipeline of `signal`.
fn feeds(plan: &Plan, id: &Arc<str>, signal: Signal) -> bool {
    plan.pipelines.iter().any(|it| it.signal == signal && it.receivers.contains(id))
}

/// Ids configured alike before and after, without those that name one of `altered`.
fn unchanged<B>(
    before: &[Instance<Factory<B>>],
    after: &[Instance<Factory<B>>],
    altered: &Ids,
) -> Ids {
    let is_same = |it: &&Instance<Factory<B>>| {
        before.iter().any(|old| old.is_like(it)) && !altered.iter().any(|id| it.mentions(id))
    };
    after.iter().filter(is_same).map(|it| it.id.clone()).collect()
}

impl Running {
    /// Goes over to `plan`; see the [module](self). Returns when the new graph has taken over; the
    /// old one drains within `drain` meanwhile.
    ///
    /// # Errors
    /// Why the new graph cannot be built or started; the old one goes on as if nothing had been.
    pub async fn reload(&mut self, plan: &Plan, drain: Duration) -> Result<(), Vec<Error>> {
        let host = self.graph.host.clone();
        let next = Graph::build_over(plan, &host, Some(&self.graph)).inspect_err(|_| {
            self.graph.announce();
        })?;
        host.listeners().next_round();
        let mut fresh = Running::of(next.without(&self.graph));
        if let Err(error) = fresh.bring_up(&self.logs()).await {
            // What stopping says matters less than why it had to be.
            let _ = fresh.stop_parts(Instant::now() + drain).await;
            self.graph.announce();
            return Err(vec![error]);
        }
        self.take_over(next, fresh, drain);
        Ok(())
    }

    fn take_over(&mut self, next: Graph, mut fresh: Running, drain: Duration) {
        let old = std::mem::replace(&mut self.graph, next);
        let turned: Vec<Turned> = self.graph.inlets.iter().filter_map(|it| it.turn()).collect();
        for (_, extension) in &fresh.graph.extensions {
            extension.pipelines_ready();
        }
        // In the order of the pages, as everywhere.
        let mut served: Vec<_> = self.metrics.drain(..).chain(fresh.metrics.drain(..)).collect();
        for page in &self.graph.metrics_pages {
            let found = served.iter().position(|(of, _)| of == page);
            self.metrics.extend(found.map(|at| served.swap_remove(at)));
        }
        self.graph.host.set_overview(self.graph.overview());
        self.started.all(&self.graph);
        let mut stale = Running::of(old.without(&self.graph));
        stale.started.all(&stale.graph);
        stale.metrics = served;
        self.draining.retain(|task| !task.is_finished());
        self.draining.push(tokio::spawn(async move {
            let end = Instant::now() + drain;
            let idle = futures::future::join_all(turned.iter().map(Turned::idle));
            if tokio::time::timeout_at(end, idle).await.is_err() {
                tracing::warn!("requests still under way after the drain time of a reload");
            }
            for (what, outcome) in stale.stop_parts(end).await {
                if let Err(error) = outcome {
                    tracing::warn!(what, %error, "while draining after a reload");
                }
            }
        }));
    }
}

/// `foreglow_config_*`: how reloads went.
pub struct ReloadMeter {
    good: Counter,
    bad: Counter,
    last_is_good: Gauge,
    last_good: Gauge,
}

impl ReloadMeter {
    /// The first configuration counts as loaded well at `now`, in seconds since 1970.
    pub fn new(telemetry: &Telemetry, now: f64) -> Self {
        let outcome = |outcome| {
            telemetry.counter(
                "foreglow_config_reloads_total",
                "Attempts to load the configuration anew, by what became of them.",
                &[("outcome", outcome)],
            )
        };
        let gauge = |name, help| telemetry.gauge(name, help, &[]);
        let meter = ReloadMeter {
            good: outcome("success"),
            bad: outcome("failure"),
            last_is_good: gauge(
                "foreglow_config_last_reload_successful",
                "1 if the configuration on disk is the one that runs, as far as was looked.",
            ),
            last_good: gauge(
                "foreglow_config_last_reload_success_timestamp_seconds",
                "When the running configuration was loaded.",
            ),
        };
        meter.last_is_good.set(1.0);
        meter.last_good.set(now);
        meter
    }

    /// One more attempt, at `now` in seconds since 1970.
    pub fn tried(&self, is_good: bool, now: f64) {
        if is_good {
            self.good.inc();
            self.last_good.set(now);
        } else {
            self.bad.inc();
        }
        self.last_is_good.set(f64::from(u8::from(is_good)));
    }
}
