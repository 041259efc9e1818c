// SPDX-License-Identifier: Apache-2.0
//! Aggregations: columns to one column per group, or to a choice of the columns themselves.
//!
//! Which group a series is in is worked out once. Running totals are one per group and step, so
//! memory is groups times steps, however many series go in.

use std::sync::Arc;

use basics::labels::Labels;
use hashbrown::HashMap;

use super::column::{Cell, Column, Columns, Value, prune};
use super::labels::label_name;
use super::vector::by_value;
use super::{Evaluated, Evaluation, failed, is_metric_label};
use crate::ast::*;
use crate::engine::Grid;
use crate::histogram::{Combined, HistogramMean, HistogramSum};
use crate::notes::{BOUNDS_RECONCILED, HINTS_CONFLICT, MIXED_FLOATS_HISTOGRAMS, MIXED_SCHEMAS};
use crate::number::{self, Mean, Sum};

/// Groups of columns: labels of each and the members' indexes, in order of appearance.
struct Grouped {
    labels: Vec<Labels>,
    drop_name: Vec<bool>,
    members: Vec<Vec<usize>>,
}

fn grouped(columns: &[Column], a: &Aggregate) -> Grouped {
    let mut index: HashMap<Labels, usize> = HashMap::new();
    let mut out = Grouped { labels: vec![], drop_name: vec![], members: vec![] };
    let named = |name: &str| a.grouping.iter().any(|l| l == name);
    for (at, column) in columns.iter().enumerate() {
        let labels = match a.without {
            true => column.labels.without(|name| named(name) || is_metric_label(name)),
            false => column.labels.without(|name| !named(name)),
        };
        let group = *index.entry(labels).or_insert_with_key(|labels| {
            out.labels.push(labels.clone());
            out.drop_name.push(false);
            out.members.push(vec![]);
            out.labels.len() - 1
        });
        out.drop_name[group] |= column.drop_name;
        out.members[group].push(at);
    }
    out
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
        let columns = self.vector(&a.expr, grid)?;
        let groups = grouped(&columns, a);
        match a.op {
            TopK | BottomK => Ok(self.top(a, columns, &groups, &param, grid)),
            LimitK => Ok(limit(columns, &groups, &param)),
            LimitRatio => Ok(limit_ratio(columns, &param)),
            _ => {
                let mut out = Vec::with_capacity(groups.labels.len());
                for (group, members) in groups.members.iter().enumerate() {
                    let labels = groups.labels[group].clone();
                    let mut column = Column::empty(labels, groups.drop_name[group], grid.count);
                    self.watch.check()?;
                    match a.op {
                        Quantile => self.quantiles(a, &columns, members, &param, &mut column),
                        _ => self.reduce(a, &columns, members, &mut column),
                    }
                    out.push(column);
                }
                prune(&mut out);
                Ok(out)
            }
        }
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

    fn note_ignored(&mut self, a: &Aggregate) {
        let text = format!("ignored histogram in {} aggregation", a.op.name());
        self.notes.info(a.expr.span, text);
    }

    /// The aggregators that keep one running state per step.
    fn reduce(&mut self, a: &Aggregate, columns: &[Column], members: &[usize], out: &mut Column) {
        let steps = out.len();
        let mut states: Vec<State> = Vec::new();
        states.resize_with(steps, State::default);
        for member in members {
            let column = &columns[*member];
            if let Some(values) = column.plain() {
                let mut note = Note::None;
                for (state, value) in states.iter_mut().zip(values) {
                    if !number::is_stale(*value) {
                        note = note.or(state.add(a.op, Cell::Float(*value)));
                    }
                }
                self.note_reduction(a, note);
                continue;
            }
            for (step, state) in states.iter_mut().enumerate() {
                if let Some(cell) = column.get(step) {
                    let note = state.add(a.op, cell);
                    self.note_reduction(a, note);
                }
            }
        }
        for (step, state) in states.into_iter().enumerate() {
            if let Some(value) = state.finish(a.op) {
                out.set(step, value);
            }
        }
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
        let mut values = vec![];
        for (step, q) in param.iter().enumerate() {
            values.clear();
            for member in members {
                match columns[*member].get(step) {
                    Some(Cell::Float(value)) => values.push(value),
                    Some(Cell::Hist(_)) => self.note_ignored(a),
                    None => {}
                }
            }
            if !values.is_empty() {
                out.set(step, number::quantile(*q, &mut values).into());
            }
        }
    }

    /// `topk`, `bottomk`: the samples that win at each step; ordered when there is one step.
    fn top(
        &mut self,
        a: &Aggregate,
        columns: Vec<Column>,
        groups: &Grouped,
        param: &[f64],
        grid: Grid,
    ) -> Vec<Column> {
        let descending = a.op == AggregateOp::TopK;
        let mut keep: Vec<Column> = columns
            .iter()
            .map(|c| Column::empty(c.labels.clone(), c.drop_name, grid.count))
            .collect();
        let mut order = vec![];
        let mut ranked: Vec<(f64, usize)> = vec![];
        for members in &groups.members {
            for (step, k) in param.iter().enumerate() {
                ranked.clear();
                for member in members {
                    match columns[*member].get(step) {
                        Some(Cell::Float(value)) => ranked.push((value, *member)),
                        Some(Cell::Hist(_)) if *k >= 1.0 => self.note_ignored(a),
                        _ => {}
                    }
                }
                // Equal values go by labels: the choice must not depend on who came first.
                let order_of = |x: &(f64, usize), y: &(f64, usize)| {
                    let labels = |at: usize| &columns[at].labels;
                    by_value(x.0, y.0, descending).then_with(|| labels(x.1).cmp(labels(y.1)))
                };
                let wanted = if *k < 1.0 { 0 } else { *k as usize };
                if wanted < ranked.len() {
                    ranked.select_nth_unstable_by(wanted, order_of);
                    ranked.truncate(wanted);
                }
                ranked.sort_by(order_of);
                for (value, member) in ranked.drain(..) {
                    keep[member].set(step, value.into());
                    order.push(member);
                }
            }
        }
        if grid.count == 1 {
            let mut keep: Vec<Option<Column>> = keep.into_iter().map(Some).collect();
            return order.into_iter().filter_map(|member| keep[member].take()).collect();
        }
        prune(&mut keep);
        keep
    }
}

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

/// A running aggregate of one group at one step.
#[derive(Default)]
enum State {
    #[default]
    Empty,
    /// Count, group.
    Count(f64),
    /// Min, max.
    Best(f64),
    Sum(Sum),
    Mean(Mean),
    /// Count, mean and sum of squared distances (Welford).
    Spread(f64, f64, f64),
    HistogramSum(Box<HistogramSum>),
    HistogramMean(Box<HistogramMean>),
    /// Floats and histograms, or histograms that do not go together: no answer.
    Spoiled,
}

enum Note {
    None,
    Ignored,
    Mixed,
    Schemas,
    Combined(Combined),
}

impl Note {
    fn or(self, other: Note) -> Note {
        if matches!(self, Note::None) { other } else { self }
    }
}

impl State {
    #[inline]
    fn add(&mut self, op: AggregateOp, cell: Cell<'_>) -> Note {
        use AggregateOp::*;
        match (op, cell) {
            (Count | Group, _) => match self {
                State::Count(n) => *n += 1.0,
                _ => *self = State::Count(1.0),
            },
            (Sum | Avg, Cell::Float(value)) => return self.add_float(op, value),
            (Sum | Avg, Cell::Hist(histogram)) => return self.add_histogram(op, histogram),
            (_, Cell::Hist(_)) => return Note::Ignored,
            (Min | Max, Cell::Float(value)) => match self {
                State::Best(best) => {
                    let better = if op == Min { value < *best } else { value > *best };
                    if better || best.is_nan() {
                        *best = value;
                    }
                }
                _ => *self = State::Best(value),
            },
            (_, Cell::Float(value)) => match self {
                State::Spread(count, mean, squares) => {
                    *count += 1.0;
                    let away = value - *mean;
                    *mean += away / *count;
                    *squares += away * (value - *mean);
                }
                _ => {
                    let squares = if value.is_finite() { 0.0 } else { f64::NAN };
                    *self = State::Spread(1.0, value, squares);
                }
            },
        }
        Note::None
    }

    #[inline]
    fn add_float(&mut self, op: AggregateOp, value: f64) -> Note {
        match self {
            State::Empty if op == AggregateOp::Sum => *self = State::Sum(Sum::of(value)),
            State::Empty => *self = State::Mean(Mean::of(value)),
            State::Sum(sum) => sum.add(value),
            State::Mean(mean) => mean.add(value),
            State::Spoiled => {}
            _ => {
                *self = State::Spoiled;
                return Note::Mixed;
            }
        }
        Note::None
    }

    fn add_histogram(
        &mut self,
        op: AggregateOp,
        histogram: &Arc<crate::histogram::FloatHistogram>,
    ) -> Note {
        let combined = match self {
            State::Empty if op == AggregateOp::Sum => {
                *self = State::HistogramSum(Box::new(HistogramSum::of(histogram)));
                return Note::None;
            }
            State::Empty => {
                *self = State::HistogramMean(Box::new(HistogramMean::of(histogram)));
                return Note::None;
            }
            State::HistogramSum(sum) => sum.add(histogram),
            State::HistogramMean(mean) => mean.add(histogram),
            State::Spoiled => return Note::None,
            _ => {
                *self = State::Spoiled;
                return Note::Mixed;
            }
        };
        match combined {
            Ok(combined) => Note::Combined(combined),
            Err(_) => {
                *self = State::Spoiled;
                Note::Schemas
            }
        }
    }

    fn finish(self, op: AggregateOp) -> Option<Value> {
        Some(match self {
            State::Empty | State::Spoiled => return None,
            State::Count(_) if op == AggregateOp::Group => 1.0.into(),
            State::Count(n) => n.into(),
            State::Best(best) => best.into(),
            State::Sum(sum) => sum.value().into(),
            State::Mean(mean) => mean.value().into(),
            State::Spread(count, _, squares) => {
                let variance = squares / count;
                let stddev = op == AggregateOp::Stddev;
                if stddev { variance.sqrt() } else { variance }.into()
            }
            State::HistogramSum(sum) => sum.value().compacted().into(),
            State::HistogramMean(mean) => mean.value().compacted().into(),
        })
    }
}
