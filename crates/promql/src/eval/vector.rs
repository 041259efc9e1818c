// SPDX-License-Identifier: Apache-2.0
//! Functions of instant vectors that work sample by sample, and the sorting ones.

use basics::labels::Labels;

use super::column::{Cell, Column};
use super::labels::{natural, text};
use super::{Evaluated, Evaluation, Sink, dates, failed};
use crate::ast::*;
use crate::engine::Grid;
use crate::functions::Function;
use crate::number;

impl<'a> Evaluation<'a> {
    pub(super) fn vector_call(
        &mut self,
        expr: &Expr,
        function: &Function,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        match function.name {
            "vector" => {
                let values = self.scalar(&args[0], grid)?;
                Ok(vec![Column::of_floats(Labels::default(), false, values)])
            }
            "label_replace" => self.label_replace(args, grid),
            "label_join" => self.label_join(args, grid),
            "absent" => self.absent(&args[0], grid),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => {
                self.sort(expr, function.name, args, grid)
            }
            "timestamp" => self.timestamp(&args[0], grid),
            "start_timestamp" => match &args[0].unwrap_parens().kind {
                ExprKind::Vector(selector) => self.sample_times(selector, grid, true),
                // Only samples as they were stored know when they started.
                _ => Ok(vec![]),
            },
            "round" => self.round(args, grid),
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(function.name, args, grid),
            "info" => self.info(args, grid),
            name if name.starts_with("histogram_") => self.histogram_call(name, args, grid),
            "day_of_month" | "day_of_week" | "day_of_year" | "days_in_month" | "hour"
            | "minute" | "month" | "year" => self.calendar(function.name, args, grid),
            name => {
                let Some(math) = math(name) else {
                    return failed(format!("function {name:?} is not available"));
                };
                self.mapped(&args[0], grid, |_, value| math(value))
            }
        }
    }

    /// A function of single numbers, the columns one at a time.
    pub(super) fn stream_math(
        &mut self,
        function: &Function,
        args: &[Expr],
        grid: Grid,
        sink: &mut Sink<'_, 'a>,
    ) -> Evaluated<()> {
        let Some(math) = math(function.name) else { return failed("not a function of numbers") };
        self.stream(&args[0], grid, &mut |this, column| {
            column.drop_name = true;
            column.map_floats(|_, value| math(value));
            if column.is_empty() { Ok(()) } else { sink(this, column) }
        })
    }

    /// Every number changed, histograms gone, name dropped.
    fn mapped(
        &mut self,
        arg: &Expr,
        grid: Grid,
        change: impl Fn(usize, f64) -> f64,
    ) -> Evaluated<Vec<Column>> {
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            column.drop_name = true;
            column.map_floats(&change);
        }
        Ok(columns)
    }

    fn calendar(&mut self, name: &str, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        match args.first() {
            Some(arg) => self.mapped(arg, grid, |_, value| dates::part(name, value)),
            None => {
                let at = |ms: i64| dates::part(name, (ms as f64 / 1000.0).floor());
                let values = grid.times().map(at).collect();
                Ok(vec![Column::of_floats(Labels::default(), false, values)])
            }
        }
    }

    fn round(&mut self, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let to = match args.get(1) {
            Some(to) => self.scalar(to, grid)?,
            None => vec![1.0; grid.count],
        };
        // Multiplying by the inverse keeps decimal fractions exact.
        self.mapped(&args[0], grid, |step, value| {
            let inverse = 1.0 / to[step];
            (value * inverse + 0.5).floor() / inverse
        })
    }

    fn clamp(&mut self, name: &str, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let first = self.scalar(&args[1], grid)?;
        let (low, high) = match name {
            "clamp" => (first, self.scalar(&args[2], grid)?),
            "clamp_min" => (first, vec![f64::INFINITY; grid.count]),
            _ => (vec![f64::NEG_INFINITY; grid.count], first),
        };
        let mut columns = self
            .mapped(&args[0], grid, |step, value| larger(low[step], smaller(high[step], value)))?;
        for column in &mut columns {
            let empty = |step: &usize| high[*step] < low[*step];
            (0..grid.count).filter(empty).for_each(|step| column.clear(step));
        }
        Ok(columns)
    }

    fn timestamp(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Vec<Column>> {
        if let ExprKind::Vector(selector) = &arg.unwrap_parens().kind
            && selector.edges == Edges::Plain
        {
            return self.sample_times(selector, grid, false);
        }
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            column.drop_name = true;
            column.map(|step, _| Some((grid.at(step) as f64 / 1000.0).into()));
        }
        Ok(columns)
    }

    fn sort(
        &mut self,
        expr: &Expr,
        name: &str,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let mut columns = self.vector(&args[0], grid)?;
        if self.bounds.step != 0 {
            let message = "sort is ineffective for range queries since results are always ordered \
                           by labels";
            self.notes.warn(expr.span, message);
        }
        let descending = name.ends_with("_desc");
        if name.starts_with("sort_by_label") {
            let labels: Vec<&str> = args[1..].iter().map(|a| text(a).value.as_str()).collect();
            columns.sort_by(|a, b| {
                let by_value = labels.iter().map(|l| natural(a.labels.get(l), b.labels.get(l)));
                let order = by_value.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
                let order = order.then_with(|| a.labels.cmp(&b.labels));
                if descending { order.reverse() } else { order }
            });
            return Ok(columns);
        }
        for column in &mut columns {
            column.map(|_, cell| match cell {
                Cell::Float(value) => Some(value.into()),
                Cell::Hist(_) => None,
            });
        }
        if grid.count == 1 {
            let key = |c: &Column| c.float(0).unwrap_or(f64::NAN);
            columns.sort_by(|a, b| by_value(key(a), key(b), descending));
        }
        Ok(columns)
    }
}

/// As Go's `math.Max`, which clamps: infinity before NaN.
fn larger(a: f64, b: f64) -> f64 {
    match a == f64::INFINITY || b == f64::INFINITY {
        true => f64::INFINITY,
        false if a.is_nan() || b.is_nan() => f64::NAN,
        false => a.max(b),
    }
}

/// As Go's `math.Min`.
fn smaller(a: f64, b: f64) -> f64 {
    -larger(-a, -b)
}

/// Go computes these from `exp`, which is infinite a little sooner than they are.
fn hyperbolic(of: fn(f64) -> f64, v: f64) -> f64 {
    let far = v.abs().exp() * 0.5;
    if far.is_infinite() { far.copysign(of(v)) } else { of(v) }
}

/// Ascending or descending, NaN last either way.
pub(super) fn by_value(a: f64, b: f64, descending: bool) -> std::cmp::Ordering {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Greater,
        (false, true) => std::cmp::Ordering::Less,
        _ if descending => number::nan_first(&b, &a),
        _ => number::nan_first(&a, &b),
    }
}

pub(super) fn math(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => |v| hyperbolic(f64::cosh, v),
        "deg" => |v| v * 180.0 / std::f64::consts::PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |v| v * std::f64::consts::PI / 180.0,
        "sgn" => |v| {
            if v > 0.0 {
                1.0
            } else if v < 0.0 {
                -1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "sinh" => |v| hyperbolic(f64::sinh, v),
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}
