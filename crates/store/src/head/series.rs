// SPDX-License-Identifier: Apache-2.0
//! The samples of one series: sealed chunks and a growing tail, all ascending by time.

use std::collections::VecDeque;
use std::sync::Arc;

use otlp_series::NativeHistogram;

use super::chunk::Chunk;

/// Samples per sealed chunk: half an hour at 15 s, as in Prometheus; a tail stays below 2 KiB.
pub(crate) const CHUNK_SAMPLES: usize = 120;

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Taken at the end.
    InOrder,
    /// Taken, merged by time.
    OutOfOrder,
    /// The same value at the same time is there already.
    Duplicate,
    /// Another value at the same time is there already: refused.
    Conflict,
    /// Older than the window: refused.
    TooOld,
}

/// A tail grows by so many samples at a time: half of what doubling would leave unused.
const TAIL_GROWTH: usize = 24;

/// One cache line: what few series have stands apart.
#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Ascending, not overlapping, all before the tail.
    sealed: VecDeque<Chunk>,
    /// Ascending by time, fewer than [`CHUNK_SAMPLES`].
    tail: Vec<(i64, f64)>,
    rare: Option<Box<Rare>>,
}

/// Native histograms, and the running total of a series that comes as deltas.
#[derive(Debug, Default)]
struct Rare {
    /// Ascending by time.
    histograms: Vec<(i64, Arc<NativeHistogram>)>,
    /// Time of the last delta.
    delta_ms: Option<i64>,
    total: f64,
    total_histogram: Option<NativeHistogram>,
}

impl Rare {
    /// Whether a delta of this time can be added: deltas only add up in order.
    fn delta_at(&mut self, time: i64) -> Result<(), Appended> {
        match self.delta_ms {
            Some(last) if time == last => Err(Appended::Conflict),
            Some(last) if time < last => Err(Appended::TooOld),
            _ => {
                self.delta_ms = Some(time);
                Ok(())
            }
        }
    }
}

/// Columns of a selection.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    pub times: Vec<i64>,
    pub values: Vec<f64>,
    pub histograms: Vec<(i64, Arc<NativeHistogram>)>,
}

impl Series {
    /// Takes one sample. `window_ms`: how far behind the newest one it may be.
    pub(crate) fn append(&mut self, time: i64, value: f64, window_ms: i64) -> Appended {
        match self.newest() {
            Some(newest) if time <= newest => self.insert((time, value), newest - window_ms),
            _ => {
                if self.tail.len() == self.tail.capacity() {
                    self.tail.reserve_exact(TAIL_GROWTH);
                }
                self.tail.push((time, value));
                self.seal_full_tail();
                Appended::InOrder
            }
        }
    }

    /// Takes a delta: what is stored is the sum of all so far.
    pub(crate) fn append_delta(&mut self, time: i64, delta: f64) -> Appended {
        let rare = self.rare.get_or_insert_default();
        if let Err(refused) = rare.delta_at(time) {
            return refused;
        }
        rare.total += delta;
        let total = rare.total;
        self.append(time, total, 0)
    }

    /// Takes one native histogram; a delta is added up like any other.
    pub(crate) fn append_histogram(
        &mut self,
        time: i64,
        mut histogram: NativeHistogram,
        delta: bool,
        window_ms: i64,
    ) -> Appended {
        let rare = self.rare.get_or_insert_default();
        if delta {
            if let Err(refused) = rare.delta_at(time) {
                return refused;
            }
            if let Some(before) = &rare.total_histogram {
                histogram = before.plus(&histogram);
            }
            rare.total_histogram = Some(histogram.clone());
        }
        let newest = rare.histograms.last().map_or(i64::MIN, |(time, _)| *time);
        if time < newest.saturating_sub(window_ms) {
            return Appended::TooOld;
        }
        match rare.histograms.binary_search_by_key(&time, |(time, _)| *time) {
            Ok(at) if *rare.histograms[at].1 == histogram => Appended::Duplicate,
            Ok(_) => Appended::Conflict,
            Err(at) => {
                rare.histograms.insert(at, (time, Arc::new(histogram)));
                if time > newest { Appended::InOrder } else { Appended::OutOfOrder }
            }
        }
    }

    fn insert(&mut self, sample: (i64, f64), oldest_allowed: i64) -> Appended {
        let time = sample.0;
        let in_tail = self.tail.first().is_some_and(|first| first.0 <= time);
        if in_tail || self.sealed.is_empty() {
            let appended = insert_into(&mut self.tail, sample, oldest_allowed);
            self.seal_full_tail();
            return appended;
        }
        let at = self.sealed.partition_point(|chunk| chunk.last_ms() < time);
        let at = at.min(self.sealed.len() - 1);
        let mut samples = unpack(&self.sealed[at]);
        let appended = insert_into(&mut samples, sample, oldest_allowed);
        if appended == Appended::OutOfOrder {
            // Twice a chunk's size: two of them, so that late samples cannot grow one for ever.
            let full = samples.len() >= 2 * CHUNK_SAMPLES;
            let (first, second) =
                samples.split_at(if full { CHUNK_SAMPLES } else { samples.len() });
            self.sealed[at] = Chunk::seal(first);
            if full {
                self.sealed.insert(at + 1, Chunk::seal(second));
            }
        }
        appended
    }

    fn seal_full_tail(&mut self) {
        if self.tail.len() >= CHUNK_SAMPLES {
            self.sealed.push_back(Chunk::seal(&self.tail));
            self.tail = Vec::new();
        }
    }

    fn histograms(&self) -> &[(i64, Arc<NativeHistogram>)] {
        self.rare.as_ref().map_or(&[], |rare| &rare.histograms)
    }

    /// Time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.tail.last().map(|(time, _)| *time).or_else(|| self.sealed.back().map(Chunk::last_ms))
    }

    /// Time of the newest sample of any kind.
    pub(crate) fn newest_of_any(&self) -> Option<i64> {
        let histogram = self.histograms().last().map(|(time, _)| *time);
        self.newest().into_iter().chain(histogram).max()
    }

    /// Time of the oldest sample of any kind.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let sample =
            self.sealed.front().map(Chunk::first_ms).or(self.tail.first().map(|(time, _)| *time));
        let histogram = self.histograms().first().map(|(time, _)| *time);
        sample.into_iter().chain(histogram).min()
    }

    /// Samples and histograms held.
    pub(crate) fn count(&self) -> usize {
        self.sealed.iter().map(Chunk::count).sum::<usize>()
            + self.tail.len()
            + self.histograms().len()
    }

    /// Bytes the samples take.
    pub(crate) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms().iter().map(|(_, h)| h.bytes()).sum();
        let sealed: usize = self.sealed.iter().map(Chunk::bytes).sum();
        sealed + self.tail.capacity() * 16 + histograms
    }

    /// Whether a sample may lie in `start..=end`: exact but for gaps within a chunk.
    pub(crate) fn touches(&self, start: i64, end: i64) -> bool {
        let sealed = self.sealed.partition_point(|chunk| chunk.last_ms() < start);
        let in_sealed = self.sealed.get(sealed).is_some_and(|chunk| chunk.first_ms() <= end);
        let tail = self.tail.partition_point(|(time, _)| *time < start);
        let in_tail = self.tail.get(tail).is_some_and(|(time, _)| *time <= end);
        let histograms = self.histograms();
        let histogram = histograms.partition_point(|(time, _)| *time < start);
        let in_histograms = histograms.get(histogram).is_some_and(|(time, _)| *time <= end);
        in_sealed || in_tail || in_histograms
    }

    /// Appends the samples in `start..=end` to `out`.
    pub(crate) fn read(&self, start: i64, end: i64, out: &mut Columns) {
        let before = out.times.len();
        let first = self.sealed.partition_point(|chunk| chunk.last_ms() < start);
        for chunk in self.sealed.iter().skip(first).take_while(|chunk| chunk.first_ms() <= end) {
            chunk.decode(&mut out.times, &mut out.values);
        }
        if self.tail.first().is_some_and(|first| first.0 <= end) {
            out.times.extend(self.tail.iter().map(|(time, _)| *time));
            out.values.extend(self.tail.iter().map(|(_, value)| *value));
        }
        trim(&mut out.times, &mut out.values, before, start, end);
        let histograms = self.histograms();
        let from = histograms.partition_point(|(time, _)| *time < start);
        let to = histograms.partition_point(|(time, _)| *time <= end);
        out.histograms.extend(histograms.get(from..to).unwrap_or_default().iter().cloned());
    }

    /// Lets go of what is older than `before`; returns the number of samples that went.
    pub(crate) fn prune(&mut self, before: i64) -> usize {
        let had = self.count();
        while self.sealed.front().is_some_and(|chunk| chunk.last_ms() < before) {
            self.sealed.pop_front();
        }
        if let Some(chunk) = self.sealed.front_mut().filter(|chunk| chunk.first_ms() < before) {
            let samples = unpack(chunk);
            *chunk = Chunk::seal(&samples[samples.partition_point(|(time, _)| *time < before)..]);
        }
        self.tail.drain(..self.tail.partition_point(|(time, _)| *time < before));
        if let Some(rare) = &mut self.rare {
            let histograms = &mut rare.histograms;
            histograms.drain(..histograms.partition_point(|(time, _)| *time < before));
        }
        had - self.count()
    }
}

fn unpack(chunk: &Chunk) -> Vec<(i64, f64)> {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    chunk.decode(&mut times, &mut values);
    times.into_iter().zip(values).collect()
}

fn insert_into(samples: &mut Vec<(i64, f64)>, sample: (i64, f64), oldest_allowed: i64) -> Appended {
    match samples.binary_search_by_key(&sample.0, |(time, _)| *time) {
        Ok(at) if samples[at].1.to_bits() == sample.1.to_bits() => Appended::Duplicate,
        Ok(_) => Appended::Conflict,
        Err(_) if sample.0 < oldest_allowed => Appended::TooOld,
        Err(at) => {
            samples.insert(at, sample);
            Appended::OutOfOrder
        }
    }
}

/// Keeps, of what stands at `from` and behind, the samples in `start..=end`.
fn trim(times: &mut Vec<i64>, values: &mut Vec<f64>, from: usize, start: i64, end: i64) {
    let last = from + times[from..].partition_point(|time| *time <= end);
    times.truncate(last);
    values.truncate(last);
    let first = from + times[from..].partition_point(|time| *time < start);
    times.drain(from..first);
    values.drain(from..first);
}
