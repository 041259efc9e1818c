// SPDX-License-Identifier: Apache-2.0
//! Metrics as plain rows: a column a label, `timestamp`, `value`, and `histogram` as JSON text.

use std::io::Write;
use std::sync::Arc;

use basics::labels::{METRIC_NAME, MatchOp, Matcher};
use basics::{Error, Result};
use otlp_series::NativeHistogram;
use parquet::basic::{
    Compression, ConvertedType, Encoding, LogicalType, Repetition, Type as Physical,
};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use crate::columns::SeriesColumns;
use crate::metrics::Blocks;

/// Rows of a row group: what is held.
const GROUP_ROWS: usize = 256 << 10;

const DAY_MS: i64 = 24 * 3_600_000;

/// Writes all samples in blocks as rows, by metric and day; returns how many. Labels have their
/// names; where one is called as one of our own columns, ours has a `_` behind.
///
/// # Errors
/// [`basics::Kind::Retry`] when blocks cannot be read or the rows not written now.
pub fn export_plain(blocks: &Blocks, out: impl Write + Send) -> Result<u64> {
    let live = blocks.catalog().live();
    let oldest = live.iter().map(|info| info.tmin).min().unwrap_or_default();
    let newest = live.iter().map(|info| info.tmax).max().unwrap_or(-1);
    let names: Vec<Arc<str>> = blocks.label_names(&[], oldest, newest)?.into_iter().collect();
    let writing = |e: ParquetError| Error::retry("cannot write rows").caused_by(e);
    let mut rows = Rows::new(names, out).map_err(writing)?;
    for day in oldest.div_euclid(DAY_MS)..=newest.div_euclid(DAY_MS) {
        let (start, end) = ((day * DAY_MS).max(oldest), (day * DAY_MS + DAY_MS - 1).min(newest));
        for metric in blocks.label_values(METRIC_NAME, &[], start, end)? {
            let matcher = Matcher::new(MatchOp::Equal, METRIC_NAME, &metric)?;
            for series in blocks.select(&[matcher], start, end, 0, Vec::new())? {
                rows.push(&series).map_err(writing)?;
            }
        }
    }
    rows.finish().map_err(writing)
}

type Written = Result<(), ParquetError>;

struct Rows<W: Write + Send> {
    file: SerializedFileWriter<W>,
    names: Vec<Arc<str>>,
    /// A text or none for each label, of each series in the row group, and its rows.
    labels: Vec<(Vec<Option<ByteArray>>, usize)>,
    times: Vec<i64>,
    values: Vec<Option<f64>>,
    histograms: Vec<Option<ByteArray>>,
    written: u64,
}

impl<W: Write + Send> Rows<W> {
    fn new(names: Vec<Arc<str>>, out: W) -> Result<Self, ParquetError> {
        let own = |name: &str| match names.iter().any(|label| **label == *name) {
            true => format!("{name}_"),
            false => name.to_owned(),
        };
        let (timestamp, value) = (own("timestamp"), own("value"));
        let schema = schema(&names, &timestamp, &value, &own("histogram"))?;
        let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(Default::default()))
            .set_column_dictionary_enabled(path(&timestamp), false)
            .set_column_encoding(path(&timestamp), Encoding::DELTA_BINARY_PACKED)
            .set_column_dictionary_enabled(path(&value), false)
            .set_column_encoding(path(&value), Encoding::BYTE_STREAM_SPLIT)
            .build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties))?;
        let (labels, times, values, histograms) = <_>::default();
        Ok(Rows { file, names, labels, times, values, histograms, written: 0 })
    }

    fn push(&mut self, series: &SeriesColumns) -> Written {
        let text = |name: &Arc<str>| Some(series.labels.get(name)).filter(|text| !text.is_empty());
        let labels = self.names.iter().map(|name| text(name).map(ByteArray::from)).collect();
        let before = self.times.len();
        for (time, value) in series.times.iter().zip(series.values.iter()) {
            self.times.push(*time);
            self.values.push(Some(*value));
            self.histograms.push(None);
        }
        for (time, histogram) in &series.histograms {
            self.times.push(*time);
            self.values.push(None);
            self.histograms.push(Some(json(histogram).into_bytes().into()));
        }
        self.labels.push((labels, self.times.len() - before));
        if self.times.len() >= GROUP_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Written {
        let mut group = self.file.next_row_group()?;
        for at in 0..self.names.len() {
            let rows = self
                .labels
                .iter()
                .flat_map(|(labels, rows)| std::iter::repeat_n(labels[at].clone(), *rows));
            optional::<ByteArrayType, W>(&mut group, rows)?;
        }
        let mut column = next(&mut group)?;
        column.typed::<Int64Type>().write_batch(&self.times, None, None)?;
        column.close()?;
        optional::<DoubleType, W>(&mut group, self.values.drain(..))?;
        optional::<ByteArrayType, W>(&mut group, self.histograms.drain(..))?;
        group.close()?;
        self.written += self.times.len() as u64;
        self.times.clear();
        self.labels.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64, ParquetError> {
        if !self.times.is_empty() {
            self.write()?;
        }
        self.file.close()?;
        Ok(self.written)
    }
}

fn schema(
    names: &[Arc<str>],
    timestamp: &str,
    value: &str,
    histogram: &str,
) -> Result<TypePtr, ParquetError> {
    let text = |name: &str| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(Some(LogicalType::String))
            .build()
            .map(Arc::new)
    };
    let mut fields = Vec::with_capacity(names.len() + 3);
    for name in names {
        fields.push(text(name)?);
    }
    let time = Type::primitive_type_builder(timestamp, Physical::INT64)
        .with_repetition(Repetition::REQUIRED)
        .with_converted_type(ConvertedType::TIMESTAMP_MILLIS)
        .build()?;
    let number = Type::primitive_type_builder(value, Physical::DOUBLE)
        .with_repetition(Repetition::OPTIONAL)
        .build()?;
    fields.extend([Arc::new(time), Arc::new(number), text(histogram)?]);
    Type::group_type_builder("samples").with_fields(fields).build().map(Arc::new)
}

type Group<'a, 'b, W> = &'a mut SerializedRowGroupWriter<'b, W>;

fn next<'a, W: Write + Send>(
    group: Group<'a, '_, W>,
) -> Result<parquet::file::writer::SerializedColumnWriter<'a>, ParquetError> {
    group.next_column()?.ok_or_else(|| ParquetError::General("too few columns".to_owned()))
}

fn optional<T: DataType, W: Write + Send>(
    group: Group<'_, '_, W>,
    rows: impl Iterator<Item = Option<T::T>>,
) -> Written {
    let (mut levels, mut there) = (Vec::new(), Vec::new());
    for value in rows {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    let mut column = next(group)?;
    column.typed::<T>().write_batch(&there, Some(&levels), None)?;
    column.close()
}

fn json(histogram: &NativeHistogram) -> String {
    let NativeHistogram {
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive,
        negative,
        bounds,
    } = histogram;
    serde_json::json!({
        "schema": schema,
        "zero_threshold": zero_threshold,
        "zero_count": zero_count,
        "count": count,
        "sum": sum,
        "positive": positive,
        "negative": negative,
        "bounds": bounds.as_ref(),
    })
    .to_string()
}
