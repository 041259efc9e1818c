// SPDX-License-Identifier: Apache-2.0
//! The columns of a metrics block, written and found again.

use std::sync::Arc;

use basics::{Error, Result};
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use serde::{Deserialize, Serialize};

/// What a row is.
pub(super) const TIMES: i32 = 0;
pub(super) const NUMBERS: i32 = 1;
pub(super) const HISTOGRAMS: i32 = 2;

/// Most label names with a column of their own; the others share one, so that a few odd series do
/// not give thousands of columns to every row group.
pub(super) const LABEL_COLUMNS_MAX: usize = 256;

/// Rows of a row group at most: what is read to look at labels.
pub(super) const GROUP_ROWS_MAX: usize = 8192;

/// Bytes of chunks in a row group at most: what the writer holds.
pub(super) const GROUP_BYTES_MAX: usize = 8 << 20;

/// A page of chunks: what is read to get one.
const PAGE_BYTES: usize = 32 << 10;

/// Footer entry.
pub(super) const FOOTER: &str = "foreglow.metrics";

/// The layout that this version writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// What the footer tells beside Parquet's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footer {
    pub version: u32,
    /// Row groups that hold times, and the number of the first timestamp group in each.
    pub times: Vec<(usize, u32)>,
    /// Whether any series has start times, and any exemplars.
    pub starts: bool,
    pub exemplars: bool,
}

/// Columns behind the labels, in order.
pub(super) const COLUMNS: [&str; 22] = [
    "labels_rest",
    "what",
    "kind",
    "unit",
    "help",
    "tmin",
    "tmax",
    "count",
    "times",
    "first",
    "last",
    "min",
    "max",
    "sum",
    "resets",
    "drops",
    "changes",
    "stale",
    "start_min",
    "starts",
    "exemplars",
    "chunk",
];

pub(super) fn label_column(name: &str) -> String {
    format!("l_{name}")
}

/// The schema with a column for each of `names`.
pub(super) fn schema(names: &[Arc<str>]) -> Result<TypePtr> {
    build(names).map_err(|e| Error::invalid("no schema for a metrics block").caused_by(e))
}

fn build(names: &[Arc<str>]) -> Result<TypePtr, ParquetError> {
    use Physical::{BYTE_ARRAY, DOUBLE, INT32, INT64};
    const OPTIONAL: Repetition = Repetition::OPTIONAL;
    const REQUIRED: Repetition = Repetition::REQUIRED;
    let field = |name: &str, physical, repetition, text: bool| {
        let logical = text.then_some(LogicalType::String);
        Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()
            .map(Arc::new)
    };
    let mut fields = Vec::with_capacity(names.len() + COLUMNS.len());
    for name in names {
        fields.push(field(&label_column(name), BYTE_ARRAY, OPTIONAL, true)?);
    }
    for name in COLUMNS {
        fields.push(match name {
            "what" | "count" => field(name, INT32, REQUIRED, false)?,
            "tmin" | "tmax" => field(name, INT64, REQUIRED, false)?,
            "chunk" => field(name, BYTE_ARRAY, REQUIRED, false)?,
            "kind" | "times" | "resets" | "changes" | "stale" => {
                field(name, INT32, OPTIONAL, false)?
            }
            "first" | "last" | "min" | "max" | "sum" | "drops" => {
                field(name, DOUBLE, OPTIONAL, false)?
            }
            "start_min" => field(name, INT64, OPTIONAL, false)?,
            "unit" | "help" => field(name, BYTE_ARRAY, OPTIONAL, true)?,
            _ => field(name, BYTE_ARRAY, OPTIONAL, false)?,
        });
    }
    Type::group_type_builder("metrics").with_fields(fields).build().map(Arc::new)
}

/// How the columns are written.
pub(super) fn properties() -> WriterProperties {
    let path = |name: &str| ColumnPath::new(vec![name.to_owned()]);
    // Level 3: labels and statistics are little; what is read often must be fast to inflate only.
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let mut properties = WriterProperties::builder()
        .set_compression(zstd)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_dictionary_page_size_limit(64 << 20)
        .set_created_by(format!("foreglow {}", env!("CARGO_PKG_VERSION")));
    for name in ["tmin", "tmax"] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in ["first", "last", "min", "max", "sum", "drops"] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_encoding(path(name), Encoding::BYTE_STREAM_SPLIT)
            .set_column_statistics_enabled(path(name), EnabledStatistics::None);
    }
    // Packed already: neither a dictionary nor zstd would find anything.
    for name in ["chunk", "starts"] {
        properties = properties
            .set_column_dictionary_enabled(path(name), false)
            .set_column_compression(path(name), Compression::UNCOMPRESSED)
            .set_column_statistics_enabled(path(name), EnabledStatistics::None)
            .set_column_data_page_size_limit(path(name), PAGE_BYTES);
    }
    properties
        .set_column_dictionary_enabled(path("exemplars"), false)
        .set_column_statistics_enabled(path("exemplars"), EnabledStatistics::None)
        .build()
}
