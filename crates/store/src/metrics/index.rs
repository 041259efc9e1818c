// SPDX-License-Identifier: Apache-2.0
//! What is known of a block's rows without their samples: labels by dictionary, times, groups.
//!
//! Matchers are evaluated once for each distinct value of a label, not for each row. A row group's
//! part is read and kept as a whole (about 40 bytes a row and 4 a label).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use basics::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use basics::{Error, Result};
use hashbrown::HashMap;
use otlp_series::MetricKind;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::statistics::Statistics;

use super::schema::{self, Footer};
use super::write::kind_number;
use crate::blocks::container::BlockFile;
use crate::blocks::{BlockInfo, Objects};
use crate::head::FamilyInfo;

/// A block whose footer is read.
#[derive(Debug)]
pub(super) struct Block {
    pub file: BlockFile,
    pub footer: Footer,
    /// Names of labels with a column, and its number.
    pub labels: Vec<(Arc<str>, usize)>,
    columns: HashMap<&'static str, usize>,
}

/// The rows of one row group.
#[derive(Debug, Default)]
pub(super) struct RowGroup {
    pub labels: Vec<LabelColumn>,
    /// Labels without a column of their own, by row.
    pub rest: Rest,
    pub what: Vec<u8>,
    pub tmin: Vec<i64>,
    pub tmax: Vec<i64>,
    pub count: Vec<u32>,
    pub times: Vec<u32>,
    infos: Vec<Arc<FamilyInfo>>,
    info: Vec<u32>,
}

/// Names and values of labels by row.
pub(super) type Rest = BTreeMap<usize, Vec<(Arc<str>, Arc<str>)>>;

/// A label of all rows.
#[derive(Debug)]
pub(super) struct LabelColumn {
    pub name: Arc<str>,
    /// Distinct values, in no order; the first is `""` for rows without the label.
    pub values: Vec<Arc<str>>,
    pub ids: Vec<u32>,
}

impl Block {
    pub fn open(objects: &Arc<dyn Objects>, info: &BlockInfo) -> Result<Block> {
        let damaged = |what: &str| Error::corrupt(format!("block {}: {what}", info.path));
        let file = BlockFile::open(objects, info)?;
        let footer =
            file.key_value(schema::FOOTER).ok_or_else(|| damaged("no block of metrics"))?;
        let footer: Footer = serde_json::from_str(footer)
            .map_err(|e| damaged("its footer cannot be read").caused_by(e))?;
        if footer.version > schema::VERSION {
            return Err(Error::invalid(format!(
                "block {} was written by a newer version of foreglow",
                info.path
            )));
        }
        let descriptors = file.metadata().file_metadata().schema_descr();
        let mut labels = Vec::new();
        let mut columns = HashMap::new();
        for (number, column) in descriptors.columns().iter().enumerate() {
            match column.name().strip_prefix("l_") {
                Some(label) => labels.push((Arc::from(label), number)),
                None => {
                    let known = schema::COLUMNS.iter().find(|known| **known == column.name());
                    columns.extend(known.map(|known| (*known, number)));
                }
            }
        }
        let groups = file.metadata().num_row_groups();
        if columns.len() < schema::COLUMNS.len() || footer.times.iter().any(|t| t.0 >= groups) {
            return Err(damaged("columns are missing"));
        }
        Ok(Block { file, footer, labels, columns })
    }

    pub fn info(&self) -> &BlockInfo {
        self.file.info()
    }

    pub fn column(&self, name: &'static str) -> usize {
        // Checked when it was opened.
        self.columns.get(name).copied().unwrap_or_default()
    }

    /// Row groups of series.
    pub fn series_groups(&self) -> impl Iterator<Item = usize> {
        let all = 0..self.file.metadata().num_row_groups();
        all.filter(|group| self.footer.times.iter().all(|(times, _)| times != group))
    }

    /// Where the times of a timestamp group are: row group and row.
    pub fn times_at(&self, group: u32) -> Result<(usize, usize)> {
        let after = self.footer.times.partition_point(|(_, first)| *first <= group);
        let found = after.checked_sub(1).map(|at| self.footer.times[at]);
        let row = found.map(|(at, first)| (at, (group - first) as usize));
        let rows = |at: usize| self.file.metadata().row_group(at).num_rows() as usize;
        row.filter(|(at, row)| *row < rows(*at)).ok_or_else(|| {
            Error::corrupt(format!("block {} lacks the times of a group", self.info().path))
        })
    }

    /// Whether rows of a row group may lie in the range and satisfy the matchers, by statistics.
    pub fn may_match(&self, group: usize, matchers: &[Matcher], (start, end): (i64, i64)) -> bool {
        let row_group = self.file.metadata().row_group(group);
        let statistics = |column: usize| row_group.column(column).statistics();
        if let Some(Statistics::Int64(tmin)) = statistics(self.column("tmin"))
            && tmin.min_opt().is_some_and(|least| *least > end)
        {
            return false;
        }
        if let Some(Statistics::Int64(tmax)) = statistics(self.column("tmax"))
            && tmax.max_opt().is_some_and(|most| *most < start)
        {
            return false;
        }
        matchers.iter().filter(|m| m.op == MatchOp::Equal && !m.value.is_empty()).all(|matcher| {
            let Some((_, column)) = self.labels.iter().find(|(name, _)| *name == matcher.name)
            else {
                return self.labels.len() >= schema::LABEL_COLUMNS_MAX;
            };
            let Some(Statistics::ByteArray(bounds)) = statistics(*column) else { return true };
            let value = matcher.value.as_bytes();
            let none = row_group.column(*column).num_values() > 0
                && bounds.null_count_opt() == Some(row_group.num_rows() as u64);
            !none
                && bounds.min_opt().is_none_or(|least| least.data() <= value)
                && bounds.max_opt().is_none_or(|most| most.data() >= value)
        })
    }

    /// Reads what is known of a row group's rows.
    pub fn row_group(&self, group: usize) -> Result<RowGroup> {
        let rows = self.file.metadata().row_group(group).num_rows() as usize;
        let mut labels = Vec::with_capacity(self.labels.len());
        for (name, column) in &self.labels {
            let (values, ids) = self.texts(group, *column)?;
            // Few labels are on all series: a column without values is not kept.
            if values.len() > 1 {
                labels.push(LabelColumn { name: name.clone(), values, ids });
            }
        }
        let what = self.numbers::<Int32Type>(group, "what")?;
        let count = self.numbers::<Int32Type>(group, "count")?;
        let times = self.numbers::<Int32Type>(group, "times")?;
        let (infos, info) = self.infos(group)?;
        let found = RowGroup {
            labels,
            rest: self.rest(group)?,
            what: what.into_iter().map(|what| what as u8).collect(),
            tmin: self.numbers::<Int64Type>(group, "tmin")?,
            tmax: self.numbers::<Int64Type>(group, "tmax")?,
            count: count.into_iter().map(|count| count as u32).collect(),
            times: times.into_iter().map(|group| group as u32).collect(),
            infos,
            info,
        };
        match found.times.len() == rows {
            true => Ok(found),
            false => Err(Error::corrupt(format!("block {} has lost rows", self.info().path))),
        }
    }

    fn numbers<T: DataType>(&self, group: usize, name: &'static str) -> Result<Vec<T::T>> {
        Ok(self.file.read_column::<T>(group, self.column(name))?.values)
    }

    /// Distinct values, `""` first, and the number of each row's.
    fn texts(&self, group: usize, column: usize) -> Result<(Vec<Arc<str>>, Vec<u32>)> {
        let read = self.file.read_column::<ByteArrayType>(group, column)?;
        let mut values: Vec<Arc<str>> = vec![Arc::from("")];
        let mut ids = Vec::with_capacity(read.levels.len());
        // Values of one dictionary entry share its bytes: a pointer tells them apart.
        let mut by_place: HashMap<(usize, usize), u32> = HashMap::new();
        let mut by_text: HashMap<Arc<str>, u32> = HashMap::new();
        for row in read.rows() {
            let Some(bytes) = row.map(ByteArray::data) else {
                ids.push(0);
                continue;
            };
            let place = (bytes.as_ptr() as usize, bytes.len());
            if let Some(id) = by_place.get(&place) {
                ids.push(*id);
                continue;
            }
            let text = std::str::from_utf8(bytes).map_err(|_| {
                Error::corrupt(format!("block {}: a text is no UTF-8", self.info().path))
            })?;
            let id = by_text.get(text).copied().unwrap_or_else(|| {
                let text: Arc<str> = text.into();
                let id = values.len() as u32;
                values.push(text.clone());
                by_text.insert(text, id);
                id
            });
            by_place.insert(place, id);
            ids.push(id);
        }
        Ok((values, ids))
    }

    fn infos(&self, group: usize) -> Result<(Vec<Arc<FamilyInfo>>, Vec<u32>)> {
        let kinds = self.file.read_column::<Int32Type>(group, self.column("kind"))?;
        let (units, unit_ids) = self.texts(group, self.column("unit"))?;
        let (helps, help_ids) = self.texts(group, self.column("help"))?;
        let mut known: HashMap<(i32, u32, u32), u32> = HashMap::new();
        let mut infos = Vec::new();
        let mut ids = Vec::with_capacity(kinds.levels.len());
        for (row, kind) in kinds.rows().enumerate() {
            let ids_of = unit_ids.get(row).zip(help_ids.get(row));
            let (Some(kind), Some((unit, help))) = (kind, ids_of) else {
                ids.push(0);
                continue;
            };
            let id = *known.entry((*kind, *unit, *help)).or_insert_with(|| {
                infos.push(Arc::new(FamilyInfo {
                    kind: kind_of(*kind),
                    unit: units[*unit as usize].to_string(),
                    help: helps[*help as usize].to_string(),
                }));
                infos.len() as u32
            });
            ids.push(id);
        }
        Ok((infos, ids))
    }

    fn rest(&self, group: usize) -> Result<Rest> {
        let mut found = BTreeMap::new();
        if self.labels.len() < schema::LABEL_COLUMNS_MAX {
            return Ok(found);
        }
        let column = self.file.read_column::<ByteArrayType>(group, self.column("labels_rest"))?;
        for (row, bytes) in column.rows().enumerate() {
            let Some(bytes) = bytes else { continue };
            let labels: BTreeMap<String, String> = serde_json::from_slice(bytes.data())
                .map_err(|e| Error::corrupt("labels cannot be read").caused_by(e))?;
            let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into()));
            found.insert(row, labels.collect());
        }
        Ok(found)
    }
}

fn kind_of(number: i32) -> MetricKind {
    let all = [MetricKind::Gauge, MetricKind::Counter, MetricKind::Histogram, MetricKind::Summary];
    all.into_iter().find(|kind| kind_number(*kind) == number).unwrap_or(MetricKind::Gauge)
}

impl RowGroup {
    /// Rows of series that satisfy the matchers and may have a sample in the range.
    pub fn select(&self, matchers: &[Matcher], (start, end): (i64, i64)) -> Vec<usize> {
        let mut found = self.named(matchers);
        for matcher in matchers {
            let Some(column) = self.labels.iter().find(|column| column.name == matcher.name) else {
                found = self.without_column(found, matcher);
                continue;
            };
            let matching: Vec<bool> =
                column.values.iter().map(|value| matcher.matches(value)).collect();
            found.retain(|row| matching[column.ids[*row] as usize]);
        }
        found.retain(|row| {
            i32::from(self.what[*row]) != schema::TIMES
                && self.tmin[*row] <= end
                && self.tmax[*row] >= start
        });
        found
    }

    /// The rows of the metric asked for, which are neighbours; all when none is named.
    fn named(&self, matchers: &[Matcher]) -> Vec<usize> {
        let all = 0..self.what.len();
        let of_name = matchers.iter().find(|m| m.op == MatchOp::Equal && *m.name == *METRIC_NAME);
        let column = self.labels.iter().find(|column| *column.name == *METRIC_NAME);
        match of_name.zip(column) {
            Some((matcher, column)) => self.run(column, &matcher.value).collect(),
            None => all.collect(),
        }
    }

    fn run(&self, column: &LabelColumn, value: &str) -> Range<usize> {
        let text = |row: &u32| &*column.values[*row as usize];
        let from = column.ids.partition_point(|id| text(id) < value);
        let to = column.ids.partition_point(|id| text(id) <= value);
        from..to
    }

    /// A label that has no column here: absent, unless it shares one.
    fn without_column(&self, mut rows: Vec<usize>, matcher: &Matcher) -> Vec<usize> {
        let rest = |row: &usize| {
            let labels = self.rest.get(row)?;
            labels.iter().find(|(name, _)| *name == matcher.name).map(|(_, value)| &**value)
        };
        rows.retain(|row| matcher.matches(rest(row).unwrap_or_default()));
        rows
    }

    /// The labels of a row.
    pub fn labels_of(&self, row: usize) -> Labels {
        let columns = self.labels.iter().filter(|column| column.ids[row] != 0);
        let pairs = columns
            .map(|column| (column.name.clone(), column.values[column.ids[row] as usize].clone()));
        Labels::new(pairs.chain(self.rest.get(&row).into_iter().flatten().cloned()))
    }

    /// Type, unit and description of a row's family.
    pub fn info_of(&self, row: usize) -> Option<&Arc<FamilyInfo>> {
        let id = self.info.get(row)?.checked_sub(1)?;
        self.infos.get(id as usize)
    }

    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> u64 {
        let label = |column: &LabelColumn| {
            let texts: usize = column.values.iter().map(|value| value.len() + 32).sum();
            texts + 4 * column.ids.len() + 64
        };
        let rest: usize = self.rest.values().flatten().map(|(n, v)| n.len() + v.len() + 64).sum();
        let columns: usize = self.labels.iter().map(label).sum();
        (columns + rest + 29 * self.what.len() + 256) as u64
    }
}
