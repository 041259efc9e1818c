// SPDX-License-Identifier: Apache-2.0
//! Batches that may become one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use basics::UnixNano;
use otlp_wire::Payload;
use pipeline::{Acks, Batch, Meta};

/// What batches must have in common to be joined.
#[derive(PartialEq, Eq)]
pub(super) struct Key {
    pub replay: bool,
    pub tenant: Arc<str>,
    pub metadata: Vec<(String, String)>,
}

/// Batches of one key, in the order they came.
pub(super) struct Group {
    pub key: Key,
    /// Monotonic time from which its age counts.
    pub since: u64,
    parts: Vec<Payload>,
    /// Who waits, with the number of items they wait for, in order.
    waiting: VecDeque<(u64, Acks)>,
    items: u64,
    /// When the oldest part was received.
    received: UnixNano,
}

impl Group {
    pub fn new(key: Key, since: u64) -> Self {
        Group {
            key,
            since,
            parts: Vec::new(),
            waiting: VecDeque::new(),
            items: 0,
            received: u64::MAX,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    pub fn items(&self) -> u64 {
        self.items
    }

    /// How old it is at the monotonic time `now`.
    pub fn age(&self, now: u64) -> Duration {
        Duration::from_nanos(now.saturating_sub(self.since))
    }

    pub fn add(&mut self, batch: Batch) {
        self.items += batch.items();
        self.received = self.received.min(batch.meta.received);
        self.waiting.push_back((batch.items(), batch.acks));
        self.parts.push(batch.payload);
    }

    /// Takes batches of at most `max` items (0 = any number) as long as at least `at_least` are
    /// there; what is less stays.
    pub fn take(&mut self, max: u32, at_least: u64) -> Vec<Batch> {
        let meta = Arc::new(Meta {
            received: self.received,
            headers: self.key.metadata.clone(),
            tenant: self.key.tenant.clone(),
            replay: self.key.replay,
            ..Meta::default()
        });
        let mut pieces = Payload::concat(&std::mem::take(&mut self.parts)).split(max);
        // Only the last piece can be smaller than the others.
        if let Some(last) = pieces.pop_if(|last| u64::from(last.items()) < at_least) {
            self.parts.push(last);
        }
        let batches = pieces.into_iter().map(|payload| {
            let acks = self.acks_of(u64::from(payload.items()));
            Batch { acks, ..Batch::new(payload, meta.clone()) }
        });
        batches.collect()
    }

    /// The acks of the next `items` items: of everyone who waits for one of them.
    fn acks_of(&mut self, mut items: u64) -> Acks {
        self.items -= items;
        let mut acks = Acks::none();
        while items > 0 {
            let Some((waits_for, waiting)) = self.waiting.pop_front() else { break };
            if waits_for > items {
                acks.join(waiting.clone());
                self.waiting.push_front((waits_for - items, waiting));
                break;
            }
            items -= waits_for;
            acks.join(waiting);
        }
        acks
    }
}
