// SPDX-License-Identifier: Apache-2.0
//! What the components of one process share: telemetry, the memory budget, the clock, the data
//! directory, shared state by type.

use std::any::{Any, TypeId};
use std::path::PathBuf;
use std::sync::Arc;

use basics::{Clock, Result};
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::auth::Authenticators;
use crate::budget::Budget;
use crate::config::PipelinePlan;
use crate::health::Health;
use crate::ledger::Ledger;
use crate::telemetry::{Spans, Telemetry};

/// What runs, for those who show it.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Pipelines in the order of the file.
    pub pipelines: Vec<PipelinePlan>,
    /// Ids of the extensions in the order of their start.
    pub extensions: Vec<Arc<str>>,
}

/// Handle on the process's shared things; clone = refcount.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    clock: Clock,
    budget: Budget,
    telemetry: Telemetry,
    ledger: Ledger,
    health: Health,
    authenticators: Authenticators,
    listeners: net::pool::Pool,
    overview: Mutex<Arc<Overview>>,
    spans: Spans,
    shared: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Host {
    /// A host whose components keep their files under `data_dir`, on the machine's clock and with
    /// a budget by the machine's memory.
    pub fn new(data_dir: PathBuf) -> Self {
        Host::with(data_dir, Clock::system(), Budget::of_this_machine())
    }

    /// A host with a clock and a budget of one's own.
    pub fn with(data_dir: PathBuf, clock: Clock, budget: Budget) -> Self {
        let telemetry = Telemetry::new();
        let (used, limit) = (budget.clone(), budget.limit());
        telemetry.gauge_from(
            "foreglow_budget_used_bytes",
            "Bytes of telemetry in flight.",
            &[],
            move || used.used() as f64,
        );
        telemetry
            .gauge("foreglow_budget_limit_bytes", "Bytes of telemetry that may be in flight.", &[])
            .set(limit as f64);
        Host(Arc::new(Inner {
            data_dir,
            clock,
            budget,
            ledger: Ledger::new(telemetry.clone()),
            telemetry,
            health: Health::default(),
            authenticators: Authenticators::default(),
            listeners: net::pool::Pool::default(),
            overview: Mutex::default(),
            spans: Spans::default(),
            shared: Mutex::new(HashMap::new()),
        }))
    }

    /// The data directory (`--data`, default `./foreglow-data`).
    pub fn data_dir(&self) -> &std::path::Path {
        &self.0.data_dir
    }

    /// Time.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Bytes of telemetry the process may hold; receivers take from it before they read.
    pub fn budget(&self) -> &Budget {
        &self.0.budget
    }

    /// Where instruments are registered.
    pub fn telemetry(&self) -> &Telemetry {
        &self.0.telemetry
    }

    /// What became of all data, by pipeline and exporter.
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// Whether the process is ready.
    pub fn health(&self) -> &Health {
        &self.0.health
    }

    /// Authenticators by the id of their extension. Extensions are built first, so that what is
    /// built or started after them finds them here.
    pub fn authenticators(&self) -> &Authenticators {
        &self.0.authenticators
    }

    /// Where servers get their sockets, so that they survive a reload.
    pub fn listeners(&self) -> &net::pool::Pool {
        &self.0.listeners
    }

    /// Where own spans come from.
    pub fn spans(&self) -> &Spans {
        &self.0.spans
    }

    /// What runs now.
    pub fn overview(&self) -> Arc<Overview> {
        self.0.overview.lock().clone()
    }

    /// Says what runs now; the runtime does.
    pub fn set_overview(&self, overview: Overview) {
        *self.0.overview.lock() = Arc::new(overview);
    }

    /// Nobody gets the shared `T` called `name` from now on; who asks next makes a new one.
    pub fn forget<T: Any + Send + Sync>(&self, name: &str) {
        self.0.shared.lock().remove(&(TypeId::of::<T>(), name.to_owned()));
    }

    /// The shared `T` called `name`, made by `make` for whoever asks first. So the one store of a
    /// process is opened once, whatever number of exporters and extensions use it.
    ///
    /// # Errors
    /// What `make` says; nothing is kept then. `make` must not ask the host for shared things.
    pub fn shared<T: Any + Send + Sync>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        let key = (TypeId::of::<T>(), name.to_owned());
        let mut shared = self.0.shared.lock();
        if let Some(found) = shared.get(&key) {
            return Ok(found.clone().downcast::<T>().expect("keyed by its type"));
        }
        let made = Arc::new(make()?);
        shared.insert(key, made.clone());
        Ok(made)
    }

    /// The shared `T` called `name` if someone made it.
    pub fn find<T: Any + Send + Sync>(&self, name: &str) -> Option<Arc<T>> {
        let found = self.0.shared.lock().get(&(TypeId::of::<T>(), name.to_owned())).cloned()?;
        found.downcast::<T>().ok()
    }
}
