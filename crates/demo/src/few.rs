// SPDX-License-Identifier: Apache-2.0
//! Instruments whose attributes are resolved once.
//!
//! The SDK looks up the series of a measurement by its attributes: it hashes all of them, for each
//! instrument, on each request. A service knows its few routes and outcomes, so that is done once for
//! each of them and found again by going through a short list.

use std::sync::Arc;

use parking_lot::RwLock;

/// Most that are kept: routes times methods, or statuses of one route. Further ones are made each time.
const FEW_MAX: usize = 128;

/// Values by key, a few of them.
pub(crate) struct Few<K, V>(RwLock<Vec<(K, Arc<V>)>>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Few(RwLock::default())
    }
}

impl<K, V> Few<K, V> {
    /// The value whose key `is_it`; made and kept if there is none yet.
    pub fn find(&self, is_it: impl Fn(&K) -> bool, make: impl FnOnce() -> (K, V)) -> Arc<V> {
        let find = |all: &Vec<(K, Arc<V>)>| {
            all.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone())
        };
        if let Some(value) = find(&self.0.read()) {
            return value;
        }
        let mut all = self.0.write();
        // Somebody else may have been faster.
        if let Some(value) = find(&all) {
            return value;
        }
        let (key, value) = make();
        let value = Arc::new(value);
        if all.len() < FEW_MAX {
            all.push((key, value.clone()));
        }
        value
    }
}
