// SPDX-License-Identifier: Apache-2.0
//! Memory a series: what the process holds after ingesting so many series for so long.
//!
//! Gauges and sums of one point each with 5 attributes, 2,000 a service, 15 s apart; what the
//! allocator has from the system counts. Series and steps: `MEMORY_SERIES` (200,000) and
//! `MEMORY_STEPS` (130, enough that all groups have been sealed once).
//!
//! Run: `cargo bench -p store --bench memory`.

use otlp_wire::Payload;
use otlp_wire::Temporality;
use otlp_wire::write::{AttrWriter, Metrics};
use store::{Head, HeadOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: u64 = 1_700_000_000_000_000_000;
const STEP: u64 = 15_000_000_000;
const A_SERVICE: u64 = 2_000;

fn payload(service: u64, step: u64) -> Payload {
    let time = NOW + step * STEP;
    let mut w = Metrics::new();
    w.resource(|r| {
        r.str("service.name", &format!("service-{service}"));
        r.str("host.name", &format!("host-{}", service % 40));
        r.str("deployment.environment.name", "production");
    });
    w.scope("instrumentation", "1.2.3");
    for metric in 0..20 {
        let attrs = |i: u64| {
            move |a: &mut AttrWriter<'_>| {
                a.str("http.request.method", "GET");
                a.str("http.route", &format!("/api/v1/items/{i}"));
                a.int("http.response.status_code", 200);
                a.str("network.protocol.version", "1.1");
            }
        };
        let points = A_SERVICE / 20;
        if metric % 2 == 0 {
            w.gauge(&format!("gauge.{metric}"), "By", "", |p| {
                for i in 0..points {
                    p.double(time, ((step * 7 + i) * 4096) as f64, attrs(i));
                }
            });
        } else {
            w.sum(&format!("sum.{metric}"), "1", "", Temporality::Cumulative, true, |p| {
                for i in 0..points {
                    p.int(time, (step * (i + 3) + step * step % 7) as i64, attrs(i));
                }
            });
        }
    }
    w.finish()
}

/// Bytes of memory the process has.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn main() {
    let services = number("MEMORY_SERIES", 200_000).div_ceil(A_SERVICE);
    let steps = number("MEMORY_STEPS", 130);
    let before = resident();
    let mut options = HeadOptions::default();
    options.limits.series_max = 4_000_000;
    options.limits.samples_max = u64::MAX;
    let head = Head::new(options);
    let mut most = 0;
    for step in 0..steps {
        for service in 0..services {
            head.ingest(&payload(service, step), NOW + step * STEP);
        }
        let now = resident() - before;
        most = most.max(now);
        if step % 10 == 0 || step + 1 == steps {
            let stats = head.stats();
            println!(
                "step {step}: {} series, {} B each; samples {} B, cache {} B; most {} B each",
                stats.series,
                now / stats.series,
                stats.sample_bytes / stats.series,
                stats.cache_bytes / stats.series,
                most / stats.series,
            );
        }
    }
    let misses = head.stats().total.cache_misses;
    println!("{} points resolved for {} series", misses, head.stats().series);
}
