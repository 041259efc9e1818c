// SPDX-License-Identifier: Apache-2.0
//! What range queries cost from the request to the last byte of JSON, over a day of the 2,020
//! series workload and a month of 1,010 of them on disk: `cargo bench -p query-api --bench range`.
//! Processor time of the whole process, one thread a query, the best of ten; an argument picks the
//! queries that contain it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use basics::Clock;
use basics::files::RealFiles;
use basics::labels::Labels;
use http_body_util::BodyExt;
use otlp_wire::Signal;
use pipeline::host::Host;
use query_api::{Api, routes};
use store::columns::SeriesColumns;
use store::metrics::write_block;
use store::{Store, StoreOptions};
use tower::ServiceExt;

#[path = "../../testkit/src/workload.rs"]
#[allow(dead_code, reason = "a module of tests, of which a bench needs a part")]
mod workload;

use workload::{DAY_STEPS, STEP_MS, Workload};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// 2026-09-21T00:00:00Z.
const START_MS: i64 = 1_789_948_800_000;

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What is on disk, and what is asked of it.
struct Scene {
    instances: usize,
    days: usize,
    blocks: usize,
    /// First and last step before the end, and from one to the next, seconds.
    range: (i64, i64, i64),
    queries: &'static [&'static str],
}

impl Scene {
    fn end_ms(&self) -> i64 {
        START_MS + (self.days * DAY_STEPS) as i64 * STEP_MS
    }
}

fn write(store: &Store, scene: &Scene) {
    let mut workload = Workload::new(scene.instances, 1);
    let labels: Vec<Labels> =
        workload.series.iter().map(|series| Labels::new(series.labels.clone())).collect();
    let instances: Vec<usize> = workload.series.iter().map(|series| series.instance).collect();
    let catalog = store.storage().catalog(Signal::Metrics);
    let (blocks, all) = (scene.blocks, scene.days * DAY_STEPS);
    for block in 0..blocks {
        let steps = block * all / blocks..(block + 1) * all / blocks;
        let time = |instance, step| Workload::time_ms(START_MS, instance, step, 3);
        let times: Vec<Arc<[i64]>> = (0..scene.instances)
            .map(|i| steps.clone().map(|step| time(i, step)).collect())
            .collect();
        let columns = workload.columns(steps.len());
        let series = labels.iter().zip(&instances).zip(columns);
        let series = series.map(|((labels, instance), values)| SeriesColumns {
            labels: labels.clone(),
            times: times[*instance].clone(),
            values: values.into(),
            ..SeriesColumns::default()
        });
        let block = write_block(catalog, series).expect("written").expect("samples");
        catalog.commit(vec![block], &[], None).expect("committed");
    }
}

fn api(folder: &std::path::Path, scene: &Scene) -> Router {
    let clock = Clock::manual(scene.end_ms() as u64 * 1_000_000);
    let (options, files) = (StoreOptions::default(), Arc::new(RealFiles));
    let store = Store::open(folder, options, files, clock.clone()).expect("an empty directory");
    write(&store, scene);
    let store = Arc::new(store);
    let host = Host::new(folder.to_owned());
    host.health().set_ready(1);
    let threads_max = std::env::var("THREADS").map_or(1, |n| n.parse().unwrap_or(1));
    routes(Api {
        host,
        clock,
        started: 1,
        version: "bench",
        limits: promql::Limits { threads_max, ..promql::Limits::default() },
        admin: false,
        store: Arc::new(move || Some(store.clone())),
    })
}

/// Asks, and gives the bytes of the answer.
async fn ask(router: &Router, query: &str, scene: &Scene) -> usize {
    let (first, last, step) = scene.range;
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let (start, end) = (scene.end_ms() / 1000 - first, scene.end_ms() / 1000 - last);
    let path = format!("/api/v1/query_range?query={query}&start={start}&end={end}&step={step}");
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = router.clone().oneshot(request).await.expect("infallible");
    assert_eq!(answer.status(), 200);
    let (mut body, mut bytes) = (answer.into_body(), 0);
    while let Some(frame) = body.frame().await {
        bytes += frame.expect("sent").data_ref().map_or(0, |data| data.len());
    }
    bytes
}

const DAY: [&str; 7] = [
    "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))",
    "rate(node_cpu_seconds_total[5m])",
    "histogram_quantile(0.9, sum by (le, instance) \
     (rate(http_request_duration_seconds_bucket[5m])))",
    "topk(5, rate(node_cpu_seconds_total[5m]))",
    "avg by (instance) (avg_over_time(node_cpu_seconds_total[5m]))",
    "sum by (instance) (rate(node_cpu_seconds_total{mode=\"user\"}[5m])) \
     / sum by (instance) (rate(node_cpu_seconds_total[5m]))",
    "node_cpu_seconds_total",
];

/// Windows of days, for which the statistics of blocks are kept.
const LONG: [&str; 6] = [
    "sum by (instance) (increase(node_cpu_seconds_total[30d]))",
    "sum by (instance) (increase(http_requests_total[30d]))",
    "sum(avg_over_time({__name__=~\"node_.*\"}[30d]))",
    "max(max_over_time({__name__=~\"node_.*\"}[30d]))",
    "sum(count_over_time({__name__=~\"node_.*\"}[30d]))",
    "sum(avg_over_time({__name__=~\"node_.*\"}[7d]))",
];

/// Windows of an hour: shorter than a row, so that all samples are decoded.
const HOURLY: [&str; 3] = [
    "sum by (instance) (increase(node_cpu_seconds_total[1h]))",
    "sum(avg_over_time({__name__=~\"node_.*\"}[1h]))",
    "sum(node_cpu_seconds_total)",
];

fn main() {
    let only = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (day, hour) = (86_400, 3_600);
    let of_day = |blocks| {
        let range = (day, 0, 60);
        ("a day at 1 min", Scene { instances: 10, days: 1, blocks, range, queries: &DAY })
    };
    let of_month = |range, queries| Scene { instances: 5, days: 31, blocks: 31, range, queries };
    let scenes = [
        of_day(1),
        of_day(12),
        // Eight steps that end at the edge of no block.
        ("a day at 3 h after a month", of_month((day - 600, 600, 3 * hour), &LONG)),
        ("a month at 1 h", of_month((30 * day, 0, hour), &HOURLY)),
    ];
    for (name, scene) in scenes {
        let queries = || scene.queries.iter().filter(|query| query.contains(&only));
        if queries().next().is_none() {
            continue;
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        let router = api(folder.path(), &scene);
        println!("{name}, {} series in {} blocks", 202 * scene.instances, scene.blocks);
        for query in queries() {
            let (mut best, mut bytes) = (Duration::MAX, 0);
            for _ in 0..10 {
                let begin = cpu();
                bytes = runtime.block_on(ask(&router, query, &scene));
                best = best.min(cpu() - begin);
            }
            assert!(bytes > 150, "{query} finds nothing");
            println!("{:>9.2} ms {:>8} kB  {query}", best.as_secs_f64() * 1e3, bytes / 1_000);
        }
    }
}
