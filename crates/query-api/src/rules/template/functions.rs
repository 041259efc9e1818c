// SPDX-License-Identifier: Apache-2.0
//! The functions templates may call: Go's own and Prometheus'.

use std::collections::BTreeMap;

use super::numbers::{general, print, printf};
use super::run::truth;
use super::{Value, World};

type Result<T> = std::result::Result<T, String>;

/// All names.
const NAMES: [&str; 43] = [
    "and",
    "or",
    "not",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "len",
    "index",
    "print",
    "println",
    "printf",
    "urlquery",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "reReplaceAll",
    "match",
    "title",
    "toUpper",
    "toLower",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toDuration",
    "now",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "urlQueryEscape",
    "graphLink",
    "tableLink",
    "safeHtml",
];

/// Whether there is one of this name.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls one.
pub(super) fn call(name: &str, arguments: &[Value], world: &dyn World) -> Result<Value> {
    let text = |at: usize| match arguments.get(at) {
        Some(Value::Text(text)) => Ok(text.as_str()),
        Some(other) => Err(format!("{name}: expected string; found {}", print(other))),
        None => Err(format!("wrong number of args for {name}")),
    };
    let any =
        |at: usize| arguments.get(at).ok_or_else(|| format!("wrong number of args for {name}"));
    Ok(match name {
        "not" => Value::Bool(!truth(any(0)?)),
        "eq" => {
            let first = any(0)?;
            any(1)?;
            Value::Bool(
                arguments[1..]
                    .iter()
                    .any(|other| compare(first, other) == Some(std::cmp::Ordering::Equal)),
            )
        }
        "ne" => Value::Bool(compare(any(0)?, any(1)?) != Some(std::cmp::Ordering::Equal)),
        "lt" | "le" | "gt" | "ge" => {
            let order = compare(any(0)?, any(1)?);
            Value::Bool(order.is_some_and(|order| match name {
                "lt" => order.is_lt(),
                "le" => order.is_le(),
                "gt" => order.is_gt(),
                _ => order.is_ge(),
            }))
        }
        "len" => Value::Int(match any(0)? {
            Value::Text(text) => text.len() as i64,
            Value::List(list) => list.len() as i64,
            Value::Map(map) => map.len() as i64,
            other => return Err(format!("len of type {}", print(other))),
        }),
        "index" => index(any(0)?, &arguments[1..])?,
        "print" => Value::Text(arguments.iter().map(print).collect::<Vec<_>>().join("")),
        "println" => Value::Text(arguments.iter().map(print).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => Value::Text(printf(text(0)?, &arguments[1..])),
        "query" => Value::List(world.query(text(0)?)?),
        "first" => match any(0)? {
            Value::List(list) => {
                list.first().cloned().ok_or("first() called on vector with no elements")?
            }
            other => return Err(format!("first: not a query's result: {}", print(other))),
        },
        "label" => Value::Text(label(any(1)?, text(0)?)),
        "value" => match any(0)? {
            Value::Map(sample) => sample.get("Value").cloned().unwrap_or(Value::Nil),
            other => return Err(format!("value: not a sample: {}", print(other))),
        },
        "strvalue" => Value::Text(label(any(0)?, "__value__")),
        "args" => {
            let named = arguments.iter().enumerate().map(|(at, v)| (format!("arg{at}"), v.clone()));
            Value::Map(named.collect())
        }
        "reReplaceAll" => {
            let regex = regex(text(0)?)?;
            Value::Text(regex.replace_all(text(2)?, text(1)?).into_owned())
        }
        "match" => Value::Bool(regex(text(0)?)?.is_match(text(1)?)),
        "title" => Value::Text(title(text(0)?)),
        "toUpper" => Value::Text(text(0)?.to_uppercase()),
        "toLower" => Value::Text(text(0)?.to_lowercase()),
        "safeHtml" => any(0)?.clone(),
        "sortByLabel" => match any(1)? {
            Value::List(list) => {
                let mut list = list.clone();
                let by = text(0)?;
                list.sort_by_key(|sample| label(sample, by));
                Value::List(list)
            }
            other => return Err(format!("sortByLabel: not a query's result: {}", print(other))),
        },
        "stripPort" => {
            Value::Text(host_and_port(text(0)?).map_or(text(0)?, |(host, _)| host).to_owned())
        }
        "stripDomain" => Value::Text(strip_domain(text(0)?)),
        "humanize" => Value::Text(humanize(number(any(0)?)?)),
        "humanize1024" => Value::Text(humanize1024(number(any(0)?)?)),
        "humanizeDuration" => Value::Text(humanize_duration(number(any(0)?)?)),
        "humanizePercentage" => Value::Text(general(number(any(0)?)? * 100.0, Some(4)) + "%"),
        "humanizeTimestamp" => Value::Text(timestamp(number(any(0)?)?)),
        "toDuration" => {
            let seconds = number(any(0)?)?;
            let duration =
                std::time::Duration::try_from_secs_f64(seconds.abs()).unwrap_or_default();
            let sign = if seconds < 0.0 { "-" } else { "" };
            Value::Text(format!("{sign}{}", basics::duration::format(duration)))
        }
        "now" => Value::Float(world.now()),
        "externalURL" => world.external_url().into(),
        "pathPrefix" => {
            let path = world.external_url().splitn(4, '/').nth(3).unwrap_or_default();
            Value::Text(if path.is_empty() { String::new() } else { format!("/{path}") })
        }
        "parseDuration" => {
            let duration = basics::duration::parse_prometheus(text(0)?);
            Value::Float(duration.map_err(|e| e.to_string())?.as_secs_f64())
        }
        "urlQueryEscape" | "urlquery" => Value::Text(form_encoded(text(0)?)),
        "graphLink" => Value::Text(format!("/graph?g0.expr={}&g0.tab=0", form_encoded(text(0)?))),
        "tableLink" => Value::Text(table_link(text(0)?)),
        other => return Err(format!("function {other:?} not defined")),
    })
}

fn index(of: &Value, keys: &[Value]) -> Result<Value> {
    let mut at = of.clone();
    for key in keys {
        at = match (&at, key) {
            (Value::Map(map), Value::Text(key)) => {
                map.get(key).cloned().unwrap_or_else(|| "".into())
            }
            (Value::List(list), Value::Int(number)) => {
                let found = usize::try_from(*number).ok().and_then(|number| list.get(number));
                found.cloned().ok_or_else(|| format!("index out of range: {number}"))?
            }
            (other, _) => return Err(format!("can't index {}", print(other))),
        };
    }
    Ok(at)
}

fn compare(a: &Value, b: &Value) -> Option<std::cmp::Ordering> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Nil, Value::Nil) => Some(std::cmp::Ordering::Equal),
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            number(a).ok()?.partial_cmp(&number(b).ok()?)
        }
        _ => None,
    }
}

fn number(value: &Value) -> Result<f64> {
    match value {
        Value::Float(number) => Ok(*number),
        Value::Int(number) => Ok(*number as f64),
        Value::Text(text) => {
            text.trim().parse().map_err(|_| format!("can't convert {text:?} to float"))
        }
        other => Err(format!("can't convert {} to float", print(other))),
    }
}

fn label(sample: &Value, name: &str) -> String {
    let labels = match sample {
        Value::Map(sample) => sample.get("Labels"),
        _ => None,
    };
    match labels {
        Some(Value::Map(labels)) => labels.get(name).map_or_else(String::new, print),
        _ => String::new(),
    }
}

/// One sample of a query's answer, as templates see it.
pub(in crate::rules) fn sample(labels: &basics::labels::Labels, value: f64) -> Value {
    let labels = labels.iter().map(|(n, v)| (n.to_owned(), Value::from(v))).collect();
    let pairs = [("Labels", Value::Map(labels)), ("Value", Value::Float(value))];
    Value::Map(BTreeMap::from(pairs.map(|(name, value)| (name.to_owned(), value))))
}

fn regex(pattern: &str) -> Result<regex::Regex> {
    let built = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
    built.map_err(|e| e.to_string())
}

fn title(text: &str) -> String {
    let mut out = String::new();
    let mut begins = true;
    for c in text.chars() {
        match begins && c.is_alphanumeric() {
            true => out.extend(c.to_uppercase()),
            false => out.push(c),
        }
        begins = !c.is_alphanumeric() && c != '\'';
    }
    out
}

fn host_and_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(host) => Some((host.strip_suffix(']')?, port)),
        None => (!host.contains(':')).then_some((host, port)),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = host_and_port(text).unwrap_or((text, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

fn humanize(mut value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    let mut prefix = "";
    if value.abs() >= 1.0 {
        for next in LARGE {
            if value.abs() < 1000.0 {
                break;
            }
            prefix = next;
            value /= 1000.0;
        }
    } else {
        (value, prefix) = small(value);
    }
    general(value, Some(4)) + prefix
}

fn small(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

fn humanize1024(mut value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return general(value, Some(4));
    }
    let mut prefix = "";
    for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if value.abs() < 1024.0 {
            break;
        }
        prefix = next;
        value /= 1024.0;
    }
    general(value, Some(4)) + prefix
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return general(value, Some(4));
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (value, prefix) = small(value);
        return format!("{}{prefix}s", general(value, Some(4)));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as u64;
    let (seconds, minutes) = (whole % 60, whole / 60 % 60);
    let (hours, days) = (whole / 3600 % 24, whole / 86_400);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", general(value.abs(), Some(4)))
    }
}

/// As Go prints a time in UTC.
fn timestamp(seconds: f64) -> String {
    if !seconds.is_finite() {
        return general(seconds, Some(4));
    }
    match jiff::Timestamp::from_millisecond((seconds * 1000.0) as i64) {
        Ok(time) => time.to_string().replace('T', " ").replace('Z', " +0000 UTC"),
        Err(_) => general(seconds, Some(4)),
    }
}

/// As in the values of a form.
fn form_encoded(text: &str) -> String {
    basics::percent::encoded(text).replace("%20", "+")
}

/// The path of a page with a query's table.
pub(in crate::rules) fn table_link(query: &str) -> String {
    format!("/graph?g0.expr={}&g0.tab=1", form_encoded(query))
}
