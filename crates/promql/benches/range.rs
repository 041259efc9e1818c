// SPDX-License-Identifier: Apache-2.0
//! What typical dashboard queries cost over samples that are in memory already, decoded:
//! `cargo bench -p promql`. 2,020 series of ten instances, a day at 15 s, asked for every minute on
//! one thread; the figures are its processor time, the best of ten runs. An argument picks the queries that contain it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use basics::labels::Labels;
use promql::{
    Buffer, Context, Engine, Known, Limits, Samples, Select, Selection, Series, SeriesSource,
};

#[path = "../../testkit/src/workload.rs"]
#[allow(dead_code, reason = "a module of tests, of which a bench needs a part")]
mod workload;

use workload::{DAY_STEPS, Workload};

const DAY_MS: i64 = 86_400_000;

/// Series in memory, cut to the range of a selection by reference.
struct Fleet(Vec<Series>);

type Times = Arc<[i64]>;

struct Found<'a> {
    series: Vec<&'a Series>,
    range: (i64, i64),
    /// Times cut to the range, by what they were cut from.
    cut: Mutex<Vec<(Times, Times)>>,
}

impl SeriesSource for Fleet {
    fn select(&self, _: &Select<'_>) -> basics::Result<Vec<Series>> {
        Ok(vec![])
    }

    fn open<'a>(&'a self, select: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
        let wanted = |s: &&Series| select.matchers.iter().all(|m| m.matches(s.labels.get(&m.name)));
        let series = self.0.iter().filter(wanted).collect();
        Ok(Box::new(Found {
            series,
            range: (select.start_ms, select.end_ms),
            cut: Mutex::default(),
        }))
    }
}

impl Selection for Found<'_> {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.series[at].labels
    }

    fn samples(&self, at: usize) -> usize {
        self.series[at].values.len()
    }

    fn read<'a>(&'a self, at: usize, _: &'a mut Buffer) -> basics::Result<Samples<'a>> {
        let (series, (start, end)) = (self.series[at], self.range);
        let times = &series.timestamps_ms;
        let from = times.partition_point(|t| *t < start);
        let to = times.partition_point(|t| *t <= end);
        let timestamps_ms = match (from, to) {
            (0, to) if to == times.len() => Arc::clone(times),
            (from, to) => {
                let mut cut = self.cut.lock().expect("no reader panics");
                match cut.iter().find(|(whole, _)| Arc::ptr_eq(whole, times)) {
                    Some((_, part)) => Arc::clone(part),
                    None => {
                        let part: Arc<[i64]> = times[from..to].into();
                        cut.push((Arc::clone(times), Arc::clone(&part)));
                        part
                    }
                }
            }
        };
        let values = &series.values[from..to];
        let known = Known::default();
        Ok(Samples {
            timestamps_ms,
            values,
            start_times_ms: &[],
            histograms: &[],
            known,
            digests: &[],
        })
    }
}

/// The samples of an instance share their times, jittered by a few milliseconds.
fn fleet() -> Fleet {
    let mut workload = Workload::new(10, 1);
    let columns = workload.columns(DAY_STEPS);
    let times: Vec<Times> = (0..10)
        .map(|i| (0..DAY_STEPS).map(|step| Workload::time_ms(0, i, step, 3)).collect())
        .collect();
    let series = workload.series.iter().zip(columns).map(|(series, values)| Series {
        labels: Labels::new(series.labels.clone()),
        values: values.into(),
        timestamps_ms: Arc::clone(&times[series.instance]),
        ..Series::default()
    });
    Fleet(series.collect())
}

/// Processor time of this thread where the system tells, else the time that went by: machines are
/// shared.
fn clock(began: Instant) -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| began.elapsed(), Duration::from_nanos)
}

fn main() {
    let began = Instant::now();
    let fleet = fleet();
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let threads_max = std::env::var("THREADS").map_or(1, |n| n.parse().unwrap_or(1));
    let engine = Engine::new(Limits { threads_max, ..Limits::default() });
    let queries = [
        ("day", "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))"),
        ("day", "sum by (instance) (rate({job=\"node\"}[5m]))"),
        ("day", "rate(node_cpu_seconds_total[5m])"),
        (
            "day",
            "histogram_quantile(0.9, sum by (le, instance) \
             (rate(http_request_duration_seconds_bucket[5m])))",
        ),
        ("day", "histogram_quantile(0.9, rate(http_request_duration_seconds_bucket[5m]))"),
        ("day", "topk(5, rate(node_cpu_seconds_total[5m]))"),
        ("day", "quantile(0.9, rate(node_cpu_seconds_total[5m]))"),
        ("day", "avg_over_time(node_cpu_seconds_total[5m])"),
        ("day", "max_over_time(node_cpu_seconds_total[5m])"),
        ("day", "avg_over_time(node_cpu_seconds_total{cpu=\"0\"}[12h])"),
        ("day", "rate(node_cpu_seconds_total[5m]) / rate(node_cpu_seconds_total[10m])"),
        ("day", "node_cpu_seconds_total"),
        ("day", "sum(node_cpu_seconds_total)"),
        ("day", "avg without (cpu) (irate(node_cpu_seconds_total[5m])) * 100"),
        (
            "day",
            "max_over_time(sum by (instance) (rate(node_network_receive_bytes_total[5m]))[1h:1m])",
        ),
        ("hour", "sum by (instance) (rate({job=\"node\"}[5m]))"),
        ("now", "sum by (instance) (rate({job=\"node\"}[5m]))"),
    ];
    for (span, query) in queries.into_iter().filter(|(_, query)| query.contains(&only)) {
        let (start, step) = match span {
            "day" => (0, 60_000),
            "hour" => (DAY_MS - 3_600_000, 15_000),
            _ => (DAY_MS, 60_000),
        };
        let mut best = Duration::MAX;
        let mut series = 0;
        for _ in 0..10 {
            let begin = clock(began);
            let result = engine.range(&fleet, query, (start, DAY_MS), step, &Context::default());
            best = best.min(clock(began) - begin);
            match result.map(|result| result.value) {
                Ok(promql::QueryValue::Matrix(matrix)) => series = matrix.len(),
                other => println!("{query}: {other:?}"),
            }
        }
        assert!(series > 0, "{query} finds nothing");
        println!("{:>9.2} ms {series:>5} series {span:<4}  {query}", best.as_secs_f64() * 1000.0);
    }
}
