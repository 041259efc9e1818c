// SPDX-License-Identifier: Apache-2.0
//! Type rules, checked while the tree is built; the wording is Prometheus'.

use super::{Parsed, Parser};
use crate::ast::*;
use crate::functions::Function;

fn expect_type(p: &Parser<'_>, expr: &Expr, want: ValueType, context: &str) -> Parsed<()> {
    let got = expr.value_type();
    if got == want {
        return Ok(());
    }
    let message = format!("expected type {want} in {context}, got {got}");
    Err(p.error_at(expr.span.start, message))
}

pub(super) fn unary(p: &Parser<'_>, expr: &Expr, start: u32) -> Parsed<()> {
    match expr.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        got => {
            let message = format!(
                "unary expression only allowed on expressions of type scalar or instant vector, \
                 got \"{got}\""
            );
            Err(p.error_at(start, message))
        }
    }
}

pub(super) fn binary(p: &Parser<'_>, b: &Binary, explicit: bool) -> Parsed<()> {
    let fail = |message: String| Err(p.error_at(b.left.span.start, message));
    let (left, right) = (b.left.value_type(), b.right.value_type());
    for (side, got) in [(&b.left, left), (&b.right, right)] {
        if !matches!(got, ValueType::Scalar | ValueType::Vector) {
            let message = "binary expression must contain only scalar and instant vector types";
            return Err(p.error_at(side.span.start, message));
        }
    }
    let op = b.op.symbol();
    let vectors = left == ValueType::Vector && right == ValueType::Vector;
    if b.return_bool && !b.op.is_comparison() {
        return fail("bool modifier can only be used on comparison operators".into());
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if b.op.is_comparison() && !b.return_bool && scalars {
        return fail("comparisons between scalars must use BOOL modifier".into());
    }
    if b.op.is_set() && !vectors {
        return fail(format!("set operator \"{op}\" not allowed in binary scalar expression"));
    }
    if explicit && !vectors && !b.matching.labels.is_empty() {
        return fail("vector matching only allowed between instant vectors".into());
    }
    if b.op.is_set() && b.matching.group != Group::OneToOne {
        return fail(format!("no grouping allowed for \"{op}\" operation"));
    }
    if b.op.is_set() && (b.matching.fill_left.is_some() || b.matching.fill_right.is_some()) {
        return fail(format!("filling in missing series not allowed for set operator \"{op}\""));
    }
    if b.matching.on
        && let Some(both) = b.matching.include.iter().find(|l| b.matching.labels.contains(l))
    {
        return fail(format!("label {both:?} must not occur in ON and GROUP clause at once"));
    }
    Ok(())
}

pub(super) fn aggregate(
    p: &Parser<'_>,
    op: AggregateOp,
    mut args: Vec<Expr>,
    start: u32,
) -> Parsed<(Option<Expr>, Expr)> {
    let want = 1 + usize::from(op.takes_param());
    if args.is_empty() {
        return Err(p.error_at(start, "no arguments for aggregate expression provided"));
    }
    if args.len() != want {
        let message = format!(
            "wrong number of arguments for aggregate expression provided, expected {want}, got {}",
            args.len()
        );
        return Err(p.error_at(start, message));
    }
    let expr = args.remove(want - 1);
    expect_type(p, &expr, ValueType::Vector, "aggregation expression")?;
    let param = args.pop();
    if let Some(param) = &param {
        let want = match op {
            AggregateOp::CountValues => ValueType::String,
            _ => ValueType::Scalar,
        };
        expect_type(p, param, want, "aggregation parameter")?;
    }
    Ok((param, expr))
}

pub(super) fn call(p: &Parser<'_>, f: &Function, args: &[Expr], start: u32) -> Parsed<()> {
    let (min, max) = (f.args_min(), f.args_max());
    let name = f.name;
    let got = args.len();
    if max == Some(min) && got != min {
        let message = format!("expected {min} argument(s) in call to {name:?}, got {got}");
        return Err(p.error_at(start, message));
    }
    if got < min {
        let message = format!("expected at least {min} argument(s) in call to {name:?}, got {got}");
        return Err(p.error_at(start, message));
    }
    if let Some(max) = max.filter(|max| got > *max) {
        let message = format!("expected at most {max} argument(s) in call to {name:?}, got {got}");
        return Err(p.error_at(start, message));
    }
    if name == "info"
        && let Some(arg) = args.get(1)
        && !matches!(&arg.kind, ExprKind::Vector(_))
    {
        return Err(p.error_at(arg.span.start, "expected label selectors only"));
    }
    for (index, arg) in args.iter().enumerate() {
        expect_type(p, arg, f.param(index), &format!("call to function {name:?}"))?;
        edges(p, f, arg)?;
    }
    Ok(())
}

/// `anchored` and `smoothed` make sense for a few functions only.
fn edges(p: &Parser<'_>, f: &Function, arg: &Expr) -> Parsed<()> {
    let ExprKind::Matrix { selector, .. } = &arg.unwrap_parens().kind else { return Ok(()) };
    let (word, allowed): (_, &[&str]) = match selector.edges {
        Edges::Plain => return Ok(()),
        Edges::Anchored => ("anchored", &["changes", "delta", "increase", "rate", "resets"]),
        Edges::Smoothed => ("smoothed", &["delta", "increase", "rate"]),
    };
    if allowed.contains(&f.name) {
        return Ok(());
    }
    let message = format!(
        "{word} modifier can only be used with: {} - not with {}",
        allowed.join(", "),
        f.name
    );
    Err(p.error_at(arg.span.start, message))
}
