// SPDX-License-Identifier: Apache-2.0
//! Running aggregates: columns are added one after the other, in their order, to one state per
//! group and step.
//!
//! As long as a group has numbers alone, its state is arrays over the steps, and a column without
//! gaps is added by loops that the compiler turns into vector instructions. The first histogram, or
//! a mean about to overflow, turns the arrays into a state per step that knows every case. Sums are
//! compensated as in Prometheus, so both ways give the same bits.

use std::sync::Arc;

use basics::labels::Labels;

use super::column::{Cell, Column, Value};
use super::plain::has_nan;
use crate::ast::AggregateOp;
use crate::histogram::{Combined, HistogramMean, HistogramSum};
use crate::number::{Mean, Sum, is_stale, stale};

/// The running aggregate of one group.
pub(super) struct Running {
    op: AggregateOp,
    form: Form,
}

enum Form {
    Empty,
    /// Count, group.
    Counts(Counts),
    /// Min, max; the staleness bits where there is none yet.
    Best(Vec<f64>),
    Sums(Sums),
    Means(Sums, Counts),
    States(Vec<State>),
}

/// How many samples each step has had.
#[derive(Default)]
struct Counts {
    /// Columns without gaps.
    whole: u32,
    /// What others had; empty when there was no other.
    more: Vec<u32>,
}

impl Counts {
    fn add(&mut self, values: &[f64], full: bool) {
        if full {
            self.whole += 1;
            return;
        }
        self.more.resize(values.len(), 0);
        for (count, value) in self.more.iter_mut().zip(values) {
            *count += u32::from(!is_stale(*value));
        }
    }

    fn at(&self, step: usize) -> f64 {
        f64::from(self.whole + self.more.get(step).copied().unwrap_or(0))
    }
}

/// Compensated sums.
struct Sums {
    /// The staleness bits where there is none yet.
    total: Vec<f64>,
    lost: Vec<f64>,
    /// True when there is one at each step.
    full: bool,
}

impl Sums {
    fn of(values: Vec<f64>, full: bool) -> Self {
        Sums { lost: vec![0.0; values.len()], total: values, full }
    }

    fn add(&mut self, values: &[f64], full: bool) {
        let sums = self.total.iter_mut().zip(&mut self.lost).zip(values);
        if full && self.full {
            sums.for_each(|((total, lost), value)| add_to(total, lost, *value));
            return;
        }
        for ((total, lost), value) in sums {
            if is_stale(*value) {
                continue;
            }
            match is_stale(*total) {
                true => *total = *value,
                false => add_to(total, lost, *value),
            }
        }
        self.full |= full;
    }

    /// True when adding the column would leave the range of numbers somewhere.
    fn overflows(&self, values: &[f64]) -> bool {
        let sums = self.total.iter().zip(values);
        sums.fold(false, |any, (total, value)| any | (total + value).is_infinite())
    }

    fn at(&self, step: usize) -> Sum {
        Sum { total: self.total[step], lost: self.lost[step] }
    }

    /// One number for each step that has a sum.
    fn finish(mut self, value: impl Fn(usize, Sum) -> f64) -> Vec<f64> {
        for (step, (total, lost)) in self.total.iter_mut().zip(&self.lost).enumerate() {
            if !is_stale(*total) {
                *total = value(step, Sum { total: *total, lost: *lost });
            }
        }
        self.total
    }
}

#[inline]
fn add_to(total: &mut f64, lost: &mut f64, value: f64) {
    let mut sum = Sum { total: *total, lost: *lost };
    sum.add(value);
    (*total, *lost) = (sum.total, sum.lost);
}

impl Running {
    pub(super) fn new(op: AggregateOp) -> Self {
        Running { op, form: Form::Empty }
    }

    /// Adds a column, whose samples may be taken out; `note` hears what is worth a note.
    pub(super) fn add(&mut self, column: &mut Column, note: &mut dyn FnMut(Note)) {
        if self.add_plain(column) {
            return;
        }
        let (op, states) = (self.op, self.states(column.len()));
        for (step, state) in states.iter_mut().enumerate() {
            if let Some(cell) = column.get(step) {
                note(state.add(op, cell));
            }
        }
    }

    /// Adds numbers to arrays; false when it takes states.
    fn add_plain(&mut self, column: &mut Column) -> bool {
        use AggregateOp::*;
        let Some(values) = column.plain() else { return false };
        let full = !has_nan(values);
        match &mut self.form {
            Form::Counts(counts) => counts.add(values, full),
            Form::Best(best) if self.op == Min => improve(best, values, full, |a, b| a <= b),
            Form::Best(best) => improve(best, values, full, |a, b| a >= b),
            Form::Sums(sums) => sums.add(values, full),
            Form::Means(sums, _) if sums.overflows(values) => return false,
            Form::Means(sums, counts) => {
                sums.add(values, full);
                counts.add(values, full);
            }
            Form::States(_) => return false,
            Form::Empty => {
                let mut counts = Counts::default();
                counts.add(values, full);
                self.form = match self.op {
                    Count | Group => Form::Counts(counts),
                    Min | Max => Form::Best(column.take_floats()),
                    Sum => Form::Sums(Sums::of(column.take_floats(), full)),
                    Avg => Form::Means(Sums::of(column.take_floats(), full), counts),
                    _ => return false,
                };
            }
        }
        true
    }

    /// The state of each step, made from the arrays if need be.
    fn states(&mut self, steps: usize) -> &mut [State] {
        let form = std::mem::replace(&mut self.form, Form::Empty);
        let there = |value: f64| !is_stale(value);
        let state = |step: usize| match &form {
            Form::Counts(counts) if counts.at(step) > 0.0 => State::Count(counts.at(step)),
            Form::Best(best) if there(best[step]) => State::Best(best[step]),
            Form::Sums(sums) if there(sums.total[step]) => State::Sum(sums.at(step)),
            Form::Means(sums, counts) if there(sums.total[step]) => {
                State::Mean(Mean::of_parts(sums.at(step), counts.at(step)))
            }
            _ => State::Empty,
        };
        let states = match form {
            Form::States(states) => states,
            _ => (0..steps).map(state).collect(),
        };
        self.form = Form::States(states);
        match &mut self.form {
            Form::States(states) => states,
            _ => &mut [],
        }
    }

    /// The aggregate of all that was added.
    pub(super) fn finish(self, labels: Labels, drop_name: bool, steps: usize) -> Column {
        let op = self.op;
        let floats = match self.form {
            Form::Empty => vec![stale(); steps],
            Form::Best(best) => best,
            Form::Counts(counts) => {
                let value = |count: f64| match op {
                    AggregateOp::Group => 1.0,
                    _ => count,
                };
                let at = |step| Some(counts.at(step)).filter(|n| *n > 0.0).map_or(stale(), value);
                (0..steps).map(at).collect()
            }
            Form::Sums(sums) => sums.finish(|_, sum| sum.value()),
            Form::Means(sums, counts) => {
                sums.finish(|step, sum| Mean::of_parts(sum, counts.at(step)).value())
            }
            Form::States(states) => {
                let mut column = Column::empty(labels, drop_name, steps);
                for (step, state) in states.into_iter().enumerate() {
                    if let Some(value) = state.finish(op) {
                        column.set(step, value);
                    }
                }
                return column;
            }
        };
        Column::of_floats(labels, drop_name, floats)
    }
}

/// Takes the better of two numbers at each step; `keeps(best, value)` is false for a best that is
/// NaN.
fn improve(best: &mut [f64], values: &[f64], full: bool, keeps: impl Fn(f64, f64) -> bool) {
    for (best, value) in best.iter_mut().zip(values) {
        if full {
            *best = if keeps(*best, *value) { *best } else { *value };
        } else if !is_stale(*value) && (best.is_nan() || !(value.is_nan() || keeps(*best, *value)))
        {
            *best = *value;
        }
    }
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

pub(super) enum Note {
    None,
    Ignored,
    Mixed,
    Schemas,
    Combined(Combined),
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
