// SPDX-License-Identifier: Apache-2.0
//! Reading series of a shard as columns: series with the same runs of times share one decoded `Arc`
//! of them.

use std::sync::Arc;

use hashbrown::HashMap;
use otlp_series::NativeHistogram;

use super::chunk::{self, Chunk, Mask};
use super::shard::Shard;

/// The samples of one series in the range asked for.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) times: Arc<[i64]>,
    pub(super) values: Arc<[f64]>,
    pub(super) histograms: Vec<(i64, Arc<NativeHistogram>)>,
}

impl Columns {
    pub(super) fn is_empty(&self) -> bool {
        self.times.is_empty() && self.histograms.is_empty()
    }
}

/// Runs in the order of their times: which times they are of (the address of a segment; a group's
/// number with the lowest bit set, addresses being even) and which of those.
type Runs = Vec<(usize, Mask)>;

/// The times of some runs in the range, and how many there are before it.
type Times = (Arc<[i64]>, usize);

/// Reads series of one shard, one range.
#[derive(Debug)]
pub(super) struct Reader<'s> {
    shard: &'s Shard,
    start: i64,
    end: i64,
    known: HashMap<Runs, Times, foldhash::fast::RandomState>,
    none: Arc<[i64]>,
    runs: Runs,
    values: Vec<f64>,
    tail: Vec<f64>,
}

impl<'s> Reader<'s> {
    /// A reader of what lies in `start..=end`.
    pub(super) fn new(shard: &'s Shard, start: i64, end: i64) -> Reader<'s> {
        let (known, none) = (HashMap::default(), Arc::from([]));
        let (runs, values, tail) = (Vec::new(), Vec::new(), Vec::new());
        Reader { shard, start, end, known, none, runs, values, tail }
    }

    /// One series.
    pub(super) fn read(&mut self, slot: u32) -> Columns {
        let Some(series) = self.shard.series.get(slot as usize) else { return Columns::default() };
        let (start, end) = (self.start, self.end);
        let sealed: Vec<&Chunk> =
            series.sealed.iter().filter(|chunk| chunk.touches(start, end)).collect();
        self.tail.clear();
        let tail = self.shard.tail(slot, &mut self.tail);
        let (times, skip) = self.times(&sealed, tail);
        self.values.clear();
        sealed.iter().for_each(|chunk| chunk.values(&mut self.values));
        self.values.extend_from_slice(&self.tail);
        let values = self.values.get(skip..skip + times.len()).unwrap_or_default();
        let mut columns = Columns { times, values: values.into(), histograms: Vec::new() };
        let mut late = Vec::new();
        series.late(start, end, &mut late);
        if !late.is_empty() {
            merge(&mut columns, late);
        }
        series.histograms(start, end, &mut columns.histograms);
        columns
    }

    /// One series' frozen samples, all of them whatever the range.
    pub(super) fn read_frozen(&mut self, slot: u32) -> Columns {
        let Some(series) = self.shard.series.get(slot as usize) else { return Columns::default() };
        let sealed: Vec<&Chunk> = series.sealed.iter().take(series.frozen as usize).collect();
        let (times, skip) = self.times(&sealed, None);
        self.values.clear();
        sealed.iter().for_each(|chunk| chunk.values(&mut self.values));
        let values = self.values.get(skip..skip + times.len()).unwrap_or_default();
        let mut columns = Columns { times, values: values.into(), histograms: Vec::new() };
        if let Some(rare) = &series.rare {
            let mut late = Vec::new();
            let chunks = rare.late_sealed.iter().take(rare.late_frozen as usize);
            chunks.for_each(|chunk| chunk.samples(&mut late));
            if !late.is_empty() {
                merge(&mut columns, late);
            }
            let chunks = rare.histograms_sealed.iter().take(rare.histograms_frozen as usize);
            chunks.for_each(|chunk| chunk.read(&mut columns.histograms));
            columns.histograms.sort_by_key(|(time, _)| *time);
        }
        columns
    }

    /// The times of chunks and a tail, from memory where other series have the same.
    fn times(&mut self, sealed: &[&Chunk], tail: Option<(u32, &[i64], Mask)>) -> Times {
        self.runs.clear();
        let address = |chunk: &Chunk| Arc::as_ptr(&chunk.segment) as usize;
        self.runs.extend(sealed.iter().map(|chunk| (address(chunk), chunk.mask)));
        let tail = tail.filter(|(_, _, mask)| chunk::count_of(mask) > 0);
        self.runs.extend(tail.iter().map(|(group, _, mask)| (*group as usize * 2 + 1, *mask)));
        if self.runs.is_empty() {
            return (self.none.clone(), 0);
        }
        if let Some(known) = self.known.get(&self.runs) {
            return known.clone();
        }
        let mut times = Vec::new();
        sealed.iter().for_each(|chunk| chunk.times(&mut times));
        if let Some((_, all, mask)) = tail {
            let own = all.iter().enumerate().filter(|(at, _)| chunk::is_in(&mask, *at));
            times.extend(own.map(|(_, time)| *time));
        }
        let from = times.partition_point(|time| *time < self.start);
        let to = times.partition_point(|time| *time <= self.end);
        let found = (Arc::from(times.get(from..to).unwrap_or_default()), from);
        self.known.insert(self.runs.clone(), found.clone());
        found
    }
}

/// Puts late samples, in any order, where their times belong.
fn merge(columns: &mut Columns, late: Vec<(i64, f64)>) {
    let times = columns.times.iter().copied();
    let mut all: Vec<(i64, f64)> = times.zip(columns.values.iter().copied()).collect();
    all.extend(late);
    all.sort_by_key(|(time, _)| *time);
    columns.times = all.iter().map(|(time, _)| *time).collect();
    columns.values = all.iter().map(|(_, value)| *value).collect();
}
