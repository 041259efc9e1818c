// SPDX-License-Identifier: Apache-2.0
//! From memory to blocks: [`Head::freeze`] marks what is old enough, [`Head::window`] hands it out,
//! [`Head::release`] lets go of it once it is written elsewhere.
//!
//! What is frozen can be queried until it is released, and does not change: late samples that come
//! meanwhile stand apart and are frozen the next time. So nothing is released that was not handed
//! out, and a flush that failed is begun again by freezing anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use basics::labels::Labels;

use super::chunk::{Chunk, Segment};
use super::read::Reader;
use super::series::{Rare, Series};
use super::{FamilyInfo, Head, SHARDS, id_of};
use crate::columns::SeriesColumns;
use crate::metrics::AROUND_MS;

/// Series decoded at a time: those of a target share their times, and after an import of days each has
/// a hundred kilobytes.
const SERIES_AT_ONCE: u32 = 64;

/// Suffixes of a family's series that its name lacks.
const SUFFIXES: [&str; 4] = ["_bucket", "_count", "_sum", "_total"];

impl Head {
    /// Freezes all samples before `before_ms`, and those frozen before; returns how many are.
    pub fn freeze(&self, before_ms: i64) -> u64 {
        let mut frozen = 0;
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.seal_before(before_ms);
            let mut split = Splits::default();
            for series in &mut shard.series {
                frozen += freeze(series, before_ms, &mut split) as u64;
            }
        }
        frozen
    }

    /// Freezes all samples before `before_ms` and hands them out, series by series, in no order;
    /// neighbours of one timestamp group share their times. At one time there is memory for the columns
    /// of [`SERIES_AT_ONCE`] series.
    pub fn window(&self, before_ms: i64) -> impl Iterator<Item = SeriesColumns> + '_ {
        self.freeze(before_ms);
        (0..SHARDS).flat_map(move |number| {
            // What is added meanwhile is not frozen.
            let slots = self.shards[number].read().series.len() as u32;
            let firsts = (0..slots).step_by(SERIES_AT_ONCE as usize);
            firsts.flat_map(move |first| {
                self.frozen(number, first..slots.min(first + SERIES_AT_ONCE))
            })
        })
    }

    /// What is frozen of these slots of a shard.
    fn frozen(&self, number: usize, slots: std::ops::Range<u32>) -> Vec<SeriesColumns> {
        // In the order in which series are removed: the registry first.
        let registry = self.registry.read();
        let shard = self.shards[number].read();
        let labels: Vec<(u32, Labels)> = slots
            .filter(|slot| has_frozen(&shard.series[*slot as usize]))
            .filter_map(|slot| Some((slot, registry.labels(id_of(number, slot))?)))
            .collect();
        drop(registry);
        let mut reader = Reader::new(&shard, i64::MIN, i64::MAX);
        let all = labels.into_iter().map(|(slot, labels)| {
            let columns = reader.read_frozen(slot);
            let info = self.info_of(labels.name());
            let mut exemplars = self.exemplars_of(id_of(number, slot));
            // Those of older samples went into a block with them.
            let first = columns.times.first().copied().unwrap_or(i64::MAX);
            let first = columns.histograms.first().map_or(first, |(time, _)| first.min(*time));
            exemplars.retain(|e| e.time_ms >= first.saturating_sub(AROUND_MS));
            SeriesColumns {
                labels,
                info,
                times: columns.times,
                values: columns.values,
                histograms: columns.histograms,
                exemplars,
                ..SeriesColumns::default()
            }
        });
        all.filter(|columns| !columns.is_empty()).collect()
    }

    /// Lets go of what is frozen, and of series that have had no sample for an hour before
    /// `before_ms`. Returns how many samples went.
    pub fn release(&self, before_ms: i64) -> u64 {
        let mut gone = 0;
        for shard in &self.shards {
            for series in &mut shard.write().series {
                gone += release(series) as u64;
            }
        }
        self.samples.fetch_sub(gone, Ordering::Relaxed);
        self.remove_idle(before_ms - super::IDLE_MS);
        gone
    }

    /// What is known of the family that a series name belongs to.
    pub(super) fn info_of(&self, name: &str) -> Option<Arc<FamilyInfo>> {
        let families = self.families.read();
        let known = families.get(name).or_else(|| {
            SUFFIXES.iter().find_map(|suffix| families.get(name.strip_suffix(suffix)?))
        });
        known.cloned()
    }
}

fn has_frozen(series: &Series) -> bool {
    let rare = series.rare.as_ref();
    series.frozen > 0 || rare.is_some_and(|r| r.late_frozen > 0 || r.histograms_frozen > 0)
}

/// Segments that were cut in two, so that series which shared one share the halves.
#[derive(Default)]
pub(super) struct Splits(Option<(usize, super::chunk::Mask, Arc<Segment>, Arc<Segment>)>);

impl Splits {
    /// The parts of a chunk before `cut` and from there on.
    fn split(&mut self, chunk: &Chunk, cut: i64) -> (Option<Chunk>, Option<Chunk>) {
        let (first, second) = chunk.clone().split(cut);
        let (Some(mut first), Some(mut second)) = (first.clone(), second.clone()) else {
            return (first, second);
        };
        let address = Arc::as_ptr(&chunk.segment) as usize;
        match &self.0 {
            Some((known, mask, before, behind)) if *known == address && *mask == chunk.mask => {
                first.segment = before.clone();
                second.segment = behind.clone();
            }
            _ => {
                let parts = (first.segment.clone(), second.segment.clone());
                self.0 = Some((address, chunk.mask, parts.0, parts.1));
            }
        }
        (Some(first), Some(second))
    }
}

/// Marks what a series has before `cut`; returns how many samples and histograms are marked.
pub(super) fn freeze(series: &mut Series, cut: i64, splits: &mut Splits) -> usize {
    let at = series.sealed.partition_point(|chunk| chunk.segment.last_ms < cut);
    let mut frozen = at.max(series.frozen as usize);
    if let Some(chunk) =
        series.sealed.get(at).filter(|c| at >= frozen && c.touches(i64::MIN, cut - 1))
    {
        let (before, behind) = splits.split(chunk, cut);
        frozen += usize::from(before.is_some());
        series.sealed.splice(at..=at, before.into_iter().chain(behind));
    }
    series.frozen = frozen as u32;
    let own = series.sealed[..frozen].iter().map(Chunk::count).sum::<usize>();
    own + series.rare.as_mut().map_or(0, |rare| freeze_rare(rare, cut))
}

fn freeze_rare(rare: &mut Rare, cut: i64) -> usize {
    let to = rare.late.partition_point(|(time, _)| *time < cut);
    if to > 0 {
        let late: Vec<(i64, f64)> = rare.late.drain(..to).collect();
        rare.late_sealed.push(Chunk::of_samples(&late));
    }
    // What is frozen stays so and stands in front.
    let fresh = rare.late_sealed.split_off(rare.late_frozen as usize);
    let (old, new) = cut_all(fresh, |chunk| chunk.split(cut));
    rare.late_sealed.extend(old);
    rare.late_frozen = rare.late_sealed.len() as u32;
    rare.late_sealed.extend(new);
    rare.seal_histograms(cut);
    let fresh = rare.histograms_sealed.split_off(rare.histograms_frozen as usize);
    let (old, new) = cut_all(fresh, |chunk| chunk.split(cut));
    rare.histograms_sealed.extend(old);
    rare.histograms_frozen = rare.histograms_sealed.len() as u32;
    rare.histograms_sealed.extend(new);
    let late = rare.late_sealed[..rare.late_frozen as usize].iter().map(Chunk::count);
    let histograms = rare.histograms_sealed[..rare.histograms_frozen as usize].iter();
    late.sum::<usize>() + histograms.map(|chunk| chunk.count).sum::<usize>()
}

/// What of each chunk is before a cut, and what is not.
fn cut_all<C>(chunks: Vec<C>, split: impl Fn(C) -> (Option<C>, Option<C>)) -> (Vec<C>, Vec<C>) {
    let (mut old, mut new) = (Vec::new(), Vec::new());
    for chunk in chunks {
        let (before, behind) = split(chunk);
        old.extend(before);
        new.extend(behind);
    }
    (old, new)
}

/// Lets go of what is frozen of a series; returns how many samples and histograms that were.
pub(super) fn release(series: &mut Series) -> usize {
    let mut gone: usize = series.sealed.drain(..series.frozen as usize).map(|c| c.count()).sum();
    series.frozen = 0;
    if let Some(rare) = &mut series.rare {
        for chunk in rare.late_sealed.drain(..rare.late_frozen as usize) {
            // The newest may have been among the late ones: what comes is compared with it.
            series.newest_sealed = series.newest_sealed.max(chunk.segment.last_ms);
            gone += chunk.count();
        }
        gone += rare
            .histograms_sealed
            .drain(..rare.histograms_frozen as usize)
            .map(|chunk| chunk.count)
            .sum::<usize>();
        (rare.late_frozen, rare.histograms_frozen) = (0, 0);
    }
    if series.sealed.is_empty() {
        series.sealed = Vec::new();
    }
    gone
}

/// Lets go of what a series has before `cut`; returns the number of samples and histograms. What is
/// frozen across the cut stays whole: it is being written.
pub(super) fn prune(series: &mut Series, cut: i64) -> usize {
    let had = series.count();
    let split = |chunk: Chunk| chunk.split(cut).1;
    if series.sealed.first().is_some_and(|chunk| chunk.segment.first_ms < cut) {
        prune_chunks(&mut series.sealed, &mut series.frozen, |c| c.segment.last_ms < cut, split);
    }
    if let Some(rare) = &mut series.rare {
        rare.late.drain(..rare.late.partition_point(|(time, _)| *time < cut));
        let chunks = &mut rare.late_sealed;
        prune_chunks(chunks, &mut rare.late_frozen, |c| c.segment.last_ms < cut, split);
        rare.histograms.drain(..rare.histograms.partition_point(|(time, _)| *time < cut));
        let (chunks, frozen) = (&mut rare.histograms_sealed, &mut rare.histograms_frozen);
        prune_chunks(chunks, frozen, |c| c.last_ms < cut, |chunk| chunk.split(cut).1);
    }
    had - series.count()
}

/// Lets go of chunks that are `old`, and of the old part of those behind the first `frozen`.
fn prune_chunks<C>(
    chunks: &mut Vec<C>,
    frozen: &mut u32,
    old: impl Fn(&C) -> bool,
    split: impl Fn(C) -> Option<C>,
) {
    let fresh = chunks.split_off(*frozen as usize);
    chunks.retain(|chunk| !old(chunk));
    *frozen = chunks.len() as u32;
    chunks.extend(fresh.into_iter().filter_map(split));
}
