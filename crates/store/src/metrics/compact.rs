// SPDX-License-Identifier: Apache-2.0
//! Several blocks become one, with longer chunks.
//!
//! All inputs ascend by the same order, so they are walked side by side, series by series: what is
//! held is a page of chunks of each and a row group of the result. Each time is kept once; of
//! several values at one time that of the newest block.

use std::collections::BTreeSet;
use std::sync::Arc;

use basics::labels::Labels;
use basics::{Error, Kind, Result};
use hashbrown::HashMap;
use parquet::data_type::ByteArray;

use super::deleted::{cuts, is_all, is_cut, without};
use super::index::{Block, RowGroup};
use super::merge::{Numbers, Parts, Plans, Scratch, Values, corrupt};
use super::select::{set_aside, unpack_histograms};
use super::write::{BlockWriter, Groups, pack};
use super::{exemplars, order, schema};
use crate::blocks::plan::Merge;
use crate::blocks::{BlockInfo, Catalog, Deleted};

/// Rows whose chunks are read at a time: a page or a few.
const BATCH_ROWS: usize = 256;

/// Bytes of times kept at most, decoded and packed each.
const TIMES_BYTES_MAX: usize = 32 << 20;

/// Merges `merge.inputs` into one block and commits that in their place; returns it, or none when
/// all of it was deleted, or an input is damaged: it is set aside, and the next merge goes on without
/// it. What was deleted is left out.
///
/// # Errors
/// [`Kind::Retry`] when blocks cannot be read or written now; nothing has changed then.
pub fn compact(catalog: &Catalog, merge: &Merge) -> Result<Option<BlockInfo>> {
    let mut cursors = Vec::new();
    let mut applied = Vec::new();
    for info in &merge.inputs {
        let deleted = catalog.deleted_of(info.id);
        applied.extend(deleted.iter().cloned());
        let opened = Block::open(catalog.objects(), info);
        let opened = opened.and_then(|block| Cursor::new(block, deleted));
        match opened {
            Ok(cursor) => cursors.push(cursor),
            Err(error) => return damaged(catalog, info, error),
        }
    }
    let names: BTreeSet<Arc<str>> =
        cursors.iter().flat_map(|c| &c.block.labels).map(|(name, _)| name.clone()).collect();
    let tmin = merge.inputs.iter().map(|info| info.tmin).min().unwrap_or_default();
    let target = catalog.target(merge.level, tmin)?;
    let writer = BlockWriter::create(&**catalog.objects(), target, names)?;
    match write(cursors, writer) {
        Ok(block) => {
            let gone: Vec<_> = merge.inputs.iter().map(|info| info.id).collect();
            // Nothing of it is left: an object that nobody lists.
            let block = Some(block).filter(|block| block.rows > 0);
            catalog.replace(block.clone(), &gone, &applied)?;
            Ok(block)
        }
        Err(Failed { input: Some(input), error }) => damaged(catalog, &merge.inputs[input], error),
        Err(Failed { input: None, error }) => Err(error),
    }
}

fn damaged(catalog: &Catalog, info: &BlockInfo, error: Error) -> Result<Option<BlockInfo>> {
    match error.kind() {
        Kind::Corrupt => {
            set_aside(catalog, info, &error);
            Ok(None)
        }
        _ => Err(error),
    }
}

/// An error, and the input that it came from.
struct Failed {
    input: Option<usize>,
    error: Error,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed { input: None, error }
    }
}

fn write(mut cursors: Vec<Cursor>, mut writer: BlockWriter) -> Result<BlockInfo, Failed> {
    let (mut plans, mut scratch) = (Plans::default(), Scratch::default());
    let mut groups = Groups::default();
    let mut rows = Vec::new();
    while let Some(labels) = least(&cursors) {
        let mut parts = Parts { labels: labels.clone(), ..Parts::default() };
        for (input, cursor) in cursors.iter_mut().enumerate() {
            while cursor.labels.as_ref() == Some(&labels) {
                let step = cursor.take(&mut parts).and_then(|()| cursor.next());
                step.map_err(|error| Failed { input: Some(input), error })?;
            }
        }
        // A chunk that does check out and cannot be decoded was written wrongly: nobody knows by
        // which input, and all of them stay.
        let merged = parts.merge(&mut plans, &mut scratch)?;
        pack(&merged, &mut groups, &mut rows);
        for row in rows.drain(..) {
            writer.push(row)?;
        }
        for times in groups.take_if_many() {
            writer.push_times(times)?;
        }
    }
    for times in groups.take() {
        writer.push_times(times)?;
    }
    Ok(writer.finish()?)
}

fn least(cursors: &[Cursor]) -> Option<Labels> {
    let current = cursors.iter().filter_map(|cursor| cursor.labels.as_ref());
    current.min_by(|a, b| order(a, b)).cloned()
}

/// A walk over the rows of a block.
struct Cursor {
    block: Block,
    deleted: Vec<Arc<Deleted>>,
    /// Row groups to come.
    groups: std::vec::IntoIter<usize>,
    group: usize,
    rows: RowGroup,
    row: usize,
    /// Labels of the current row; none at the end.
    labels: Option<Labels>,
    /// Chunks from row `batch_row` on.
    batch: Vec<ByteArray>,
    batch_row: usize,
    starts: Vec<Option<ByteArray>>,
    exemplars: Vec<Option<ByteArray>>,
    packed_times: Bounded<ByteArray>,
    times: Bounded<Arc<[i64]>>,
}

/// What was read lately; all of it goes when it is too much.
struct Bounded<V> {
    known: HashMap<u32, V>,
    bytes: usize,
}

impl<V: Clone> Bounded<V> {
    fn new() -> Self {
        Bounded { known: HashMap::new(), bytes: 0 }
    }

    fn insert(&mut self, key: u32, value: V, bytes: usize) {
        if self.bytes > TIMES_BYTES_MAX {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.known.insert(key, value);
    }
}

impl Cursor {
    fn new(block: Block, deleted: Vec<Arc<Deleted>>) -> Result<Cursor> {
        let groups: Vec<usize> = block.series_groups().collect();
        let mut cursor = Cursor {
            block,
            deleted,
            groups: groups.into_iter(),
            group: 0,
            rows: RowGroup::default(),
            row: 0,
            labels: None,
            batch: Vec::new(),
            batch_row: 0,
            starts: Vec::new(),
            exemplars: Vec::new(),
            packed_times: Bounded::new(),
            times: Bounded::new(),
        };
        cursor.settle()?;
        Ok(cursor)
    }

    fn next(&mut self) -> Result<()> {
        self.row += 1;
        self.settle()
    }

    /// Goes on to the next row group where one is at its end, and tells the labels there.
    fn settle(&mut self) -> Result<()> {
        while self.row >= self.rows.what.len() {
            let Some(group) = self.groups.next() else {
                self.labels = None;
                return Ok(());
            };
            self.rows = self.block.row_group(group)?;
            (self.group, self.row, self.batch_row) = (group, 0, 0);
            self.batch.clear();
            let all: Vec<usize> = (0..self.rows.what.len()).collect();
            if self.block.footer.starts {
                self.starts = self.block.optional(group, "starts", &all)?;
            }
            if self.block.footer.exemplars {
                self.exemplars = self.block.optional(group, "exemplars", &all)?;
            }
        }
        self.labels = Some(self.rows.labels_of(self.row));
        Ok(())
    }

    /// Adds the current row to `parts`.
    fn take(&mut self, parts: &mut Parts) -> Result<()> {
        let range = (self.rows.tmin[self.row], self.rows.tmax[self.row]);
        let cuts = match &self.labels {
            Some(labels) if !self.deleted.is_empty() => cuts(&self.deleted, labels, range),
            _ => Vec::new(),
        };
        if is_all(&cuts, range) {
            return Ok(());
        }
        let chunk = self.chunk()?;
        let times = self.times_of(self.rows.times[self.row])?;
        let count = self.rows.count[self.row] as usize;
        if count != times.len() {
            return Err(Error::corrupt("a row has another number of samples than times"));
        }
        parts.info = self.rows.info_of(self.row).cloned().or(parts.info.take());
        if let Some(Some(examples)) = self.exemplars.get(self.row) {
            let examples = exemplars::decode(examples.data())?.into_iter();
            parts.exemplars.extend(examples.filter(|e| !is_cut(&cuts, e.time_ms)));
        }
        if i32::from(self.rows.what[self.row]) == schema::HISTOGRAMS {
            let mut histograms = unpack_histograms(&chunk, &times)?;
            histograms.retain(|(time, _)| !is_cut(&cuts, *time));
            parts.histograms.push(histograms);
        } else if count > 0 {
            let starts = self.starts.get(self.row).cloned().flatten();
            let values = Values::Packed { chunk, starts, before: 0, count };
            let numbers = Numbers { times, values };
            parts.numbers.extend(match cuts.is_empty() {
                true => Some(numbers),
                false => without(numbers, &cuts)?,
            });
        }
        Ok(())
    }

    fn chunk(&mut self) -> Result<ByteArray> {
        if self.row >= self.batch_row + self.batch.len() {
            let upto = (self.row + BATCH_ROWS).min(self.rows.what.len());
            let wanted: Vec<usize> = (self.row..upto).collect();
            self.batch = self.block.chunks(self.group, &wanted)?;
            self.batch_row = self.row;
        }
        let chunk = self.batch.get(self.row - self.batch_row).cloned();
        chunk.ok_or_else(|| Error::corrupt("a row has no chunk"))
    }

    fn times_of(&mut self, group: u32) -> Result<Arc<[i64]>> {
        if let Some(times) = self.times.known.get(&group) {
            return Ok(times.clone());
        }
        let packed = self.packed_times_of(group)?;
        let mut times = Vec::new();
        chunk_codec::decode_times(packed.data(), &mut times).map_err(corrupt)?;
        let times: Arc<[i64]> = times.into();
        self.times.insert(group, times.clone(), 8 * times.len());
        Ok(times)
    }

    /// Reads the neighbours as well: they are asked for soon.
    fn packed_times_of(&mut self, group: u32) -> Result<ByteArray> {
        if let Some(packed) = self.packed_times.known.get(&group) {
            return Ok(packed.clone());
        }
        let (at, row) = self.block.times_at(group)?;
        let count = self.block.file.metadata().row_group(at).num_rows() as usize;
        let wanted: Vec<usize> = (row..(row + BATCH_ROWS).min(count)).collect();
        let chunks = self.block.chunks(at, &wanted)?;
        let found = chunks.first().cloned();
        for (neighbour, chunk) in (group..).zip(chunks) {
            let bytes = chunk.len();
            self.packed_times.insert(neighbour, chunk, bytes);
        }
        found.ok_or_else(|| Error::corrupt("a group has no times"))
    }
}
