// SPDX-License-Identifier: Apache-2.0
//! A block's file: Parquet that any reader opens, with a checksum for every byte.
//!
//! ```text
//! row groups   one crc32c for each 64 KiB of them, in the footer under `foreglow.crc32c`
//! page index, footer   one crc32c for all of it, in the manifest (`BlockInfo::footer_crc`)
//! ```
//! [`FileWriter`] writes row groups straight to the object: memory is what its caller holds of the
//! current one. [`BlockFile`] reads what is asked for, whole 64 KiB pieces at a time, coalesced,
//! and hands nothing to a decoder that does not check out. Damage is [`basics::Kind::Corrupt`];
//! whoever meets it calls [`super::Catalog::quarantine`].

mod pages;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use basics::{Error, Result};
use bytes::Bytes;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::TypePtr;

use super::{BlockInfo, ObjectWriter, Objects, Target};

pub use pages::Column;

/// What one checksum covers: small enough for one series of a day, large enough that the table is
/// nothing (8 bytes in 65,536).
const PIECE_BYTES: u64 = 64 << 10;

/// Parts of a file are read as one when no more than this lies between them: on a disk it costs
/// less than a call, in a bucket far less than a request.
const GAP_BYTES: u64 = 128 << 10;

/// Most bytes of one read, and of a footer.
const READ_BYTES_MAX: u64 = 1 << 30;

const CHECKSUMS: &str = "foreglow.crc32c";

/// What a finished file weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Size of the object.
    pub bytes: u64,
    /// Of those, page index and footer.
    pub footer_bytes: u64,
    /// crc32c of these.
    pub footer_crc: u32,
}

/// Writes one block's file. Dropped without [`FileWriter::finish`] it leaves nothing behind.
pub struct FileWriter {
    inner: SerializedFileWriter<Sink>,
    path: String,
}

impl FileWriter {
    /// Begins the file of `target`.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when the object cannot be begun.
    pub fn create(
        objects: &dyn Objects,
        target: &Target,
        schema: TypePtr,
        properties: WriterProperties,
    ) -> Result<FileWriter> {
        let path = target.path.clone();
        let sink = Sink::new(objects.create(&path)?);
        let inner = SerializedFileWriter::new(sink, schema, Arc::new(properties))
            .map_err(|e| writing(&path, e))?;
        Ok(FileWriter { inner, path })
    }

    /// Writes one row group: `fill` writes each of its columns, in the schema's order.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when it cannot be written.
    pub fn row_group(
        &mut self,
        fill: impl FnOnce(&mut SerializedRowGroupWriter<'_, Sink>) -> parquet::errors::Result<()>,
    ) -> Result<()> {
        let write = |inner: &mut SerializedFileWriter<Sink>| {
            let mut group = inner.next_row_group()?;
            fill(&mut group)?;
            group.close().map(|_| ())
        };
        write(&mut self.inner).map_err(|e| writing(&self.path, e))
    }

    /// Row groups written so far.
    pub fn row_groups(&self) -> usize {
        self.inner.flushed_row_groups().len()
    }

    /// Makes the file durable and seen.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when it cannot be written.
    pub fn finish(mut self, key_values: Vec<(&str, String)>) -> Result<Written> {
        self.inner.flush().map_err(|e| writing(&self.path, e.into()))?;
        let checksums = self.inner.inner_mut().begin_footer();
        for (key, value) in key_values {
            self.inner.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.inner.append_key_value_metadata(KeyValue::new(CHECKSUMS.to_owned(), checksums));
        let sink = self.inner.into_inner().map_err(|e| writing(&self.path, e))?;
        let (footer_bytes, footer_crc) = (sink.piece_bytes, sink.crc);
        let bytes = sink.object.finish()?;
        Ok(Written { bytes, footer_bytes, footer_crc })
    }
}

fn writing(path: &str, error: ParquetError) -> Error {
    Error::retry(format!("cannot write block {path}")).caused_by(error)
}

fn reading(path: &str, error: ParquetError) -> Error {
    Error::corrupt(format!("cannot read block {path}")).caused_by(error)
}

/// Where a file's bytes go, and their checksums.
pub struct Sink {
    object: Box<dyn ObjectWriter>,
    /// Of the pieces that are complete.
    checksums: Vec<u32>,
    /// Of the current piece, or of the footer.
    crc: u32,
    piece_bytes: u64,
    in_footer: bool,
}

impl Sink {
    fn new(object: Box<dyn ObjectWriter>) -> Sink {
        Sink { object, checksums: Vec::new(), crc: 0, piece_bytes: 0, in_footer: false }
    }

    fn end_piece(&mut self) {
        self.checksums.push(self.crc);
        (self.crc, self.piece_bytes) = (0, 0);
    }

    /// All before is data; returns its checksums as text.
    fn begin_footer(&mut self) -> String {
        if self.piece_bytes > 0 {
            self.end_piece();
        }
        self.in_footer = true;
        self.checksums.iter().map(|crc| format!("{crc:08x}")).collect()
    }

    fn account(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = if self.in_footer { u64::MAX } else { PIECE_BYTES - self.piece_bytes };
            let (now, later) = bytes.split_at(bytes.len().min(room.min(1 << 30) as usize));
            self.crc = crc32c::crc32c_append(self.crc, now);
            self.piece_bytes += now.len() as u64;
            if !self.in_footer && self.piece_bytes == PIECE_BYTES {
                self.end_piece();
            }
            bytes = later;
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.object.write(bytes)?;
        self.account(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A block's file, its footer read. Clone = refcount.
#[derive(Clone, Debug)]
pub struct BlockFile {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    objects: Arc<dyn Objects>,
    info: BlockInfo,
    metadata: ParquetMetaData,
    checksums: Vec<u32>,
    data_bytes: u64,
}

/// Bytes of a file from `start` on.
#[derive(Clone, Debug)]
struct Part {
    start: u64,
    bytes: Bytes,
}

impl BlockFile {
    /// Reads the footer of a block.
    ///
    /// # Errors
    /// [`basics::Kind::Corrupt`] when it is not there or does not check out,
    /// [`basics::Kind::Retry`] when it cannot be read now.
    pub fn open(objects: &Arc<dyn Objects>, info: &BlockInfo) -> Result<BlockFile> {
        let footer_bytes = info.footer_bytes;
        let damaged = || Error::corrupt(format!("the footer of block {} is damaged", info.path));
        let data_bytes = info.bytes.checked_sub(footer_bytes).ok_or_else(damaged)?;
        if footer_bytes > READ_BYTES_MAX {
            return Err(damaged());
        }
        let footer = objects.get_range(&info.path, data_bytes..info.bytes)?;
        if crc32c::crc32c(&footer) != info.footer_crc {
            return Err(damaged());
        }
        let mut reader = ParquetMetaDataReader::new()
            .with_column_index_policy(PageIndexPolicy::Skip)
            .with_offset_index_policy(PageIndexPolicy::Optional);
        reader.try_parse_sized(&footer, info.bytes).map_err(|e| reading(&info.path, e))?;
        let metadata = reader.finish().map_err(|e| reading(&info.path, e))?;
        let checksums = key_value(&metadata, CHECKSUMS).and_then(parse_checksums);
        let checksums = checksums
            .filter(|sums| sums.len() as u64 == data_bytes.div_ceil(PIECE_BYTES))
            .ok_or_else(damaged)?;
        let (objects, info) = (objects.clone(), info.clone());
        let shared = Shared { objects, info, metadata, checksums, data_bytes };
        Ok(BlockFile { shared: Arc::new(shared) })
    }

    /// What the manifest tells of the block.
    pub fn info(&self) -> &BlockInfo {
        &self.shared.info
    }

    /// Schema, row groups, statistics, page index.
    pub fn metadata(&self) -> &ParquetMetaData {
        &self.shared.metadata
    }

    /// A text of the footer.
    pub fn key_value(&self, key: &str) -> Option<&str> {
        key_value(&self.shared.metadata, key)
    }

    /// Number of the column called `name`.
    pub fn column(&self, name: &str) -> Option<usize> {
        let columns = self.shared.metadata.file_metadata().schema_descr().columns();
        columns.iter().position(|column| column.name() == name)
    }

    /// All of a column in a row group.
    ///
    /// # Errors
    /// [`basics::Kind::Corrupt`] when it does not check out, `Retry` when it cannot be read now.
    pub fn read_column<T: DataType>(&self, group: usize, column: usize) -> Result<Column<T::T>> {
        pages::read_column::<T>(self, group, column)
    }

    /// Which rows of a required column of texts equal `wanted`, without making the texts.
    ///
    /// # Errors
    /// As [`BlockFile::read_column`].
    pub fn equal(&self, group: usize, column: usize, wanted: &[u8]) -> Result<Vec<bool>> {
        pages::equal(self, group, column, wanted)
    }

    /// The values of `rows` (ascending, each once) of a required column, read by the pages that
    /// hold them.
    ///
    /// # Errors
    /// As [`BlockFile::read_column`].
    pub fn read_rows<T: DataType>(
        &self,
        group: usize,
        column: usize,
        rows: &[usize],
    ) -> Result<Vec<T::T>> {
        pages::read_rows::<T>(self, group, column, rows)
    }

    /// Reads all of the file and checks it.
    ///
    /// # Errors
    /// As [`BlockFile::read_column`].
    pub fn verify(&self) -> Result<()> {
        let mut at = 0;
        while at < self.shared.data_bytes {
            let end = (at + 16 * PIECE_BYTES).min(self.shared.data_bytes);
            self.fetch(std::iter::once(at..end))?;
            at = end;
        }
        Ok(())
    }

    /// Reads ranges of the data, widened to whole pieces and coalesced, and checks them.
    fn fetch(&self, ranges: impl IntoIterator<Item = Range<u64>>) -> Result<Vec<Part>> {
        let shared = &*self.shared;
        let path = &shared.info.path;
        let reads = coalesce(ranges.into_iter().collect(), shared.data_bytes)
            .ok_or_else(|| Error::corrupt(format!("block {path} points beyond its end")))?;
        let fetched = shared.objects.get_ranges(path, &reads)?;
        let mut parts = Vec::with_capacity(reads.len());
        for (range, bytes) in reads.into_iter().zip(fetched) {
            let first = (range.start / PIECE_BYTES) as usize;
            for (number, piece) in bytes.chunks(PIECE_BYTES as usize).enumerate() {
                if shared.checksums.get(first + number) != Some(&crc32c::crc32c(piece)) {
                    let at = range.start + number as u64 * PIECE_BYTES;
                    return Err(Error::corrupt(format!("block {path} is damaged at byte {at}")));
                }
            }
            parts.push(Part { start: range.start, bytes });
        }
        Ok(parts)
    }
}

/// Whole pieces that hold the ranges, ascending; none when one lies beyond `end`.
fn coalesce(mut ranges: Vec<Range<u64>>, end: u64) -> Option<Vec<Range<u64>>> {
    ranges.retain(|range| range.start < range.end);
    ranges.sort_by_key(|range| range.start);
    let mut reads: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        if range.end > end {
            return None;
        }
        let from = range.start / PIECE_BYTES * PIECE_BYTES;
        let to = range.end.next_multiple_of(PIECE_BYTES).min(end);
        match reads.last_mut() {
            Some(last) if from <= last.end.saturating_add(GAP_BYTES) => last.end = last.end.max(to),
            _ => reads.push(from..to),
        }
    }
    reads.iter().all(|read| read.end - read.start <= READ_BYTES_MAX).then_some(reads)
}

fn key_value<'a>(metadata: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = metadata.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

fn parse_checksums(text: &str) -> Option<Vec<u32>> {
    let digits = text.as_bytes();
    if !digits.is_ascii() || !digits.len().is_multiple_of(8) {
        return None;
    }
    (0..text.len() / 8).map(|at| u32::from_str_radix(&text[8 * at..8 * at + 8], 16).ok()).collect()
}
