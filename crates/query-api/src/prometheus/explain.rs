// SPDX-License-Identifier: Apache-2.0
//! What a query says: formatted over several lines, and as a tree for Prometheus' page.
//!
//! The tree's keys are those of `web/api/v1/translate_ast.go`, the line breaks those of
//! `promql/parser/prettier.go`.

use std::fmt::Write as _;

use basics::labels::{MatchOp, Matcher};
use promql::ast::{At, Binary, DurationExpr, Edges, ExprKind, Group, VectorSelector};
use promql::functions::Arity;
use promql::{Expr, ValueType};
use serde_json::{Value, json};

use super::{Answer, Handler};
use crate::answer::{self, Failure, string, success};
use crate::params::Params;

/// A longer expression is broken into lines, as in Prometheus.
const LINE_CHARS_MAX: usize = 100;

/// `/api/v1/format_query`: the query in its canonical form.
pub async fn format((_, request): Handler) -> Answer {
    let expr = parse(&Params::read(request).await?)?;
    let mut data = String::new();
    string(&mut data, &pretty(&expr, 0));
    Ok(success(&data))
}

/// `/api/v1/parse_query`: the query as a tree.
pub async fn tree((_, request): Handler) -> Answer {
    let expr = parse(&Params::read(request).await?)?;
    Ok(success(&node(&expr).to_string()))
}

fn parse(params: &Params) -> Result<Expr, Failure> {
    promql::parse(params.get("query")).map_err(|e| Failure::parameter("query", e))
}

/// The expression at a depth of indentation.
fn pretty(expr: &Expr, depth: usize) -> String {
    let line = expr.to_string();
    let indent = "  ".repeat(depth);
    if line.chars().count() <= LINE_CHARS_MAX {
        return format!("{indent}{line}");
    }
    let inner = |inner: &Expr| pretty(inner, depth + 1);
    match &expr.kind {
        ExprKind::Aggregate(aggregate) => {
            let param = aggregate.param.as_ref().map(|param| format!("{},\n", inner(param)));
            // What stands before the parenthesis is the same in one line.
            let head = line_head(
                &line,
                aggregate.op.name(),
                !aggregate.grouping.is_empty() || aggregate.without,
            );
            let (param, body) = (param.unwrap_or_default(), inner(&aggregate.expr));
            format!("{indent}{head}(\n{param}{body}\n{indent})")
        }
        ExprKind::Binary(binary) => {
            let (left, right) = (inner(&binary.left), inner(&binary.right));
            format!("{left}\n{indent}{}\n{right}", operator(binary))
        }
        ExprKind::Call { function, args } => {
            let args: Vec<String> = args.iter().map(inner).collect();
            format!("{indent}{}(\n{}\n{indent})", function.name, args.join(",\n"))
        }
        ExprKind::Paren(expr) => format!("{indent}(\n{}\n{indent})", inner(expr)),
        ExprKind::Unary { negative, expr } => {
            let sign = if *negative { '-' } else { '+' };
            format!("{indent}{sign}{}", pretty(expr, depth).trim_start())
        }
        ExprKind::Subquery(subquery) => {
            let whole = subquery.expr.to_string();
            let suffix = line.strip_prefix(&whole).unwrap_or_default();
            format!("{}{suffix}", pretty(&subquery.expr, depth))
        }
        _ => format!("{indent}{line}"),
    }
}

/// `sum` or `sum by (a, b) `, as it stands at the beginning of the aggregation's line.
fn line_head<'l>(line: &'l str, name: &'l str, grouped: bool) -> &'l str {
    if !grouped {
        return name;
    }
    line.find(") (").map_or(name, |at| &line[..at + 2])
}

/// Operator, `bool` and matching, as between the operands in one line.
fn operator(binary: &Binary) -> String {
    let placeholder = |value| Expr {
        kind: ExprKind::Number { value, duration: false },
        span: promql::ast::Span::default(),
    };
    let mut shape = binary.clone();
    (shape.left, shape.right) = (placeholder(0.0), placeholder(0.0));
    let line =
        Expr { kind: ExprKind::Binary(Box::new(shape)), span: Default::default() }.to_string();
    line.trim_start_matches("0 ").trim_end_matches(" 0").to_owned()
}

/// The node and all below it.
fn node(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number { value, .. } => {
            json!({"type": "numberLiteral", "val": number(*value)})
        }
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text.value}),
        ExprKind::Vector(selector) => {
            let mut node = selection("vectorSelector", selector);
            put_duration(&mut node, "offset", Some(&selector.offset));
            node
        }
        ExprKind::Matrix { selector, range } => {
            let mut node = selection("matrixSelector", selector);
            put_duration(&mut node, "offset", Some(&selector.offset));
            put_duration(&mut node, "range", Some(range));
            node
        }
        ExprKind::Subquery(subquery) => {
            let mut out = json!({"type": "subquery", "expr": node(&subquery.expr)});
            put_duration(&mut out, "range", Some(&subquery.range));
            put_duration(&mut out, "offset", Some(&subquery.offset));
            put_duration(&mut out, "step", subquery.step.as_ref());
            put_at(&mut out, subquery.at);
            out
        }
        ExprKind::Call { function, args } => {
            let types: Vec<&str> = function.params.iter().map(|kind| type_name(*kind)).collect();
            let variadic = match function.arity {
                Arity::Exact => 0,
                Arity::Optional(more) => more as i64,
                Arity::Any => -1,
            };
            let args: Vec<Value> = args.iter().map(node).collect();
            json!({"type": "call", "args": args, "func": {
                "name": function.name, "argTypes": types, "variadic": variadic,
                "returnType": type_name(function.returns),
            }})
        }
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation", "op": aggregate.op.name(), "expr": node(&aggregate.expr),
            "param": aggregate.param.as_ref().map(node), "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        ExprKind::Binary(binary) => json!({
            "type": "binaryExpr", "op": binary.op.symbol(), "lhs": node(&binary.left),
            "rhs": node(&binary.right), "matching": matching(binary), "bool": binary.return_bool,
        }),
        ExprKind::Unary { negative, expr } => {
            json!({"type": "unaryExpr", "op": if *negative { "-" } else { "+" }, "expr": node(expr)})
        }
        ExprKind::Paren(expr) => json!({"type": "parenExpr", "expr": node(expr)}),
    }
}

fn type_name(kind: ValueType) -> &'static str {
    match kind {
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
        ValueType::Matrix => "matrix",
        ValueType::None => "none",
    }
}

fn number(value: f64) -> String {
    let mut text = String::new();
    answer::float(&mut text, value);
    text
}

fn selection(kind: &str, selector: &VectorSelector) -> Value {
    let matchers: Vec<Value> = selector.matchers.iter().map(matcher).collect();
    let mut node = json!({
        "type": kind, "name": selector.name(), "matchers": matchers,
        "anchored": selector.edges == Edges::Anchored, "smoothed": selector.edges == Edges::Smoothed,
    });
    put_at(&mut node, selector.at);
    node
}

fn matcher(matcher: &Matcher) -> Value {
    let kind = match matcher.op {
        MatchOp::Equal => "=",
        MatchOp::NotEqual => "!=",
        MatchOp::Regex => "=~",
        MatchOp::NotRegex => "!~",
    };
    json!({"name": *matcher.name, "value": *matcher.value, "type": kind})
}

fn put_at(node: &mut Value, at: Option<At>) {
    let (timestamp, edge) = match at {
        None => (Value::Null, Value::Null),
        Some(At::Time(ms)) => (json!(ms), Value::Null),
        Some(At::Start) => (Value::Null, json!("start")),
        Some(At::End) => (Value::Null, json!("end")),
    };
    node["timestamp"] = timestamp;
    node["startOrEnd"] = edge;
}

/// Milliseconds under `key`, and the expression under `<key>Expr` if it is not constant.
fn put_duration(node: &mut Value, key: &str, duration: Option<&DurationExpr>) {
    let mut computed = key.to_owned();
    let _ = computed.write_str("Expr");
    let (ms, expr) = match duration {
        None => (0, Value::Null),
        Some(DurationExpr::Constant { seconds, .. }) => {
            ((seconds * 1000.0).round() as i64, Value::Null)
        }
        Some(computed) => (0, duration_node(computed)),
    };
    node[key] = json!(ms);
    node[computed] = expr;
}

fn duration_node(expr: &DurationExpr) -> Value {
    let operation = |op: &str, lhs: Value, rhs: Value| json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": false});
    match expr {
        DurationExpr::Constant { seconds, duration } => {
            json!({"type": "numberLiteral", "val": number(*seconds), "duration": duration})
        }
        DurationExpr::Step => operation("step", Value::Null, Value::Null),
        DurationExpr::Range => operation("range", Value::Null, Value::Null),
        DurationExpr::Sign(negative, inner) => {
            operation(if *negative { "-" } else { "+" }, Value::Null, duration_node(inner))
        }
        DurationExpr::Binary(op, left, right) => {
            operation(op.symbol(), duration_node(left), duration_node(right))
        }
        DurationExpr::Pick { max, of } => {
            let name = if *max { "max" } else { "min" };
            operation(name, duration_node(&of.0), duration_node(&of.1))
        }
        DurationExpr::Paren(inner) => {
            let mut node = duration_node(inner);
            node["wrapped"] = json!(true);
            node
        }
    }
}

fn matching(binary: &Binary) -> Value {
    let vectors = binary.left.value_type() == ValueType::Vector
        && binary.right.value_type() == ValueType::Vector;
    if !vectors {
        return Value::Null;
    }
    let matching = &binary.matching;
    let card = match matching.group {
        _ if binary.op.is_set() => "many-to-many",
        Group::OneToOne => "one-to-one",
        Group::Left => "many-to-one",
        Group::Right => "one-to-many",
    };
    json!({
        "card": card, "labels": matching.labels, "on": matching.on, "include": matching.include,
        "fillValues": {"lhs": matching.fill_left, "rhs": matching.fill_right},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_queries_are_broken_into_lines_as_prometheus_does() {
        let long = "{a_label_that_is_long=\"and has a value that is longer still, so that it does not fit\"}";
        let query =
            format!("sum by (a) (rate(some_metric{long}[5m])) / on (a) group_left () other{long}");
        let expr = promql::parse(&query).expect("PromQL");
        let expected = format!(
            "  sum by (a) (\n    rate(\n      some_metric{long}[5m]\n    )\n  )\n/ on (a) group_left ()\n  other{long}"
        );
        assert_eq!(pretty(&expr, 0), expected);
        let short = promql::parse("sum(a)+1").expect("PromQL");
        assert_eq!(pretty(&short, 0), "sum(a) + 1");
    }

    #[test]
    fn the_tree_has_prometheus_keys() {
        let expr =
            promql::parse("-topk(2, a{b!~\"c\"} offset 5m) > bool on (b) d[1h:]@end()").err();
        assert!(expr.is_some(), "a range has no order");
        let expr = promql::parse("topk(2, a{b!~\"c\"} offset 5m @ end())").expect("PromQL");
        let expected = json!({
            "type": "aggregation", "op": "topk", "grouping": [], "without": false,
            "param": {"type": "numberLiteral", "val": "2"},
            "expr": {
                "type": "vectorSelector", "name": "a", "offset": 300000, "offsetExpr": null,
                "timestamp": null, "startOrEnd": "end", "anchored": false, "smoothed": false,
                "matchers": [
                    {"name": "b", "value": "c", "type": "!~"},
                    {"name": "__name__", "value": "a", "type": "="},
                ],
            },
        });
        assert_eq!(node(&expr), expected);
    }
}
