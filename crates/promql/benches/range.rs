// SPDX-License-Identifier: Apache-2.0
//! How long typical dashboard queries take over samples that are in memory already:
//! `cargo bench -p promql`. A day at 15 s, asked for every minute; numbers are the best of five.

use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::labels::Labels;
use promql::{Context, Engine, Limits, Select, Series, SeriesSource};

const DAY_MS: i64 = 86_400_000;

struct Fleet(Vec<Series>);

impl SeriesSource for Fleet {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        let wanted = |s: &&Series| select.matchers.iter().all(|m| m.matches(s.labels.get(&m.name)));
        let cut = |s: &Series| {
            let from = s.timestamps_ms.partition_point(|t| *t < select.start_ms);
            let to = s.timestamps_ms.partition_point(|t| *t <= select.end_ms);
            match (from, to) {
                (0, to) if to == s.values.len() => s.clone(),
                (from, to) => Series {
                    labels: s.labels.clone(),
                    timestamps_ms: s.timestamps_ms[from..to].into(),
                    values: s.values[from..to].into(),
                    ..Series::default()
                },
            }
        };
        Ok(self.0.iter().filter(wanted).map(cut).collect())
    }
}

/// 2,020 counters of 20 instances, with a restart a day and jittered increments.
fn fleet() -> Fleet {
    let times: Arc<[i64]> = (0..=DAY_MS / 15_000).map(|i| i * 15_000).collect();
    let series = |i: u64| {
        let mut state = i.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        let mut total = 0.0;
        let values = times.iter().enumerate().map(|(at, _)| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            total += ((state >> 33) % 50) as f64;
            if at == 2_000 + i as usize % 1_000 {
                total = 0.0;
            }
            total
        });
        let (instance, mode) = (format!("node-{}", i % 20), format!("mode-{}", i / 20));
        Series {
            labels: Labels::new([
                ("__name__", "work_total"),
                ("instance", instance.as_str()),
                ("mode", mode.as_str()),
            ]),
            values: values.collect(),
            timestamps_ms: times.clone(),
            ..Series::default()
        }
    };
    Fleet((0..2_020).map(series).collect())
}

fn main() {
    let fleet = fleet();
    let engine = Engine::new(Limits { samples_max: usize::MAX, ..Limits::default() });
    let queries = [
        ("day", "sum by (instance) (rate(work_total[5m]))"),
        ("day", "sum(work_total)"),
        ("day", "max_over_time(work_total{instance=\"node-1\"}[5m])"),
        ("day", "work_total / on (instance, mode) work_total"),
        ("day", "topk(5, rate(work_total[5m]))"),
        ("day", "quantile(0.9, rate(work_total[5m]))"),
        ("hour", "sum by (instance) (rate(work_total[5m]))"),
        ("now", "sum by (instance) (rate(work_total[5m]))"),
    ];
    for (span, query) in queries {
        let (start, step) = match span {
            "day" => (0, 60_000),
            "hour" => (DAY_MS - 3_600_000, 15_000),
            _ => (DAY_MS, 60_000),
        };
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begin = Instant::now();
            let result = engine.range(&fleet, query, (start, DAY_MS), step, &Context::default());
            best = best.min(begin.elapsed());
            if let Err(e) = result {
                println!("{query}: {e}");
            }
        }
        println!("{:>9.2} ms  {span:<4}  {query}", best.as_secs_f64() * 1000.0);
    }
}
