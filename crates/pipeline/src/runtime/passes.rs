// SPDX-License-Identifier: Apache-2.0
//! Neighbouring passes as one scan.
//!
//! A resource is edited by all fused passes before the elements under it. So a pass that reads its
//! resource (`reads_context`) ends the fusion where a later one edits resources: otherwise it
//! would see what the later one wrote.
//!
//! Each worker at work has instances of its own, taken from a pool that grows to the number of
//! workers; a panic throws the instances away, the batch is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use basics::{Error, Result};

use parking_lot::Mutex;

use super::chain::InHand;
use crate::batch::Batch;
use crate::ledger::{Fate, Reason};
use crate::pass::{Edited, Pass, edit};
use crate::telemetry::{Counter, ProcessorMeter};

type Make = Box<dyn Fn() -> Box<dyn Pass> + Send + Sync>;

/// One pass of a fusion.
pub(crate) struct Member {
    pub id: Arc<str>,
    pub make: Make,
    pub meter: ProcessorMeter,
    pub panics: Counter,
}

/// Passes that run in one scan.
pub(crate) struct Fused {
    members: Vec<Member>,
    /// True when one of them reads its resource.
    reads_context: bool,
    idle: Mutex<Vec<Vec<Box<dyn Pass>>>>,
}

impl Fused {
    pub fn new(first: Member) -> Self {
        let mut fused =
            Fused { members: Vec::new(), reads_context: false, idle: Mutex::new(Vec::new()) };
        fused.push(first);
        fused
    }

    /// True when `next` may run in the same scan as those that are here.
    pub fn may_follow(&self, next: &Member) -> bool {
        !(self.reads_context && (next.make)().edits_resources())
    }

    pub fn push(&mut self, next: Member) {
        self.reads_context |= (next.make)().reads_context();
        self.members.push(next);
    }

    /// `batch` after all passes; `None` when nothing of it is left.
    ///
    /// # Errors
    /// When a pass panicked on it. The acks are settled where no batch is given back.
    pub fn edit(&self, batch: Batch, hand: &mut InHand) -> Result<Option<Batch>> {
        let mut passes = self.take();
        let scan = || edit(&batch.payload, &mut passes);
        let Ok(edited) = catch_unwind(AssertUnwindSafe(scan)) else {
            drop(passes);
            let error = self.panicked();
            hand.less(Fate::Dropped(Reason::Panic), batch.items());
            batch.settle(Err(error.clone()));
            return Err(error);
        };
        self.idle.lock().push(passes);
        let incoming = batch.items();
        let left = match edited {
            Edited::Unchanged => Some(batch),
            Edited::Changed(payload) => Some(batch.with_payload(payload)),
            Edited::Empty => {
                batch.settle(Ok(()));
                None
            }
        };
        let outgoing = left.as_ref().map_or(0, Batch::items);
        hand.less(Fate::Filtered, incoming.saturating_sub(outgoing));
        for member in &self.members {
            member.meter.incoming(incoming);
            member.meter.outgoing(outgoing);
        }
        Ok(left)
    }

    fn take(&self) -> Vec<Box<dyn Pass>> {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| self.members.iter().map(|member| (member.make)()).collect())
    }

    fn panicked(&self) -> Error {
        let ids: Vec<&str> = self.members.iter().map(|member| &*member.id).collect();
        let ids = ids.join(", ");
        if let Some(member) = self.members.first() {
            member.panics.inc();
        }
        tracing::error!(processors = ids, "panicked on a batch, which is refused");
        // The same batch would do it again, so it must not come back.
        Error::rejected(format!("processor panicked (one of {ids})"))
    }
}
