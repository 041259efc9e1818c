// SPDX-License-Identifier: Apache-2.0
//! Blocks of spans: what a span weighs, how fast blocks are written and searched, and a trace by id
//! over a thousand blocks. 400,000 spans of some 310 bytes in traces of eight, nine services.

use std::sync::Arc;
use std::time::Instant;

use basics::{Clock, Random};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use otlp_wire::write::{Span, Traces as Writer};
use otlp_wire::{Payload, SpanKind, StatusCode, TraceId};
use store::blocks::{Catalog, CatalogOptions, Local, Memory, Objects};
use store::rows::Limits;
use store::traces::{SpanQuery, Traces, write_block};

const SPANS: u64 = 400_000;
const EACH: u64 = 8;
const SERVICES: [&str; 9] =
    ["web", "cart", "checkout", "catalog", "payment", "users", "mail", "stock", "search"];
const START: u64 = 1_790_000_000_000_000_000;

fn trace_id(number: u64) -> TraceId {
    let mut random = Random::seeded(number + 1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random.next_u64().to_be_bytes());
    id[8..].copy_from_slice(&random.next_u64().to_be_bytes());
    id
}

/// Traces `from..to`, each span after its parent.
fn payload(from: u64, to: u64) -> Payload {
    let mut w = Writer::new();
    for number in from..to {
        let mut random = Random::seeded(number);
        let trace_id = trace_id(number);
        let mut parent = None;
        let mut start = START + number * 4_000_000 + random.below(1_000_000);
        let user = format!("user-{}", random.below(10_000));
        for n in 0..EACH {
            let service = SERVICES[(random.below(9)) as usize];
            w.resource(|r| {
                r.str("service.name", service);
                r.str("service.version", "1.4.2");
                r.str("deployment.environment.name", "prod");
            });
            w.scope("io.opentelemetry.http", "1.32.0");
            let operation = random.below(12);
            let name = format!("/api/v1/{service}/resource-{operation}");
            let status = if random.below(50) == 0 { StatusCode::Error } else { StatusCode::Unset };
            let span_id = random.next_u64().to_be_bytes();
            let length = 100_000 + random.below(40_000_000);
            let span = Span {
                trace_id,
                span_id,
                parent_span_id: parent,
                name: &name,
                kind: if n % 2 == 0 { SpanKind::Server } else { SpanKind::Client },
                start,
                end: start + length,
                status,
                ..Span::default()
            };
            let method = ["GET", "GET", "GET", "POST", "PUT"][random.below(5) as usize];
            let code = if status == StatusCode::Error { 500 } else { 200 };
            let pod = random.below(6);
            w.span(&span, |a| {
                a.str("http.request.method", method);
                a.str("http.route", &name);
                a.int("http.response.status_code", code);
                a.str("user.id", &user);
                a.str("k8s.pod.name", &format!("{service}-7d9f8b6c5-{pod}"));
                a.str("net.peer.ip", &format!("10.0.{pod}.{operation}"));
                a.bool("cache.hit", operation.is_multiple_of(3));
            });
            start += 20_000 + random.below(1_000_000);
            parent = Some(span_id);
        }
    }
    w.finish()
}

fn catalog(objects: Arc<dyn Objects>) -> Arc<Catalog> {
    let options = CatalogOptions {
        tenant: "bench".to_owned(),
        signal: "traces",
        writer: Some("w".to_owned()),
    };
    let catalog = Catalog::open(objects, options, Clock::manual(START), Random::seeded(1));
    Arc::new(catalog.expect("a catalog"))
}

/// Spans of traces `from..to` as one block of `catalog`.
fn flush(catalog: &Catalog, from: u64, to: u64) -> store::blocks::BlockInfo {
    let memory = Traces::new(Limits { bytes_max: 1 << 30, rows_max: 1 << 24 });
    for at in (from..to).step_by(64) {
        memory.push(&payload(at, (at + 64).min(to)), 1);
    }
    let rows = memory.take(u64::MAX);
    write_block(catalog, &rows).expect("written").expect("rows")
}

fn store_of(objects: Arc<dyn Objects>, blocks: u64, traces_each: u64) -> (Traces, u64, f64) {
    let catalog = catalog(objects);
    let begun = Instant::now();
    let all: Vec<_> =
        (0..blocks).map(|n| flush(&catalog, n * traces_each, (n + 1) * traces_each)).collect();
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = all.iter().map(|block| block.bytes).sum();
    catalog.commit(all, &[], None).expect("committed");
    let traces = Traces::new(Limits::default());
    traces.attach(catalog);
    (traces, bytes, seconds)
}

fn search(c: &mut Criterion) {
    let wire = payload(0, 1000).len() as f64 / (1000 * EACH) as f64;
    let (traces, bytes, seconds) = store_of(Arc::new(Memory::new()), 1, SPANS / EACH);
    eprintln!(
        "{SPANS} spans: {wire:.0} B/span OTLP, {:.1} B/span in the block; made and written in {seconds:.2} s",
        bytes as f64 / SPANS as f64
    );
    let mut group = c.benchmark_group("spans");
    group.sample_size(20).throughput(Throughput::Elements(SPANS));
    let tags = vec![("user.id".to_owned(), "user-77".to_owned())];
    let service = Some("cart".to_owned());
    for (name, query) in [
        (
            "service and user.id",
            SpanQuery { service: service.clone(), tags: tags.clone(), ..SpanQuery::default() },
        ),
        ("user.id", SpanQuery { tags, ..SpanQuery::default() }),
        (
            "service and duration",
            SpanQuery { service, duration_min: 40_000_000, ..SpanQuery::default() },
        ),
    ] {
        group.bench_function(name, |b| b.iter(|| traces.search(&query).expect("found").len()));
    }
    group.finish();
}

fn lookup(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let files = Arc::new(basics::files::RealFiles);
    let objects = Arc::new(Local::new(files, folder.path()));
    let (traces, ..) = store_of(objects, 1000, 50);
    let mut number = 0;
    c.bench_function("a trace by id over 1000 blocks on disk", |b| {
        b.iter(|| {
            number = (number + 7919) % 50_000;
            let found = traces.get(&[trace_id(number)]).expect("found");
            assert_eq!(found[0].items(), EACH as u32);
        });
    });
}

criterion_group!(benches, search, lookup);
criterion_main!(benches);
