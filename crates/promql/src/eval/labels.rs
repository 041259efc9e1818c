// SPDX-License-Identifier: Apache-2.0
//! Functions of labels: `label_replace`, `label_join`, `absent`, `sort_by_label`.

use std::cmp::Ordering;
use std::sync::Arc;

use basics::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use hashbrown::HashMap;

use super::column::{Column, merge_equal};
use super::{Evaluated, Evaluation, failed};
use crate::ast::*;
use crate::engine::Grid;
use crate::number::stale;

/// A string argument; type checks made sure that it is one.
pub(super) fn text(expr: &Expr) -> &Text {
    static EMPTY: Text = Text { value: String::new(), raw: None };
    match &expr.unwrap_parens().kind {
        ExprKind::String(text) => text,
        _ => &EMPTY,
    }
}

/// A string argument that names a label.
pub(super) fn label_name<'e>(expr: &'e Expr, what: &str) -> Evaluated<&'e str> {
    let text = text(expr);
    if text.raw.is_some() || text.value.is_empty() {
        return failed(format!("invalid {what} {}", quoted(text)));
    }
    Ok(&text.value)
}

/// The text in quotes; bytes that are not UTF-8 as `\xNN`.
pub(super) fn quoted(text: &Text) -> String {
    let Some(raw) = &text.raw else { return format!("{:?}", text.value) };
    let mut out = String::from("\"");
    for chunk in raw.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|b| out.push_str(&format!("\\x{b:02x}")));
    }
    out.push('"');
    out
}

impl Evaluation<'_> {
    pub(super) fn label_replace(&mut self, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let target = label_name(&args[1], "destination label name in label_replace():")?.to_owned();
        let (template, source) = (&text(&args[2]).value, &text(&args[3]).value);
        let pattern = &text(&args[4]).value;
        let regex = basics::labels::anchored_regex(pattern).map_err(|_| {
            crate::QueryError::Execution(format!(
                "invalid regular expression in label_replace(): {pattern}"
            ))
        })?;
        let mut columns = self.vector(&args[0], grid)?;
        for column in &mut columns {
            let Some(found) = regex.captures(column.labels.get(source)) else { continue };
            let mut value = String::new();
            found.expand(template, &mut value);
            column.labels = column.labels.with(&target, &value);
            // A name that was written on purpose stays.
            column.drop_name &= target != METRIC_NAME;
        }
        merge_equal(columns)
    }

    pub(super) fn label_join(&mut self, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let target = label_name(&args[1], "destination label name in label_join():")?.to_owned();
        let separator = text(&args[2]).value.clone();
        let sources = args[3..]
            .iter()
            .map(|a| label_name(a, "source label name in label_join():"))
            .collect::<Evaluated<Vec<_>>>()?;
        let mut columns = self.vector(&args[0], grid)?;
        for column in &mut columns {
            let parts: Vec<&str> = sources.iter().map(|s| column.labels.get(s)).collect();
            column.labels = column.labels.with(&target, &parts.join(&separator));
            column.drop_name &= target != METRIC_NAME;
        }
        merge_equal(columns)
    }

    pub(super) fn absent(&mut self, arg: &Expr, grid: Grid) -> Evaluated<Vec<Column>> {
        let columns = self.vector(arg, grid)?;
        let present: Vec<bool> =
            (0..grid.count).map(|step| columns.iter().any(|c| c.has(step))).collect();
        Ok(vec![absence(arg, &present)])
    }
}

/// 1 where nothing is present, labelled with what the selector asks for by `=`.
pub(super) fn absence(arg: &Expr, present: &[bool]) -> Column {
    let matchers: &[Matcher] = match &arg.unwrap_parens().kind {
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => &selector.matchers,
        _ => &[],
    };
    let mut seen: HashMap<&str, (usize, &str)> = HashMap::new();
    for m in matchers {
        let entry = seen.entry(m.name.as_ref()).or_insert((0, ""));
        entry.0 += 1;
        if m.op == MatchOp::Equal {
            entry.1 = &m.value;
        }
    }
    // A label with two conditions has no one value that would have been there.
    let known = seen
        .into_iter()
        .filter(|(name, (times, value))| *times == 1 && !value.is_empty() && *name != METRIC_NAME);
    let labels = Labels::new(known.map(|(name, (_, value))| (name, value)));
    let values = present.iter().map(|p| if *p { stale() } else { 1.0 }).collect();
    Column::of_floats(labels, false, values)
}

/// The order of label sets; strings that are one string are not compared.
pub(crate) fn order(a: &Labels, b: &Labels) -> Ordering {
    let text = |x: &Arc<str>, y: &Arc<str>| match Arc::ptr_eq(x, y) {
        true => Ordering::Equal,
        false => x.cmp(y),
    };
    for (x, y) in a.pairs().iter().zip(b.pairs()) {
        let order = text(&x.0, &y.0).then_with(|| text(&x.1, &y.1));
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Order of label values with runs of digits compared as numbers: `4m5` before `4m600`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let (Some(&x), Some(&y)) = (a.first(), b.first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (number_prefix(a), number_prefix(b));
            let (trimmed_m, trimmed_n) = (without_zeros(m), without_zeros(n));
            let order = trimmed_m.len().cmp(&trimmed_n.len()).then(trimmed_m.cmp(trimmed_n));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (&a[m.len()..], &b[n.len()..]);
        } else {
            if x != y {
                return x.cmp(&y);
            }
            (a, b) = (&a[1..], &b[1..]);
        }
    }
    a.len().cmp(&b.len())
}

fn number_prefix(text: &[u8]) -> &[u8] {
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    &text[..digits]
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    &digits[zeros..]
}
