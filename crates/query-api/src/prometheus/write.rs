// SPDX-License-Identifier: Apache-2.0
//! Query results as JSON text.

use std::fmt::Write as _;

use promql::{FloatHistogram, MatrixEntry, QueryResult, QueryValue, Sample};

use crate::answer;

/// Cuts the result to `limit` series and warns as Prometheus does.
pub fn truncate(result: &mut QueryResult, limit: Option<usize>) {
    let Some(limit) = limit else { return };
    let cut = match &mut result.value {
        QueryValue::Vector(list) if list.len() > limit => {
            list.truncate(limit);
            true
        }
        QueryValue::Matrix(list) if list.len() > limit => {
            list.truncate(limit);
            true
        }
        _ => false,
    };
    if cut {
        result.warnings.push("results truncated due to limit".into());
    }
}

/// Appends `{"resultType":..,"result":..}`; `time_ms` is the time of scalars, strings and vectors.
pub fn result(out: &mut String, value: &QueryValue, time_ms: i64) {
    match value {
        QueryValue::Scalar(number) => {
            out.push_str(r#"{"resultType":"scalar","result":"#);
            answer::point(out, time_ms, *number);
        }
        QueryValue::String(text) => {
            out.push_str(r#"{"resultType":"string","result":["#);
            answer::timestamp(out, time_ms);
            out.push(',');
            answer::string(out, text);
            out.push(']');
        }
        QueryValue::Vector(list) => {
            out.push_str(r#"{"resultType":"vector","result":["#);
            for (i, entry) in list.iter().enumerate() {
                comma(out, i);
                out.push_str(r#"{"metric":"#);
                answer::labels(out, &entry.labels);
                match &entry.sample {
                    Sample::Float(number) => {
                        out.push_str(r#","value":"#);
                        answer::point(out, time_ms, *number);
                    }
                    Sample::Histogram(h) => {
                        out.push_str(r#","histogram":"#);
                        histogram_point(out, time_ms, h);
                    }
                }
                out.push('}');
            }
            out.push(']');
        }
        QueryValue::Matrix(list) => {
            out.push_str(r#"{"resultType":"matrix","result":["#);
            for (i, entry) in list.iter().enumerate() {
                comma(out, i);
                series(out, entry);
            }
            out.push(']');
        }
    }
    out.push('}');
}

fn series(out: &mut String, entry: &MatrixEntry) {
    out.push_str(r#"{"metric":"#);
    answer::labels(out, &entry.labels);
    for (name, want_floats) in [("values", true), ("histograms", false)] {
        let mut count = 0;
        for point in entry.points.iter() {
            if matches!(point.sample, Sample::Float(_)) != want_floats {
                continue;
            }
            if count == 0 {
                let _ = write!(out, ",\"{name}\":[");
            }
            comma(out, count);
            count += 1;
            match &point.sample {
                Sample::Float(number) => answer::point(out, point.timestamp_ms, *number),
                Sample::Histogram(h) => histogram_point(out, point.timestamp_ms, h),
            }
        }
        if count > 0 {
            out.push(']');
        }
    }
    out.push('}');
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Appends `[seconds,{"count":"..","sum":"..","buckets":[[boundary,"low","high","count"],..]}]`.
/// Boundary: 0 = open left, 1 = open right, 2 = open both, 3 = closed both.
fn histogram_point(out: &mut String, time_ms: i64, h: &FloatHistogram) {
    out.push('[');
    answer::timestamp(out, time_ms);
    out.push_str(",{\"count\":\"");
    answer::float(out, h.count);
    out.push_str("\",\"sum\":\"");
    answer::float(out, h.sum);
    out.push('"');
    let mut written = 0;
    for bucket in h.buckets().filter(|bucket| bucket.count != 0.0) {
        out.push_str(if written == 0 { ",\"buckets\":[" } else { "," });
        written += 1;
        let boundary = match (bucket.lower, bucket.upper) {
            (lower, upper) if lower < 0.0 && upper > 0.0 => 3,
            (lower, _) if lower < 0.0 => 1,
            _ => 0,
        };
        let _ = write!(out, "[{boundary},\"");
        answer::float(out, bucket.lower);
        out.push_str("\",\"");
        answer::float(out, bucket.upper);
        out.push_str("\",\"");
        answer::float(out, bucket.count);
        out.push_str("\"]");
    }
    if written > 0 {
        out.push(']');
    }
    out.push_str("}]");
}
