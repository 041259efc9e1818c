// SPDX-License-Identifier: Apache-2.0
//! Canonical PromQL text of a tree; it parses back to an equal tree.

use std::fmt::{self, Display, Formatter, Write};

use basics::labels::{METRIC_NAME, MatchOp, Matcher};

use crate::ast::*;
use crate::number;
use crate::parse::UNITS;

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Number { value, duration } => write_number(f, *value, *duration),
            ExprKind::String(text) => write_text(f, text),
            ExprKind::Vector(selector) => {
                write_selector(f, selector)?;
                write_modifiers(f, selector.at, &selector.offset)?;
                write_edges(f, selector.edges)
            }
            ExprKind::Matrix { selector, range } => {
                write_selector(f, selector)?;
                write!(f, "[{range}]")?;
                write_modifiers(f, selector.at, &selector.offset)?;
                write_edges(f, selector.edges)
            }
            ExprKind::Subquery(s) => {
                write!(f, "{}[{}:", s.expr, s.range)?;
                if let Some(step) = &s.step {
                    write!(f, "{step}")?;
                }
                f.write_str("]")?;
                write_modifiers(f, s.at, &s.offset)
            }
            ExprKind::Call { function, args } => {
                write!(f, "{}(", function.name)?;
                write_list(f, args)?;
                f.write_str(")")
            }
            ExprKind::Aggregate(a) => write_aggregate(f, a),
            ExprKind::Binary(b) => write_binary(f, b),
            ExprKind::Unary { negative, expr } => {
                write!(f, "{}{expr}", if *negative { '-' } else { '+' })
            }
            ExprKind::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

impl Display for DurationExpr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            DurationExpr::Constant { seconds, duration } => write_number(f, *seconds, *duration),
            DurationExpr::Step => f.write_str("step()"),
            DurationExpr::Range => f.write_str("range()"),
            DurationExpr::Sign(negative, inner) => {
                write!(f, "{}{inner}", if *negative { '-' } else { '+' })
            }
            DurationExpr::Binary(op, l, r) => write!(f, "{l} {} {r}", op.symbol()),
            DurationExpr::Pick { max, of } => {
                write!(f, "{}({}, {})", if *max { "max_of" } else { "min_of" }, of.0, of.1)
            }
            DurationExpr::Paren(inner) => write!(f, "({inner})"),
        }
    }
}

fn write_list<T: Display>(f: &mut Formatter<'_>, list: &[T]) -> fmt::Result {
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn write_number(f: &mut Formatter<'_>, value: f64, duration: bool) -> fmt::Result {
    if !duration {
        return f.write_str(&number::format(value));
    }
    let mut millis = (value * 1000.0).round() as i64;
    if value.is_sign_negative() {
        f.write_char('-')?;
        millis = -millis;
    }
    if millis == 0 {
        return f.write_str("0s");
    }
    for (unit, size) in UNITS {
        // Years and weeks only when exact, as Prometheus prints durations.
        let exact_only = unit == "y" || unit == "w";
        if millis >= size && (!exact_only || millis % size == 0) {
            write!(f, "{}{unit}", millis / size)?;
            millis %= size;
        }
    }
    Ok(())
}

fn write_text(f: &mut Formatter<'_>, text: &Text) -> fmt::Result {
    match &text.raw {
        None => write_quoted(f, &text.value),
        Some(bytes) => {
            f.write_char('"')?;
            for byte in bytes {
                write!(f, "\\x{byte:02x}")?;
            }
            f.write_char('"')
        }
    }
}

/// A double-quoted string with the escapes PromQL reads.
pub(crate) fn write_quoted(f: &mut impl Write, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", c as u32)?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// True for `[a-zA-Z_][a-zA-Z0-9_]*`, with colons when it is a metric name.
pub(crate) fn is_plain_name(name: &str, colons: bool) -> bool {
    let ok = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || (colons && c == b':');
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(ok)
}

/// Names that would be read as something else where a metric name may stand.
fn reads_as_name(name: &str) -> bool {
    let word = |w: &str| name.eq_ignore_ascii_case(w);
    is_plain_name(name, true)
        && !name.bytes().all(|c| c == b':')
        && !word("inf")
        && !word("nan")
        && !name.starts_with(':')
        && !["bool", "on", "ignoring", "group_left", "group_right", "by", "without"]
            .iter()
            .any(|w| word(w))
        && !["fill", "fill_left", "fill_right"].iter().any(|w| word(w))
}

fn write_selector(f: &mut Formatter<'_>, selector: &VectorSelector) -> fmt::Result {
    let named = selector
        .matchers
        .iter()
        .position(|m| m.name.as_ref() == METRIC_NAME && m.op == MatchOp::Equal)
        .filter(|at| {
            let others = selector.matchers.iter().enumerate();
            reads_as_name(&selector.matchers[*at].value)
                && *at + 1 == selector.matchers.len()
                && others.filter(|(i, m)| i != at && m.name.as_ref() == METRIC_NAME).count() == 0
        });
    if let Some(at) = named {
        f.write_str(&selector.matchers[at].value)?;
    }
    let rest: Vec<&Matcher> = selector
        .matchers
        .iter()
        .enumerate()
        .filter(|(i, _)| Some(*i) != named)
        .map(|(_, m)| m)
        .collect();
    if rest.is_empty() && named.is_some() {
        return Ok(());
    }
    f.write_char('{')?;
    for (i, m) in rest.iter().enumerate() {
        if i > 0 {
            f.write_char(',')?;
        }
        write_label(f, &m.name)?;
        f.write_str(match m.op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        })?;
        write_quoted(f, &m.value)?;
    }
    f.write_char('}')
}

fn write_label(f: &mut Formatter<'_>, name: &str) -> fmt::Result {
    if is_plain_name(name, false) { f.write_str(name) } else { write_quoted(f, name) }
}

fn write_labels(f: &mut Formatter<'_>, names: &[String]) -> fmt::Result {
    f.write_char('(')?;
    for (i, name) in names.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write_label(f, name)?;
    }
    f.write_char(')')
}

fn write_modifiers(f: &mut Formatter<'_>, at: Option<At>, offset: &DurationExpr) -> fmt::Result {
    match at {
        Some(At::Time(ms)) => {
            let sign = if ms < 0 { "-" } else { "" };
            write!(f, " @ {sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000)?;
        }
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        None => {}
    }
    if *offset != DurationExpr::ZERO {
        write!(f, " offset {offset}")?;
    }
    Ok(())
}

fn write_edges(f: &mut Formatter<'_>, edges: Edges) -> fmt::Result {
    f.write_str(match edges {
        Edges::Plain => "",
        Edges::Anchored => " anchored",
        Edges::Smoothed => " smoothed",
    })
}

fn write_aggregate(f: &mut Formatter<'_>, a: &Aggregate) -> fmt::Result {
    f.write_str(a.op.name())?;
    if a.without || !a.grouping.is_empty() {
        f.write_str(if a.without { " without " } else { " by " })?;
        write_labels(f, &a.grouping)?;
        f.write_char(' ')?;
    }
    f.write_char('(')?;
    if let Some(param) = &a.param {
        write!(f, "{param}, ")?;
    }
    write!(f, "{})", a.expr)
}

fn write_binary(f: &mut Formatter<'_>, b: &Binary) -> fmt::Result {
    write!(f, "{} {}", b.left, b.op.symbol())?;
    if b.return_bool {
        f.write_str(" bool")?;
    }
    let m = &b.matching;
    if m.on || !m.labels.is_empty() || m.group != Group::OneToOne {
        f.write_str(if m.on { " on " } else { " ignoring " })?;
        write_labels(f, &m.labels)?;
    }
    if m.group != Group::OneToOne {
        f.write_str(if m.group == Group::Left { " group_left " } else { " group_right " })?;
        write_labels(f, &m.include)?;
    }
    if let Some(value) = m.fill_left {
        write!(f, " fill_left ({})", number::format(value))?;
    }
    if let Some(value) = m.fill_right {
        write!(f, " fill_right ({})", number::format(value))?;
    }
    write!(f, " {}", b.right)
}
