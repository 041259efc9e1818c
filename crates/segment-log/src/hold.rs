// SPDX-License-Identifier: Apache-2.0
//! Which records are on their way: appended, but what becomes of them is not known yet.
//!
//! Whoever takes a record out of the log into something of its own (blocks) asks [`crate::Log::settled`]
//! up to where nothing is on its way any more. Bound: as many as there are records in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::Position;

/// Positions on their way, with how often each is held.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<BTreeMap<u64, u32>>);

impl Held {
    pub(crate) fn hold(self: &Arc<Self>, position: u64) -> Hold {
        *self.0.lock().entry(position).or_default() += 1;
        Hold { held: self.clone(), position }
    }

    pub(crate) fn oldest(&self) -> Option<Position> {
        self.0.lock().first_key_value().map(|(position, _)| Position(*position))
    }
}

/// A record on its way; dropped when its fate is known.
#[derive(Debug)]
pub struct Hold {
    held: Arc<Held>,
    position: u64,
}

impl Hold {
    /// Where the record is.
    pub fn position(&self) -> Position {
        Position(self.position)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.held.0.lock();
        if let Some(count) = held.get_mut(&self.position) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.position);
            }
        }
    }
}
