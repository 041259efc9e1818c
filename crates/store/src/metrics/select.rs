// SPDX-License-Identifier: Apache-2.0
//! Reading blocks: selection, labels.
//!
//! A selection goes through the rows of all blocks first (labels only, so that a limit is told
//! before anything large is read), then reads the chunks wanted, coalesced, then merges series by
//! series. Footers, labels and times are kept in a cache bounded in bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use basics::labels::{Labels, Matcher};
use basics::{Error, Kind, Result};
use chunk_codec::Stats;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use otlp_series::NativeHistogram;
use parquet::data_type::{ByteArray, ByteArrayType};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::index::{Block, RowGroup};
use super::merge::{Numbers, Parts, Plans, Scratch, Values, corrupt};
use super::opened::Opened;
use super::summary::{Summaries, Windows};
use super::{deleted, exemplars, schema};
use crate::blocks::{BlockInfo, Catalog, Listed, Ulid};
use crate::columns::{SeriesColumns, unpacked};

/// Footers, labels and times of blocks in memory at most: the labels of 100,000 series, which is
/// what a dashboard of a large service asks for again and again.
pub const CACHE_BYTES: u64 = 32 << 20;

/// The blocks of metrics, as queries see them.
pub struct Blocks {
    catalog: Arc<Catalog>,
    cache: Cache<(Ulid, What), Cached, Bytes>,
}

/// Samples of blocks that one selection may hold, packed: half a gigabyte at a byte each. A
/// thousand series of three months at 15 s.
const SAMPLES_MAX: u64 = 1 << 29;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Block,
    Rows(usize),
    Times(u32),
    Summaries(usize),
}

#[derive(Clone)]
enum Cached {
    Block(Arc<Block>),
    Rows(Arc<RowGroup>),
    Times(Arc<[i64]>),
    Summaries(Arc<Summaries>),
}

#[derive(Clone)]
struct Bytes;

impl Weighter<(Ulid, What), Cached> for Bytes {
    fn weight(&self, _: &(Ulid, What), cached: &Cached) -> u64 {
        match cached {
            Cached::Block(block) => 1024 + block.file.metadata().memory_size() as u64,
            Cached::Rows(rows) => rows.bytes(),
            Cached::Times(times) => 64 + 8 * times.len() as u64,
            Cached::Summaries(summaries) => summaries.bytes(),
        }
    }
}

/// An error, and the block that it came from.
pub(super) struct Failed(Box<(BlockInfo, Error)>);

impl Failed {
    pub(super) fn at(info: &BlockInfo) -> impl FnOnce(Error) -> Failed {
        move |error| Failed(Box::new((info.clone(), error)))
    }
}

/// First and last millisecond wanted, both included.
pub(super) type TimeRange = (i64, i64);

impl Blocks {
    /// Reads the blocks of `catalog`.
    pub fn new(catalog: Arc<Catalog>, cache_bytes: u64) -> Blocks {
        let items = (cache_bytes / (64 << 10)).max(64) as usize;
        Blocks { catalog, cache: Cache::with_weighter(items, cache_bytes, Bytes) }
    }

    /// Which blocks there are.
    pub fn catalog(&self) -> &Arc<Catalog> {
        &self.catalog
    }

    /// Series that satisfy all matchers and have a sample in `start..=end`, merged with those of
    /// `newest` (which satisfy and lie within already): each time once, where several have it
    /// the newest one's value. In no order.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when more than `series_max` series match (0 = no bound), `Retry` when a
    /// block cannot be read now. A damaged block is set aside and the rest answers.
    pub fn select(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        series_max: usize,
        newest: Vec<SeriesColumns>,
    ) -> Result<Vec<SeriesColumns>> {
        let slots = self.parts(matchers, (start, end), series_max, None)?;
        if slots.is_empty() {
            within(newest.len(), series_max)?;
            return Ok(newest);
        }
        let slots = with_newest(slots, newest, series_max)?;
        let (mut plans, mut scratch) = (Plans::default(), Scratch::default());
        let mut all = Vec::with_capacity(slots.len());
        for parts in slots {
            let columns = parts.merge(&mut plans, &mut scratch)?;
            // A row's range may reach over the one asked for while no sample lies in it.
            if !columns.is_empty() {
                all.push(columns);
            }
        }
        Ok(all)
    }

    /// As [`Blocks::select`], with the samples still packed: they are decoded series by series, so
    /// that a selection takes the bytes of its chunks. A series may turn out to have no sample. Of
    /// rows that no window cuts only statistics are read, where that saves work.
    ///
    /// # Errors
    /// As [`Blocks::select`].
    pub fn open(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
        series_max: usize,
        newest: Vec<SeriesColumns>,
        windows: Option<Windows>,
    ) -> Result<Opened> {
        let windows = windows.map(|windows| (windows, &*newest));
        let slots = self.parts(matchers, (start, end), series_max, windows)?;
        Ok(Opened::new(with_newest(slots, newest, series_max)?))
    }

    /// What blocks have of the series.
    fn parts(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        series_max: usize,
        windows: Option<(Windows, &[SeriesColumns])>,
    ) -> Result<Vec<Parts>> {
        self.undamaged(|blocks| {
            let mut selection = Selection::new(self, range);
            selection.find(blocks, matchers, series_max, windows.map(|(windows, _)| windows))?;
            if let Some((windows, newest)) = windows {
                selection.summarise(windows, newest)?;
            }
            selection.read()?;
            Ok(selection.slots)
        })
    }

    /// Labels of the series that satisfy all matchers and may have a sample in `start..=end`.
    ///
    /// # Errors
    /// [`Kind::Retry`] when a block cannot be read now.
    pub fn series(&self, matchers: &[Matcher], start: i64, end: i64) -> Result<Vec<Labels>> {
        let mut found = hashbrown::HashSet::new();
        self.rows(matchers, (start, end), |rows, selected| {
            found.extend(selected.iter().map(|row| rows.labels_of(*row)));
        })?;
        Ok(found.into_iter().collect())
    }

    /// Names of labels of these series.
    ///
    /// # Errors
    /// As [`Blocks::series`].
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
    ) -> Result<BTreeSet<Arc<str>>> {
        let mut found = BTreeSet::new();
        self.rows(matchers, (start, end), |rows, selected| {
            for column in &rows.labels {
                let is_new = !found.contains(&column.name);
                if is_new && selected.iter().any(|row| column.ids[*row] != 0) {
                    found.insert(column.name.clone());
                }
            }
            let rest = selected.iter().filter_map(|row| rows.rest.get(row)).flatten();
            found.extend(rest.map(|(name, _)| name.clone()));
        })?;
        Ok(found)
    }

    /// Values of the label `name` of these series.
    ///
    /// # Errors
    /// As [`Blocks::series`].
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        start: i64,
        end: i64,
    ) -> Result<BTreeSet<Arc<str>>> {
        let mut found = BTreeSet::new();
        self.rows(matchers, (start, end), |rows, selected| {
            if let Some(column) = rows.labels.iter().find(|column| *column.name == *name) {
                let ids: BTreeSet<u32> = selected.iter().map(|row| column.ids[*row]).collect();
                let values = ids.into_iter().filter(|id| *id != 0);
                found.extend(values.map(|id| column.values[id as usize].clone()));
            }
            let rest = selected.iter().filter_map(|row| rows.rest.get(row)).flatten();
            found.extend(rest.filter(|(n, _)| **n == *name).map(|(_, value)| value.clone()));
        })?;
        Ok(found)
    }

    /// Gives `visit` the rows that match, row group by row group.
    fn rows(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        mut visit: impl FnMut(&RowGroup, &[usize]),
    ) -> Result<()> {
        self.undamaged(|blocks| {
            for listed in blocks.iter().filter(|block| block.info.touches(range.0, range.1)) {
                self.matching(listed, matchers, range, |_, _, rows, selected| {
                    visit(rows, &selected);
                })
                .map_err(Failed::at(&listed.info))?;
            }
            Ok(())
        })
    }

    /// Works on the live blocks; a damaged one is set aside and the work done again without it.
    pub(super) fn undamaged<T>(
        &self,
        mut work: impl FnMut(&[Listed]) -> Result<T, Failed>,
    ) -> Result<T> {
        loop {
            let (info, error) = match work(&self.catalog.listed()) {
                Ok(done) => return Ok(done),
                Err(Failed(failed)) => *failed,
            };
            if error.kind() != Kind::Corrupt {
                return Err(error);
            }
            // Another writer may have replaced it and let it go meanwhile.
            self.catalog.refresh()?;
            if self.catalog.live().iter().any(|block| block.id == info.id) {
                set_aside(&self.catalog, &info, &error);
            }
        }
    }

    /// Gives `visit` each row group of a block with the rows that match.
    pub(super) fn matching(
        &self,
        listed: &Listed,
        matchers: &[Matcher],
        range: TimeRange,
        mut visit: impl FnMut(&Arc<Block>, usize, &Arc<RowGroup>, Vec<usize>),
    ) -> Result<()> {
        let block = self.block(&listed.info)?;
        for group in block.series_groups() {
            if !block.may_match(group, matchers, range) {
                continue;
            }
            let rows = self.row_group(&block, group)?;
            let mut selected = rows.select(matchers, range);
            if !listed.deleted.is_empty() {
                selected.retain(|row| {
                    let own = (rows.tmin[*row], rows.tmax[*row]);
                    let cuts = deleted::cuts(&listed.deleted, &rows.labels_of(*row), own);
                    !deleted::is_all(&cuts, own)
                });
            }
            if !selected.is_empty() {
                visit(&block, group, &rows, selected);
            }
        }
        Ok(())
    }

    pub(super) fn block(&self, info: &BlockInfo) -> Result<Arc<Block>> {
        let key = (info.id, What::Block);
        if let Some(Cached::Block(block)) = self.cache.get(&key) {
            return Ok(block);
        }
        let block = Arc::new(Block::open(self.catalog.objects(), info)?);
        self.cache.insert(key, Cached::Block(block.clone()));
        Ok(block)
    }

    fn row_group(&self, block: &Block, group: usize) -> Result<Arc<RowGroup>> {
        let key = (block.info().id, What::Rows(group));
        if let Some(Cached::Rows(rows)) = self.cache.get(&key) {
            return Ok(rows);
        }
        let rows = Arc::new(block.row_group(group)?);
        self.cache.insert(key, Cached::Rows(rows.clone()));
        Ok(rows)
    }

    /// What is known of the numbers of a row group.
    pub(super) fn summaries(&self, block: &Block, group: usize) -> Result<Arc<Summaries>> {
        let key = (block.info().id, What::Summaries(group));
        if let Some(Cached::Summaries(summaries)) = self.cache.get(&key) {
            return Ok(summaries);
        }
        let summaries = Arc::new(block.summaries(group)?);
        self.cache.insert(key, Cached::Summaries(summaries.clone()));
        Ok(summaries)
    }

    /// Times of timestamp groups of a block.
    fn times(&self, block: &Block, groups: &BTreeSet<u32>) -> Result<HashMap<u32, Arc<[i64]>>> {
        let id = block.info().id;
        let mut found = HashMap::new();
        let mut missing: Vec<(usize, usize, u32)> = Vec::new();
        for group in groups {
            match self.cache.get(&(id, What::Times(*group))) {
                Some(Cached::Times(times)) => drop(found.insert(*group, times)),
                _ => {
                    let (row_group, row) = block.times_at(*group)?;
                    missing.push((row_group, row, *group));
                }
            }
        }
        for neighbours in missing.chunk_by(|a, b| a.0 == b.0) {
            let rows: Vec<usize> = neighbours.iter().map(|(_, row, _)| *row).collect();
            let chunks = block.chunks(neighbours[0].0, &rows)?;
            for ((_, _, group), chunk) in neighbours.iter().zip(chunks) {
                let mut times = Vec::new();
                chunk_codec::decode_times(chunk.data(), &mut times).map_err(corrupt)?;
                let times: Arc<[i64]> = times.into();
                self.cache.insert((id, What::Times(*group)), Cached::Times(times.clone()));
                found.insert(*group, times);
            }
        }
        Ok(found)
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

/// Sets a block aside. Should that not be possible now, it is tried again at the next read.
pub(super) fn set_aside(catalog: &Catalog, info: &BlockInfo, error: &Error) {
    if let Err(failed) = catalog.quarantine(info.id, &error.to_string()) {
        tracing::error!(path = info.path, %failed, "a damaged block cannot be set aside now");
    }
}

impl Block {
    /// Packed samples (or times) of rows of a row group.
    pub fn chunks(&self, group: usize, rows: &[usize]) -> Result<Vec<ByteArray>> {
        self.file.read_rows::<ByteArrayType>(group, self.column("chunk"), rows)
    }

    /// Values of an optional column for rows of a row group.
    pub fn optional(
        &self,
        group: usize,
        name: &'static str,
        rows: &[usize],
    ) -> Result<Vec<Option<ByteArray>>> {
        let column = self.file.read_column::<ByteArrayType>(group, self.column(name))?;
        let all: Vec<Option<ByteArray>> = column.rows().map(Option::<&_>::cloned).collect();
        Ok(rows.iter().map(|row| all.get(*row).cloned().flatten()).collect())
    }
}

/// A selection under way.
pub(super) struct Selection<'b> {
    pub blocks: &'b Blocks,
    pub range: TimeRange,
    pub slots: Vec<Parts>,
    pub by_labels: HashMap<Labels, usize>,
    pub found: Vec<Found>,
}

/// Rows of one row group, and the series they belong to.
pub(super) struct Found {
    pub block: Arc<Block>,
    pub group: usize,
    pub rows: Arc<RowGroup>,
    /// Those to be read.
    pub wanted: Vec<(usize, usize)>,
    /// Those whose statistics are enough.
    pub summed: Vec<(usize, usize, Stats)>,
    /// What was deleted of rows.
    pub cuts: HashMap<usize, Vec<deleted::Cut>>,
}

impl<'b> Selection<'b> {
    fn new(blocks: &'b Blocks, range: TimeRange) -> Self {
        let (slots, by_labels, found) = <_>::default();
        Selection { blocks, range, slots, by_labels, found }
    }

    /// Finds the rows, without their samples.
    fn find(
        &mut self,
        live: &[Listed],
        matchers: &[Matcher],
        series_max: usize,
        windows: Option<Windows>,
    ) -> Result<(), Failed> {
        let range = self.range;
        let cost = |rows: &RowGroup, row: usize| match windows {
            Some(windows) if !windows.cut(range, (rows.tmin[row], rows.tmax[row])) => 1,
            _ => u64::from(rows.count[row]),
        };
        let mut samples = 0;
        for listed in live.iter().filter(|block| block.info.touches(range.0, range.1)) {
            let Selection { slots, by_labels, found, .. } = self;
            self.blocks
                .matching(listed, matchers, range, |block, group, rows, selected| {
                    samples += selected.iter().map(|row| cost(rows, *row)).sum::<u64>();
                    let mut cuts = HashMap::new();
                    let wanted = selected
                        .into_iter()
                        .map(|row| {
                            let labels = rows.labels_of(row);
                            let range = (rows.tmin[row], rows.tmax[row]);
                            let own = deleted::cuts(&listed.deleted, &labels, range);
                            if !own.is_empty() {
                                cuts.insert(row, own);
                            }
                            (row, slot(slots, by_labels, labels))
                        })
                        .collect();
                    let (block, rows) = (block.clone(), rows.clone());
                    found.push(Found { block, group, rows, wanted, summed: Vec::new(), cuts });
                })
                .and_then(|()| within(self.slots.len(), series_max))
                .and_then(|()| few_enough(samples))
                .map_err(Failed::at(&listed.info))?;
        }
        Ok(())
    }

    /// Reads the samples of what was found.
    fn read(&mut self) -> Result<(), Failed> {
        let count = |found: &Found| -> u64 {
            found.wanted.iter().map(|(row, _)| u64::from(found.rows.count[*row])).sum()
        };
        if let Some(found) = self.found.first() {
            let all = self.found.iter().map(count).sum();
            few_enough(all).map_err(Failed::at(found.block.info()))?;
        }
        for found in std::mem::take(&mut self.found) {
            self.read_rows(&found).map_err(Failed::at(found.block.info()))?;
        }
        Ok(())
    }

    fn read_rows(&mut self, found: &Found) -> Result<()> {
        let Found { block, group, rows, wanted, summed, cuts } = found;
        let all = wanted.iter().map(|(row, _)| row).chain(summed.iter().map(|(row, ..)| row));
        let groups: BTreeSet<u32> = all.map(|row| rows.times[*row]).collect();
        let times = self.blocks.times(block, &groups)?;
        let trimmed: HashMap<u32, Trimmed> =
            times.into_iter().map(|(group, times)| (group, trim(times, self.range))).collect();
        for (row, slot, stats) in summed {
            let times = trimmed.get(&rows.times[*row]).map(|trimmed| trimmed.times.clone());
            let times = times.filter(|times| times.len() == rows.count[*row] as usize);
            let times = times.ok_or_else(other_count)?;
            self.slots[*slot].numbers.push(Numbers { times, values: Values::Summed(*stats) });
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let numbers: Vec<usize> = wanted.iter().map(|(row, _)| *row).collect();
        let chunks = block.chunks(*group, &numbers)?;
        let none = || vec![None; numbers.len()];
        let starts = match block.footer.starts {
            true => block.optional(*group, "starts", &numbers)?,
            false => none(),
        };
        let found_exemplars = match block.footer.exemplars {
            true => block.optional(*group, "exemplars", &numbers)?,
            false => none(),
        };
        let packed = chunks.into_iter().zip(starts).zip(found_exemplars);
        for ((row, slot), ((chunk, starts), examples)) in wanted.iter().zip(packed) {
            let slot = &mut self.slots[*slot];
            slot.info = rows.info_of(*row).cloned().or(slot.info.take());
            let Some(trimmed) = trimmed.get(&rows.times[*row]) else { continue };
            let cuts = cuts.get(row).map_or(&[][..], Vec::as_slice);
            if trimmed.count != rows.count[*row] as usize {
                return Err(other_count());
            }
            if let Some(examples) = examples {
                let (start, end) = self.range;
                let examples = exemplars::decode(examples.data())?.into_iter();
                let examples = examples.filter(|e| (start..=end).contains(&e.time_ms));
                slot.exemplars.extend(examples.filter(|e| !deleted::is_cut(cuts, e.time_ms)));
            }
            if i32::from(rows.what[*row]) == schema::HISTOGRAMS {
                let histograms = unpack_histograms(&chunk, &trimmed.all)?;
                let upto = trimmed.before + trimmed.times.len();
                let wanted = histograms.into_iter().take(upto).skip(trimmed.before);
                let wanted = wanted.filter(|(time, _)| !deleted::is_cut(cuts, *time));
                slot.histograms.push(wanted.collect());
            } else if !trimmed.times.is_empty() {
                let (before, count) = (trimmed.before, trimmed.count);
                let values = Values::Packed { chunk, starts, before, count };
                let numbers = Numbers { times: trimmed.times.clone(), values };
                slot.numbers.extend(match cuts {
                    [] => Some(numbers),
                    cuts => deleted::without(numbers, cuts)?,
                });
            }
        }
        Ok(())
    }
}

fn slot(slots: &mut Vec<Parts>, by_labels: &mut HashMap<Labels, usize>, labels: Labels) -> usize {
    match by_labels.entry(labels) {
        Entry::Occupied(known) => *known.get(),
        Entry::Vacant(new) => {
            let labels = new.key().clone();
            slots.push(Parts { labels, ..Parts::default() });
            *new.insert(slots.len() - 1)
        }
    }
}

fn other_count() -> Error {
    Error::corrupt("a row has another number of samples than times")
}

fn within(series: usize, series_max: usize) -> Result<()> {
    if series_max > 0 && series > series_max {
        return Err(Error::invalid(format!(
            "selector matches {series} series, at most {series_max} are allowed"
        )));
    }
    Ok(())
}

fn few_enough(samples: u64) -> Result<()> {
    if samples > SAMPLES_MAX {
        return Err(Error::invalid(format!(
            "selector asks for more than {SAMPLES_MAX} stored samples: ask for less time or fewer \
             series"
        )));
    }
    Ok(())
}

/// The times of a group that lie in a range.
struct Trimmed {
    all: Arc<[i64]>,
    times: Arc<[i64]>,
    /// So many come before.
    before: usize,
    count: usize,
}

fn trim(all: Arc<[i64]>, (start, end): TimeRange) -> Trimmed {
    let before = all.partition_point(|time| *time < start);
    let upto = all.partition_point(|time| *time <= end).max(before);
    let count = all.len();
    let times = if upto - before == count { all.clone() } else { all[before..upto].into() };
    Trimmed { all, times, before, count }
}

/// Histograms with their times.
pub(super) fn unpack_histograms(
    chunk: &ByteArray,
    times: &[i64],
) -> Result<Vec<(i64, Arc<NativeHistogram>)>> {
    let mut histograms = Vec::new();
    chunk_codec::decode_histograms(chunk.data(), &mut histograms).map_err(corrupt)?;
    if histograms.len() != times.len() {
        return Err(Error::corrupt("a chunk does not hold as many histograms as it has times"));
    }
    let native = histograms.into_iter().map(|histogram| Arc::new(unpacked(histogram)));
    Ok(times.iter().copied().zip(native).collect())
}

/// Adds what the head has to what blocks have.
fn with_newest(
    mut slots: Vec<Parts>,
    newest: Vec<SeriesColumns>,
    series_max: usize,
) -> Result<Vec<Parts>> {
    let mut by_labels: HashMap<Labels, usize> =
        slots.iter().enumerate().map(|(at, parts)| (parts.labels.clone(), at)).collect();
    for columns in newest {
        let at = slot(&mut slots, &mut by_labels, columns.labels.clone());
        slots[at].add(columns);
    }
    within(slots.len(), series_max)?;
    Ok(slots)
}
