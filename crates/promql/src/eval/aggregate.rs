// SPDX-License-Identifier: Apache-2.0
//! Aggregations: columns to one column per group, or to a choice of the columns themselves.
//!
//! Which group a series is in is worked out once per series. What is added up (`reduce`) and the
//! `top` ones are taken column by column: memory is groups times steps, however many series go in.

use std::hash::{BuildHasher, Hash, Hasher};

use basics::labels::Labels;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::column::{Cell, Column, Columns, prune};
use super::labels::label_name;
use super::reduce::{Note, Running};
use super::{Evaluated, Evaluation, failed, is_metric_label};
use crate::ast::*;
use crate::engine::Grid;
use crate::notes::{BOUNDS_RECONCILED, HINTS_CONFLICT, MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS};
use crate::number;

/// Tells which group a label set is in; no labels are made but those of a new group.
pub(super) struct Groups<'e> {
    /// Labels that `by` or `without` names, ascending.
    names: Vec<&'e str>,
    without: bool,
    table: HashTable<usize>,
    hasher: DefaultHashBuilder,
    /// Labels of each group, in order of appearance.
    labels: Vec<Labels>,
}

impl<'e> Groups<'e> {
    pub(super) fn new(a: &'e Aggregate) -> Self {
        let mut names: Vec<&str> = a.grouping.iter().map(String::as_str).collect();
        names.sort_unstable();
        let (table, hasher) = (HashTable::new(), DefaultHashBuilder::default());
        Groups { names, without: a.without, table, hasher, labels: vec![] }
    }

    /// The group of these labels, and whether it is new.
    pub(super) fn of(&mut self, labels: &Labels) -> (usize, bool) {
        let Groups { names, without, table, hasher, labels: groups } = self;
        let counts = |name: &str| match without {
            true => names.binary_search(&name).is_err() && !is_metric_label(name),
            false => names.binary_search(&name).is_ok(),
        };
        let hash = |labels: &Labels| {
            let mut state = hasher.build_hasher();
            labels.iter().filter(|(name, _)| counts(name)).for_each(|pair| pair.hash(&mut state));
            state.finish()
        };
        let here = hash(labels);
        let same = |group: &usize| {
            groups[*group].iter().eq(labels.iter().filter(|(name, _)| counts(name)))
        };
        if let Some(group) = table.find(here, same) {
            return (*group, false);
        }
        groups.push(labels.without(|name| !counts(name)));
        let group = groups.len() - 1;
        table.insert_unique(here, group, |group| hash(&groups[*group]));
        (group, true)
    }
}

/// Groups of columns: labels of each and the members' indexes, in order of appearance.
pub(super) struct Grouped {
    labels: Vec<Labels>,
    drop_name: Vec<bool>,
    pub members: Vec<Vec<usize>>,
}

pub(super) fn grouped(columns: &[Column], a: &Aggregate) -> Grouped {
    let mut groups = Groups::new(a);
    let (mut drop_name, mut members) = (vec![], vec![]);
    for (at, column) in columns.iter().enumerate() {
        let (group, new) = groups.of(&column.labels);
        if new {
            drop_name.push(false);
            members.push(vec![]);
        }
        drop_name[group] |= column.drop_name;
        members[group].push(at);
    }
    Grouped { labels: groups.labels, drop_name, members }
}

impl Evaluation<'_> {
    pub(super) fn aggregate(&mut self, a: &Aggregate, grid: Grid) -> Evaluated<Vec<Column>> {
        use AggregateOp::*;
        let param = match (&a.param, a.op) {
            (Some(param), CountValues) => {
                let label = label_name(param, "label name")?.to_owned();
                let columns = self.vector(&a.expr, grid)?;
                return Ok(count_values(a, &label, &columns, grid.count));
            }
            (Some(param), _) => self.scalar(param, grid)?,
            (None, _) => vec![],
        };
        self.check_param(a, &param)?;
        match a.op {
            TopK | BottomK => return self.top(a, &param, grid),
            Quantile | LimitK | LimitRatio => {}
            _ => return self.reduce(a, grid),
        }
        let columns = self.vector(&a.expr, grid)?;
        let groups = grouped(&columns, a);
        match a.op {
            LimitK => Ok(limit(columns, &groups, &param)),
            LimitRatio => Ok(limit_ratio(columns, &param)),
            _ => {
                let mut out = Vec::with_capacity(groups.labels.len());
                for (group, members) in groups.members.iter().enumerate() {
                    let labels = groups.labels[group].clone();
                    let mut column = Column::empty(labels, groups.drop_name[group], grid.count);
                    self.watch.check()?;
                    self.quantiles(a, &columns, members, &param, &mut column);
                    out.push(column);
                }
                prune(&mut out);
                Ok(out)
            }
        }
    }

    /// The aggregators that keep a running state for each group and step.
    fn reduce(&mut self, a: &Aggregate, grid: Grid) -> Evaluated<Vec<Column>> {
        let mut groups = Groups::new(a);
        let mut running: Vec<(Running, bool)> = vec![];
        self.stream(&a.expr, grid, &mut |this, column| {
            let (group, new) = groups.of(&column.labels);
            if new {
                running.push((Running::new(a.op), false));
                this.charge(grid.count)?;
            }
            let (state, drop_name) = &mut running[group];
            *drop_name |= column.drop_name;
            state.add(column, &mut |note| this.note_reduction(a, note));
            Ok(())
        })?;
        let parts = groups.labels.into_iter().zip(running);
        let columns = parts.map(|(labels, (state, drop))| state.finish(labels, drop, grid.count));
        Ok(columns.filter(|column| !column.is_empty()).collect())
    }

    fn check_param(&mut self, a: &Aggregate, param: &[f64]) -> Evaluated<()> {
        use AggregateOp::*;
        let span = a.param.as_ref().map_or(a.expr.span, |p| p.span);
        match a.op {
            TopK | BottomK | LimitK => {
                for k in param {
                    if k.is_nan() {
                        return failed("Parameter value is NaN");
                    }
                    if k.abs() >= i64::MAX as f64 {
                        return failed(format!("Scalar value {k} overflows int64"));
                    }
                }
            }
            LimitRatio => {
                for ratio in param {
                    if ratio.is_nan() {
                        return failed("Ratio value is NaN");
                    }
                    if ratio.abs() > 1.0 {
                        let capped = ratio.signum();
                        let text = format!(
                            "ratio value should be between -1 and 1, got {}, capping to {}",
                            number::format(*ratio),
                            number::format(capped)
                        );
                        self.notes.warn(span, text);
                    }
                }
            }
            Quantile => self.warn_quantiles(param, span),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn warn_quantiles(&mut self, quantiles: &[f64], span: Span) {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            let got = number::format(*q);
            let text = format!("quantile value should be between 0 and 1, got {got}");
            self.notes.warn(span, text);
        }
    }

    pub(super) fn note_ignored(&mut self, a: &Aggregate) {
        let text = format!("ignored histogram in {} aggregation", a.op.name());
        self.notes.info(a.expr.span, text);
    }

    fn note_reduction(&mut self, a: &Aggregate, note: Note) {
        let span = a.expr.span;
        match note {
            Note::None => {}
            Note::Ignored => self.note_ignored(a),
            Note::Mixed => {
                self.notes.warn(span, format!("{MIXED_FLOATS_HISTOGRAMS} for aggregation"));
            }
            Note::Schemas => self.notes.warn(span, MIXED_SCHEMAS),
            Note::Combined(combined) => {
                if combined.hints_conflict {
                    self.notes.warn(span, format!("{HINTS_CONFLICT} aggregation"));
                }
                if combined.bounds_reconciled {
                    self.notes.info(span, format!("{BOUNDS_RECONCILED} aggregation"));
                }
            }
        }
    }

    fn quantiles(
        &mut self,
        a: &Aggregate,
        columns: &[Column],
        members: &[usize],
        param: &[f64],
        out: &mut Column,
    ) {
        let mut values: [Vec<f64>; QUANTILE_STEPS] = Default::default();
        for (block, quantiles) in param.chunks(QUANTILE_STEPS).enumerate() {
            values.iter_mut().for_each(Vec::clear);
            let first = block * QUANTILE_STEPS;
            for member in members {
                let column = &columns[*member];
                let cells = (first..first + quantiles.len()).map(|step| column.get(step));
                for (values, cell) in values.iter_mut().zip(cells) {
                    match cell {
                        Some(Cell::Float(value)) => values.push(value),
                        Some(Cell::Hist(_)) => self.note_ignored(a),
                        None => {}
                    }
                }
            }
            let steps = values.iter_mut().zip(quantiles).enumerate();
            for (at, (values, q)) in steps.filter(|(_, (values, _))| !values.is_empty()) {
                out.set(first + at, number::quantile(*q, values).into());
            }
        }
    }
}

/// Steps whose values are gathered together: what a cache line holds of a column.
const QUANTILE_STEPS: usize = 8;

/// `limit_ratio`: a share of the series, chosen by a hash of their labels, so that `r` and `r - 1`
/// choose complements.
fn limit_ratio(mut columns: Vec<Column>, param: &[f64]) -> Vec<Column> {
    for column in &mut columns {
        let place = place(&column.labels);
        for (step, ratio) in param.iter().enumerate() {
            let ratio = ratio.clamp(-1.0, 1.0);
            let keep = match ratio >= 0.0 {
                true => place < ratio,
                false => place >= 1.0 + ratio,
            };
            if !keep {
                column.clear(step);
            }
        }
    }
    prune(&mut columns);
    columns
}

/// Where in `0.0..1.0` a label set falls.
fn place(labels: &Labels) -> f64 {
    // FNV-1a, then a mixing step: the answer must be the same on every machine and run.
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    for (name, value) in labels.iter() {
        for byte in name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    (hash >> 11) as f64 / (1u64 << 53) as f64
}

/// `limitk`: the first series of each group.
fn limit(mut columns: Vec<Column>, groups: &Grouped, param: &[f64]) -> Vec<Column> {
    for members in &groups.members {
        let mut members = members.clone();
        members.sort_by(|a, b| columns[*a].labels.cmp(&columns[*b].labels));
        for (step, k) in param.iter().enumerate() {
            let mut left = if *k < 1.0 { 0 } else { *k as usize };
            for member in &members {
                let column = &mut columns[*member];
                if !column.has(step) {
                    continue;
                }
                match left {
                    0 => column.clear(step),
                    _ => left -= 1,
                }
            }
        }
    }
    prune(&mut columns);
    columns
}

fn count_values(a: &Aggregate, label: &str, columns: &[Column], steps: usize) -> Vec<Column> {
    let groups = grouped(columns, a);
    let mut counts: Vec<(usize, Vec<f64>)> = vec![];
    let mut out = Columns::new(steps);
    for (group, members) in groups.members.iter().enumerate() {
        for member in members {
            for step in 0..steps {
                let Some(cell) = columns[*member].get(step) else { continue };
                let text = match cell {
                    Cell::Float(value) => number::format_plain(value),
                    Cell::Hist(histogram) => histogram.to_string(),
                };
                let labels = groups.labels[group].with(label, &text);
                let column = out.column(labels, groups.drop_name[group]);
                if counts.len() <= column {
                    counts.resize_with(column + 1, || (column, vec![0.0; steps]));
                }
                counts[column].1[step] += 1.0;
            }
        }
    }
    for (column, counts) in counts {
        for (step, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0.0) {
            out.put(column, step, count.into());
        }
    }
    out.finish()
}
