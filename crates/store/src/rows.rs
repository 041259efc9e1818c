// SPDX-License-Identifier: Apache-2.0
//! Rows of spans and logs in memory: copies in arrival order, until a block holds them.
//!
//! In: elements of payloads with what is above them. Out: [`Rows`], a snapshot of chunks that is
//! read without a lock; rows that a flush takes stay readable until it says that its block is there.
//!
//! ```text
//! chunk = rows (what searches look at, 80 to 100 bytes) | bytes (the encoded elements, one buffer)
//! ```
//! Blocks of rows are [`element`] (columns), [`index`], [`mod@write`] and [`read`].
//! No request is pinned: bytes are copied. Bounds: [`Limits`]; past them the oldest chunk goes and
//! is counted, since the log still has it. Elements of one resource and scope share a [`RowHead`].

pub(crate) mod element;
pub(crate) mod index;
pub(crate) mod pack;
pub(crate) mod read;
pub(crate) mod write;

use std::collections::VecDeque;
use std::sync::Arc;

use basics::UnixNano;
use hashbrown::HashMap;
use otlp_wire::{Head, ResourceView, ScopeView};
use parking_lot::RwLock;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes of a chunk: copied by each question that meets it half full, in some 50 us.
const CHUNK_BYTES: usize = 512 << 10;
/// Rows of a chunk, where elements are tiny.
const CHUNK_ROWS: usize = 4096;
/// Most heads shared at a time: more resources than one process hears of between two flushes. Past
/// it sharing begins anew.
const HEADS_MAX: usize = 16 << 10;

/// Bounds of what is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most bytes, rows and elements. 16 MiB: some 40,000 spans, and a third of what an idle process
    /// may take.
    pub bytes_max: usize,
    /// Most rows. 1,000,000: bounds a scan where elements are tiny.
    pub rows_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes_max: 16 << 20, rows_max: 1_000_000 }
    }
}

/// How full memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes kept.
    pub bytes: u64,
    /// Rows kept.
    pub items: u64,
    /// Rows let go for want of room since the start.
    pub dropped: u64,
}

/// What stands above an element, and what every question asks of it.
#[derive(Debug)]
pub struct RowHead {
    /// Resource and scope.
    pub head: Arc<Head>,
    /// `service.name`; empty when there is none.
    pub service: Arc<str>,
    /// Hash of the head's bytes.
    pub hash: u64,
}

impl RowHead {
    /// From what a request holds.
    pub fn new(head: Head) -> RowHead {
        let name = head.resource().attr("service.name");
        let service = name.map(|name| name.text().into_owned()).unwrap_or_default().into();
        let (resource, scope) = head.parts();
        let hash = xxh3_64_with_seed(scope, xxh3_64(resource));
        RowHead { head: Arc::new(head), service, hash }
    }
}

/// One element: `M` is what searches look at.
#[derive(Clone, Debug)]
pub struct Row<M> {
    /// The fields that searches look at.
    pub meta: M,
    /// What is above it.
    pub head: Arc<RowHead>,
    /// When its request was received.
    pub received: UnixNano,
    at: u32,
    len: u32,
}

/// What a row tells about itself.
pub trait Meta: Clone {
    /// When it happened, Unix nanoseconds: a span's start, a record's time.
    fn time(&self) -> u64;
}

/// Neighbours in order of arrival.
#[derive(Clone, Debug)]
pub struct Chunk<M> {
    rows: Vec<Row<M>>,
    bytes: Vec<u8>,
    /// Number of the first row since the start.
    first: u64,
    tmin: u64,
    tmax: u64,
}

impl<M: Meta> Chunk<M> {
    fn new(first: u64) -> Self {
        Chunk { rows: Vec::new(), bytes: Vec::new(), first, tmin: u64::MAX, tmax: 0 }
    }

    fn push(&mut self, meta: M, head: Arc<RowHead>, received: UnixNano, raw: &[u8]) {
        let (at, time) = (self.bytes.len() as u32, meta.time());
        self.bytes.extend_from_slice(raw);
        self.tmin = self.tmin.min(time);
        self.tmax = self.tmax.max(time);
        self.rows.push(Row { meta, head, received, at, len: raw.len() as u32 });
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.rows.len() * size_of::<Row<M>>()
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= CHUNK_ROWS || self.bytes.len() >= CHUNK_BYTES
    }

    /// True when a row may lie in `start..=end`.
    pub fn touches(&self, start: u64, end: u64) -> bool {
        self.tmin <= end && self.tmax >= start
    }

    /// Earliest and latest time of its rows.
    pub fn times(&self) -> (u64, u64) {
        (self.tmin, self.tmax)
    }

    /// Rows with their encoded elements, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Row<M>, &[u8])> {
        self.rows.iter().map(|row| (row, &self.bytes[row.at as usize..][..row.len as usize]))
    }

    /// Rows numbered since the start of the process, from `number` on.
    pub fn after(&self, number: u64) -> impl Iterator<Item = (u64, &Row<M>, &[u8])> {
        let skip = number.saturating_sub(self.first) as usize;
        let numbers = self.first + skip as u64..;
        numbers.zip(self.iter().skip(skip)).map(|(n, (row, raw))| (n, row, raw))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows that `takes` says yes to.
    fn part(&self, takes: impl Fn(&Row<M>) -> bool) -> Chunk<M> {
        let mut part = Chunk::new(self.first);
        for (row, raw) in self.iter().filter(|(row, _)| takes(row)) {
            part.push(row.meta.clone(), row.head.clone(), row.received, raw);
        }
        part
    }
}

/// A snapshot of chunks, oldest first.
#[derive(Clone, Debug)]
pub struct Rows<M> {
    /// The chunks.
    pub chunks: Vec<Arc<Chunk<M>>>,
}

impl<M: Meta> Rows<M> {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.len()).sum()
    }

    /// True when there is no row.
    pub fn is_empty(&self) -> bool {
        self.chunks.iter().all(|chunk| chunk.is_empty())
    }

    /// Rows with their encoded elements, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&Row<M>, &[u8])> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

/// A number for the content of an element under its head: the same after a restart, and after
/// processors that edit the same way, so that a replay can leave out what a block already holds. The
/// order of fields plays no part, since a block does not keep it.
pub fn content_hash(head: &RowHead, raw: &[u8]) -> u64 {
    pack::content(raw) ^ head.hash
}

/// The rows of one signal.
#[derive(Debug)]
pub(crate) struct Memory<M> {
    limits: Limits,
    kept: RwLock<Kept<M>>,
}

#[derive(Debug)]
struct Kept<M> {
    full: VecDeque<Arc<Chunk<M>>>,
    open: Chunk<M>,
    heads: HashMap<Head, Arc<RowHead>, foldhash::fast::RandomState>,
    next: u64,
    stats: Stats,
}

impl<M: Meta> Memory<M> {
    pub(crate) fn new(limits: Limits) -> Self {
        let kept = Kept {
            full: VecDeque::new(),
            open: Chunk::new(0),
            heads: HashMap::default(),
            next: 0,
            stats: Stats::default(),
        };
        Memory { limits, kept: RwLock::new(kept) }
    }

    /// Copies the elements of one scope.
    pub(crate) fn push<'a>(
        &self,
        resource: &ResourceView<'_>,
        scope: &ScopeView<'_>,
        received: UnixNano,
        elements: impl Iterator<Item = (M, &'a [u8])>,
        held: Option<&dyn Fn(u64) -> bool>,
    ) {
        let head = Head::of(resource, scope);
        let mut kept = self.kept.write();
        let kept = &mut *kept;
        let head = kept.share(head);
        for (meta, raw) in elements {
            if held.is_some_and(|held| held(content_hash(&head, raw))) {
                continue;
            }
            if kept.open.is_full() {
                kept.close();
            }
            kept.next += 1;
            kept.stats.items += 1;
            kept.stats.bytes += (raw.len() + size_of::<Row<M>>()) as u64;
            kept.open.push(meta, head.clone(), received, raw);
        }
        while kept.stats.bytes > self.limits.bytes_max as u64
            || kept.stats.items > self.limits.rows_max as u64
        {
            let Some(oldest) = kept.full.pop_front() else { return };
            kept.forget(&oldest);
            kept.stats.dropped += oldest.len() as u64;
        }
    }

    /// All rows.
    pub(crate) fn rows(&self) -> Rows<M> {
        let kept = self.kept.read();
        let mut chunks: Vec<_> = kept.full.iter().cloned().collect();
        if !kept.open.is_empty() {
            chunks.push(Arc::new(kept.open.clone()));
        }
        Rows { chunks }
    }

    /// The number of the next row.
    pub(crate) fn next(&self) -> u64 {
        self.kept.read().next
    }

    /// All rows received before `cut`. They stay here until [`Memory::release`].
    pub(crate) fn take(&self, cut: UnixNano) -> Rows<M> {
        let mut kept = self.kept.write();
        kept.close();
        let mut chunks = Vec::new();
        let mut left = VecDeque::new();
        for chunk in std::mem::take(&mut kept.full) {
            let early = chunk.rows.iter().filter(|row| row.received < cut).count();
            if early == 0 || early == chunk.len() {
                if early > 0 {
                    chunks.push(chunk.clone());
                }
                left.push_back(chunk);
                continue;
            }
            let before = Arc::new(chunk.part(|row| row.received < cut));
            chunks.push(before.clone());
            left.push_back(before);
            left.push_back(Arc::new(chunk.part(|row| row.received >= cut)));
        }
        kept.full = left;
        Rows { chunks }
    }

    /// Forgets rows that [`Memory::take`] gave: a block holds them now.
    pub(crate) fn release(&self, rows: &Rows<M>) {
        let mut kept = self.kept.write();
        let kept = &mut *kept;
        let gone =
            |chunk: &Arc<Chunk<M>>| rows.chunks.iter().any(|other| Arc::ptr_eq(chunk, other));
        let (out, left): (VecDeque<_>, _) =
            std::mem::take(&mut kept.full).into_iter().partition(gone);
        kept.full = left;
        out.iter().for_each(|chunk| kept.forget(chunk));
    }

    pub(crate) fn stats(&self) -> Stats {
        self.kept.read().stats
    }
}

impl<M: Meta> Kept<M> {
    fn share(&mut self, head: Head) -> Arc<RowHead> {
        if let Some(shared) = self.heads.get(&head) {
            return shared.clone();
        }
        if self.heads.len() >= HEADS_MAX {
            self.heads.clear();
        }
        let shared = Arc::new(RowHead::new(head.clone()));
        self.heads.insert(head, shared.clone());
        shared
    }

    fn close(&mut self) {
        let next = Chunk::new(self.next);
        let full = std::mem::replace(&mut self.open, next);
        if !full.is_empty() {
            self.full.push_back(Arc::new(full));
        }
    }

    fn forget(&mut self, chunk: &Chunk<M>) {
        self.stats.items -= chunk.len() as u64;
        self.stats.bytes -= chunk.size() as u64;
    }
}
