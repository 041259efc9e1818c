// SPDX-License-Identifier: Apache-2.0
//! The questions of Jaeger's API: parameters of v1 and v3 as [`SpanQuery`].

use std::collections::BTreeMap;

use basics::UnixNano;
use otlp_wire::{SpanKind, TraceId};
use store::traces::SpanQuery;

use crate::params::Params;

/// Traces given when a request names no limit, as in Jaeger.
pub const LIMIT_DEFAULT: usize = 100;
/// Most traces given at once: Jaeger's own page asks for at most 1500.
pub const LIMIT_MAX: usize = 1500;
/// How far back v1 looks when a request names no start, as in Jaeger.
const LOOKBACK: u64 = 48 * 3600 * 1_000_000_000;

/// What a request asks for: traces by id, or by what their spans are.
pub struct V1 {
    pub ids: Vec<TraceId>,
    pub query: SpanQuery,
}

/// `/api/traces` of v1. Times are microseconds, durations are Go's.
pub fn v1(params: &Params, now: UnixNano) -> Result<V1, String> {
    let micros = |name: &str| match params.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(time) => Ok(Some((time.max(0) as u64).saturating_mul(1000))),
            Err(_) => Err(unparsed(name, &go_number(text))),
        },
    };
    let end = micros("end")?;
    let start = match (micros("start")?, params.get("lookback")) {
        (Some(start), _) => start,
        (None, "" | "custom") => now.saturating_sub(LOOKBACK),
        (None, text) => {
            let back = duration("lookback", text)?;
            end.unwrap_or(now).saturating_sub(back)
        }
    };
    let mut tags = BTreeMap::new();
    for tag in params.all("tag") {
        let Some((key, value)) = tag.split_once(':') else {
            return Err(format!("malformed 'tag' parameter, expecting key:value, received: {tag}"));
        };
        tags.insert(key.to_owned(), value.to_owned());
    }
    for text in params.all("tags") {
        let more: BTreeMap<String, String> = serde_json::from_str(text)
            .map_err(|e| format!("malformed 'tags' parameter, cannot unmarshal JSON: {e}"))?;
        tags.extend(more);
    }
    let limit = match params.get("limit") {
        "" => LIMIT_DEFAULT as i64,
        text => text.parse::<i64>().map_err(|_| go_number(text))?,
    };
    let duration_of = |name: &str| match params.get(name) {
        "" => Ok(None),
        text => duration(name, text).map(Some),
    };
    let (duration_min, duration_max) = (duration_of("minDuration")?, duration_of("maxDuration")?);
    let ids = params.all("traceID").map(|id| {
        trace_id(id).ok_or_else(|| format!("cannot parse traceID param: {id:?} is not a trace id"))
    });
    let ids: Vec<TraceId> = ids.collect::<Result<_, String>>()?;
    let service = named(params.get("service"));
    if ids.is_empty() && service.is_none() {
        return Err("parameter 'service' is required".to_owned());
    }
    if limit <= 0 {
        return Err("invalid parameter: limit must be greater than 0".to_owned());
    }
    let end = end.unwrap_or(now);
    if start > end {
        return Err("invalid parameter: start time must be before end time".to_owned());
    }
    if let (Some(min), Some(max)) = (duration_min, duration_max)
        && max < min
        && max != 0
    {
        return Err("'maxDuration' should be greater than 'minDuration'".to_owned());
    }
    let query = SpanQuery {
        service,
        operation: named(params.get("operation")),
        tags: tags.into_iter().collect(),
        start,
        end,
        duration_min: duration_min.unwrap_or(0),
        duration_max: duration_max.filter(|max| *max != 0).unwrap_or(u64::MAX),
        limit: (limit as usize).min(LIMIT_MAX),
        ..SpanQuery::default()
    };
    Ok(V1 { ids, query })
}

/// `/api/v3/traces`, with names in either spelling. Times are RFC 3339, durations are Go's.
pub fn v3(params: &Params) -> Result<SpanQuery, String> {
    let of = |camel: &str, snake: &str| -> (String, String) {
        let camel = format!("query.{camel}");
        let snake = format!("query.{snake}");
        match params.get(&camel) {
            "" => (snake.clone(), params.get(&snake).to_owned()),
            text => (camel.clone(), text.to_owned()),
        }
    };
    let (min_name, min) = of("startTimeMin", "start_time_min");
    let (max_name, max) = of("startTimeMax", "start_time_max");
    if min.is_empty() || max.is_empty() {
        return Err("query.startTimeMin and query.startTimeMax are required".to_owned());
    }
    let limit = match of("searchDepth", "search_depth") {
        (_, text) if text.is_empty() => {
            ("query.num_traces".to_owned(), params.get("query.num_traces").to_owned())
        }
        named => named,
    };
    let limit = match limit {
        (_, text) if text.is_empty() => LIMIT_DEFAULT,
        (name, text) => {
            text.parse::<u32>().map_err(|_| malformed(&name, &go_number(&text)))? as usize
        }
    };
    let span = |(name, text): (String, String)| match text.as_str() {
        "" => Ok(None),
        text => go_duration(text)
            .map(Some)
            .ok_or_else(|| malformed(&name, &format!("time: invalid duration {text:?}"))),
    };
    let tags: BTreeMap<String, String> = match params.get("query.attributes") {
        "" => BTreeMap::new(),
        text => {
            serde_json::from_str(text).map_err(|e| malformed("query.attributes", &e.to_string()))?
        }
    };
    if !params.get("query.filter").is_empty() {
        return Err("query.filter is not supported: use the other parameters".to_owned());
    }
    Ok(SpanQuery {
        service: named(&of("serviceName", "service_name").1),
        operation: named(&of("operationName", "operation_name").1),
        tags: tags.into_iter().collect(),
        start: rfc3339(&min_name, &min)?,
        end: rfc3339(&max_name, &max)?,
        duration_min: span(of("durationMin", "duration_min"))?.unwrap_or(0),
        duration_max: span(of("durationMax", "duration_max"))?
            .filter(|d| *d != 0)
            .unwrap_or(u64::MAX),
        limit: if limit == 0 { LIMIT_DEFAULT } else { limit.min(LIMIT_MAX) },
        ..SpanQuery::default()
    })
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn unparsed(name: &str, why: &str) -> String {
    format!("unable to parse param '{name}': {why}")
}

fn malformed(name: &str, why: &str) -> String {
    format!("malformed parameter {name}: {why}")
}

fn go_number(text: &str) -> String {
    format!("strconv.ParseInt: parsing {text:?}: invalid syntax")
}

fn duration(name: &str, text: &str) -> Result<u64, String> {
    go_duration(text).ok_or_else(|| unparsed(name, &format!("time: invalid duration {text:?}")))
}

/// A time of v3 in nanoseconds. Grafana sends the `+` of an offset unescaped, which arrives as a
/// space.
pub fn rfc3339(name: &str, text: &str) -> Result<u64, String> {
    let time = text.replace(' ', "+").parse::<jiff::Timestamp>();
    let time = time.map_err(|e| malformed(name, &e.to_string()))?;
    Ok(u64::try_from(time.as_nanosecond().max(0)).unwrap_or(u64::MAX))
}

/// Nanoseconds of a duration as Go writes it: `1.5s`, `1h30m`, `250us`.
fn go_duration(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut sum) = (text.strip_prefix('+').unwrap_or(text), 0f64);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1.0,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        sum += number * unit;
        rest = &rest[letters..];
    }
    Some(sum.round() as u64)
}

/// A trace id of up to 32 hexadecimal digits; shorter ones stand for leading zeros.
pub fn trace_id(text: &str) -> Option<TraceId> {
    if text.is_empty() || text.len() > 32 {
        return None;
    }
    u128::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(u128::to_be_bytes)
}

/// The kind that a request names, in any of the spellings in use.
pub fn kind(text: &str) -> Option<SpanKind> {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix("span_kind_").unwrap_or(&text) {
        "internal" => Some(SpanKind::Internal),
        "server" => Some(SpanKind::Server),
        "client" => Some(SpanKind::Client),
        "producer" => Some(SpanKind::Producer),
        "consumer" => Some(SpanKind::Consumer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, expected) in [
            ("1.5s", Some(1_500_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("250us", Some(250_000)),
            ("100ms", Some(100_000_000)),
            ("0", Some(0)),
            ("", None),
            ("5", None),
            ("ms", None),
            ("5d", None),
        ] {
            assert_eq!(go_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn trace_ids_may_leave_out_leading_zeros() {
        let id = trace_id("ff").expect("an id");
        assert_eq!((id[15], id[0]), (255, 0));
        for wrong in ["", "0", "xyz", &"1".repeat(33)] {
            assert_eq!(trace_id(wrong), None, "{wrong}");
        }
    }
}
