// SPDX-License-Identifier: Apache-2.0
//! Binary operators: scalars, a vector with a scalar, and two vectors matched by labels.
//!
//! Which series belong together is worked out once per series; at each step only presence counts.

use std::sync::Arc;

use basics::labels::{Labels, METRIC_NAME};
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::column::{Cell, Column, Columns, Value, merge_equal, same_labelset};
use super::plain::has_nan;
use super::{Evaluated, Evaluation, Outcome, Sink, failed, is_metric_label};
use crate::ast::*;
use crate::engine::{Grid, QueryError};
use crate::histogram::Combined;
use crate::notes::{BOUNDS_RECONCILED, HINTS_CONFLICT, MIXED_SCHEMAS};
use crate::number::{is_stale, stale};

/// What an operator makes of two samples.
struct Answer {
    value: Value,
    /// False where a comparison filters the sample away.
    keep: bool,
}

impl<'a> Evaluation<'a> {
    /// A chain such as `a + b + c` is a tree as deep as it is long: its left spine is walked in a
    /// loop, so that the stack does not grow with it.
    pub(super) fn binary(
        &mut self,
        expr: &Expr,
        binary: &Binary,
        grid: Grid,
    ) -> Evaluated<Outcome> {
        let mut spine = vec![];
        let (mut node, mut inner, mut track) = (expr, Some(binary), self.track_resets);
        while let Some(b) = inner {
            // Trimming needs the buckets.
            track &= !b.op.is_trim();
            spine.push((node, b, track));
            node = &b.left;
            inner = match &node.kind {
                ExprKind::Binary(b) => Some(b),
                _ => None,
            };
        }
        let mut left = self.tracking_resets(track, |this| this.eval(node, grid))?;
        for (expr, b, track) in spine.into_iter().rev() {
            let right = self.tracking_resets(track, |this| this.eval(&b.right, grid))?;
            left = self.combine(expr, b, left, right, grid)?;
        }
        Ok(left)
    }

    fn combine(
        &mut self,
        expr: &Expr,
        b: &Binary,
        left: Outcome,
        right: Outcome,
        grid: Grid,
    ) -> Evaluated<Outcome> {
        let columns = match (left, right) {
            (Outcome::Scalar(left), Outcome::Scalar(right)) => {
                let values = left.into_iter().zip(right).map(|(l, r)| b.op.apply(l, r));
                return Ok(Outcome::Scalar(values.collect()));
            }
            (Outcome::Vector(columns), Outcome::Scalar(scalars)) => {
                self.with_scalar(expr, b, columns, &scalars, false)
            }
            (Outcome::Scalar(scalars), Outcome::Vector(columns)) => {
                self.with_scalar(expr, b, columns, &scalars, true)
            }
            (Outcome::Vector(left), Outcome::Vector(right)) if b.op.is_set() => {
                set_operation(b, left, right, grid.count)?
            }
            (Outcome::Vector(left), Outcome::Vector(right)) => {
                self.matched(expr, b, left, right, grid.count)?
            }
        };
        Ok(Outcome::Vector(columns))
    }

    fn with_scalar(
        &mut self,
        expr: &Expr,
        b: &Binary,
        mut columns: Vec<Column>,
        scalars: &[f64],
        scalar_left: bool,
    ) -> Vec<Column> {
        for column in &mut columns {
            self.column_with_scalar((expr, b), column, scalars, scalar_left);
        }
        super::prune(&mut columns);
        columns
    }

    /// A vector with a scalar, the vector's columns one at a time.
    pub(super) fn stream_with_scalar(
        &mut self,
        expr: &Expr,
        b: &Binary,
        grid: Grid,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let scalar_left = b.left.value_type() == ValueType::Scalar;
        let (scalar, vector) = if scalar_left { (&b.left, &b.right) } else { (&b.right, &b.left) };
        let track = self.track_resets && !b.op.is_trim();
        self.tracking_resets(track, |this| {
            let scalars = this.scalar(scalar, grid)?;
            this.stream(vector, grid, &mut |this, column| {
                this.column_with_scalar((expr, b), column, &scalars, scalar_left);
                if column.is_empty() { Ok(()) } else { sink(this, column) }
            })
        })
    }

    fn column_with_scalar(
        &mut self,
        (expr, b): (&Expr, &Binary),
        column: &mut Column,
        scalars: &[f64],
        scalar_left: bool,
    ) {
        let arithmetic = !b.op.is_comparison() && !b.op.is_trim();
        column.drop_name |= arithmetic || b.return_bool;
        if arithmetic && column.plain().is_some() {
            column.map_floats(|step, value| match scalar_left {
                true => b.op.apply(scalars[step], value),
                false => b.op.apply(value, scalars[step]),
            });
            return;
        }
        column.map(|step, cell| {
            let scalar = Cell::Float(scalars[step]);
            let (left, right) = if scalar_left { (scalar, cell) } else { (cell, scalar) };
            let answer = self.operate(expr, b, left, right)?;
            match b.op.is_comparison() {
                true if b.return_bool => Some(truth(answer.keep)),
                // The vector's own value stays, whichever side it is on.
                true => answer.keep.then(|| cell.to_value()),
                false => Some(answer.value),
            }
        });
    }

    /// The operator on two samples; none, with a note, where it makes no sense.
    fn operate(
        &mut self,
        expr: &Expr,
        b: &Binary,
        left: Cell<'_>,
        right: Cell<'_>,
    ) -> Option<Answer> {
        use BinaryOp::*;
        let whole = |value: Value| Some(Answer { value, keep: true });
        match (left, right, b.op) {
            (Cell::Float(l), Cell::Float(r), op) if !op.is_trim() => {
                let value = op.apply(l, r);
                if op.is_comparison() {
                    return Some(Answer { value: l.into(), keep: value == 1.0 });
                }
                whole(value.into())
            }
            (Cell::Hist(h), Cell::Float(f), Mul) | (Cell::Float(f), Cell::Hist(h), Mul) => {
                whole(h.scaled(f).into())
            }
            (Cell::Hist(h), Cell::Float(f), Div) => whole(h.divided(f).into()),
            (Cell::Hist(h), Cell::Float(f), TrimUpper) => whole(h.trimmed(f, true).into()),
            (Cell::Hist(h), Cell::Float(f), TrimLower) => whole(h.trimmed(f, false).into()),
            (Cell::Hist(l), Cell::Hist(r), Eq) => {
                Some(Answer { value: Value::Hist(Arc::clone(l)), keep: l.same_as(r) })
            }
            (Cell::Hist(l), Cell::Hist(r), Ne) => {
                Some(Answer { value: Value::Hist(Arc::clone(l)), keep: !l.same_as(r) })
            }
            (Cell::Hist(l), Cell::Hist(r), Add | Sub) => {
                let combined = if b.op == Add { l.add(r) } else { l.sub(r) };
                let word = if b.op == Add { "addition" } else { "subtraction" };
                match combined {
                    Ok((value, how)) => {
                        self.note_combined(expr, how, word);
                        whole(value.compacted().into())
                    }
                    Err(_) => {
                        self.notes.warn(expr.span, MIXED_SCHEMAS);
                        None
                    }
                }
            }
            _ => {
                let kind = |c: Cell<'_>| match c {
                    Cell::Float(_) => "float",
                    Cell::Hist(_) => "histogram",
                };
                let symbol = b.op.symbol();
                let text = format!(
                    "incompatible sample types encountered for binary operator {symbol:?}: {} \
                     {symbol} {}",
                    kind(left),
                    kind(right)
                );
                self.notes.info(expr.span, text);
                None
            }
        }
    }

    fn note_combined(&mut self, expr: &Expr, combined: Combined, word: &str) {
        if combined.hints_conflict {
            self.notes.warn(expr.span, format!("{HINTS_CONFLICT} {word}"));
        }
        if combined.bounds_reconciled {
            self.notes.info(expr.span, format!("{BOUNDS_RECONCILED} {word}"));
        }
    }

    /// [`Self::matched`] where each series has one partner for all steps: whole columns at a time.
    /// `partner` tells which of `one` belongs to which of `many`.
    fn paired(
        &mut self,
        (expr, b): (&Expr, &Binary),
        many: Vec<Column>,
        one: &[Column],
        partner: impl Fn(usize) -> Option<usize>,
        steps: usize,
    ) -> Evaluated<Vec<Column>> {
        let swapped = b.matching.group == Group::Right;
        let mut out = Columns::new(steps);
        let arithmetic = !b.op.is_comparison() && !b.op.is_trim();
        for (at, mut many) in many.into_iter().enumerate() {
            let Some(one) = partner(at).map(|at| &one[at]) else { continue };
            self.watch.check()?;
            many.labels = result_labels(b, &many.labels, Some(&one.labels));
            // A name that was to be dropped is not there to be kept.
            many.drop_name |= b.return_bool;
            match (many.plain_mut(), one.plain()) {
                (Some(many), Some(one)) if arithmetic => apply_all(b.op, many, one, swapped),
                _ => many.map(|step, cell| {
                    let other = one.get(step)?;
                    let (l, r) = if swapped { (other, cell) } else { (cell, other) };
                    let answer = self.operate(expr, b, l, r)?;
                    match b.op.is_comparison() {
                        true if b.return_bool => Some(truth(answer.keep)),
                        true if !answer.keep => None,
                        _ => Some(answer.value),
                    }
                }),
            }
            if !out.put_all(many) {
                return failed(NOT_UNIQUE);
            }
        }
        Ok(out.finish())
    }

    /// Arithmetic and comparisons between two vectors.
    fn matched(
        &mut self,
        expr: &Expr,
        b: &Binary,
        left: Vec<Column>,
        right: Vec<Column>,
        steps: usize,
    ) -> Evaluated<Vec<Column>> {
        // From here on "many" is the side that may repeat a group, "one" the other.
        let swapped = b.matching.group == Group::Right;
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        // As upstream, `fill_left` is about the "many" side of a group_right match, too.
        let (fill_many, fill_one) = (b.matching.fill_left, b.matching.fill_right);
        let mut groups = Groups::default();
        let many_groups = groups.assign(&many, &b.matching);
        let one_groups = groups.assign(&one, &b.matching);
        let singles = partners(&one_groups, groups.keys.len());
        let exclusive = b.matching.group != Group::OneToOne
            || partners(&many_groups, groups.keys.len()).is_some();
        if let (Some(singles), true, None, None) = (singles, exclusive, fill_many, fill_one) {
            let partner = |at: usize| singles[many_groups[at]];
            return self.paired((expr, b), many, &one, partner, steps);
        }
        let mut out = Columns::new(steps);
        // Where the last result of each "many" series went, and with which partner.
        const FILLED: usize = usize::MAX;
        let mut targets: Vec<Option<(usize, usize)>> = vec![None; many.len()];
        let mut found: Vec<Option<usize>> = vec![None; groups.keys.len()];
        let mut used: Vec<bool> = vec![false; groups.keys.len()];
        for step in 0..steps {
            self.watch.check()?;
            // Where a side has nothing, nothing matches, whatever the other one holds.
            let nobody = |side: &[Column]| side.iter().all(|column| !column.has(step));
            if fill_many.is_none() && fill_one.is_none() && (nobody(&many) || nobody(&one)) {
                continue;
            }
            found.fill(None);
            used.fill(false);
            for (index, column) in one.iter().enumerate() {
                if !column.has(step) {
                    continue;
                }
                let group = one_groups[index];
                if let Some(first) = found[group].replace(index) {
                    let other = &one[first].labels;
                    return Err(duplicate(&groups.keys[group], other, &column.labels, swapped));
                }
            }
            let mut pair = |this: &mut Self, many_at: usize, one_at: usize, group: usize| {
                let many_fill = fill_many.map(Cell::Float);
                let one_fill = fill_one.map(Cell::Float);
                let m = many.get(many_at).map_or(many_fill, |c| c.get(step));
                let o = one.get(one_at).map_or(one_fill, |c| c.get(step));
                let (Some(m), Some(o)) = (m, o) else { return Ok(()) };
                let repeated = std::mem::replace(&mut used[group], true);
                if repeated && b.matching.group == Group::OneToOne {
                    return failed(
                        "multiple matches for labels: many-to-one matching must be explicit \
                         (group_left/group_right)",
                    );
                }
                let (l, r) = if swapped { (o, m) } else { (m, o) };
                let Some(answer) = this.operate(expr, b, l, r) else { return Ok(()) };
                let value = match b.op.is_comparison() {
                    true if b.return_bool => truth(answer.keep),
                    true if !answer.keep => return Ok(()),
                    _ => answer.value,
                };
                let known = targets.get(many_at).copied().flatten().filter(|t| t.0 == one_at);
                let target = known.map_or_else(
                    || {
                        let many = many.get(many_at);
                        let dropped = many.is_some_and(|c| c.drop_name) || b.return_bool;
                        let many = many.map_or(&groups.keys[group], |c| &c.labels);
                        let one = one.get(one_at).map(|c| &c.labels);
                        out.column(result_labels(b, many, one), dropped)
                    },
                    |(_, target)| target,
                );
                if let Some(slot) = targets.get_mut(many_at) {
                    *slot = Some((one_at, target));
                }
                if !out.put(target, step, value) {
                    return failed(NOT_UNIQUE);
                }
                Ok(())
            };
            for (index, column) in many.iter().enumerate() {
                if !column.has(step) {
                    continue;
                }
                let group = many_groups[index];
                match found[group] {
                    Some(one_at) => pair(self, index, one_at, group)?,
                    None if fill_one.is_some() => pair(self, index, FILLED, group)?,
                    None => {}
                }
            }
            if fill_many.is_some() {
                let mut present = vec![false; groups.keys.len()];
                for (index, column) in many.iter().enumerate() {
                    present[many_groups[index]] |= column.has(step);
                }
                for (group, one_at) in found.iter().enumerate() {
                    if let (Some(one_at), false) = (one_at, present[group]) {
                        pair(self, FILLED, *one_at, group)?;
                    }
                }
            }
        }
        Ok(out.finish())
    }
}

/// Arithmetic on whole columns, the result in place of `many`.
fn apply_all(op: BinaryOp, many: &mut [f64], one: &[f64], swapped: bool) {
    // One loop for each common operator lets the compiler use vector instructions.
    match op {
        BinaryOp::Add => zip_with(many, one, |m, o| m + o),
        BinaryOp::Mul => zip_with(many, one, |m, o| m * o),
        BinaryOp::Sub if !swapped => zip_with(many, one, |m, o| m - o),
        BinaryOp::Div if !swapped => zip_with(many, one, |m, o| m / o),
        _ if swapped => zip_with(many, one, |m, o| op.apply(o, m)),
        _ => zip_with(many, one, |m, o| op.apply(m, o)),
    }
}

fn zip_with(many: &mut [f64], one: &[f64], apply: impl Fn(f64, f64) -> f64) {
    if !has_nan(many) && !has_nan(one) {
        many.iter_mut().zip(one).for_each(|(m, o)| *m = apply(*m, *o));
        return;
    }
    for (m, o) in many.iter_mut().zip(one) {
        *m = if is_stale(*m) || is_stale(*o) { stale() } else { apply(*m, *o) };
    }
}

const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// For each group the one column that is in it; nothing when a group has several.
fn partners(of: &[usize], groups: usize) -> Option<Vec<Option<usize>>> {
    let mut out = vec![None; groups];
    let unique = of.iter().enumerate().all(|(at, group)| out[*group].replace(at).is_none());
    unique.then_some(out)
}

fn truth(keep: bool) -> Value {
    Value::Float(if keep { 1.0 } else { 0.0 })
}

/// Match groups by the labels that matter, numbered from 0.
#[derive(Default)]
struct Groups {
    index: HashMap<Labels, usize>,
    keys: Vec<Labels>,
}

impl Groups {
    /// The group of each column.
    fn assign(&mut self, columns: &[Column], matching: &Matching) -> Vec<usize> {
        columns.iter().map(|column| self.group(match_key(&column.labels, matching))).collect()
    }

    fn group(&mut self, key: Labels) -> usize {
        *self.index.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            self.keys.len() - 1
        })
    }
}

/// The labels two series must share to match.
fn match_key(labels: &Labels, matching: &Matching) -> Labels {
    let named = |name: &str| matching.labels.iter().any(|l| l == name);
    match matching.on {
        true => labels.without(|name| !named(name)),
        false => labels.without(|name| named(name) || name == METRIC_NAME),
    }
}

fn result_labels(b: &Binary, many: &Labels, one: Option<&Labels>) -> Labels {
    let matching = &b.matching;
    let named = |name: &str| matching.labels.iter().any(|l| l == name);
    // Trimming and comparing leave a metric what it is.
    let keeps_metric = b.op.is_comparison();
    let one_to_one = matching.group == Group::OneToOne;
    let mut labels = many.without(|name| {
        (!keeps_metric && is_metric_label(name))
            || (one_to_one && if matching.on { !named(name) } else { named(name) })
    });
    if let Some(one) = one {
        for name in &matching.include {
            labels = labels.with(name, one.get(name));
        }
    }
    labels
}

fn duplicate(key: &Labels, a: &Labels, b: &Labels, swapped: bool) -> QueryError {
    let side = if swapped { "left" } else { "right" };
    let (a, b) = if a <= b { (a, b) } else { (b, a) };
    QueryError::Execution(format!(
        "found duplicate series for the match group {key} on the {side} hand-side of the operation: \
         [{a}, {b}];many-to-many matching not allowed: matching labels must be unique on one side"
    ))
}

type Steps = SmallVec<[u64; 4]>;

/// `and`, `or`, `unless`: presence only.
fn set_operation(
    b: &Binary,
    left: Vec<Column>,
    right: Vec<Column>,
    steps: usize,
) -> Evaluated<Vec<Column>> {
    let mut groups = Groups::default();
    let left_groups = groups.assign(&left, &b.matching);
    let right_groups = groups.assign(&right, &b.matching);
    let empty: Steps = SmallVec::from_elem(0, steps.div_ceil(64));
    let presence = |columns: &[Column], of: &[usize]| {
        let mut present = vec![empty.clone(); groups.keys.len()];
        for (column, group) in columns.iter().zip(of) {
            let bits = &mut present[*group];
            (0..steps).filter(|s| column.has(*s)).for_each(|s| bits[s / 64] |= 1 << (s % 64));
        }
        present
    };
    let keep = |mut columns: Vec<Column>, of: &[usize], present: &[Steps], wanted: bool| {
        for (column, group) in columns.iter_mut().zip(of) {
            let bits = &present[*group];
            let has = |s: usize| bits[s / 64] & (1 << (s % 64)) != 0;
            (0..steps).filter(|s| has(*s) != wanted).for_each(|s| column.clear(s));
        }
        super::prune(&mut columns);
        columns
    };
    if b.op == BinaryOp::Or {
        let present = presence(&left, &left_groups);
        let mut out = left;
        out.extend(keep(right, &right_groups, &present, false));
        return join_equal(out, steps);
    }
    let present = presence(&right, &right_groups);
    Ok(keep(left, &left_groups, &present, b.op == BinaryOp::And))
}

/// Joins columns that agree in labels and in whether their name goes.
fn join_equal(columns: Vec<Column>, steps: usize) -> Evaluated<Vec<Column>> {
    let (named, unnamed): (Vec<_>, Vec<_>) = columns.into_iter().partition(|c| !c.drop_name);
    let mut out = merge_equal(named).map_err(|_| same_labelset())?;
    out.extend(merge_equal(unnamed)?);
    debug_assert!(out.iter().all(|c| c.len() == steps));
    Ok(out)
}
