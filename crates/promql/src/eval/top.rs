// SPDX-License-Identifier: Apache-2.0
//! `topk` and `bottomk`: the samples that win at each step.
//!
//! Columns that come in the order of their labels are taken one at a time, and only the winners of
//! each group and step are kept; equal values go by labels, that is by who came first. Where the
//! order is another one, or very many win, the columns are gathered.

use basics::labels::Labels;

use super::aggregate::{Groups, grouped};
use super::column::{Cell, Column, prune};
use super::labels::order;
use super::vector::by_value;
use super::{Evaluated, Evaluation, streams, takes_matrix};
use crate::ast::*;
use crate::engine::Grid;
use crate::number::is_stale;

/// Most winners a step for which they are kept while columns come: beyond it, gathering the columns
/// takes less memory.
const KEPT_MAX: usize = 64;

/// The winners so far of one group, best first at each step.
struct Winners {
    /// Up to so many a step.
    kept: usize,
    places: Vec<(f64, u32)>,
    taken: Vec<u32>,
    /// What a value must be better than; NaN while anything gets a place.
    bar: Vec<f64>,
}

impl Winners {
    fn new(steps: usize, kept: usize) -> Self {
        let places = vec![(0.0, 0); steps * kept];
        Winners { kept, places, taken: vec![0; steps], bar: vec![f64::NAN; steps] }
    }

    fn at(&self, step: usize) -> &[(f64, u32)] {
        &self.places[step * self.kept..][..self.taken[step] as usize]
    }

    /// Gives `value` its place among at most `wanted` at a step, behind those that are as good.
    fn enter(&mut self, step: usize, value: f64, series: u32, wanted: usize, descending: bool) {
        let taken = self.taken[step] as usize;
        let places = &mut self.places[step * self.kept..][..wanted];
        let ahead = |p: &(f64, u32)| by_value(p.0, value, descending).is_le();
        let at = places[..taken].partition_point(ahead);
        if at == wanted {
            return;
        }
        let last = taken.min(wanted - 1);
        places.copy_within(at..last, at + 1);
        places[at] = (value, series);
        self.taken[step] = last as u32 + 1;
        if last + 1 == wanted {
            self.bar[step] = places[last].0;
        }
    }
}

/// True when the columns of an expression that [`streams`] come in the order of their labels.
fn is_ordered(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Vector(_) => true,
        ExprKind::Paren(inner) | ExprKind::Unary { expr: inner, .. } => is_ordered(inner),
        ExprKind::Call { function, args } if takes_matrix(function) => {
            args.iter().any(|a| matches!(a.unwrap_parens().kind, ExprKind::Matrix { .. }))
        }
        ExprKind::Call { args, .. } => args.first().is_some_and(is_ordered),
        ExprKind::Binary(b) if b.left.value_type() == ValueType::Scalar => is_ordered(&b.right),
        ExprKind::Binary(b) => is_ordered(&b.left),
        _ => false,
    }
}

fn wanted(k: f64) -> usize {
    if k < 1.0 { 0 } else { k as usize }
}

impl Evaluation<'_> {
    /// The winners of each group at each step; ordered when there is one step.
    pub(super) fn top(
        &mut self,
        a: &Aggregate,
        param: &[f64],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let wanted: Vec<usize> = param.iter().map(|k| wanted(*k)).collect();
        let most = wanted.iter().copied().max().unwrap_or(0);
        if most > KEPT_MAX || !streams(&a.expr) || !is_ordered(&a.expr) {
            return self.top_of_all(a, &wanted, grid);
        }
        let descending = a.op == AggregateOp::TopK;
        let mut groups = Groups::new(a);
        let mut winners: Vec<Winners> = vec![];
        let mut series: Vec<(Labels, bool)> = vec![];
        self.stream(&a.expr, grid, &mut |this, column| {
            let (group, new) = groups.of(&column.labels);
            if new {
                winners.push(Winners::new(grid.count, most));
                this.charge(grid.count * most)?;
            }
            let (group, at) = (&mut winners[group], series.len() as u32);
            series.push((column.labels.clone(), column.drop_name));
            if column.plain().is_none() {
                let histogram = |step: &usize| matches!(column.get(*step), Some(Cell::Hist(_)));
                if (0..grid.count).filter(histogram).any(|step| wanted[step] > 0) {
                    this.note_ignored(a);
                }
            }
            for (step, value) in column.floats().iter().copied().enumerate() {
                let bar = group.bar[step];
                let misses = if descending { value <= bar } else { value >= bar };
                if !misses && !is_stale(value) && wanted[step] > 0 {
                    group.enter(step, value, at, wanted[step], descending);
                }
            }
            Ok(())
        })?;
        Ok(columns_of(&winners, &series, grid))
    }

    fn top_of_all(
        &mut self,
        a: &Aggregate,
        wanted: &[usize],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let columns = self.vector(&a.expr, grid)?;
        let groups = grouped(&columns, a);
        let descending = a.op == AggregateOp::TopK;
        let empty = |c: &Column| Column::empty(c.labels.clone(), c.drop_name, grid.count);
        let mut keep: Vec<Column> = columns.iter().map(empty).collect();
        let mut chosen = vec![];
        let mut ranked: Vec<(f64, usize)> = vec![];
        for members in &groups.members {
            for (step, wanted) in wanted.iter().copied().enumerate() {
                ranked.clear();
                for member in members {
                    match columns[*member].get(step) {
                        Some(Cell::Float(value)) => ranked.push((value, *member)),
                        Some(Cell::Hist(_)) if wanted > 0 => self.note_ignored(a),
                        _ => {}
                    }
                }
                // Equal values go by labels: the choice must not depend on who came first.
                let order_of = |x: &(f64, usize), y: &(f64, usize)| {
                    let labels = |at: usize| &columns[at].labels;
                    by_value(x.0, y.0, descending).then_with(|| order(labels(x.1), labels(y.1)))
                };
                if wanted < ranked.len() {
                    ranked.select_nth_unstable_by(wanted, order_of);
                    ranked.truncate(wanted);
                }
                ranked.sort_by(order_of);
                for (value, member) in ranked.drain(..) {
                    keep[member].set(step, value.into());
                    chosen.push(member);
                }
            }
        }
        if grid.count == 1 {
            let mut keep: Vec<Option<Column>> = keep.into_iter().map(Some).collect();
            return Ok(chosen.into_iter().filter_map(|member| keep[member].take()).collect());
        }
        prune(&mut keep);
        Ok(keep)
    }
}

/// The columns of the winners: best first when there is one step, else in the order they came.
fn columns_of(winners: &[Winners], series: &[(Labels, bool)], grid: Grid) -> Vec<Column> {
    let mut columns: Vec<Option<Column>> = vec![];
    columns.resize_with(series.len(), || None);
    let mut chosen = vec![];
    for group in winners {
        for step in 0..grid.count {
            for (value, at) in group.at(step) {
                let (labels, drop_name) = &series[*at as usize];
                let column = &mut columns[*at as usize];
                let empty = || Column::empty(labels.clone(), *drop_name, grid.count);
                column.get_or_insert_with(empty).set(step, (*value).into());
                if grid.count == 1 {
                    chosen.push(*at as usize);
                }
            }
        }
    }
    match grid.count {
        1 => chosen.into_iter().filter_map(|at| columns[at].take()).collect(),
        _ => columns.into_iter().flatten().collect(),
    }
}
