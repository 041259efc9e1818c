// SPDX-License-Identifier: Apache-2.0
//! What the receivers of this process scrape, for those who show it.
//!
//! In: a target when it begins, after each scrape, when it ends. Out: a list. Bound: one entry a
//! running target.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use basics::UnixNano;
use parking_lot::Mutex;

use crate::Host;

/// The name under which the host shares them.
const SCRAPES: &str = "scrapes";

/// One target.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// Its job as configured.
    pub pool: Arc<str>,
    /// The page.
    pub url: String,
    /// Labels before the rules for targets.
    pub discovered: Vec<(String, String)>,
    /// Labels put on every sample.
    pub labels: Vec<(String, String)>,
    /// Time between scrapes.
    pub interval: Duration,
    /// For one scrape.
    pub timeout: Duration,
    /// When the last one began; 0 = not yet.
    pub last: UnixNano,
    /// How long it took.
    pub seconds: f64,
    /// Why it failed.
    pub error: Option<String>,
}

/// All targets that run.
#[derive(Debug, Default)]
pub struct Scrapes(Mutex<BTreeMap<(Arc<str>, u64), Scrape>>);

/// A target's entry; it goes when this is dropped.
#[derive(Debug)]
pub struct Entry {
    all: Arc<Scrapes>,
    key: (Arc<str>, u64),
}

impl Scrapes {
    /// Those of `host`.
    pub fn of(host: &Host) -> Arc<Scrapes> {
        let made = host.shared(SCRAPES, || Ok(Scrapes::default()));
        // Making it cannot fail.
        made.unwrap_or_default()
    }

    /// Those of `host` if anything is scraped.
    pub fn find(host: &Host) -> Option<Arc<Scrapes>> {
        host.find(SCRAPES)
    }

    /// Adds a target.
    pub fn begin(self: &Arc<Self>, scrape: Scrape) -> Entry {
        let mut all = self.0.lock();
        let newest = all.keys().map(|(_, number)| *number).max().unwrap_or(0);
        let key = (scrape.pool.clone(), newest + 1);
        all.insert(key.clone(), scrape);
        Entry { all: self.clone(), key }
    }

    /// All targets, by job, in the order in which they were found.
    pub fn list(&self) -> Vec<Scrape> {
        self.0.lock().values().cloned().collect()
    }
}

impl Entry {
    /// Tells of a scrape.
    pub fn scraped(&self, begun: UnixNano, seconds: f64, error: Option<String>) {
        if let Some(scrape) = self.all.0.lock().get_mut(&self.key) {
            (scrape.last, scrape.seconds, scrape.error) = (begun, seconds, error);
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.key);
    }
}
