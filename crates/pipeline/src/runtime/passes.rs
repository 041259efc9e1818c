// SPDX-License-Identifier: Apache-2.0
//! Neighbouring passes as one scan.
//!
//! A resource is edited by all fused passes before the elements under it, a metric before its
//! points. So a pass that reads what is above its elements (`reads_context`) ends the fusion where
//! a later one may edit that: otherwise it would see what the later one wrote.
//!
//! Each worker at work has instances of its own, taken from a pool that grows to the number of
//! workers; a panic throws the instances away, the batch is refused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::{Asked, Edited, Origin, Pass, Scratch, Signal, Visits};

use parking_lot::Mutex;

use super::chain::InHand;
use crate::batch::Batch;
use crate::ledger::{Fate, Reason};
use crate::telemetry::{Counter, ProcessorMeter};

type Make = Box<dyn Fn() -> Box<dyn Pass> + Send + Sync>;

/// One pass of a fusion.
pub(crate) struct Member {
    pub id: Arc<str>,
    pub make: Make,
    pub meter: ProcessorMeter,
    pub panics: Counter,
    pub signal: Signal,
}

/// Passes that run in one scan.
pub(crate) struct Fused {
    members: Vec<Member>,
    /// True when one of them reads its context.
    reads_context: bool,
    idle: Mutex<Vec<Instances>>,
}

/// What one worker scans with.
struct Instances {
    passes: Vec<Box<dyn Pass>>,
    scratch: Scratch,
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
        // What is timed works alone.
        if next.meter.is_timed() {
            return false;
        }
        !(self.reads_context && may_edit_context((next.make)().visits(), next.signal))
    }

    pub fn push(&mut self, next: Member) {
        self.reads_context |= (next.make)().reads_context();
        self.members.push(next);
    }

    /// What its passes look at in the request that brought a batch.
    pub fn asks(&self) -> Vec<Asked> {
        self.members.iter().flat_map(|member| (member.make)().asks()).collect()
    }

    /// `batch` after all passes; `None` when nothing of it is left.
    ///
    /// # Errors
    /// When a pass panicked on it. The acks are settled where no batch is given back.
    pub fn edit(&self, batch: Batch, hand: &mut InHand) -> Result<Option<Batch>> {
        let mut with = self.take();
        let meta = &*batch.meta;
        let origin = Origin { client: meta.client, headers: &meta.headers, auth: &meta.auth };
        let mut scan = || {
            with.passes.iter_mut().for_each(|pass| pass.begin(&origin));
            batch.payload.edit(&mut with.passes, &mut with.scratch)
        };
        let timed = || match self.members.first() {
            Some(first) => first.meter.timed(scan),
            None => scan(),
        };
        let Ok(edited) = catch_unwind(AssertUnwindSafe(timed)) else {
            let error = self.panicked();
            hand.less(Fate::Dropped(Reason::Panic), batch.items());
            batch.settle(Err(error.clone()));
            return Err(error);
        };
        let mut items = batch.items();
        let mut sampled_out = 0;
        let passes = self.members.iter().zip(&with.passes);
        for ((member, pass), dropped) in passes.zip(with.scratch.dropped()) {
            let dropped = u64::from(*dropped);
            member.meter.incoming(items);
            items = items.saturating_sub(dropped);
            member.meter.outgoing(items);
            sampled_out += if pass.is_sampler() { dropped } else { 0 };
        }
        self.idle.lock().push(with);
        let mut leaves_out = |items: u64| {
            hand.less(Fate::SampledOut, sampled_out.min(items));
            hand.less(Fate::Filtered, items.saturating_sub(sampled_out));
        };
        let left = match edited {
            Edited::Unchanged => Some(batch),
            Edited::Changed(payload) => {
                leaves_out(batch.items().saturating_sub(u64::from(payload.items())));
                Some(batch.with_payload(payload))
            }
            Edited::Empty => {
                leaves_out(batch.items());
                batch.settle(Ok(()));
                None
            }
        };
        Ok(left)
    }

    fn take(&self) -> Instances {
        let idle = self.idle.lock().pop();
        idle.unwrap_or_else(|| Instances {
            passes: self.members.iter().map(|member| (member.make)()).collect(),
            scratch: Scratch::new(),
        })
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

/// Resources and scopes are above everything, metrics above points.
fn may_edit_context(visits: Visits, signal: Signal) -> bool {
    let includes = |part: Visits| visits.and(part) == visits;
    includes(Visits::RESOURCES)
        || includes(Visits::SCOPES)
        || (signal == Signal::Metrics && includes(Visits::ITEMS))
}
