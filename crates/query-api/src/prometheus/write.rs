// SPDX-License-Identifier: Apache-2.0
//! Query results as JSON text.
//!
//! A range query of hundreds of series is millions of numbers, so what is the same in all series,
//! the text of each step's time, is made once, and a number is written without a formatter.

use promql::number::is_stale;
use promql::{FloatHistogram, MatrixEntry, QueryResult, QueryValue, Sample};

use crate::answer;
use crate::stream::Out;

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

/// Times of the steps, as they stand before each number: `,[1435781430.781,"`.
#[derive(Default)]
pub struct Steps {
    start_ms: i64,
    step_ms: i64,
    texts: String,
    ends: Vec<u32>,
}

impl Steps {
    /// `count` steps.
    pub fn new(start_ms: i64, step_ms: i64, count: usize) -> Self {
        let mut steps = Steps { start_ms, step_ms, ..Steps::default() };
        for number in 0..count as i64 {
            open_point(&mut steps.texts, start_ms + number * step_ms);
            steps.ends.push(steps.texts.len() as u32);
        }
        steps
    }

    /// The text of a step, if `start_ms` and `step_ms` are those of the steps.
    fn at(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)? as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.texts.get(start..end)
    }
}

fn open_point(out: &mut String, time_ms: i64) {
    out.push_str(",[");
    answer::timestamp(out, time_ms);
    out.push_str(",\"");
}

/// Writes `{"resultType":..,"result":..}`; `time_ms` is the time of scalars, strings and vectors.
pub fn result(out: &mut Out, value: &QueryValue, time_ms: i64, steps: &Steps) {
    let text = out.text();
    match value {
        QueryValue::Scalar(number) => {
            text.push_str(r#"{"resultType":"scalar","result":"#);
            answer::point(text, time_ms, *number);
        }
        QueryValue::String(string) => {
            text.push_str(r#"{"resultType":"string","result":["#);
            answer::timestamp(text, time_ms);
            text.push(',');
            answer::string(text, string);
            text.push(']');
        }
        QueryValue::Vector(list) => {
            text.push_str(r#"{"resultType":"vector","result":["#);
            for (i, entry) in list.iter().enumerate() {
                let text = out.text();
                comma(text, i);
                text.push_str(r#"{"metric":"#);
                answer::labels(text, &entry.labels);
                match &entry.sample {
                    Sample::Float(number) => {
                        text.push_str(r#","value":"#);
                        answer::point(text, time_ms, *number);
                    }
                    Sample::Histogram(h) => {
                        text.push_str(r#","histogram":["#);
                        answer::timestamp(text, time_ms);
                        text.push(',');
                        histogram(text, h);
                        text.push(']');
                    }
                }
                text.push('}');
                if !out.pause() {
                    return;
                }
            }
            out.text().push(']');
        }
        QueryValue::Matrix(list) => {
            text.push_str(r#"{"resultType":"matrix","result":["#);
            for (i, entry) in list.iter().enumerate() {
                comma(out.text(), i);
                series(out.text(), entry, steps);
                if !out.pause() {
                    return;
                }
            }
            out.text().push(']');
        }
    }
    out.text().push('}');
}

fn series(out: &mut String, entry: &MatrixEntry, steps: &Steps) {
    out.push_str(r#"{"metric":"#);
    answer::labels(out, &entry.labels);
    match entry.points.numbers() {
        Some((start, step, numbers)) if (start, step) == (steps.start_ms, steps.step_ms) => {
            let begin = open_list(out, "values");
            for (at, number) in numbers.iter().enumerate().filter(|(_, n)| !is_stale(**n)) {
                out.push_str(steps.at(at).unwrap_or_default());
                answer::float(out, *number);
                out.push_str("\"]");
            }
            close_list(out, begin);
        }
        _ => mixed(out, entry),
    }
    out.push('}');
}

/// Numbers, then histograms, each list only if it has a point.
fn mixed(out: &mut String, entry: &MatrixEntry) {
    for (name, numbers) in [("values", true), ("histograms", false)] {
        let before = out.len();
        let begin = open_list(out, name);
        for point in entry.points.iter() {
            match &point.sample {
                Sample::Float(number) if numbers => {
                    open_point(out, point.timestamp_ms);
                    answer::float(out, *number);
                    out.push_str("\"]");
                }
                Sample::Histogram(h) if !numbers => {
                    open_point(out, point.timestamp_ms);
                    // A number stands in quotes, this does not.
                    out.pop();
                    histogram(out, h);
                    out.push(']');
                }
                _ => {}
            }
        }
        if out.len() > begin {
            close_list(out, begin);
        } else {
            out.truncate(before);
        }
    }
}

/// Begins a list; where its first point will stand.
fn open_list(out: &mut String, name: &str) -> usize {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.len()
}

/// Ends a list: the comma before its first point becomes the bracket that opens it.
fn close_list(out: &mut String, begin: usize) {
    match out.len() > begin {
        true => out.replace_range(begin..=begin, "["),
        false => out.push('['),
    }
    out.push(']');
}

fn comma(out: &mut String, index: usize) {
    if index > 0 {
        out.push(',');
    }
}

/// Appends `{"count":"..","sum":"..","buckets":[[boundary,"low","high","count"],..]}`.
/// Boundary: 0 = open left, 1 = open right, 2 = open both, 3 = closed both.
fn histogram(out: &mut String, h: &FloatHistogram) {
    out.push_str("{\"count\":\"");
    answer::float(out, h.count);
    out.push_str("\",\"sum\":\"");
    answer::float(out, h.sum);
    out.push('"');
    let mut written = 0;
    for bucket in h.buckets().filter(|bucket| bucket.count != 0.0) {
        out.push_str(if written == 0 { ",\"buckets\":[" } else { "," });
        written += 1;
        let boundary = match (bucket.lower, bucket.upper) {
            (lower, upper) if lower < 0.0 && upper > 0.0 => '3',
            (lower, _) if lower < 0.0 => '1',
            _ => '0',
        };
        out.push('[');
        out.push(boundary);
        for number in [bucket.lower, bucket.upper, bucket.count] {
            out.push_str(",\"");
            answer::float(out, number);
            out.push('"');
        }
        out.push(']');
    }
    if written > 0 {
        out.push(']');
    }
    out.push('}');
}
