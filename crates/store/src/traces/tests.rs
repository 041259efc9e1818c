// SPDX-License-Identifier: Apache-2.0
use otlp_wire::write::{Span, Traces as Writer};
use otlp_wire::{SpanKind, StatusCode};

use super::*;

fn span(trace: u8, id: u8, parent: Option<u8>, start: u64, end: u64) -> Span<'static> {
    Span {
        trace_id: [trace; 16],
        span_id: [id; 8],
        parent_span_id: parent.map(|p| [p; 8]),
        name: if parent.is_none() { "root" } else { "child" },
        start,
        end,
        ..Span::default()
    }
}

fn spans(service: &str, all: &[Span<'_>]) -> Payload {
    let mut w = Writer::new();
    w.resource(|r| {
        r.str("service.name", service);
        r.str("host.name", "h1");
    });
    w.scope("lib", "1");
    for span in all {
        w.span(span, |a| a.int("n", i64::from(span.span_id[0])));
        w.event(span.start + 1, "event", |a| a.bool("seen", true));
    }
    w.finish()
}

fn traces() -> Traces {
    Traces::new(Limits::default())
}

#[test]
fn a_trace_is_gathered_from_several_payloads_and_services() {
    let traces = traces();
    let failed =
        Span { status: StatusCode::Error, status_message: "no", ..span(1, 2, Some(1), 20, 90) };
    traces.push(&spans("back", &[failed, span(2, 9, Some(8), 500, 510)]), 1);
    traces.push(&spans("front", &[span(1, 1, None, 30, 80)]), 2);
    traces.push(&spans("back", &[failed]), 3);

    let all = traces.list(&SpanQuery::default()).expect("a list");
    assert_eq!(all.iter().map(|t| t.trace_id[0]).collect::<Vec<_>>(), [2, 1]);
    let first = &all[1];
    assert_eq!((first.service.as_str(), first.name.as_str()), ("front", "root"));
    assert_eq!((first.start, first.duration(), first.spans, first.errors), (20, 70, 2, 1));
    let services: Vec<_> =
        first.services.iter().map(|s| (s.name.as_str(), s.spans, s.errors)).collect();
    assert_eq!(services, [("back", 1, 1), ("front", 1, 0)]);
    assert_eq!((all[0].name.as_str(), all[0].orphans, first.orphans), ("child", 1, 0));

    let found = traces.get(&[[1; 16], [9; 16]]).expect("traces");
    let ids: Vec<u8> = found[0]
        .traces()
        .flat_map(|r| r.scopes().flat_map(|s| s.spans()).collect::<Vec<_>>())
        .map(|span| span.span_id().unwrap_or_default()[0])
        .collect();
    assert_eq!(ids, [2, 1]);
    assert_eq!((found[0].items(), found[1].items()), (2, 0));
}

fn nine() -> Traces {
    let traces = traces();
    for trace in 1..=9u8 {
        let status = if trace % 3 == 0 { StatusCode::Error } else { StatusCode::Ok };
        let kind = if trace > 5 { SpanKind::Server } else { SpanKind::Client };
        let start = u64::from(trace) * 10;
        let one = Span { status, kind, ..span(trace, trace, None, start, start * 2) };
        let child = span(trace, 100, Some(trace), start, start + 1);
        traces.push(&spans(if trace % 2 == 0 { "even" } else { "odd" }, &[one, child]), 1);
    }
    traces
}

fn check_nine(traces: &Traces) {
    let ids = |query: SpanQuery| -> Vec<u8> {
        let query = SpanQuery { operation: Some("root".into()), ..query };
        traces.search(&query).expect("found").iter().map(|id| id[0]).collect()
    };
    let all = SpanQuery::default();
    let tags = |tags: &[(&str, &str)]| SpanQuery {
        tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..SpanQuery::default()
    };
    assert_eq!(ids(SpanQuery { service: Some("even".into()), ..all.clone() }), [8, 6, 4, 2]);
    assert_eq!(ids(SpanQuery { status: Some(2), ..all.clone() }), [9, 6, 3]);
    assert_eq!(ids(SpanQuery { kind: Some(SpanKind::Server), ..all.clone() }), [9, 8, 7, 6]);
    assert_eq!(ids(SpanQuery { duration_min: 80, ..all.clone() }), [9, 8]);
    assert_eq!(ids(SpanQuery { duration_max: 20, ..all.clone() }), [2, 1]);
    assert_eq!(ids(SpanQuery { start: 30, end: 40, ..all.clone() }), [4, 3]);
    assert_eq!(ids(SpanQuery { limit: 2, ..all.clone() }), [9, 8]);
    assert_eq!(ids(tags(&[("n", "4")])), [4]);
    assert_eq!(ids(tags(&[("n", "4"), ("host.name", "h1"), ("seen", "true")])), [4]);
    assert_eq!(ids(tags(&[("error", "true"), ("span.kind", "server")])), [9, 6]);
    assert_eq!(ids(tags(&[("otel.scope.name", "lib"), ("n", "5")])), [5]);
    assert!(ids(tags(&[("n", "77")])).is_empty());

    let operations = traces.operations().expect("operations");
    let names: Vec<_> = operations["even"].iter().map(|o| (o.name.as_str(), o.kind)).collect();
    assert_eq!(names, [("child", 0), ("root", 2), ("root", 3)]);
    assert_eq!(operations.keys().collect::<Vec<_>>(), ["even", "odd"]);
}

#[test]
fn spans_are_searched_by_all_that_jaeger_asks_for() {
    check_nine(&nine());
}

fn catalog(objects: Arc<dyn crate::blocks::Objects>) -> Arc<Catalog> {
    let options = crate::blocks::CatalogOptions {
        tenant: "t".to_owned(),
        signal: "traces",
        writer: Some("w".to_owned()),
    };
    let clock = basics::Clock::manual(1_790_000_000_000_000_000);
    Arc::new(Catalog::open(objects, options, clock, basics::Random::seeded(7)).expect("opens"))
}

/// Puts all of memory into a block.
fn flush(traces: &Traces, catalog: &Catalog) -> BlockInfo {
    let rows = traces.take(u64::MAX);
    let block = write_block(catalog, &rows).expect("written").expect("rows");
    catalog.commit(vec![block.clone()], &[], None).expect("committed");
    traces.release(&rows);
    assert_eq!(traces.stats().items, 0);
    block
}

#[test]
fn a_block_answers_as_memory_did() {
    let (traces, catalog) = (nine(), catalog(Arc::new(crate::blocks::Memory::new())));
    traces.attach(catalog.clone());
    flush(&traces, &catalog);
    check_nine(&traces);
    // And so does what two of them become.
    let other = nine();
    let rows = other.take(u64::MAX);
    let second = write_block(&catalog, &rows).expect("written").expect("rows");
    catalog.commit(vec![second], &[], None).expect("committed");
    let merge = Merge { level: 1, inputs: catalog.live().to_vec() };
    let merged = compact(&catalog, &merge).expect("merged").expect("rows");
    assert_eq!((merged.rows, merged.level, catalog.live().len()), (36, 1, 1));
    check_nine(&traces);
    assert_eq!(traces.get(&[[3; 16]]).expect("found")[0].items(), 2);
}

#[test]
fn spans_come_back_from_a_block_as_they_were() {
    let (traces, catalog) = (traces(), catalog(Arc::new(crate::blocks::Memory::new())));
    let mut w = Writer::new();
    for n in 0..300u64 {
        if n % 7 == 0 {
            w.resource(|r| r.str("service.name", if n % 2 == 0 { "a" } else { "b" }));
            w.scope("lib", "1");
        }
        let one = Span {
            trace_id: [(n / 10) as u8 + 1; 16],
            span_id: (n + 1).to_be_bytes(),
            parent_span_id: (n % 10 != 0)
                .then(|| if n % 10 == 9 { [7; 8] } else { n.to_be_bytes() }),
            trace_state: if n % 5 == 0 { "k=v" } else { "" },
            name: if n % 3 == 0 { "" } else { "op" },
            kind: SpanKind::from_number((n % 6) as i32),
            start: if n == 1 { 0 } else { 1_000_000 + n },
            end: if n % 11 == 0 { 0 } else { 2_000_000 },
            status: StatusCode::from_number((n % 3) as i32),
            status_message: if n % 9 == 2 { "why" } else { "" },
            flags: (n % 2) as u32,
        };
        w.span(&one, |a| {
            a.str("text", "value");
            a.int("int", -(n as i64));
            a.double("double", n as f64 / 3.0);
            a.bool("bool", n % 2 == 0);
            if n % 2 == 0 {
                a.str("mixed", "t")
            } else {
                a.int("mixed", 1)
            }
            a.str("empty", "");
            a.strs("list", &["x", "y"]);
            a.double("nan", f64::NAN);
            if n == 17 {
                a.str("rare", "found");
            }
        });
        if n % 4 == 0 {
            w.event(5, "e", |a| a.str("in.event", "yes"));
            w.link([9; 16], [9; 8], |a| a.bool("l", true));
        }
    }
    let payload = w.finish();
    traces.push(&payload, 1);
    traces.attach(catalog.clone());
    let ids: Vec<TraceId> = (1..=30).map(|n| [n; 16]).collect();
    let hashes = |found: &[Payload]| -> Vec<u64> {
        let mut all = Vec::new();
        for resource in found.iter().flat_map(|p| p.traces()) {
            for scope in resource.scopes() {
                let head = RowHead::new(Head::of(&resource, &scope));
                all.extend(scope.spans().map(|span| content_hash(&head, span.raw())));
            }
        }
        all.sort_unstable();
        all
    };
    let before = hashes(&traces.get(&ids).expect("found"));
    assert_eq!(before.len(), 300);
    let block = flush(&traces, &catalog);
    let after = traces.get(&ids).expect("found");
    assert!(hashes(&after) == before, "an element differs");
    let mut told = block_hashes(&catalog, &block).expect("hashes");
    told.sort_unstable();
    assert!(told == before, "another hash");
    for payload in &after {
        Payload::admit(otlp_wire::Signal::Traces, payload.bytes().clone()).expect("admitted");
    }
    let search = |key: &str, value: &str| {
        let tags = vec![(key.to_owned(), value.to_owned())];
        traces.search(&SpanQuery { tags, ..SpanQuery::default() }).expect("found")
    };
    for (key, value, found) in [
        ("rare", "found", 1),
        ("in.event", "yes", 20),
        ("mixed", "1", 20),
        ("int", "-17", 1),
        ("list", "[\"x\",\"y\"]", 20),
        ("bool", "false", 20),
        ("empty", "", 20),
        ("text", "other", 0),
    ] {
        assert_eq!(search(key, value).len(), found, "{key}={value}");
    }
    // A replay leaves out what the block holds.
    let held = |hash: u64| before.binary_search(&hash).is_ok();
    traces.push_unless(&payload, 2, Some(&held));
    assert_eq!(traces.stats().items, 0);
}

#[test]
fn a_damaged_block_is_set_aside_and_the_rest_answers() {
    let objects = Arc::new(crate::blocks::Memory::new());
    let (traces, catalog) = (nine(), catalog(objects.clone()));
    traces.attach(catalog.clone());
    let block = flush(&traces, &catalog);
    traces.push(&spans("late", &[span(77, 1, None, 5, 6)]), 1);
    assert!(objects.flip_bit(&block.path, 40, 3));
    let found = traces.get(&[[1; 16], [77; 16]]).expect("found");
    assert_eq!((found[0].items(), found[1].items()), (0, 1));
    assert!(catalog.live().is_empty());
}

#[test]
fn memory_keeps_its_bounds_and_takes_are_found_until_released() {
    let limits = Limits { rows_max: 10_000, ..Limits::default() };
    let traces = Traces::new(limits);
    for n in 0..30_000u64 {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        traces.push(&spans("s", &[Span { trace_id: id, ..span(0, 1, None, n, n + 1) }]), n);
    }
    let stats = traces.stats();
    assert!(stats.items <= 10_000 && stats.items > 5_000, "{stats:?}");
    assert_eq!(stats.items + stats.dropped, 30_000);

    let taken = traces.take(29_000);
    assert!(taken.iter().all(|(row, _)| row.received < 29_000));
    assert_eq!(taken.len() as u64, stats.items - 1000);
    let oldest = taken.iter().next().expect("a row").0.meta.trace_id;
    let found = |id: TraceId| traces.get(&[id]).expect("found")[0].items();
    assert_eq!(found(oldest), 1);
    traces.release(&taken);
    assert_eq!((found(oldest), traces.stats().items), (0, 1000));
    traces.release(&traces.take(u64::MAX));
    assert_eq!((traces.stats().items, traces.stats().bytes), (0, 0));
}
