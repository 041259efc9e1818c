// SPDX-License-Identifier: Apache-2.0
//! Columns of series become a block.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use basics::Result;
use basics::labels::{Labels, METRIC_NAME};
use chunk_codec::{HistogramRef, Stats};
use hashbrown::HashMap;
use otlp_series::MetricKind;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::file::writer::SerializedRowGroupWriter;

use super::schema::{self, Footer, GROUP_BYTES_MAX, GROUP_ROWS_MAX};
use super::{exemplars, order};
use crate::blocks::container::{FileWriter, Sink, Written};
use crate::blocks::{BlockInfo, Catalog, Objects, Target};
use crate::columns::{SeriesColumns, packable};
use crate::head::FamilyInfo;

/// Times that wait for a row group of their own at most: what the writer holds beside its rows.
const TIMES_BYTES_MAX: usize = 16 << 20;

/// Writes flushed series as a block of level 0; none when they hold no sample. The block is durable
/// and counts once it is committed.
///
/// Series may come in any order, each label set once. What is held meanwhile is their samples
/// packed.
///
/// # Errors
/// [`basics::Kind::Retry`] when the block cannot be written, `Invalid` without a writer.
pub fn write_block(
    catalog: &Catalog,
    series: impl IntoIterator<Item = SeriesColumns>,
) -> Result<Option<BlockInfo>> {
    let mut groups = Groups::default();
    let mut rows = Vec::new();
    for columns in series {
        pack(&columns, &mut groups, &mut rows);
    }
    let Some(tmin) = rows.iter().map(|row| row.tmin).min() else { return Ok(None) };
    rows.sort_by(|a, b| order(&a.labels, &b.labels).then(a.what.cmp(&b.what)));
    let names: BTreeSet<Arc<str>> =
        rows.iter().flat_map(|row| row.labels.pairs()).map(|(name, _)| name.clone()).collect();
    let target = catalog.target(0, tmin)?;
    let mut writer = BlockWriter::create(&**catalog.objects(), target, names)?;
    for row in rows {
        writer.push(row)?;
    }
    for times in groups.take() {
        writer.push_times(times)?;
    }
    writer.finish().map(Some)
}

/// A row, packed.
pub(super) struct Row {
    pub labels: Labels,
    pub info: Option<Arc<FamilyInfo>>,
    pub what: i32,
    pub tmin: i64,
    pub tmax: i64,
    pub count: usize,
    pub group: u32,
    pub stats: Option<Stats>,
    pub chunk: Vec<u8>,
    pub starts: Option<(i64, Vec<u8>)>,
    pub exemplars: Option<Vec<u8>>,
}

/// The times of a group, packed.
pub(super) struct Times {
    pub tmin: i64,
    pub tmax: i64,
    pub count: usize,
    pub chunk: Vec<u8>,
}

/// Timestamp groups by what they hold.
#[derive(Default)]
pub(super) struct Groups {
    /// The pointer stands for the times: the `Arc` beside it keeps it from being used again.
    by_pointer: HashMap<usize, (Arc<[i64]>, u32)>,
    by_chunk: HashMap<Vec<u8>, u32>,
    times: Vec<Times>,
    given: u32,
}

/// Times kept to be told by their pointer; beyond it they are packed to be found.
const POINTERS_MAX: usize = 4096;

impl Groups {
    pub fn of(&mut self, times: &Arc<[i64]>) -> u32 {
        let pointer = times.as_ptr() as usize;
        if let Some((known, group)) = self.by_pointer.get(&pointer)
            && known.len() == times.len()
        {
            return *group;
        }
        let group = self.of_slice(times);
        if self.by_pointer.len() >= POINTERS_MAX {
            self.by_pointer.clear();
        }
        self.by_pointer.insert(pointer, (times.clone(), group));
        group
    }

    pub fn of_slice(&mut self, times: &[i64]) -> u32 {
        let mut chunk = Vec::new();
        chunk_codec::encode_times(times, &mut chunk);
        if let Some(group) = self.by_chunk.get(&chunk) {
            return *group;
        }
        let group = self.given;
        self.given += 1;
        let (tmin, tmax) = (times.first().copied(), times.last().copied());
        self.by_chunk.insert(chunk.clone(), group);
        self.times.push(Times {
            tmin: tmin.unwrap_or_default(),
            tmax: tmax.unwrap_or_default(),
            count: times.len(),
            chunk,
        });
        group
    }

    /// What was not taken yet, in the order of their numbers.
    pub fn take(&mut self) -> Vec<Times> {
        std::mem::take(&mut self.times)
    }

    /// Lets go of the packed times when they are many; they are found by them no more.
    pub fn take_if_many(&mut self) -> Vec<Times> {
        let bytes: usize = self.times.iter().map(|times| times.chunk.len()).sum();
        if bytes < TIMES_BYTES_MAX {
            return Vec::new();
        }
        self.by_chunk.clear();
        self.take()
    }
}

/// Packs a series into a row for its numbers and one for its histograms.
pub(super) fn pack(columns: &SeriesColumns, groups: &mut Groups, rows: &mut Vec<Row>) {
    let found = (!columns.exemplars.is_empty()).then(|| exemplars::encode(&columns.exemplars));
    let row = |what, group, first: i64, last: i64, count, chunk| Row {
        labels: columns.labels.clone(),
        info: columns.info.clone(),
        what,
        tmin: first,
        tmax: last,
        count,
        group,
        stats: None,
        chunk,
        starts: None,
        exemplars: None,
    };
    let first_row = rows.len();
    if let (Some(first), Some(last)) = (columns.times.first(), columns.times.last()) {
        let mut chunk = Vec::new();
        chunk_codec::encode_values(&columns.values, &mut chunk);
        let group = groups.of(&columns.times);
        let mut row = row(schema::NUMBERS, group, *first, *last, columns.times.len(), chunk);
        row.stats = Some(chunk_codec::stats(&columns.values));
        if let Some(least) = columns.start_times.iter().min() {
            let mut starts = Vec::new();
            chunk_codec::encode_times(&columns.start_times, &mut starts);
            row.starts = Some((*least, starts));
        }
        rows.push(row);
    }
    if let (Some((first, _)), Some((last, _))) =
        (columns.histograms.first(), columns.histograms.last())
    {
        let times: Vec<i64> = columns.histograms.iter().map(|(time, _)| *time).collect();
        let histograms: Vec<HistogramRef> =
            columns.histograms.iter().map(|(_, histogram)| packable(histogram)).collect();
        let mut chunk = Vec::new();
        chunk_codec::encode_histograms(&histograms, &mut chunk);
        let group = groups.of_slice(&times);
        rows.push(row(schema::HISTOGRAMS, group, *first, *last, times.len(), chunk));
    }
    if let Some(row) = rows.get_mut(first_row) {
        row.exemplars = found;
    }
}

/// Writes rows that come in order.
pub(super) struct BlockWriter {
    file: FileWriter,
    target: Target,
    names: Vec<Arc<str>>,
    rows: Vec<Row>,
    row_bytes: usize,
    times: Vec<Times>,
    times_bytes: usize,
    /// Timestamp groups written.
    groups: u32,
    footer: Footer,
    tmin: i64,
    tmax: i64,
    count: u64,
    items: u64,
}

impl BlockWriter {
    pub fn create(
        objects: &dyn Objects,
        target: Target,
        names: BTreeSet<Arc<str>>,
    ) -> Result<BlockWriter> {
        let mut names: Vec<Arc<str>> = names.into_iter().collect();
        // The metric's name first: row groups are told apart by it.
        names.sort_by_key(|name| &**name != METRIC_NAME);
        names.truncate(schema::LABEL_COLUMNS_MAX);
        names.sort();
        let schema = schema::schema(&names)?;
        let file = FileWriter::create(objects, &target, schema, schema::properties())?;
        let footer = Footer { version: schema::VERSION, ..Footer::default() };
        Ok(BlockWriter {
            file,
            target,
            names,
            rows: Vec::new(),
            row_bytes: 0,
            times: Vec::new(),
            times_bytes: 0,
            groups: 0,
            footer,
            tmin: i64::MAX,
            tmax: i64::MIN,
            count: 0,
            items: 0,
        })
    }

    pub fn push(&mut self, row: Row) -> Result<()> {
        self.tmin = self.tmin.min(row.tmin);
        self.tmax = self.tmax.max(row.tmax);
        self.count += 1;
        self.items += row.count as u64;
        self.row_bytes += row.chunk.len();
        self.footer.starts |= row.starts.is_some();
        self.footer.exemplars |= row.exemplars.is_some();
        self.rows.push(row);
        if self.rows.len() >= GROUP_ROWS_MAX || self.row_bytes >= GROUP_BYTES_MAX {
            self.write_rows()?;
        }
        Ok(())
    }

    /// The next timestamp group.
    pub fn push_times(&mut self, times: Times) -> Result<()> {
        self.times_bytes += times.chunk.len();
        self.times.push(times);
        if self.times.len() >= GROUP_ROWS_MAX || self.times_bytes >= GROUP_BYTES_MAX {
            self.write_times()?;
        }
        Ok(())
    }

    fn write_rows(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        self.row_bytes = 0;
        self.write_group(rows)
    }

    fn write_times(&mut self) -> Result<()> {
        let times = std::mem::take(&mut self.times);
        self.times_bytes = 0;
        let first = self.groups;
        self.groups += times.len() as u32;
        let rows: Vec<Row> = (first..)
            .zip(times)
            .map(|(group, times)| Row {
                labels: Labels::default(),
                info: None,
                what: schema::TIMES,
                tmin: times.tmin,
                tmax: times.tmax,
                count: times.count,
                group,
                stats: None,
                chunk: times.chunk,
                starts: None,
                exemplars: None,
            })
            .collect();
        self.footer.times.push((self.file.row_groups(), first));
        self.write_group(rows)
    }

    fn write_group(&mut self, rows: Vec<Row>) -> Result<()> {
        let names = &self.names;
        self.file.row_group(|group| {
            for name in names {
                let texts = rows.iter().map(|row| Some(row.labels.get(name)));
                texts_column(group, texts.map(|text| text.filter(|text| !text.is_empty())))?;
            }
            let rest: Vec<Option<Vec<u8>>> = rows.iter().map(|row| rest_of(row, names)).collect();
            texts_column(group, rest.iter().map(|rest| rest.as_deref()))?;
            write_columns(group, rows)
        })
    }

    pub fn finish(mut self) -> Result<BlockInfo> {
        if !self.rows.is_empty() {
            self.write_rows()?;
        }
        if !self.times.is_empty() {
            self.write_times()?;
        }
        let footer = serde_json::to_string(&self.footer).unwrap_or_default();
        let Written { bytes, footer_bytes, footer_crc } =
            self.file.finish(vec![(schema::FOOTER, footer)])?;
        let Target { id, level, path, writer } = self.target;
        Ok(BlockInfo {
            id,
            level,
            path,
            tmin: self.tmin,
            tmax: self.tmax,
            rows: self.count,
            items: self.items,
            bytes,
            footer_bytes,
            footer_crc,
            writer,
        })
    }
}

/// Labels without a column of their own, as JSON.
fn rest_of(row: &Row, names: &[Arc<str>]) -> Option<Vec<u8>> {
    if names.len() < schema::LABEL_COLUMNS_MAX {
        return None;
    }
    let has_column = |name: &str| names.binary_search_by(|known| (**known).cmp(name)).is_ok();
    let rest: BTreeMap<&str, &str> =
        row.labels.iter().filter(|(name, _)| !has_column(name)).collect();
    (!rest.is_empty()).then(|| serde_json::to_vec(&rest).unwrap_or_default())
}

type Written0 = parquet::errors::Result<()>;
type Group<'a, 'b> = &'a mut SerializedRowGroupWriter<'b, Sink>;

fn write_columns(group: Group<'_, '_>, rows: Vec<Row>) -> Written0 {
    let infos = || rows.iter().map(|row| row.info.as_deref());
    let text = |text: &'_ String| !text.is_empty();
    required::<Int32Type>(group, rows.iter().map(|row| row.what))?;
    optional::<Int32Type>(group, infos().map(|info| info.map(|info| kind_number(info.kind))))?;
    let units = infos().map(|info| info.map(|info| &info.unit).filter(|unit| text(unit)));
    texts_column(group, units)?;
    let helps = infos().map(|info| info.map(|info| &info.help).filter(|help| text(help)));
    texts_column(group, helps)?;
    required::<Int64Type>(group, rows.iter().map(|row| row.tmin))?;
    required::<Int64Type>(group, rows.iter().map(|row| row.tmax))?;
    required::<Int32Type>(group, rows.iter().map(|row| row.count as i32))?;
    optional::<Int32Type>(group, rows.iter().map(|row| Some(row.group as i32)))?;
    let doubles: [fn(&Stats) -> f64; 5] =
        [|s| s.first, |s| s.last, |s| s.min, |s| s.max, |s| s.sum];
    for of in doubles {
        optional::<DoubleType>(group, rows.iter().map(|row| row.stats.as_ref().map(of)))?;
    }
    let stat = |of: fn(&Stats) -> i32| rows.iter().map(move |row| row.stats.as_ref().map(of));
    optional::<Int32Type>(group, stat(|s| s.resets as i32))?;
    optional::<DoubleType>(group, rows.iter().map(|row| row.stats.as_ref().map(|s| s.drops)))?;
    optional::<Int32Type>(group, stat(|s| s.changes as i32))?;
    optional::<Int32Type>(group, stat(|s| s.stale as i32))?;
    let starts = || rows.iter().map(|row| row.starts.as_ref());
    optional::<Int64Type>(group, starts().map(|starts| starts.map(|(least, _)| *least)))?;
    texts_column(group, starts().map(|starts| starts.map(|(_, chunk)| chunk)))?;
    texts_column(group, rows.iter().map(|row| row.exemplars.as_ref()))?;
    let mut column = next(group)?;
    let writer = column.typed::<ByteArrayType>();
    for row in rows {
        // One at a time: a page ends where it is full, not a thousand chunks later.
        writer.write_batch(&[ByteArray::from(row.chunk)], None, None)?;
    }
    column.close()
}

pub(super) fn kind_number(kind: MetricKind) -> i32 {
    match kind {
        MetricKind::Gauge => 1,
        MetricKind::Counter => 2,
        MetricKind::Histogram => 3,
        MetricKind::Summary => 4,
    }
}

fn next<'a>(
    group: &'a mut SerializedRowGroupWriter<'_, Sink>,
) -> parquet::errors::Result<parquet::file::writer::SerializedColumnWriter<'a>> {
    let column = group.next_column()?;
    column.ok_or_else(|| parquet::errors::ParquetError::General("too few columns".to_owned()))
}

fn required<T: DataType>(group: Group<'_, '_>, values: impl Iterator<Item = T::T>) -> Written0 {
    let values: Vec<T::T> = values.collect();
    let mut column = next(group)?;
    column.typed::<T>().write_batch(&values, None, None)?;
    column.close()
}

fn optional<T: DataType>(
    group: Group<'_, '_>,
    values: impl Iterator<Item = Option<T::T>>,
) -> Written0 {
    let mut levels = Vec::new();
    let mut there = Vec::new();
    for value in values {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    let mut column = next(group)?;
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

fn texts_column<B: AsRef<[u8]> + ?Sized, R: std::ops::Deref<Target = B>>(
    group: Group<'_, '_>,
    texts: impl Iterator<Item = Option<R>>,
) -> Written0 {
    let bytes = texts.map(|text| text.map(|text| ByteArray::from((*text).as_ref().to_vec())));
    optional::<ByteArrayType>(group, bytes)
}
