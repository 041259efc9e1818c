// SPDX-License-Identifier: Apache-2.0
//! Range queries over the Prometheus API: what they cost, and whether two answers are the same.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::get_body;
use crate::process::Program;

/// Each query is asked until it has used so much CPU, which is counted in ticks of 10 ms.
const CPU_SECONDS_MIN: f64 = 0.6;

/// Or so often.
const RUNS: std::ops::RangeInclusive<usize> = 5..=60;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Query {
    pub expression: &'static str,
    /// CPU milliseconds that it may take us.
    pub floor_ms: Option<f64>,
}

/// Those of the floors first.
pub const QUERIES: [Query; 7] = [
    Query {
        expression: r#"sum by (instance)(rate(node_cpu_seconds_total{mode!="idle"}[5m]))"#,
        floor_ms: Some(20.0),
    },
    Query { expression: "rate(node_cpu_seconds_total[5m])", floor_ms: Some(90.0) },
    Query {
        expression: "histogram_quantile(0.99, sum by (le, handler)(rate(http_request_duration_seconds_bucket[5m])))",
        floor_ms: None,
    },
    Query { expression: "topk(5, rate(node_network_receive_bytes_total[5m]))", floor_ms: None },
    Query {
        expression: "avg by (instance)(avg_over_time(node_memory_MemAvailable_bytes[1h]))",
        floor_ms: None,
    },
    Query {
        expression: r#"sum by (instance)(rate(http_requests_total{code="500"}[5m])) / sum by (instance)(rate(http_requests_total[5m]))"#,
        floor_ms: None,
    },
    Query { expression: "node_load1", floor_ms: None },
];

/// What one query takes.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub query: String,
    pub cpu_ms: f64,
    /// Median.
    pub wall_ms: f64,
    pub first_wall_ms: f64,
    pub answer_bytes: usize,
    pub series: usize,
}

/// Series by their labels, each with its points.
pub type Answer = BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>>;

/// A range at 60 s, seconds, both ends included.
pub fn path(expression: &str, (start, end, step): (i64, i64, i64), more: &str) -> String {
    let escaped: String = expression
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("/api/v1/query_range?query={escaped}&start={start}&end={end}&step={step}{more}")
}

/// Asks until the figures are good enough.
pub async fn measure(
    process: &Program,
    port: u16,
    expression: &str,
    path: &str,
) -> Result<(Cost, Answer)> {
    let begin = Instant::now();
    let body = get_body(port, path).await?;
    let first_wall_ms = begin.elapsed().as_secs_f64() * 1e3;
    let answer = read(&body).with_context(|| expression.to_owned())?;
    let (cpu, mut walls) = (process.cpu_seconds()?, Vec::new());
    while walls.len() < *RUNS.end() {
        let begin = Instant::now();
        get_body(port, path).await?;
        walls.push(begin.elapsed().as_secs_f64() * 1e3);
        if walls.len() >= *RUNS.start() && process.cpu_seconds()? - cpu >= CPU_SECONDS_MIN {
            break;
        }
    }
    let cpu_ms = (process.cpu_seconds()? - cpu) / walls.len() as f64 * 1e3;
    walls.sort_by(f64::total_cmp);
    let cost = Cost {
        query: expression.to_owned(),
        cpu_ms,
        wall_ms: walls[walls.len() / 2],
        first_wall_ms,
        answer_bytes: body.len(),
        series: answer.len(),
    };
    ensure!(cost.cpu_ms > 0.0 && cost.series > 0, "a figure is zero: {cost:?}");
    Ok((cost, answer))
}

/// Reads a matrix.
fn read(body: &[u8]) -> Result<Answer> {
    #[derive(Deserialize)]
    struct Body {
        data: Data,
    }
    #[derive(Deserialize)]
    struct Data {
        result: Vec<Series>,
    }
    #[derive(Deserialize)]
    struct Series {
        metric: BTreeMap<String, String>,
        values: Vec<(f64, String)>,
    }
    let body: Body = serde_json::from_slice(body)?;
    let mut answer = Answer::new();
    for Series { metric, values } in body.data.result {
        let points = values.into_iter().map(|(time, value)| Ok((time, value.parse()?)));
        answer.insert(metric, points.collect::<Result<_>>()?);
    }
    Ok(answer)
}

/// How far two answers are apart.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Apart {
    /// Points that only one of them has.
    pub lone_points: usize,
    /// Of those that both have, in relation to their size.
    pub largest: f64,
    pub median: f64,
}

/// Compares point by point.
pub fn compare(a: &Answer, b: &Answer) -> Apart {
    let mut apart = Vec::new();
    let mut shared = 0;
    for (metric, points) in a {
        let Some(others) = b.get(metric) else { continue };
        let others: BTreeMap<i64, f64> =
            others.iter().map(|(t, v)| ((t * 1e3) as i64, *v)).collect();
        for (time, value) in points {
            let Some(other) = others.get(&((time * 1e3) as i64)) else { continue };
            shared += 1;
            let same = value.to_bits() == other.to_bits() || value == other;
            let both_nan = value.is_nan() && other.is_nan();
            apart.push(match same || both_nan {
                true => 0.0,
                false => (value - other).abs() / value.abs().max(other.abs()),
            });
        }
    }
    apart.sort_by(f64::total_cmp);
    let points = |answer: &Answer| answer.values().map(Vec::len).sum::<usize>();
    Apart {
        lone_points: points(a) + points(b) - 2 * shared,
        largest: apart.last().copied().unwrap_or_default(),
        median: apart.get(apart.len() / 2).copied().unwrap_or_default(),
    }
}
