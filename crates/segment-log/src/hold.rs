// SPDX-License-Identifier: Apache-2.0
//! Which records are on their way: appended, but what becomes of them is not known yet.
//!
//! Whoever takes a record out of the log into something of its own (blocks) asks [`crate::Log::settled`]
//! up to where nothing is on its way any more. Bound: as many as there are records in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use basics::UnixNano;
use parking_lot::Mutex;

use crate::Position;

/// Positions on their way, with how often each is held and when its record was received.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<BTreeMap<u64, (u32, UnixNano)>>);

impl Held {
    pub(crate) fn hold(self: &Arc<Self>, position: u64, received: UnixNano) -> Hold {
        self.0.lock().entry(position).or_insert((0, received)).0 += 1;
        Hold { held: self.clone(), position }
    }

    /// The oldest, and the earliest time at which one of them was received.
    pub(crate) fn oldest(&self) -> Option<(u64, UnixNano)> {
        let held = self.0.lock();
        let (position, _) = held.first_key_value()?;
        let received = held.values().map(|(_, received)| *received).min()?;
        Some((*position, received))
    }
}

/// Up to where nothing is on its way any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Whatever becomes of the records before it has become of them.
    pub position: Position,
    /// The earliest time at which a record was received that is on its way; none when nothing is.
    pub received: Option<UnixNano>,
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
        if let Some((count, _)) = held.get_mut(&self.position) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.position);
            }
        }
    }
}
