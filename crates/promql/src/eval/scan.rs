// SPDX-License-Identifier: Apache-2.0
//! Goes through the series of a selection and makes a column of each: one at a time, in the order
//! of their labels, so that only what the taker keeps takes memory.
//!
//! Over many samples several threads make the columns. They are taken in the same order as by one
//! thread, so the answer is the same bit by bit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use basics::labels::Labels;

use super::column::Column;
use super::digest;
use super::plan::Plans;
use super::{Evaluated, Evaluation, Sink, labels};
use crate::engine::{Grid, QueryError, Watch};
use crate::histogram::{FloatHistogram, ResetHint};
use crate::notes::Notes;
use crate::number::is_stale;
use crate::source::{Buffer, Digest, HistogramSample, Known, Samples, Selection};

/// What a selector found, with its series in the order of their labels.
pub(super) struct Fetched<'a> {
    selection: Box<dyn Selection + 'a>,
    order: Vec<u32>,
}

impl<'a> Fetched<'a> {
    pub(super) fn new(selection: Box<dyn Selection + 'a>) -> Self {
        let mut order: Vec<u32> = (0..selection.len() as u32).collect();
        let of = |at: &u32| selection.labels(*at as usize);
        if !order.is_sorted_by(|a, b| labels::order(of(a), of(b)).is_le()) {
            order.sort_unstable_by(|a, b| labels::order(of(a), of(b)));
        }
        Fetched { selection, order }
    }

    pub(super) fn held(&self) -> usize {
        self.selection.held()
    }
}

/// One series as a job sees it.
pub(super) struct RangeSeries<'a> {
    pub labels: &'a Labels,
    pub drop_name: bool,
    pub times: &'a Arc<[i64]>,
    pub values: &'a [f64],
    /// Start times aligned with `times`, or empty.
    pub starts: &'a [i64],
    pub histograms: &'a [HistogramSample],
    pub known: Known,
    /// Runs whose values are left out of `values`.
    pub digests: &'a [Digest],
}

impl RangeSeries<'_> {
    /// True for numbers alone, with unknown start times.
    pub(super) fn is_plain(&self) -> bool {
        self.histograms.is_empty() && self.starts.is_empty()
    }
}

/// What a job has at hand, kept from series to series.
pub(super) struct Tools {
    pub plans: Plans,
    pub scratch: Vec<f64>,
    pub notes: Notes,
    pub watch: Watch,
}

impl Tools {
    pub(super) fn new(watch: Watch) -> Self {
        Tools { plans: Plans::default(), scratch: vec![], notes: Notes::default(), watch }
    }
}

/// Makes the column of one series.
pub(super) type Job<'j> =
    dyn Fn(&RangeSeries<'_>, &mut Tools, &mut Column) -> Evaluated<()> + Sync + 'j;

/// What is done to samples before a job sees them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Treatment {
    /// Staleness markers are taken out.
    pub strip: bool,
    /// Unknown reset hints of histograms are settled.
    pub set_hints: bool,
}

/// Series of one go: enough to be worth handing over, few enough to share evenly.
const BLOCK: usize = 16;

/// Samples from which on several threads pay: some milliseconds of work.
const SAMPLES_FOR_THREADS: usize = 1 << 20;

impl<'a> Evaluation<'a> {
    /// Runs `job` over all series; gives `sink` the columns that have a sample.
    pub(super) fn scan(
        &mut self,
        fetched: &Fetched<'a>,
        grid: Grid,
        treatment: Treatment,
        job: &Job<'_>,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let samples = || fetched.order.iter().map(|at| fetched.selection.samples(*at as usize));
        let blocks = fetched.order.len().div_ceil(BLOCK);
        let wanted = match blocks > 1 && samples().sum::<usize>() >= SAMPLES_FOR_THREADS {
            true => blocks.min(self.limits.threads_max),
            false => 1,
        };
        let threads = Threads::take(wanted, self.limits.threads_max);
        if threads.0 > 1 {
            return self.scan_by_threads(fetched, grid, treatment, job, sink, threads.0);
        }
        let mut worker = Worker::new(fetched, treatment, self.watch.clone());
        // Notes are deduplicated among all that there are.
        worker.tools.notes = std::mem::take(&mut self.notes);
        let mut column = Column::default();
        let outcome = fetched.order.iter().try_for_each(|at| {
            self.watch.check()?;
            let read = worker.column(*at, job, &mut column)?;
            self.account(1, read)?;
            if column.is_empty() {
                return Ok(());
            }
            std::mem::swap(&mut self.notes, &mut worker.tools.notes);
            let taken = sink(self, &mut column);
            std::mem::swap(&mut self.notes, &mut worker.tools.notes);
            taken
        });
        self.notes = worker.tools.notes;
        self.stats.see(self.bounds, grid, &worker.tools.plans.take_seen());
        outcome
    }

    fn scan_by_threads(
        &mut self,
        fetched: &Fetched<'a>,
        grid: Grid,
        treatment: Treatment,
        job: &Job<'_>,
        sink: &mut Sink<'_, 'a>,
        threads: usize,
    ) -> Evaluated<()> {
        let blocks: Vec<&[u32]> = fetched.order.chunks(BLOCK).collect();
        let belt = Belt::new(blocks.len(), threads * 2);
        let work = |watch: Watch| {
            let _closer = CloseOnPanic(&belt);
            let mut worker = Worker::new(fetched, treatment, watch);
            while let Some(at) = belt.claim() {
                belt.put(at, worker.block(blocks[at], job));
            }
            worker.tools.plans.take_seen()
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let watch = self.watch.clone();
                    scope.spawn(|| work(watch))
                })
                .collect();
            let mut take = |at: usize| {
                let block = belt.take(at)?;
                self.notes.append(block.notes);
                self.account(block.series, block.samples)?;
                block.columns.into_iter().try_for_each(|mut column| sink(self, &mut column))
            };
            let outcome = (0..blocks.len()).try_for_each(&mut take);
            belt.close();
            for worker in workers {
                if let Ok(seen) = worker.join() {
                    self.stats.see(self.bounds, grid, &seen);
                }
            }
            outcome
        })
    }

    fn account(&mut self, series: usize, samples: usize) -> Evaluated<()> {
        self.stats.series_read += series as u64;
        self.stats.samples_read += samples as u64;
        self.check_held(samples)
    }

    /// All series with their samples, for what needs them side by side.
    pub(super) fn read_all(&mut self, fetched: &Fetched<'a>) -> Evaluated<Vec<crate::Series>> {
        let mut buffer = Buffer::default();
        let mut all = Vec::with_capacity(fetched.order.len());
        for at in &fetched.order {
            self.watch.check()?;
            let samples = fetched.selection.read(*at as usize, &mut buffer)?;
            let read = samples.values.len() + samples.histograms.len();
            all.push(crate::Series {
                labels: fetched.selection.labels(*at as usize).clone(),
                values: samples.values.into(),
                start_times_ms: samples.start_times_ms.into(),
                histograms: samples.histograms.into(),
                timestamps_ms: samples.timestamps_ms,
            });
            self.account(1, read)?;
            self.charge(read)?;
        }
        Ok(all)
    }
}

/// Reads series and runs a job on each.
struct Worker<'f, 'a> {
    fetched: &'f Fetched<'a>,
    treatment: Treatment,
    buffer: Buffer,
    treated: Buffer,
    tools: Tools,
}

/// What became of a block of series.
struct Block {
    columns: Vec<Column>,
    notes: Notes,
    series: usize,
    samples: usize,
}

impl<'f, 'a> Worker<'f, 'a> {
    fn new(fetched: &'f Fetched<'a>, treatment: Treatment, watch: Watch) -> Self {
        let (buffer, treated) = (Buffer::default(), Buffer::default());
        Worker { fetched, treatment, buffer, treated, tools: Tools::new(watch) }
    }

    /// The column of one series; tells how many samples were read.
    fn column(&mut self, at: u32, job: &Job<'_>, out: &mut Column) -> Evaluated<usize> {
        let selection = &self.fetched.selection;
        let samples = selection.read(at as usize, &mut self.buffer)?;
        let read = samples.values.len() + samples.histograms.len();
        let samples = treat(samples, self.treatment, &mut self.treated);
        let series = RangeSeries {
            labels: selection.labels(at as usize),
            drop_name: false,
            times: &samples.timestamps_ms,
            values: samples.values,
            starts: samples.start_times_ms,
            histograms: samples.histograms,
            known: samples.known,
            digests: samples.digests,
        };
        job(&series, &mut self.tools, out)?;
        Ok(read)
    }

    fn block(&mut self, series: &[u32], job: &Job<'_>) -> Evaluated<Block> {
        let (mut columns, mut samples) = (Vec::with_capacity(series.len()), 0);
        for at in series {
            self.tools.watch.check()?;
            let mut column = Column::default();
            samples += self.column(*at, job, &mut column)?;
            if !column.is_empty() {
                columns.push(column);
            }
        }
        let notes = std::mem::take(&mut self.tools.notes);
        Ok(Block { columns, notes, series: series.len(), samples })
    }
}

/// Samples without markers, with settled hints, as wished; copied only when something changes.
fn treat<'s>(samples: Samples<'s>, how: Treatment, into: &'s mut Buffer) -> Samples<'s> {
    let mut out = samples;
    let Buffer { values, start_times_ms, histograms, digests } = into;
    if how.strip && !out.known.no_nan {
        out.known = look_through(out.values);
    }
    if how.strip && !out.known.no_nan && out.values.iter().any(|v| is_stale(*v)) {
        out.known = Known::default();
        if !out.digests.is_empty() {
            out.timestamps_ms = digest::strip(&out, values, digests);
            (out.values, out.digests) = (values, digests);
            return out;
        }
        let keep: Vec<usize> =
            (0..out.values.len()).filter(|i| !is_stale(out.values[*i])).collect();
        values.clear();
        values.extend(keep.iter().map(|i| out.values[*i]));
        start_times_ms.clear();
        if !out.start_times_ms.is_empty() {
            start_times_ms.extend(keep.iter().map(|i| out.start_times_ms[*i]));
        }
        out.timestamps_ms = keep.iter().map(|i| out.timestamps_ms[*i]).collect();
        (out.values, out.start_times_ms) = (values, start_times_ms);
    }
    if out.histograms.is_empty() {
        return out;
    }
    let unknown = |h: &HistogramSample| h.histogram.hint == ResetHint::Unknown;
    let set_hints = how.set_hints && out.histograms.iter().any(unknown);
    let strip = how.strip && out.histograms.iter().any(|h| h.histogram.is_stale());
    if set_hints || strip {
        histograms.clear();
        histograms.extend_from_slice(out.histograms);
        if set_hints {
            settle_hints(histograms);
        }
        if strip {
            histograms.retain(|h| !h.histogram.is_stale());
        }
        out.histograms = histograms;
    }
    out
}

/// What can be told of values in one pass.
fn look_through(values: &[f64]) -> Known {
    let after = values.get(1..).unwrap_or_default();
    let nan = values.last().is_some_and(|v| v.is_nan());
    // No early end: that lets the compiler look at several at once.
    let found = values.iter().zip(after).fold((nan, false), |(nan, fall), (value, next)| {
        (nan | value.is_nan(), fall | (next < value))
    });
    Known { no_nan: !found.0, no_falls: !found.1 }
}

/// Settles unknown reset hints by comparing each histogram with the one before it.
fn settle_hints(samples: &mut [HistogramSample]) {
    let mut before: Option<Arc<FloatHistogram>> = None;
    for sample in samples {
        let known = before.take().filter(|b| !b.is_stale());
        if let (ResetHint::Unknown, Some(before)) = (sample.histogram.hint, known) {
            let reset = sample.histogram.is_reset_after(&before);
            Arc::make_mut(&mut sample.histogram).hint =
                if reset { ResetHint::Reset } else { ResetHint::NotReset };
        }
        before = Some(Arc::clone(&sample.histogram));
    }
}

/// Threads that queries run besides their own, in the whole process: many queries at once keep the
/// cores busy by themselves, so no more than twice what one query may have.
static HELPERS: AtomicUsize = AtomicUsize::new(0);

/// Threads granted, given back when dropped.
struct Threads(usize);

impl Threads {
    fn take(wanted: usize, threads_max: usize) -> Self {
        if wanted < 2 {
            return Threads(1);
        }
        let grant = |running: usize| {
            let then = running + wanted;
            (then <= threads_max.saturating_mul(2)).then_some(then)
        };
        match HELPERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grant) {
            Ok(_) => Threads(wanted),
            Err(_) => Threads(1),
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if self.0 > 1 {
            HELPERS.fetch_sub(self.0, Ordering::Relaxed);
        }
    }
}

/// Blocks on their way from the threads that make them to the one that takes them in order. At
/// most `ahead` are made before they are taken.
struct Belt {
    state: Mutex<BeltState>,
    moved: Condvar,
    blocks: usize,
    ahead: usize,
}

#[derive(Default)]
struct BeltState {
    claimed: usize,
    taken: usize,
    made: BTreeMap<usize, Evaluated<Block>>,
    closed: bool,
}

impl Belt {
    fn new(blocks: usize, ahead: usize) -> Self {
        Belt { state: Mutex::default(), moved: Condvar::new(), blocks, ahead }
    }

    fn lock(&self) -> MutexGuard<'_, BeltState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'b>(&self, state: MutexGuard<'b, BeltState>) -> MutexGuard<'b, BeltState> {
        self.moved.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next block to make; none when all are, or nobody takes them any more.
    fn claim(&self) -> Option<usize> {
        let mut state = self.lock();
        while !state.closed && state.claimed >= state.taken + self.ahead {
            state = self.wait(state);
        }
        if state.closed || state.claimed == self.blocks {
            return None;
        }
        state.claimed += 1;
        Some(state.claimed - 1)
    }

    fn put(&self, at: usize, block: Evaluated<Block>) {
        self.lock().made.insert(at, block);
        self.moved.notify_all();
    }

    fn take(&self, at: usize) -> Evaluated<Block> {
        let mut state = self.lock();
        loop {
            if let Some(block) = state.made.remove(&at) {
                state.taken = at + 1;
                self.moved.notify_all();
                return block;
            }
            if state.closed {
                return Err(QueryError::Execution("a part of the query failed".into()));
            }
            state = self.wait(state);
        }
    }

    fn close(&self) {
        self.lock().closed = true;
        self.moved.notify_all();
    }
}

/// A thread that panics must not leave the others waiting.
struct CloseOnPanic<'b>(&'b Belt);

impl Drop for CloseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.close();
        }
    }
}
