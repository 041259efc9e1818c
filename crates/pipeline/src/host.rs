// SPDX-License-Identifier: Apache-2.0
//! What the components of one process share: telemetry, the data directory, shared state by type.

use std::any::{Any, TypeId};
use std::path::PathBuf;
use std::sync::Arc;

use basics::Result;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Handle on the process's shared things; clone = refcount.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    data_dir: PathBuf,
    shared: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl Host {
    /// A host whose components keep their files under `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Host(Arc::new(Inner { data_dir, shared: Mutex::new(HashMap::new()) }))
    }

    /// The data directory (`--data`, default `./foreglow-data`).
    pub fn data_dir(&self) -> &std::path::Path {
        &self.0.data_dir
    }

    /// The shared `T` called `name`, made by `make` for whoever asks first. So the one store of a
    /// process is opened once, whatever number of exporters and extensions use it.
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
