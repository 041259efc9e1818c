// SPDX-License-Identifier: Apache-2.0
//! The samples of one series: sealed chunks and a growing tail, all ascending by time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::chunk::Chunk;
use crate::translate::NativeHistogram;

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

#[derive(Debug, Default)]
pub(crate) struct Series {
    /// Ascending, not overlapping, all before the tail.
    sealed: VecDeque<Chunk>,
    times: Vec<i64>,
    values: Vec<f64>,
    /// Native histograms, ascending by time.
    histograms: Vec<(i64, Arc<NativeHistogram>)>,
    /// Running total of a series that comes as deltas.
    total: Option<Total>,
}

#[derive(Debug)]
struct Total {
    last_ms: i64,
    value: f64,
    histogram: Option<NativeHistogram>,
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
            Some(newest) if time <= newest => self.insert(time, value, newest - window_ms),
            _ => {
                self.times.push(time);
                self.values.push(value);
                self.seal_full_tail();
                Appended::InOrder
            }
        }
    }

    /// Takes a delta: what is stored is the sum of all so far. Deltas only add up in order.
    pub(crate) fn append_delta(&mut self, time: i64, delta: f64) -> Appended {
        let total =
            self.total.get_or_insert(Total { last_ms: i64::MIN, value: 0.0, histogram: None });
        if time <= total.last_ms {
            return if time == total.last_ms { Appended::Conflict } else { Appended::TooOld };
        }
        total.last_ms = time;
        total.value += delta;
        let value = total.value;
        self.append(time, value, 0)
    }

    /// Takes one native histogram; a delta is added up like any other.
    pub(crate) fn append_histogram(
        &mut self,
        time: i64,
        mut histogram: NativeHistogram,
        delta: bool,
        window_ms: i64,
    ) -> Appended {
        if delta {
            let total =
                self.total.get_or_insert(Total { last_ms: i64::MIN, value: 0.0, histogram: None });
            if time <= total.last_ms {
                return if time == total.last_ms { Appended::Conflict } else { Appended::TooOld };
            }
            total.last_ms = time;
            if let Some(before) = &total.histogram {
                histogram = before.plus(&histogram);
            }
            total.histogram = Some(histogram.clone());
        }
        let newest = self.histograms.last().map_or(i64::MIN, |(time, _)| *time);
        if time < newest.saturating_sub(window_ms) {
            return Appended::TooOld;
        }
        match self.histograms.binary_search_by_key(&time, |(time, _)| *time) {
            Ok(at) if *self.histograms[at].1 == histogram => Appended::Duplicate,
            Ok(_) => Appended::Conflict,
            Err(at) => {
                self.histograms.insert(at, (time, Arc::new(histogram)));
                if time > newest { Appended::InOrder } else { Appended::OutOfOrder }
            }
        }
    }

    fn insert(&mut self, time: i64, value: f64, oldest_allowed: i64) -> Appended {
        let in_tail =
            self.times.first().is_some_and(|first| *first <= time) || self.sealed.is_empty();
        if in_tail {
            let appended =
                insert_into(&mut self.times, &mut self.values, time, value, oldest_allowed);
            self.seal_full_tail();
            return appended;
        }
        let at = self.sealed.partition_point(|chunk| chunk.last_ms() < time);
        let at = at.min(self.sealed.len() - 1);
        let (mut times, mut values) = (Vec::new(), Vec::new());
        self.sealed[at].decode(&mut times, &mut values);
        let appended = insert_into(&mut times, &mut values, time, value, oldest_allowed);
        if appended == Appended::OutOfOrder {
            // Twice a chunk's size: two of them, so that late samples cannot grow one for ever.
            let half = if times.len() >= 2 * CHUNK_SAMPLES { CHUNK_SAMPLES } else { times.len() };
            self.sealed[at] = Chunk::seal(&times[..half], &values[..half]);
            if half < times.len() {
                self.sealed.insert(at + 1, Chunk::seal(&times[half..], &values[half..]));
            }
        }
        appended
    }

    fn seal_full_tail(&mut self) {
        if self.times.len() >= CHUNK_SAMPLES {
            self.sealed.push_back(Chunk::seal(&self.times, &self.values));
            self.times.clear();
            self.values.clear();
        }
    }

    /// Time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.times.last().copied().or_else(|| self.sealed.back().map(Chunk::last_ms))
    }

    /// Time of the newest sample of any kind.
    pub(crate) fn newest_of_any(&self) -> Option<i64> {
        let histogram = self.histograms.last().map(|(time, _)| *time);
        self.newest().into_iter().chain(histogram).max()
    }

    /// Time of the oldest sample of any kind.
    pub(crate) fn oldest(&self) -> Option<i64> {
        let sample = self.sealed.front().map(Chunk::first_ms).or(self.times.first().copied());
        let histogram = self.histograms.first().map(|(time, _)| *time);
        sample.into_iter().chain(histogram).min()
    }

    /// Samples and histograms held.
    pub(crate) fn count(&self) -> usize {
        self.sealed.iter().map(Chunk::count).sum::<usize>()
            + self.times.len()
            + self.histograms.len()
    }

    /// Bytes the samples take.
    pub(crate) fn bytes(&self) -> usize {
        let histograms: usize = self.histograms.iter().map(|(_, h)| h.bytes()).sum();
        let sealed: usize = self.sealed.iter().map(Chunk::bytes).sum();
        sealed + (self.times.capacity() + self.values.capacity()) * 8 + histograms
    }

    /// Whether a sample may lie in `start..=end`: exact but for gaps within a chunk.
    pub(crate) fn touches(&self, start: i64, end: i64) -> bool {
        let sealed = self.sealed.partition_point(|chunk| chunk.last_ms() < start);
        let in_sealed = self.sealed.get(sealed).is_some_and(|chunk| chunk.first_ms() <= end);
        let tail = self.times.partition_point(|time| *time < start);
        let in_tail = self.times.get(tail).is_some_and(|time| *time <= end);
        let histogram = self.histograms.partition_point(|(time, _)| *time < start);
        let in_histograms = self.histograms.get(histogram).is_some_and(|(time, _)| *time <= end);
        in_sealed || in_tail || in_histograms
    }

    /// Appends the samples in `start..=end` to `out`.
    pub(crate) fn read(&self, start: i64, end: i64, out: &mut Columns) {
        let before = out.times.len();
        let first = self.sealed.partition_point(|chunk| chunk.last_ms() < start);
        for chunk in self.sealed.iter().skip(first).take_while(|chunk| chunk.first_ms() <= end) {
            chunk.decode(&mut out.times, &mut out.values);
        }
        if self.times.first().is_some_and(|first| *first <= end) {
            out.times.extend_from_slice(&self.times);
            out.values.extend_from_slice(&self.values);
        }
        trim(&mut out.times, &mut out.values, before, start, end);
        let from = self.histograms.partition_point(|(time, _)| *time < start);
        let to = self.histograms.partition_point(|(time, _)| *time <= end);
        out.histograms.extend(self.histograms.get(from..to).unwrap_or_default().iter().cloned());
    }

    /// Lets go of what is older than `before`; returns the number of samples that went.
    pub(crate) fn prune(&mut self, before: i64) -> usize {
        let had = self.count();
        while self.sealed.front().is_some_and(|chunk| chunk.last_ms() < before) {
            self.sealed.pop_front();
        }
        if let Some(chunk) = self.sealed.front_mut().filter(|chunk| chunk.first_ms() < before) {
            let (mut times, mut values) = (Vec::new(), Vec::new());
            chunk.decode(&mut times, &mut values);
            let from = times.partition_point(|time| *time < before);
            *chunk = Chunk::seal(&times[from..], &values[from..]);
        }
        let from = self.times.partition_point(|time| *time < before);
        self.times.drain(..from);
        self.values.drain(..from);
        let from = self.histograms.partition_point(|(time, _)| *time < before);
        self.histograms.drain(..from);
        had - self.count()
    }
}

fn insert_into(
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
    time: i64,
    value: f64,
    oldest_allowed: i64,
) -> Appended {
    match times.binary_search(&time) {
        Ok(at) if values[at].to_bits() == value.to_bits() => Appended::Duplicate,
        Ok(_) => Appended::Conflict,
        Err(_) if time < oldest_allowed => Appended::TooOld,
        Err(at) => {
            times.insert(at, time);
            values.insert(at, value);
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
