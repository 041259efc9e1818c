// SPDX-License-Identifier: Apache-2.0
//! Rows whose statistics are enough: those that windows hold whole.
//!
//! A row of a merged block is a day of a series, so this is for what looks at weeks: of a month's
//! `increase` the samples of two days are decoded, and the statistics of the others read.
//!
//! A row is read nevertheless where its statistics are not the whole truth: with a staleness marker
//! or a deleted range in it, and all rows of a series that has start times or native histograms, or
//! several values at one time (late blocks, several writers, what memory and a block both have).

#[cfg(test)]
mod tests;

use basics::Result;
use chunk_codec::Stats;
use parquet::data_type::{DataType, DoubleType, Int32Type, Int64Type};

use super::index::Block;
use super::schema;
use super::select::{Failed, Found, Selection, TimeRange};
use crate::columns::SeriesColumns;

/// Samples that need not be decoded for each row whose statistics are read: decoding one takes
/// 1.2 ns, reading the statistics of a row some 40 times that, and those of a row group are read
/// together.
const SAMPLES_PER_ROW: u64 = 64;

/// What a sum may be for sums of sums to stay far from the end of numbers.
const SUM_MAX: f64 = 1e290;

/// The windows that samples are selected for: the first ends `length_ms` after what is before the
/// range, the others `step_ms` apart up to the end of the range, which ends the last one.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    /// Each is so long, without its first millisecond.
    pub length_ms: i64,
    /// From one to the next; 0 when there is one.
    pub step_ms: i64,
    /// Sums of statistics are taken: only series that are never below 0, or never above.
    pub one_sign: bool,
}

impl Windows {
    /// True when a window has an edge between the first and the last sample of a row.
    pub(super) fn cut(&self, (start, end): TimeRange, (tmin, tmax): TimeRange) -> bool {
        let (step, length) = (i128::from(self.step_ms), i128::from(self.length_ms));
        let (tmin, tmax) = (i128::from(tmin), i128::from(tmax));
        let first_start = i128::from(start) - 1;
        let last_end = i128::from(end);
        // Edges at `first`, every step later, up to `last`: the first one that is not before `tmin`.
        let hit = |first: i128, last: i128| {
            let edge = match step > 0 && first < tmin {
                true => first + (tmin - first + step - 1) / step * step,
                false => first,
            };
            (tmin..tmax).contains(&edge) && edge <= last
        };
        hit(first_start, last_end - length) || hit(first_start + length, last_end)
    }
}

/// What is known of the numbers of a row group, row by row.
#[derive(Debug)]
pub(super) struct Summaries {
    /// None: no numbers, or with start times.
    rows: Vec<Option<Stats>>,
}

impl Summaries {
    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        64 + size_of_val(&*self.rows) as u64
    }
}

impl Block {
    /// Reads the statistics of a row group.
    pub fn summaries(&self, group: usize) -> Result<Summaries> {
        let first = self.optional_numbers::<DoubleType>(group, "first")?;
        let last = self.optional_numbers::<DoubleType>(group, "last")?;
        let min = self.optional_numbers::<DoubleType>(group, "min")?;
        let max = self.optional_numbers::<DoubleType>(group, "max")?;
        let sum = self.optional_numbers::<DoubleType>(group, "sum")?;
        let drops = self.optional_numbers::<DoubleType>(group, "drops")?;
        let resets = self.optional_numbers::<Int32Type>(group, "resets")?;
        let changes = self.optional_numbers::<Int32Type>(group, "changes")?;
        let stale = self.optional_numbers::<Int32Type>(group, "stale")?;
        let count = self.file.read_column::<Int32Type>(group, self.column("count"))?.values;
        let starts = match self.footer.starts {
            true => self.optional_numbers::<Int64Type>(group, "start_min")?,
            false => Vec::new(),
        };
        let of = |row: usize| {
            let number = |column: &[Option<i32>]| column.get(row).copied().flatten();
            let value = |column: &[Option<f64>]| column.get(row).copied().flatten();
            let stale = number(&stale)? as u32;
            if starts.get(row).is_some_and(Option::is_some) {
                return None;
            }
            Some(Stats {
                count: (*count.get(row)? as u32).saturating_sub(stale),
                stale,
                first: value(&first)?,
                last: value(&last)?,
                min: value(&min)?,
                max: value(&max)?,
                sum: value(&sum)?,
                resets: number(&resets)? as u32,
                drops: value(&drops)?,
                changes: number(&changes)? as u32,
            })
        };
        Ok(Summaries { rows: (0..count.len()).map(of).collect() })
    }

    fn optional_numbers<T: DataType>(
        &self,
        group: usize,
        name: &'static str,
    ) -> Result<Vec<Option<T::T>>> {
        let column = self.file.read_column::<T>(group, self.column(name))?;
        Ok(column.rows().map(Option::<&_>::cloned).collect())
    }
}

/// What is known of all rows of a series.
struct Whole {
    /// Of its rows, in no order.
    ranges: Vec<TimeRange>,
    /// Statistics tell everything.
    told: bool,
    min: f64,
    max: f64,
}

impl Default for Whole {
    fn default() -> Self {
        Whole { ranges: Vec::new(), told: true, min: f64::NAN, max: f64::NAN }
    }
}

impl Whole {
    fn add(&mut self, range: TimeRange, min: f64, max: f64) {
        self.ranges.push(range);
        self.min = self.min.min(min);
        self.max = self.max.max(max);
    }

    fn add_newest(&mut self, columns: &SeriesColumns) {
        self.told &= columns.histograms.is_empty() && columns.start_times.is_empty();
        if let (Some(first), Some(last)) = (columns.times.first(), columns.times.last()) {
            let min = columns.values.iter().copied().fold(f64::NAN, f64::min);
            let max = columns.values.iter().copied().fold(f64::NAN, f64::max);
            self.add((*first, *last), min, max);
        }
    }

    /// True when the statistics of a row stand for its samples.
    fn is_sound(&mut self, windows: &Windows) -> bool {
        self.ranges.sort_unstable();
        let apart = self.ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let one_sign = self.min >= 0.0 || self.max <= 0.0;
        self.told && apart && (one_sign || !windows.one_sign)
    }
}

impl Selection<'_> {
    /// Moves rows whose statistics are enough from those to be read to those that are not.
    pub fn summarise(&mut self, windows: Windows, newest: &[SeriesColumns]) -> Result<(), Failed> {
        let range = self.range;
        let is_whole = |found: &Found, row: usize| {
            i32::from(found.rows.what[row]) == schema::NUMBERS
                && !windows.cut(range, (found.rows.tmin[row], found.rows.tmax[row]))
        };
        let saved = |found: &Found| -> u64 {
            let whole = found.wanted.iter().filter(|(row, _)| is_whole(found, *row));
            whole.map(|(row, _)| u64::from(found.rows.count[*row])).sum()
        };
        let rows: u64 = self.found.iter().map(|found| found.rows.what.len() as u64).sum();
        let saved: u64 = self.found.iter().map(saved).sum();
        if saved == 0 || saved < SAMPLES_PER_ROW * rows {
            return Ok(());
        }
        let mut series: Vec<Whole> = Vec::new();
        series.resize_with(self.slots.len(), Whole::default);
        let mut known = Vec::with_capacity(self.found.len());
        for found in &self.found {
            let summaries = self.blocks.summaries(&found.block, found.group);
            let summaries = summaries.map_err(Failed::at(found.block.info()))?;
            for (row, slot) in &found.wanted {
                let whole = &mut series[*slot];
                match summaries.rows.get(*row).copied().flatten() {
                    Some(stats) if !found.cuts.contains_key(row) => {
                        let range = (found.rows.tmin[*row], found.rows.tmax[*row]);
                        whole.add(range, stats.min, stats.max);
                    }
                    _ => whole.told = false,
                }
            }
            known.push(summaries);
        }
        for columns in newest {
            if let Some(slot) = self.by_labels.get(&columns.labels) {
                series[*slot].add_newest(columns);
            }
        }
        let sound: Vec<bool> = series.iter_mut().map(|whole| whole.is_sound(&windows)).collect();
        for (found, summaries) in self.found.iter_mut().zip(known) {
            let enough = |row: usize, slot: usize| {
                let stats = summaries.rows.get(row).copied().flatten()?;
                let sums = !windows.one_sign || stats.sum.abs() <= SUM_MAX;
                let same = stats.stale == 0 && stats.count == found.rows.count[row];
                (sound[slot] && is_whole(found, row) && sums && same).then_some(stats)
            };
            let (mut read, mut summed) = (Vec::new(), Vec::new());
            for (row, slot) in &found.wanted {
                match enough(*row, *slot) {
                    Some(stats) => summed.push((*row, *slot, stats)),
                    None => read.push((*row, *slot)),
                }
            }
            (found.wanted, found.summed) = (read, summed);
        }
        Ok(())
    }
}
