// SPDX-License-Identifier: Apache-2.0
//! The traces in memory: which there are, when each is due, which one makes room.
//!
//! Spans are copied out of their requests into one buffer a trace, so that no trace pins a request;
//! resources and scopes are shared by all traces that have equal ones. A decided trace keeps its
//! entry, without spans, for late ones. Bounds: the sampler's `num_traces`; queues hold at most
//! twice the traces they stand for, stale entries are swept.

use std::collections::VecDeque;
use std::sync::Arc;

use basics::UnixNano;
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use otlp_wire::{Head, SpanSet, SpanView, TraceId};
use pipeline::Meta;

/// What a trace costs beside its spans: its entry, its place in the queues, its buffers' own.
pub(super) const TRACE_COST: u64 = 256;

/// Stale entries of a queue that are not worth a sweep.
const STALE_MAX: usize = 1024;

/// One trace.
#[derive(Debug)]
pub(super) struct Trace {
    /// Its spans, until it is decided about.
    pub parts: Vec<Part>,
    /// When its first span came.
    pub arrived: UnixNano,
    due: UnixNano,
    /// Spans so far.
    pub spans: u64,
    /// Bytes of its spans so far, with resource and scope once for each run of them.
    pub bytes: u64,
    /// What was decided.
    pub decided: Option<Decided>,
}

/// A decision.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decided {
    pub keep: bool,
    /// When policies decided; `None` if the trace was too large to ask them.
    pub at: Option<UnixNano>,
}

/// The spans of a trace that go on in the same way.
#[derive(Debug)]
pub(super) struct Part {
    /// Live or read back, and whose.
    pub class: Arc<Meta>,
    pub spans: SpanSet,
}

impl Trace {
    fn new(arrived: UnixNano, due: UnixNano) -> Self {
        Trace { parts: Vec::new(), arrived, due, spans: 0, bytes: 0, decided: None }
    }

    /// Adds a copy of `span`; gives the bytes that it takes more.
    pub fn push(&mut self, class: &Arc<Meta>, head: &Arc<Head>, span: SpanView<'_>) -> u64 {
        let at = self.parts.iter().position(|part| Arc::ptr_eq(&part.class, class));
        let at = at.unwrap_or_else(|| {
            self.parts.push(Part { class: class.clone(), spans: SpanSet::default() });
            self.parts.len() - 1
        });
        let spans = &mut self.parts[at].spans;
        let (size, len) = (spans.size(), spans.encoded_len());
        spans.push(head, span);
        self.spans += 1;
        self.bytes += (spans.encoded_len() - len) as u64;
        (spans.size() - size) as u64
    }

    /// Bytes that its spans take.
    pub fn held(&self) -> u64 {
        self.parts.iter().map(|part| part.spans.size() as u64).sum()
    }
}

/// When a trace is due.
#[derive(Debug)]
struct Due {
    at: UnixNano,
    id: TraceId,
}

/// All traces.
#[derive(Debug, Default)]
pub(super) struct Traces {
    table: HashMap<TraceId, Trace, RandomState>,
    /// Undecided ones as they came, which is when they are due; with stale entries.
    waiting: VecDeque<Due>,
    /// Those that are due earlier because their root came; with stale entries.
    hurried: VecDeque<Due>,
    /// Decided ones that are still in memory, first decided first.
    decided: VecDeque<TraceId>,
    undecided: usize,
}

impl Traces {
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn get_mut(&mut self, id: &TraceId) -> Option<&mut Trace> {
        self.table.get_mut(id)
    }

    /// A new trace; there must be none of this id.
    pub fn insert(&mut self, id: TraceId, now: UnixNano, due: UnixNano) -> &mut Trace {
        sweep(&mut self.waiting, &self.table, self.undecided);
        self.waiting.push_back(Due { at: due, id });
        self.undecided += 1;
        self.table.entry(id).insert(Trace::new(now, due)).into_mut()
    }

    /// The trace is due at `due` if that is earlier than it would be.
    pub fn hurry(&mut self, id: &TraceId, due: UnixNano) {
        let Some(trace) = self.table.get_mut(id) else { return };
        if trace.decided.is_none() && due < trace.due {
            trace.due = due;
            self.hurried.push_back(Due { at: due, id: *id });
            sweep(&mut self.hurried, &self.table, self.undecided);
        }
    }

    /// When the next trace is due. It may turn out that none is.
    pub fn next_due(&self) -> Option<UnixNano> {
        [&self.waiting, &self.hurried].into_iter().filter_map(|it| it.front()).map(|it| it.at).min()
    }

    /// The undecided trace that is due first, if that is at `now` or before.
    pub fn pop_due(&mut self, now: UnixNano) -> Option<TraceId> {
        loop {
            let first = |queue: &VecDeque<Due>| queue.front().map_or(u64::MAX, |due| due.at);
            let hurried = first(&self.hurried) < first(&self.waiting);
            let queue = if hurried { &mut self.hurried } else { &mut self.waiting };
            queue.front().filter(|due| due.at <= now)?;
            let due = queue.pop_front()?;
            if is_valid(&self.table, &due) {
                return Some(due.id);
            }
        }
    }

    /// The undecided trace that came first.
    pub fn pop_oldest(&mut self) -> Option<TraceId> {
        loop {
            let Due { id, .. } = self.waiting.pop_front()?;
            if self.table.get(&id).is_some_and(|trace| trace.decided.is_none()) {
                return Some(id);
            }
        }
    }

    /// Notes the decision about a trace; its spans are the caller's now.
    pub fn decide(&mut self, id: &TraceId, decided: Decided, remember: bool) -> Option<Trace> {
        let trace = self.table.get_mut(id).filter(|trace| trace.decided.is_none())?;
        self.undecided -= 1;
        trace.decided = Some(decided);
        if !remember {
            return self.table.remove(id);
        }
        self.decided.push_back(*id);
        let parts = std::mem::take(&mut trace.parts);
        Some(Trace { parts, ..*trace })
    }

    /// Removes an undecided trace.
    pub fn remove(&mut self, id: &TraceId) -> Option<Trace> {
        let trace = self.table.remove(id)?;
        self.undecided -= usize::from(trace.decided.is_none());
        Some(trace)
    }

    /// For tests: entries of the two queues of undecided traces.
    #[cfg(test)]
    pub fn queues(&self) -> (usize, usize) {
        (self.waiting.len(), self.hurried.len())
    }

    /// For tests: the trace is there and not decided.
    #[cfg(test)]
    pub fn is_waiting(&self, id: &TraceId) -> bool {
        self.table.get(id).is_some_and(|trace| trace.decided.is_none())
    }

    /// Forgets the trace that was decided first.
    pub fn forget_one(&mut self) -> Option<Trace> {
        let id = self.decided.pop_front()?;
        self.table.remove(&id)
    }
}

type Table = HashMap<TraceId, Trace, RandomState>;

/// It stands for an undecided trace that is due then.
fn is_valid(table: &Table, due: &Due) -> bool {
    table.get(&due.id).is_some_and(|trace| trace.decided.is_none() && trace.due == due.at)
}

/// Removes stale entries when there are more of them than of others. In `waiting` a hurried trace
/// is one of the others: it has to be found there if it is the oldest.
fn sweep(queue: &mut VecDeque<Due>, table: &Table, undecided: usize) {
    if queue.len() > 2 * undecided + STALE_MAX {
        queue.retain(|due| table.get(&due.id).is_some_and(|trace| trace.decided.is_none()));
    }
}

/// Resources and scopes, each kept once as long as a trace refers to it.
#[derive(Debug, Default)]
pub(super) struct Heads {
    known: HashSet<Arc<Head>, RandomState>,
    bytes: u64,
    /// How many there were after the last sweep.
    swept: usize,
}

impl Heads {
    /// The one that equals `head`.
    pub fn shared(&mut self, head: Head) -> Arc<Head> {
        if let Some(known) = self.known.get(&head) {
            return known.clone();
        }
        self.bytes += head.size() as u64;
        let head = Arc::new(head);
        self.known.insert(head.clone());
        head
    }

    /// Bytes they take.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets those that no trace refers to, when there may be many or memory is wanted.
    pub fn sweep(&mut self, now: bool) {
        if !now && self.known.len() <= 2 * self.swept + STALE_MAX {
            return;
        }
        self.known.retain(|head| Arc::strong_count(head) > 1);
        self.swept = self.known.len();
        self.bytes = self.known.iter().map(|head| head.size() as u64).sum();
    }
}
