// SPDX-License-Identifier: Apache-2.0
//! The targets of one job, each scraped by a task of its own.
//!
//! A target that is found runs until it is no longer found; one that is slow, large or refused
//! keeps nobody else waiting. First scrapes are spread evenly over the interval. A target that
//! goes, and every target when the receiver stops, ends with stale markers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use otlp_wire::{Payload, Signal};
use pipeline::relabel::{LabelSet, Relabel};
use pipeline::scrapes::{Entry, Scrape, Scrapes};
use pipeline::telemetry::ReceiverMeter;
use pipeline::{Batch, Consumer, Context, Meta, Permit};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::config::{Global, Job};
use super::discovery::{Discovery, Found};
use super::endpoint::{Endpoint, Key};
use super::scrape::{Fetched, Fetcher};
use super::target::{Facts, Page, Rules, Target};

/// Pages from this size on are read beside the runtime's own threads: a million series take half a
/// second, and other targets must not wait for them.
const LARGE: usize = 1 << 20;

/// What is the same for all targets of a job.
pub struct Shared {
    /// The job.
    pub job: Job,
    /// Defaults of all jobs.
    pub global: Global,
    /// Rules for targets.
    pub relabel: Relabel,
    /// What becomes of samples.
    pub rules: Arc<Rules>,
    /// Fetches pages.
    pub fetcher: Fetcher,
    /// Of the receiver.
    pub context: Context,
    /// Where batches go.
    pub inlet: Arc<dyn Consumer>,
    /// Counts what came in.
    pub meter: ReceiverMeter,
    /// Before the first scrapes.
    pub offset: Duration,
    /// The last batch of this job was refused.
    pub refused: AtomicBool,
}

/// The running targets of one job.
pub struct Pool {
    shared: Arc<Shared>,
    discovery: Discovery,
    running: HashMap<Key, watch::Sender<State>>,
    tasks: JoinSet<()>,
    /// How many were ever started; spreads their first scrapes.
    started: u64,
}

/// What a target is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Scrape,
    /// The job has more targets than it may: scrapes fail without being made.
    TooMany,
    End,
}

impl Pool {
    /// A pool that has not looked for targets yet.
    pub fn new(shared: Shared) -> Self {
        let discovery = Discovery::new(&shared.job);
        let (running, tasks) = Default::default();
        Pool { shared: Arc::new(shared), discovery, running, tasks, started: 0 }
    }

    /// Keeps targets running until `stopped`; returns when all of them have ended.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            if let Some(found) = self.discovery.look() {
                self.follow(&found);
            }
            let wait = async {
                match self.discovery.every() {
                    Some(every) => tokio::time::sleep(every).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                () = wait => {}
            }
            // What has ended by itself is nothing to wait for later.
            while self.tasks.try_join_next().is_some() {}
        }
        // Nobody who tells a target what to do is left: it ends.
        self.running.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Starts what is new, ends what is gone.
    fn follow(&mut self, found: &[Found]) {
        let Shared { job, global, relabel, .. } = &*self.shared;
        let mut wanted: HashMap<Key, Endpoint> = HashMap::new();
        for target in found {
            match Endpoint::new(job, global, relabel, target) {
                Ok(Some(endpoint)) => {
                    wanted.insert(endpoint.key(), endpoint);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(
                        job = job.job_name,
                        target = target.address,
                        "left out: {error}"
                    );
                }
            }
        }
        let limit = [job.target_limit, global.target_limit].into_iter().find(|limit| *limit > 0);
        let state = match limit {
            Some(limit) if wanted.len() > limit => {
                let count = wanted.len();
                tracing::warn!(
                    job = job.job_name,
                    "target_limit exceeded: {count} targets, limit {limit}"
                );
                State::TooMany
            }
            _ => State::Scrape,
        };
        self.running.retain(|key, tell| {
            let stays = wanted.remove(key).is_some();
            tell.send_replace(if stays { state } else { State::End });
            stays
        });
        let mut wanted: Vec<_> = wanted.into_iter().collect();
        wanted.sort_by(|a, b| a.0.0.cmp(&b.0.0));
        for (key, endpoint) in wanted {
            self.start(key, endpoint, state);
        }
    }

    fn start(&mut self, key: Key, endpoint: Endpoint, state: State) {
        let (tell, told) = watch::channel(state);
        // Steps of the golden ratio spread any number of targets evenly, the first at once.
        let part = (self.started as f64 * 0.618_033_988_749_894_9).fract();
        self.started += 1;
        let first = self.shared.offset.min(endpoint.interval) + endpoint.interval.mul_f64(part);
        let target = Target::new(self.shared.rules.clone(), endpoint.identity.clone());
        let shared = self.shared.clone();
        let shown = Scrapes::of(&shared.context.host).begin(Scrape {
            pool: shared.job.job_name.as_str().into(),
            url: endpoint.uri.to_string(),
            discovered: pairs(&endpoint.discovered),
            labels: pairs(&endpoint.identity.labels),
            interval: endpoint.interval,
            timeout: endpoint.timeout,
            ..Scrape::default()
        });
        let work = Scraping { shared, endpoint, target: Some(target), healthy: true, shown };
        self.tasks.spawn(work.run(first, told));
        self.running.insert(key, tell);
    }
}

/// One target being scraped.
struct Scraping {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    /// Away while a large page is read elsewhere.
    target: Option<Target>,
    /// What was last said in the log.
    healthy: bool,
    /// Where it can be looked at.
    shown: Entry,
}

fn pairs(labels: &LabelSet) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Resolves when the target is to end.
async fn ended(told: &mut watch::Receiver<State>) {
    // An error means that whoever tells is gone: the receiver stops.
    let _ = told.wait_for(|state| *state == State::End).await;
}

impl Scraping {
    async fn run(mut self, first: Duration, mut told: watch::Receiver<State>) {
        let begin = tokio::time::Instant::now() + first;
        let mut ticks = tokio::time::interval_at(begin, self.endpoint.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = ended(&mut told) => break,
                _ = ticks.tick() => {}
            }
            let too_many = *told.borrow() == State::TooMany;
            let (time, begun) = self.now();
            // A scrape under way ends with its timeout; stopping does not wait for it.
            let fetched = tokio::select! {
                () = ended(&mut told) => break,
                fetched = self.fetch(too_many) => fetched,
            };
            self.hand_over(fetched, time, begun).await;
        }
        let time = self.now().0;
        let last = self.target.as_mut().and_then(|target| target.end(time));
        if let Some(payload) = last {
            self.consume(payload, time, None).await;
        }
    }

    fn now(&self) -> (u64, u64) {
        let clock = &self.shared.context.clock;
        (clock.now(), clock.monotonic())
    }

    async fn fetch(&self, too_many: bool) -> basics::Result<Fetched> {
        if too_many {
            return Err(basics::Error::invalid("target_limit exceeded"));
        }
        let Endpoint { uri, timeout, .. } = &self.endpoint;
        self.shared.fetcher.fetch(uri, *timeout, self.shared.context.host.budget()).await
    }

    async fn hand_over(&mut self, fetched: basics::Result<Fetched>, time: u64, begun: u64) {
        let seconds = self.now().1.saturating_sub(begun) as f64 / 1e9;
        let facts = Facts { time, seconds };
        let (page, error) = match fetched {
            Ok(page) => (Some(page), None),
            Err(error) => (None, Some(error)),
        };
        let size = page.as_ref().map_or(0, |page| page.bytes.len());
        let (bytes, permit) = match page {
            Some(Fetched { bytes, format, permit }) => (Some((bytes, format)), Some(permit)),
            None => (None, None),
        };
        let Some(mut target) = self.target.take() else { return };
        let observe = move || {
            let page = bytes.as_ref().map(|(bytes, format)| Page { bytes, format: *format });
            let (payload, wrong) = target.observe(page, facts);
            (target, payload, wrong)
        };
        let done = match size {
            LARGE.. => tokio::task::spawn_blocking(observe).await.ok(),
            _ => Some(observe()),
        };
        let Some((target, payload, wrong)) = done else {
            // It panicked: begin anew, without what it knew.
            let fresh = Target::new(self.shared.rules.clone(), self.endpoint.identity.clone());
            self.target = Some(fresh);
            return;
        };
        self.target = Some(target);
        let failure = error.or(wrong);
        self.shown.scraped(time, seconds, failure.as_ref().map(ToString::to_string));
        self.tell(failure.as_ref());
        self.consume(payload, time, permit).await;
    }

    /// Logs when a target goes and when it comes back, not each time.
    fn tell(&mut self, error: Option<&basics::Error>) {
        let healthy = error.is_none();
        let changed = std::mem::replace(&mut self.healthy, healthy) != healthy;
        let (job, url) = (&self.shared.job.job_name, self.endpoint.uri.to_string());
        match error {
            Some(error) if changed => tracing::warn!(job, url, "scrape failed: {error}"),
            Some(error) => tracing::debug!(job, url, "scrape failed again: {error}"),
            None if changed => tracing::info!(job, url, "scraped again"),
            None => {}
        }
    }

    async fn consume(&self, payload: Payload, time: u64, permit: Option<Permit>) {
        let items = u64::from(payload.items());
        let meta = Meta { received: time, ..Meta::default() };
        let mut batch = Batch::new(payload, Arc::new(meta));
        if let Some(permit) = permit {
            batch = batch.holding(permit);
        }
        let outcome = self.shared.inlet.consume(batch).await;
        self.shared.meter.outcome(Signal::Metrics, items, &outcome);
        // Told when it begins and not for each target: all of a job go the same way.
        let refused = outcome.is_err();
        let told = self.shared.refused.swap(refused, Ordering::Relaxed);
        if let (Err(error), false) = (outcome, told) {
            tracing::warn!(job = self.shared.job.job_name, "scraped metrics refused: {error}");
        }
    }
}
