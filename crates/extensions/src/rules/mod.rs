// SPDX-License-Identifier: Apache-2.0
//! `rules`: recording and alerting rules from files in Prometheus' format.
//!
//! In: the files, and the store of this process. Out: recorded series in that store, alerts to
//! Alertmanagers, and what `/api/v1/rules` and `/api/v1/alerts` tell. Groups are evaluated each at
//! its own moment of the interval, by a task of its own, from when all pipelines run until they
//! are about to stop. Files are looked at every [`LOOK`]: groups that changed begin anew with the
//! state of the rules they still have; a file that went wrong changes nothing and is told.
//! Source: Prometheus' rule manager.

mod config;
mod notifier;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Result};
use exporters::embedded_store::STORE;
use parking_lot::Mutex;
use pipeline::component::{Context, Extension, ExtensionFactory};
use pipeline::config::Decoded;
use pipeline::host::Host;
use query_api::rules::{Board, Running, Settings, Surroundings, file};
use store::Store;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use config::Config;
use notifier::Notifier;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "rules",
        aliases: &[],
        signals: &[],
        summary: "recording and alerting rules in Prometheus' format, alerts to Alertmanagers",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, context: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("rules was given another component's settings"))?;
    let notifier = Arc::new(Notifier::new(&config, &context)?);
    let settings = Arc::new(config.settings());
    Ok(Arc::new(Rules { config, context, settings, notifier, running: Mutex::new(None) }))
}

struct Rules {
    config: Arc<Config>,
    context: Context,
    settings: Arc<Settings>,
    notifier: Arc<Notifier>,
    running: Mutex<Option<Work>>,
}

/// What runs, and what ends it.
struct Work {
    stop: watch::Sender<bool>,
    manager: JoinHandle<()>,
    senders: JoinSet<()>,
}

#[async_trait]
impl Extension for Rules {
    async fn start(&self, host: &Host) -> Result<()> {
        let board = Board::of(host);
        board.set_alertmanagers(self.notifier.urls());
        board.set_external_labels(self.config.external_labels.clone());
        Ok(())
    }

    fn pipelines_ready(&self) {
        let host = &self.context.host;
        let Some(store) = host.find::<Store>(STORE) else {
            tracing::error!(
                "rules: nothing is stored here, so nothing is evaluated: add an embedded_store exporter"
            );
            return;
        };
        let with = Surroundings {
            store,
            clock: self.context.clock.clone(),
            limits: promql::Limits::default(),
            settings: self.settings.clone(),
        };
        let (stop, stopped) = watch::channel(false);
        let mut senders = JoinSet::new();
        self.notifier.start(&mut senders);
        let manager = Manager {
            config: self.config.clone(),
            notifier: self.notifier.clone(),
            board: Board::of(host),
            with,
            stopped,
            groups: BTreeMap::new(),
        };
        let manager = tokio::spawn(manager.run());
        *self.running.lock() = Some(Work { stop, manager, senders });
    }

    fn pipelines_stopping(&self) {
        if let Some(work) = &*self.running.lock() {
            // Nobody listens any more when all has ended.
            let _ = work.stop.send(true);
        }
    }

    async fn stop(&self) -> Result<()> {
        let work = self.running.lock().take();
        if let Some(mut work) = work {
            let _ = work.stop.send(true);
            // It ends by itself; a panic in it was told by the runtime.
            let _ = work.manager.await;
            work.senders.abort_all();
        }
        Ok(())
    }
}

/// Follows the files.
struct Manager {
    config: Arc<Config>,
    notifier: Arc<Notifier>,
    board: Arc<Board>,
    with: Surroundings,
    stopped: watch::Receiver<bool>,
    groups: BTreeMap<(String, String), Task>,
}

/// A group's task; what it was made of tells whether it changed.
struct Task {
    text: String,
    stop: watch::Sender<bool>,
    handle: JoinHandle<Running>,
}

impl Manager {
    async fn run(mut self) {
        let mut seen = None;
        loop {
            let looked = fingerprint(&self.config);
            if seen.as_ref() != Some(&looked) {
                seen = Some(looked);
                match groups(&self.config) {
                    Ok(groups) => self.follow(groups).await,
                    Err(error) => tracing::error!("rules are left as they are: {error}"),
                }
            }
            tokio::select! {
                _ = self.stopped.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        for (_, task) in std::mem::take(&mut self.groups) {
            let _ = task.stop.send(true);
            let _ = task.handle.await;
        }
    }

    async fn follow(&mut self, wanted: Vec<file::Group>) {
        let mut old = std::mem::take(&mut self.groups);
        for group in wanted {
            let key = (group.file.clone(), group.name.clone());
            let text = format!("{group:?}");
            let task = match old.remove(&key) {
                Some(task) if task.text == text => task,
                known => {
                    let before = match known {
                        Some(task) => ended(task).await,
                        None => None,
                    };
                    self.begin(Running::new(group, before), text)
                }
            };
            self.groups.insert(key, task);
        }
        for ((file, name), task) in old {
            self.board.hide(&file, &name);
            if let Some(mut running) = ended(task).await {
                let (with, now) = (self.with.clone(), self.with.clock.now_ms());
                let _ = tokio::task::spawn_blocking(move || running.end(now, &with)).await;
            }
        }
        tracing::info!(groups = self.groups.len(), "rules loaded");
    }

    fn begin(&self, running: Running, text: String) -> Task {
        self.board.show(running.shown(&self.with.settings));
        let (stop, stopped) = watch::channel(false);
        let beat = Beat {
            with: self.with.clone(),
            board: self.board.clone(),
            notifier: self.notifier.clone(),
            stopped,
        };
        Task { text, stop, handle: tokio::spawn(beat.run(running)) }
    }
}

async fn ended(task: Task) -> Option<Running> {
    let _ = task.stop.send(true);
    task.handle.await.ok()
}

/// Evaluates one group again and again.
struct Beat {
    with: Surroundings,
    board: Arc<Board>,
    notifier: Arc<Notifier>,
    stopped: watch::Receiver<bool>,
}

impl Beat {
    async fn run(mut self, mut running: Running) -> Running {
        let group = running.group();
        let interval = group.interval.unwrap_or(self.with.settings.interval);
        let interval_ms = (interval.as_millis() as i64).max(1);
        // Groups are spread over the interval, each at the same place of it after a restart.
        let name = [group.file.as_bytes(), &[0xff], group.name.as_bytes()].concat();
        let place_ms = (xxhash_rust::xxh3::xxh3_64(&name) % interval_ms as u64) as i64;
        loop {
            let now_ms = self.with.clock.now_ms();
            let last_ms = now_ms - (now_ms - place_ms).rem_euclid(interval_ms);
            let wait_ms = (last_ms + interval_ms - now_ms).max(0) as u64;
            tokio::select! {
                _ = self.stopped.wait_for(|stop| *stop) => return running,
                () = tokio::time::sleep(Duration::from_millis(wait_ms)) => {}
            }
            // Late by less than an interval it is the moment that was waited for that counts.
            let due_ms = last_ms + interval_ms;
            let now_ms = self.with.clock.now_ms();
            let due_ms = due_ms.max(now_ms - (now_ms - place_ms).rem_euclid(interval_ms));
            let with = self.with.clone();
            let work = tokio::task::spawn_blocking(move || {
                let notices = running.evaluate(due_ms, &with);
                (running, notices)
            });
            let (back, notices) = match work.await {
                Ok(done) => done,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            };
            running = back;
            self.board.show(running.shown(&self.with.settings));
            self.notifier.tell(&notices);
        }
    }
}

/// All groups of all files.
fn groups(config: &Config) -> Result<Vec<file::Group>> {
    let mut all = Vec::new();
    for pattern in &config.files {
        for path in config::matching(pattern).map_err(Error::invalid)? {
            all.extend(file::load(&path)?);
        }
    }
    Ok(all)
}

/// Names, sizes and times of all files.
fn fingerprint(config: &Config) -> Vec<String> {
    let mut all = Vec::new();
    for path in
        config.files.iter().flat_map(|pattern| config::matching(pattern).unwrap_or_default())
    {
        let facts = std::fs::metadata(&path).ok();
        let facts = facts.map(|facts| (facts.len(), facts.modified().ok()));
        all.push(format!("{}: {facts:?}", path.display()));
    }
    all
}
