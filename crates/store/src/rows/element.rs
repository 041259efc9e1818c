// SPDX-License-Identifier: Apache-2.0
//! How the elements of a signal lie in columns.
//!
//! An element (an encoded span or log record) is taken apart into columns of its own fields, one
//! column for each frequent attribute, `rest` (its other attributes) and `more` (all other fields,
//! as they are), and put together again without loss but for the order of fields.

use parquet::data_type::{ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType};
use parquet::data_type::{Int32Type, Int64Type};

use super::Meta;

/// What a column holds, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Small numbers that repeat.
    Enum,
    /// Numbers near their neighbours.
    Near,
    /// Times and durations.
    Time,
    /// Texts that repeat.
    Text,
    /// Texts and bytes that do not.
    Bytes,
    /// 16 bytes, equal to a neighbour's.
    Id16,
    /// 8 random bytes.
    Id8,
}

/// The values of a column.
#[derive(Clone, Debug)]
pub(crate) enum Cells {
    /// Numbers of 32 bits.
    I32(Vec<i32>),
    /// Numbers of 64 bits.
    I64(Vec<i64>),
    /// Texts or bytes.
    Bytes(Vec<ByteArray>),
    /// Bytes of one length.
    Fixed(Vec<FixedLenByteArray>),
}

impl Cells {
    pub(crate) fn new(shape: Shape) -> Cells {
        match shape {
            Shape::Enum | Shape::Near => Cells::I32(Vec::new()),
            Shape::Time => Cells::I64(Vec::new()),
            Shape::Text | Shape::Bytes => Cells::Bytes(Vec::new()),
            Shape::Id16 | Shape::Id8 => Cells::Fixed(Vec::new()),
        }
    }

    pub(crate) fn push_i32(&mut self, value: i32) {
        if let Cells::I32(cells) = self {
            cells.push(value);
        }
    }

    pub(crate) fn push_i64(&mut self, value: i64) {
        if let Cells::I64(cells) = self {
            cells.push(value);
        }
    }

    pub(crate) fn push(&mut self, value: Vec<u8>) {
        match self {
            Cells::Bytes(cells) => cells.push(ByteArray::from(value)),
            Cells::Fixed(cells) => cells.push(FixedLenByteArray::from(value)),
            Cells::I32(_) | Cells::I64(_) => {}
        }
    }

    pub(crate) fn set_i32(&mut self, at: usize, value: i32) {
        if let Cells::I32(cells) = self
            && let Some(cell) = cells.get_mut(at)
        {
            *cell = value;
        }
    }

    pub(crate) fn int(&self, at: usize) -> i64 {
        match self {
            Cells::I32(cells) => cells.get(at).map_or(0, |v| i64::from(*v)),
            Cells::I64(cells) => cells.get(at).copied().unwrap_or(0),
            _ => 0,
        }
    }

    pub(crate) fn bytes(&self, at: usize) -> &[u8] {
        match self {
            Cells::Bytes(cells) => cells.get(at).map_or(&[], |v| v.data()),
            Cells::Fixed(cells) => cells.get(at).map_or(&[], |v| v.data()),
            _ => &[],
        }
    }

    /// The bytes at `at` as an id; zeros when they are of another length.
    pub(crate) fn id<const N: usize>(&self, at: usize) -> [u8; N] {
        self.bytes(at).try_into().unwrap_or([0; N])
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Cells::I32(cells) => cells.len(),
            Cells::I64(cells) => cells.len(),
            Cells::Bytes(cells) => cells.len(),
            Cells::Fixed(cells) => cells.len(),
        }
    }

    /// Writes the column that is next.
    pub(crate) fn write<W: std::io::Write + Send>(
        &self,
        group: &mut parquet::file::writer::SerializedRowGroupWriter<'_, W>,
    ) -> parquet::errors::Result<()> {
        let ended = || parquet::errors::ParquetError::General("no such column".to_owned());
        let mut column = group.next_column()?.ok_or_else(ended)?;
        match self {
            Cells::I32(v) => column.typed::<Int32Type>().write_batch(v, None, None)?,
            Cells::I64(v) => column.typed::<Int64Type>().write_batch(v, None, None)?,
            Cells::Bytes(v) => column.typed::<ByteArrayType>().write_batch(v, None, None)?,
            Cells::Fixed(v) => {
                column.typed::<FixedLenByteArrayType>().write_batch(v, None, None)?
            }
        };
        column.close()
    }
}

/// A signal's elements in columns. Of the columns, [`Element::COLUMNS`] come first.
pub(crate) trait Element: Meta + Send + Sync + 'static {
    /// Names and shapes of its own columns.
    const COLUMNS: &'static [(&'static str, Shape)];
    /// Number of the attributes' field.
    const ATTRIBUTES: u32;
    /// Whether its bodies are searched by words.
    const WORDS: bool;

    /// Adds an element's own fields to the cells. Returns the numbers of the fields that they hold
    /// whole, as bits, and appends to `more` what marks a field that they do not.
    fn put(&self, raw: &[u8], cells: &mut [Cells], more: &mut Vec<u8>) -> u32;

    /// Looks at all rows of a group before they are written.
    fn seal(_cells: &mut [Cells], _more: &mut [Vec<u8>]) {}

    /// The element at `at`; `more` holds these fields, as bits.
    fn get(cells: &[Cells], at: usize, more: u32) -> Self;

    /// Appends the fields that the cells hold and `more` does not; `rows` are the numbers in their
    /// group of the rows in the cells.
    fn write(cells: &[Cells], rows: &[usize], at: usize, more: u32, out: &mut Vec<u8>);

    /// Keys of attributes below the element (of a span's events), and the operation it is.
    fn notes<'a>(_raw: &'a [u8], _keys: &mut dyn FnMut(&'a str)) -> Option<(&'a str, i32)> {
        None
    }

    /// The text that is searched by words.
    fn words(_raw: &[u8]) -> String {
        String::new()
    }

    /// The trace it belongs to; zeros for none.
    fn trace(&self) -> otlp_wire::TraceId;
}
