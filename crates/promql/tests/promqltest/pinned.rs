// SPDX-License-Identifier: Apache-2.0
//! The same query with `@` on every selector must answer the same at any time.

use promql::Expr;
use promql::ast::{At, ExprKind};

/// Functions whose answer depends on when they are asked, whatever their arguments.
const TELL_TIME: [&str; 15] = [
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "end",
    "hour",
    "minute",
    "month",
    "predict_linear",
    "range",
    "start",
    "step",
    "time",
    "timestamp",
    "year",
];

/// The query pinned to `time`, and when to ask it; none when the answer may depend on the time.
pub fn cases(query: &str, time: i64) -> Option<(String, Vec<i64>)> {
    let mut expr = promql::parse(query).ok()?;
    let mut varies = asks_query(query);
    expr.walk(&mut |e| {
        if let ExprKind::Call { function, .. } = &e.kind {
            varies |= TELL_TIME.contains(&function.name) || function.name == "start_timestamp";
        }
    });
    if varies {
        return None;
    }
    pin(&mut expr, time);
    let times = match time {
        0 => vec![-1000, 0, 1000],
        _ => vec![-10 * time, 0, time / 5, time, 10 * time],
    };
    Some((expr.to_string(), times))
}

/// True when the query asks for its own bounds.
pub fn asks_query(query: &str) -> bool {
    let lower = query.to_ascii_lowercase();
    ["step()", "range()", "start()", "end()"].iter().any(|call| lower.contains(call))
}

fn pin(expr: &mut Expr, time: i64) {
    let at = |slot: &mut Option<At>| {
        slot.get_or_insert(At::Time(time));
    };
    match &mut expr.kind {
        ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => at(&mut selector.at),
        // What is inside a subquery moves with it.
        ExprKind::Subquery(subquery) => at(&mut subquery.at),
        ExprKind::Call { function, args } => {
            let pinned = if function.name == "info" { 1 } else { args.len() };
            args.iter_mut().take(pinned).for_each(|a| pin(a, time));
        }
        ExprKind::Aggregate(a) => {
            pin(&mut a.expr, time);
            if let Some(param) = &mut a.param {
                pin(param, time);
            }
        }
        ExprKind::Binary(b) => {
            pin(&mut b.left, time);
            pin(&mut b.right, time);
        }
        ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => pin(expr, time),
        ExprKind::Number { .. } | ExprKind::String(_) => {}
    }
}
