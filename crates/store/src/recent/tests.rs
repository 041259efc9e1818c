// SPDX-License-Identifier: Apache-2.0
use otlp_wire::write::{Log, Logs, Span, Traces};
use otlp_wire::{Payload, StatusCode};

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
    let mut w = Traces::new();
    w.resource(|r| r.str("service.name", service));
    w.scope("lib", "1");
    for span in all {
        w.span(span, |a| a.int("n", 1));
        w.event(span.start + 1, "event", |_| ());
    }
    w.finish()
}

#[test]
fn a_trace_is_gathered_from_several_payloads_and_services() {
    let recent = RecentTraces::new(RecentLimits::default());
    let failed =
        Span { status: StatusCode::Error, status_message: "no", ..span(1, 2, Some(1), 20, 90) };
    recent.push(&spans("back", &[failed, span(2, 9, Some(8), 500, 510)]));
    recent.push(&spans("front", &[span(1, 1, None, 30, 80)]));
    recent.push(&spans("back", &[failed]));

    let all = recent.list(TraceQuery { limit: 10, ..TraceQuery::default() });
    assert_eq!(all.iter().map(|t| t.trace_id[0]).collect::<Vec<_>>(), [2, 1]);
    let first = &all[1];
    assert_eq!((first.service.as_str(), first.name.as_str()), ("front", "root"));
    assert_eq!((first.start, first.duration, first.spans, first.errors), (20, 70, 3, 2));
    assert_eq!(first.services, [("back".to_owned(), 2), ("front".to_owned(), 1)]);
    assert_eq!((all[0].service.as_str(), all[0].name.as_str()), ("back", "child"));

    let trace = recent.get([1; 16]);
    assert_eq!(trace.iter().map(|s| s.span_id[0]).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((trace[0].status, trace[0].status_message.as_str()), (StatusCode::Error, "no"));
    assert_eq!(trace[0].attributes, [("n".to_owned(), "1".to_owned())]);
    assert_eq!(trace[0].resource, [("service.name".to_owned(), "back".to_owned())]);
    assert_eq!((trace[0].events[0].time, trace[0].scope.as_str()), (21, "lib"));
    assert!(recent.get([9; 16]).is_empty());
}

#[test]
fn traces_are_listed_by_service_error_and_duration() {
    let recent = RecentTraces::new(RecentLimits::default());
    for trace in 1..=9u8 {
        let status = if trace % 3 == 0 { StatusCode::Error } else { StatusCode::Ok };
        let span = Span { status, ..span(trace, 1, None, 100, 100 + u64::from(trace)) };
        recent.push(&spans(if trace % 2 == 0 { "even" } else { "odd" }, &[span]));
    }
    let ids = |query: TraceQuery<'_>| -> Vec<u8> {
        recent.list(query).iter().map(|trace| trace.trace_id[0]).collect()
    };
    let all = TraceQuery { limit: 100, ..TraceQuery::default() };
    assert_eq!(ids(TraceQuery { service: Some("even"), ..all }), [2, 4, 6, 8]);
    assert_eq!(ids(TraceQuery { errors_only: true, ..all }), [3, 6, 9]);
    assert_eq!(ids(TraceQuery { duration_min: 8, ..all }), [8, 9]);
    assert_eq!(ids(TraceQuery { limit: 2, ..all }), [1, 2]);
}

#[test]
fn rings_keep_their_bounds() {
    let one = spans("s", &[span(1, 1, None, 1, 2)]);
    let by_bytes = RecentLimits { bytes_max: one.len() * 3, items_max: 100 };
    let by_items = RecentLimits { bytes_max: 1 << 20, items_max: 3 };
    for limits in [by_bytes, by_items] {
        let recent = RecentTraces::new(limits);
        for trace in 1..=10 {
            recent.push(&spans("s", &[span(trace, 1, None, u64::from(trace), 100)]));
        }
        let stats = recent.stats();
        assert_eq!((stats.items, stats.dropped), (3, 7));
        let left = recent.list(TraceQuery { limit: 10, ..TraceQuery::default() });
        assert_eq!(left.iter().map(|t| t.trace_id[0]).collect::<Vec<_>>(), [10, 9, 8]);
    }
}

#[test]
fn logs_come_newest_first_and_filtered() {
    let recent = RecentLogs::new(RecentLimits::default());
    for i in 1..=6u8 {
        let mut w = Logs::new();
        w.resource(|r| r.str("service.name", if i % 2 == 0 { "even" } else { "odd" }));
        let body = format!("message {i}");
        let log = Log {
            time: if i == 6 { 0 } else { u64::from(i) },
            observed_time: 3,
            severity_number: i32::from(i),
            body: body.as_str().into(),
            trace_id: (i == 4).then_some([4; 16]),
            ..Log::default()
        };
        w.log(&log, |a| a.bool("yes", true));
        recent.push(&w.finish());
    }
    let bodies = |query: LogQuery<'_>| -> Vec<u8> {
        let records = recent.list(query);
        records.iter().map(|record| record.body.as_bytes()[8] - b'0').collect()
    };
    let all = LogQuery { limit: 100, ..LogQuery::default() };
    assert_eq!(bodies(all), [5, 4, 6, 3, 2, 1]);
    assert_eq!(bodies(LogQuery { service: Some("odd"), ..all }), [5, 3, 1]);
    assert_eq!(bodies(LogQuery { severity_min: 4, ..all }), [5, 4, 6]);
    assert_eq!(bodies(LogQuery { contains: "ge 2", ..all }), [2]);
    assert_eq!(bodies(LogQuery { trace_id: Some([4; 16]), ..all }), [4]);
    assert_eq!(bodies(LogQuery { limit: 1, ..all }), [5]);
    let record = &recent.list(LogQuery { limit: 1, ..all })[0];
    assert_eq!(record.attributes, [("yes".to_owned(), "true".to_owned())]);
}
