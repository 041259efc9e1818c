// SPDX-License-Identifier: Apache-2.0
//! What one series has beside its cells in a group's rows: sealed chunks, and what few series have:
//! late samples, native histograms, the running total of deltas.

use std::sync::Arc;

use otlp_series::NativeHistogram;

use super::chunk::{Chunk, HistogramChunk, RUN_MAX};

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

/// Less than a cache line: what few series have stands apart.
#[derive(Debug)]
pub(super) struct Series {
    /// Ascending, not overlapping, all before what stands in the group's rows.
    pub(super) sealed: Vec<Chunk>,
    /// Time of the newest sample that was ever sealed.
    pub(super) newest_sealed: i64,
    /// So many of `sealed` from the front on are being written to a block.
    pub(super) frozen: u32,
    pub(super) rare: Option<Box<Rare>>,
}

impl Default for Series {
    fn default() -> Self {
        Series { sealed: Vec::new(), newest_sealed: i64::MIN, frozen: 0, rare: None }
    }
}

/// What few series have.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// Samples that came behind newer ones, or at times that the group does not have: ascending,
    /// at most [`RUN_MAX`], and the same sealed, overlapping as they come.
    pub(super) late: Vec<(i64, f64)>,
    pub(super) late_sealed: Vec<Chunk>,
    pub(super) late_frozen: u32,
    /// In order, yet at times that the group does not have.
    pub(super) strays: u32,
    /// Ascending by time, at most [`RUN_MAX`], and the same sealed, overlapping as they come.
    pub(super) histograms: Vec<(i64, Arc<NativeHistogram>)>,
    pub(super) histograms_sealed: Vec<HistogramChunk>,
    pub(super) histograms_frozen: u32,
    newest_histogram: Option<i64>,
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

    /// Takes a late sample of a time that is not there yet.
    fn insert(&mut self, time: i64, value: f64) {
        let at = self.late.partition_point(|(known, _)| *known < time);
        self.late.insert(at, (time, value));
        if self.late.len() >= RUN_MAX {
            self.late_sealed.push(Chunk::of_samples(&self.late));
            self.late = Vec::new();
        }
    }

    fn histogram_at(&self, time: i64) -> Option<Arc<NativeHistogram>> {
        if let Ok(at) = self.histograms.binary_search_by_key(&time, |(time, _)| *time) {
            return Some(self.histograms[at].1.clone());
        }
        let mut found = Vec::new();
        let covers = |chunk: &&HistogramChunk| chunk.first_ms <= time && time <= chunk.last_ms;
        self.histograms_sealed.iter().filter(covers).for_each(|chunk| chunk.read(&mut found));
        found.into_iter().find(|(known, _)| *known == time).map(|(_, histogram)| histogram)
    }

    /// Seals the histograms before `cut`.
    pub(super) fn seal_histograms(&mut self, cut: i64) {
        let mut to = self.histograms.partition_point(|(time, _)| *time < cut);
        while to > 0 {
            let chunk = HistogramChunk::pack(&self.histograms[..to.min(RUN_MAX)]);
            self.histograms.drain(..chunk.count);
            to -= chunk.count;
            self.histograms_sealed.push(chunk);
        }
    }
}

/// True when a series whose newest sample is at `newest` begins (anew) at `start`, not longer than the
/// window before the sample that tells.
pub(super) fn begins((start, time): (i64, i64), newest: Option<i64>, window_ms: i64) -> bool {
    start < time && time.saturating_sub(start) <= window_ms && newest.is_none_or(|at| at < start)
}

impl Series {
    /// Takes a sealed run behind all others.
    pub(super) fn push(&mut self, chunk: Chunk, newest: i64) {
        if self.sealed.len() == self.sealed.capacity() {
            // Chunks come twice an hour and go in hours: doubling would leave half unused.
            self.sealed.reserve_exact(2);
        }
        self.sealed.push(chunk);
        self.newest_sealed = newest;
    }

    /// Takes a sample among the late ones; its time is not there yet.
    pub(super) fn insert_late(&mut self, time: i64, value: f64) {
        self.rare.get_or_insert_default().insert(time, value);
    }

    /// Counts a sample in order that its group has no time for.
    pub(super) fn strayed(&mut self) -> u32 {
        let rare = self.rare.get_or_insert_default();
        rare.strays += 1;
        rare.strays
    }

    /// What is stored when a delta comes: the sum of all so far.
    pub(super) fn add_delta(&mut self, time: i64, delta: f64) -> Result<f64, Appended> {
        let rare = self.rare.get_or_insert_default();
        rare.delta_at(time)?;
        rare.total += delta;
        Ok(rare.total)
    }

    /// Takes one native histogram; a delta is added up like any other.
    pub(super) fn append_histogram(
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
        let newest = rare.newest_histogram.unwrap_or(i64::MIN);
        if time <= newest {
            match rare.histogram_at(time) {
                Some(known) if *known == histogram => return Appended::Duplicate,
                Some(_) => return Appended::Conflict,
                None if time < newest.saturating_sub(window_ms) => return Appended::TooOld,
                None => {}
            }
        }
        let at = rare.histograms.partition_point(|(known, _)| *known < time);
        rare.histograms.insert(at, (time, Arc::new(histogram)));
        rare.newest_histogram = Some(newest.max(time));
        if rare.histograms.len() >= RUN_MAX {
            rare.seal_histograms(i64::MAX);
        }
        if time > newest { Appended::InOrder } else { Appended::OutOfOrder }
    }

    /// As [`Series::append_histogram`] for one that counts since `start`: it was empty then, if the
    /// series begins there; told is whether there is one more.
    pub(super) fn append_histogram_since(
        &mut self,
        (start, time): (i64, i64),
        histogram: NativeHistogram,
        window_ms: i64,
    ) -> (Appended, bool) {
        let newest = self.rare.as_ref().and_then(|rare| rare.newest_histogram);
        let is_new = begins((start, time), newest, window_ms);
        if is_new {
            self.append_histogram(start, histogram.emptied(), false, window_ms);
        }
        (self.append_histogram(time, histogram, false, window_ms), is_new)
    }

    /// The value sealed or late at `time`.
    pub(super) fn value_at(&self, time: i64) -> Option<f64> {
        let late = self.rare.as_ref().map_or(&[][..], |rare| &rare.late);
        if let Ok(at) = late.binary_search_by_key(&time, |(time, _)| *time) {
            return Some(late[at].1);
        }
        let mut samples = Vec::new();
        let chunks = self.sealed.iter().chain(self.late_sealed());
        chunks.filter(|chunk| chunk.touches(time, time)).for_each(|c| c.samples(&mut samples));
        samples.iter().find(|(known, _)| *known == time).map(|(_, value)| *value)
    }

    pub(super) fn late_sealed(&self) -> &[Chunk] {
        self.rare.as_ref().map_or(&[], |rare| &rare.late_sealed)
    }

    /// Time of the newest sample that stands in no row.
    pub(super) fn newest(&self) -> Option<i64> {
        let late = self.rare.as_ref().and_then(|rare| rare.late.last().map(|(time, _)| *time));
        let late_sealed = self.late_sealed().iter().map(|chunk| chunk.segment.last_ms).max();
        let sealed = (self.newest_sealed > i64::MIN).then_some(self.newest_sealed);
        sealed.into_iter().chain(late).chain(late_sealed).max()
    }

    /// Times of the oldest and newest of all kinds that stand in no row.
    pub(super) fn range(&self) -> Option<(i64, i64)> {
        let chunks = self.sealed.iter().chain(self.late_sealed());
        let mut ends: Vec<i64> =
            chunks.flat_map(|chunk| [chunk.segment.first_ms, chunk.segment.last_ms]).collect();
        if let Some(rare) = &self.rare {
            ends.extend(rare.late.first().into_iter().chain(rare.late.last()).map(|(t, _)| *t));
            let tail = rare.histograms.first().into_iter().chain(rare.histograms.last());
            ends.extend(tail.map(|(time, _)| *time));
            let sealed = rare.histograms_sealed.iter();
            ends.extend(sealed.flat_map(|chunk| [chunk.first_ms, chunk.last_ms]));
        }
        Some((*ends.iter().min()?, *ends.iter().max()?))
    }

    /// Samples and histograms that stand in no row.
    pub(super) fn count(&self) -> usize {
        let chunks = self.sealed.iter().chain(self.late_sealed());
        let rare = self.rare.as_ref().map_or(0, |rare| {
            let sealed: usize = rare.histograms_sealed.iter().map(|chunk| chunk.count).sum();
            rare.late.len() + rare.histograms.len() + sealed
        });
        chunks.map(Chunk::count).sum::<usize>() + rare
    }

    /// Bytes of what stands in no row.
    pub(super) fn bytes(&self) -> usize {
        let spare = (self.sealed.capacity() - self.sealed.len()) * size_of::<Chunk>();
        let chunks = self.sealed.iter().chain(self.late_sealed());
        let rare = self.rare.as_ref().map_or(0, |rare| {
            let tail: usize = rare.histograms.iter().map(|(_, h)| 16 + h.bytes()).sum();
            let sealed: usize = rare.histograms_sealed.iter().map(HistogramChunk::bytes).sum();
            size_of::<Rare>() + rare.late.capacity() * 16 + tail + sealed
        });
        size_of::<Series>() + spare + chunks.map(Chunk::bytes).sum::<usize>() + rare
    }

    /// Whether a sample may lie in `start..=end`.
    pub(super) fn touches(&self, start: i64, end: i64) -> bool {
        let mut chunks = self.sealed.iter().chain(self.late_sealed());
        chunks.any(|chunk| chunk.touches(start, end))
            || self.rare.as_ref().is_some_and(|rare| {
                let inside = |time: &i64| (start..=end).contains(time);
                rare.late.iter().any(|(time, _)| inside(time))
                    || rare.histograms.iter().any(|(time, _)| inside(time))
                    || rare
                        .histograms_sealed
                        .iter()
                        .any(|c| c.first_ms <= end && c.last_ms >= start)
            })
    }

    /// Appends the native histograms in `start..=end`, ascending.
    pub(super) fn histograms(
        &self,
        start: i64,
        end: i64,
        out: &mut Vec<(i64, Arc<NativeHistogram>)>,
    ) {
        let Some(rare) = &self.rare else { return };
        let inside = |chunk: &&HistogramChunk| chunk.first_ms <= end && chunk.last_ms >= start;
        rare.histograms_sealed.iter().filter(inside).for_each(|chunk| chunk.read(out));
        out.extend(rare.histograms.iter().cloned());
        out.retain(|(time, _)| (start..=end).contains(time));
        out.sort_by_key(|(time, _)| *time);
    }

    /// Appends late samples in `start..=end`, in no order.
    pub(super) fn late(&self, start: i64, end: i64, out: &mut Vec<(i64, f64)>) {
        let Some(rare) = &self.rare else { return };
        for chunk in rare.late_sealed.iter().filter(|chunk| chunk.touches(start, end)) {
            chunk.samples(out);
        }
        out.extend_from_slice(&rare.late);
        out.retain(|(time, _)| (start..=end).contains(time));
    }
}
