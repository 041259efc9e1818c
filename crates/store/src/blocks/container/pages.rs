// SPDX-License-Identifier: Apache-2.0
//! Columns of a row group, from pages that were read and checked before.

use std::io::Read;
use std::sync::Arc;

use basics::{Error, Result};
use bytes::{Buf, Bytes};
use parquet::basic::{Encoding, Type as Physical};
use parquet::column::page::{Page, PageReader};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::{BlockFile, Part, reading};

/// A column of a row group.
#[derive(Clone, Debug, Default)]
pub struct Column<V> {
    /// The values that are there.
    pub values: Vec<V>,
    /// A number for each row, greater than 0 when it has a value; empty for a required column.
    pub levels: Vec<i16>,
}

impl<V> Column<V> {
    /// A value or none for each row.
    pub fn rows(&self) -> impl Iterator<Item = Option<&V>> {
        let mut values = self.values.iter();
        let count = self.levels.len().max(self.values.len());
        (0..count).map(move |row| match self.levels.get(row) {
            Some(0) => None,
            _ => values.next(),
        })
    }
}

/// Parts of a file, read before: nothing is read behind the decoder's back.
struct Parts {
    parts: Vec<Part>,
    size: u64,
}

impl Parts {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let after = self.parts.partition_point(|part| part.start <= start);
        let part = after.checked_sub(1).and_then(|at| self.parts.get(at));
        let offset = part.map_or(0, |part| (start - part.start) as usize);
        match part {
            Some(part) if offset <= part.bytes.len() => Ok(part.bytes.slice(offset..)),
            _ => Err(ParquetError::EOF(format!("byte {start} was not read"))),
        }
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Parts {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(Box::new(self.from(start)?.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        match bytes.len() >= length {
            true => Ok(bytes.slice(..length)),
            false => Err(ParquetError::EOF(format!("bytes from {start} were not read"))),
        }
    }
}

/// A decoder over the parts of one column chunk.
fn decoder<T: DataType>(
    file: &BlockFile,
    (group, column): (usize, usize),
    parts: Vec<Part>,
    locations: Option<Vec<PageLocation>>,
) -> Result<ColumnReaderImpl<T>> {
    let path = &file.info().path;
    let row_group = file.metadata().row_group(group);
    let chunk = row_group.column(column);
    let descriptor = chunk.column_descr_ptr();
    if descriptor.physical_type() != T::get_physical_type() {
        let name = descriptor.name();
        return Err(Error::corrupt(format!("block {path}: column {name} has another type")));
    }
    let parts = Arc::new(Parts { parts, size: file.info().bytes });
    let rows = row_group.num_rows() as usize;
    let pages =
        SerializedPageReader::new(parts, chunk, rows, locations).map_err(|e| reading(path, e))?;
    Ok(ColumnReaderImpl::new(descriptor, Box::new(pages)))
}

pub(super) fn read_column<T: DataType>(
    file: &BlockFile,
    group: usize,
    column: usize,
) -> Result<Column<T::T>> {
    let row_group = file.metadata().row_group(group);
    let chunk = row_group.column(column);
    let (start, length) = chunk.byte_range();
    let parts = file.fetch(std::iter::once(start..start.saturating_add(length)))?;
    let mut decoder = decoder::<T>(file, (group, column), parts, None)?;
    let rows = row_group.num_rows() as usize;
    let mut read = Column { values: Vec::new(), levels: Vec::new() };
    let optional = chunk.column_descr().max_def_level() > 0;
    let levels = optional.then_some(&mut read.levels);
    let (records, ..) = decoder
        .read_records(rows, levels, None, &mut read.values)
        .map_err(|e| reading(&file.info().path, e))?;
    match records == rows {
        true => Ok(read),
        false => Err(Error::corrupt(format!("block {} has lost rows", file.info().path))),
    }
}

/// Which rows of a required column of texts equal `wanted`: on dictionaries it is looked up once, and
/// rows are compared by their numbers; no text is made.
pub(super) fn equal(
    file: &BlockFile,
    group: usize,
    column: usize,
    wanted: &[u8],
) -> Result<Vec<bool>> {
    let path = &file.info().path;
    let row_group = file.metadata().row_group(group);
    let chunk = row_group.column(column);
    let damaged = || Error::corrupt(format!("block {path} has a broken column of texts"));
    let descriptor = chunk.column_descr();
    let is_text = descriptor.physical_type() == Physical::BYTE_ARRAY;
    if !is_text || descriptor.max_def_level() > 0 || descriptor.max_rep_level() > 0 {
        return Err(damaged());
    }
    let (start, length) = chunk.byte_range();
    let parts = file.fetch(std::iter::once(start..start.saturating_add(length)))?;
    let parts = Arc::new(Parts { parts, size: file.info().bytes });
    let rows = usize::try_from(row_group.num_rows()).map_err(|_| damaged())?;
    let mut pages =
        SerializedPageReader::new(parts, chunk, rows, None).map_err(|e| reading(path, e))?;
    let (mut found, mut mask) = (Vec::new(), Vec::new());
    while let Some(page) = pages.get_next_page().map_err(|e| reading(path, e))? {
        let (buf, count, encoding) = match &page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let count = (*num_values as usize).min(buf.len() / 4);
                found = plain(buf, count, wanted).ok_or_else(damaged)?;
                continue;
            }
            Page::DataPage { buf, num_values, encoding, .. } => (buf, *num_values, *encoding),
            Page::DataPageV2 { buf, num_values, encoding, .. } => (buf, *num_values, *encoding),
        };
        // Never more than the column's rows, whatever a page says.
        let count = (count as usize).min(rows - mask.len());
        match encoding {
            Encoding::PLAIN => mask.extend(plain(buf, count, wanted).ok_or_else(damaged)?),
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                numbers(buf, count, &found, &mut mask).ok_or_else(damaged)?;
            }
            _ => return Err(damaged()),
        }
    }
    match mask.len() == rows {
        true => Ok(mask),
        false => Err(damaged()),
    }
}

/// Which of `count` texts, each behind its length, equal `wanted`.
fn plain(mut buf: &[u8], count: usize, wanted: &[u8]) -> Option<Vec<bool>> {
    let mut equal = Vec::with_capacity(count);
    for _ in 0..count {
        let (length, rest) = buf.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        equal.push(text == wanted);
        buf = rest;
    }
    Some(equal)
}

/// What `found` says of each of `count` numbers: runs of one number, or eight at a time packed.
/// Source: parquet-format, Encodings.md, RLE / bit-packing hybrid.
fn numbers(buf: &[u8], count: usize, found: &[bool], mask: &mut Vec<bool>) -> Option<()> {
    let (&width, mut buf) = buf.split_first()?;
    let (width, end) = (usize::from(width), mask.len() + count);
    if width > 32 {
        return None;
    }
    while mask.len() < end {
        let mut at = 0;
        let head = crate::remote_write::wire::varint(buf, &mut at).ok()?;
        buf = buf.get(at..)?;
        let (length, room) = (usize::try_from(head >> 1).ok()?, end - mask.len());
        if head & 1 == 0 {
            let (value, rest) = buf.split_at_checked(width.div_ceil(8))?;
            let value = value.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            let is = *found.get(value)?;
            mask.resize(mask.len() + length.min(room), is);
            if length == 0 {
                return None;
            }
            buf = rest;
            continue;
        }
        let (packed, rest) = buf.split_at_checked(length.checked_mul(width)?)?;
        let (mut bits, mut have, mut bytes) = (0u64, 0, packed.iter());
        let one = (1u64 << width) - 1;
        for _ in 0..length.checked_mul(8)?.min(room) {
            while have < width {
                bits |= u64::from(*bytes.next()?) << have;
                have += 8;
            }
            mask.push(*found.get((bits & one) as usize)?);
            bits >>= width;
            have -= width;
        }
        if length == 0 {
            return None;
        }
        buf = rest;
    }
    Some(())
}

pub(super) fn read_rows<T: DataType>(
    file: &BlockFile,
    group: usize,
    column: usize,
    rows: &[usize],
) -> Result<Vec<T::T>> {
    let locations = file
        .metadata()
        .offset_index()
        .and_then(|groups| groups.get(group)?.get(column))
        .map(|index| index.page_locations().clone());
    let Some(locations) = locations.filter(|locations| !locations.is_empty()) else {
        return all_then_some::<T>(file, group, column, rows);
    };
    let parts = file.fetch(pages_of(&locations, rows))?;
    let mut decoder = decoder::<T>(file, (group, column), parts, Some(locations))?;
    let mut values = Vec::with_capacity(rows.len());
    let mut at = 0;
    let mut rest = rows;
    while let Some(&first) = rest.first() {
        let run = rest.iter().enumerate().take_while(|(i, row)| **row == first + i).count();
        let mut read = || -> parquet::errors::Result<usize> {
            decoder.skip_records(first - at)?;
            Ok(decoder.read_records(run, None, None, &mut values)?.0)
        };
        if read().map_err(|e| reading(&file.info().path, e))? != run {
            return Err(Error::corrupt(format!("block {} has lost rows", file.info().path)));
        }
        (at, rest) = (first + run, &rest[run..]);
    }
    Ok(values)
}

/// For files without a page index.
fn all_then_some<T: DataType>(
    file: &BlockFile,
    group: usize,
    column: usize,
    rows: &[usize],
) -> Result<Vec<T::T>> {
    let all = read_column::<T>(file, group, column)?.values;
    let wanted: Option<Vec<T::T>> = rows.iter().map(|row| all.get(*row).cloned()).collect();
    wanted.ok_or_else(|| Error::corrupt(format!("block {} has lost rows", file.info().path)))
}

/// Where the pages lie that hold `rows`.
fn pages_of(locations: &[PageLocation], rows: &[usize]) -> Vec<std::ops::Range<u64>> {
    let mut ranges = Vec::new();
    let mut last = usize::MAX;
    for row in rows {
        let after = locations.partition_point(|page| page.first_row_index <= *row as i64);
        let page = after.saturating_sub(1);
        if page != last {
            let start = locations[page].offset as u64;
            ranges.push(start..start.saturating_add(locations[page].compressed_page_size as u64));
            last = page;
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_dictionary_are_runs_and_packed_eights() {
        // Width 2: five times 1, then 0 1 2 3 0 1 2 3 packed.
        let bytes = [2, 5 << 1, 1, 1 << 1 | 1, 0b1110_0100, 0b1110_0100];
        let mut mask = Vec::new();
        numbers(&bytes, 11, &[false, true, false, true], &mut mask).expect("sound");
        let wanted = [1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 1].map(|is| is == 1);
        assert_eq!(mask, wanted);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, count in 0..100_000usize, found: Vec<bool>) {
            let mut mask = Vec::new();
            let _ = numbers(&bytes, count, &found, &mut mask);
            proptest::prop_assert!(mask.len() <= count);
            let _ = plain(&bytes, count.min(bytes.len() / 4), &[]);
        }
    }
}
