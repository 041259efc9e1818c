// SPDX-License-Identifier: Apache-2.0
use opentelemetry_proto::tonic::trace::v1 as proto;

use super::*;
use crate::{AnyValue, Data, PointView, Signal, SpanView, StatusCode, Temporality, write};

type OnElement = fn(&mut Record<'_>, &Context<'_>) -> Verdict;

/// A pass made of functions.
#[derive(Default)]
struct Fns {
    resource: Option<fn(&mut Record<'_>)>,
    item: Option<OnElement>,
    point: Option<OnElement>,
}

impl Fns {
    fn each(&self, f: Option<OnElement>, record: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        f.map_or(Verdict::Keep, |f| f(record, at))
    }
}

impl Pass for Fns {
    fn resource(&mut self, resource: &mut Record<'_>) {
        if let Some(f) = self.resource {
            f(resource);
        }
    }
    fn span(&mut self, span: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.each(self.item, span, at)
    }
    fn log(&mut self, log: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.each(self.item, log, at)
    }
    fn metric(&mut self, metric: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.each(self.item, metric, at)
    }
    fn point(&mut self, point: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.each(self.point, point, at)
    }
}

fn run(payload: &Payload, fns: Vec<Fns>) -> (Edited, Vec<u32>) {
    let mut passes: Vec<Box<dyn Pass>> = Vec::new();
    for f in fns {
        passes.push(Box::new(f));
    }
    let mut scratch = Scratch::new();
    let edited = payload.edit(&mut passes, &mut scratch);
    if let Edited::Changed(changed) = &edited {
        let again = Payload::admit(changed.signal(), changed.bytes().clone());
        assert_eq!(again.as_ref(), Ok(changed), "edits give payloads that would be admitted");
    }
    (edited, scratch.dropped().to_vec())
}

fn item(f: OnElement) -> Fns {
    Fns { item: Some(f), ..Fns::default() }
}

fn point(f: OnElement) -> Fns {
    Fns { point: Some(f), ..Fns::default() }
}

/// Two resources, two scopes each, `spans` spans each, named by position.
fn traces(spans: usize) -> Payload {
    let mut w = write::Traces::new();
    for resource in 0..2 {
        w.resource(|r| r.int("resource", resource));
        for scope in 0..2 {
            w.scope(&format!("scope{scope}"), "1");
            for span in 0..spans {
                let name = format!("{resource}.{scope}.{span}");
                let span = write::Span { name: &name, start: span as u64, ..Default::default() };
                w.span(&span, |a| {
                    a.str("name", &name);
                    a.int("n", 7);
                    a.str("secret", "s");
                });
            }
        }
    }
    w.finish()
}

fn names(payload: &Payload) -> Vec<String> {
    let spans = payload.traces().flat_map(|r| r.scopes()).flat_map(|s| s.spans());
    spans.map(|s| s.name().to_owned()).collect()
}

fn changed(edited: Edited) -> Payload {
    match edited {
        Edited::Changed(payload) => payload,
        other => panic!("expected a change, got {other:?}"),
    }
}

#[test]
fn looking_without_touching_changes_nothing() {
    let look: OnElement = |r, at| {
        assert!(at.resource().attr("resource").is_some());
        assert!(at.scope().name().starts_with("scope"));
        assert_eq!(r.attrs().len(), 3);
        assert!(!r.attrs().remove("absent"));
        assert!(!r.attrs().update("absent", 1));
        assert!(!r.attrs().insert("n", 1));
        Verdict::Keep
    };
    let (edited, dropped) = run(&traces(3), vec![item(look), item(look)]);
    assert_eq!((edited, dropped), (Edited::Unchanged, vec![0, 0]));
}

#[test]
fn dropped_spans_take_empty_scopes_and_resources_with_them() {
    let payload = traces(2);
    let (edited, dropped) = run(
        &payload,
        vec![
            item(|r, _| if r.name() == "0.0.1" { Verdict::Drop } else { Verdict::Keep }),
            item(|r, _| if r.name() == "0.1.0" { Verdict::Keep } else { Verdict::Drop }),
        ],
    );
    let payload = changed(edited);
    assert_eq!(names(&payload), ["0.1.0"]);
    assert_eq!((payload.items(), dropped), (1, vec![1, 6]));
    assert_eq!(payload.traces().count(), 1);
    assert_eq!(payload.traces().flat_map(|r| r.scopes()).count(), 1);
}

#[test]
fn dropping_all_leaves_nothing() {
    let (edited, dropped) = run(&traces(2), vec![item(|_, _| Verdict::Drop)]);
    assert_eq!((edited, dropped), (Edited::Empty, vec![8]));
    let empty = Payload::empty(Signal::Traces);
    assert_eq!(run(&empty, vec![item(|_, _| Verdict::Drop)]).0, Edited::Unchanged);
}

#[test]
fn resources_are_edited_before_their_spans_and_created_when_absent() {
    let mut w = write::Traces::new();
    w.span(&write::Span::default(), |_| ());
    let bare = w.finish();
    for payload in [traces(1), bare] {
        let set = Fns {
            resource: Some(|r| r.attrs().upsert("added", "x")),
            item: Some(|_, at| {
                assert_eq!(at.resource().attr("added"), Some(AnyValue::Str("x")));
                Verdict::Keep
            }),
            ..Fns::default()
        };
        let edited = changed(run(&payload, vec![set]).0);
        assert!(edited.traces().all(|r| r.attr("added") == Some(AnyValue::Str("x"))));
        assert_eq!(names(&edited), names(&payload));
    }
}

#[test]
fn scopes_and_events_are_edited_where_they_are() {
    struct Tag;
    impl Pass for Tag {
        fn scope(&mut self, scope: &mut Record<'_>) {
            if scope.name() == "scope1" {
                scope.attrs().upsert("tagged", true);
            }
        }
        fn span(&mut self, span: &mut Record<'_>, at: &Context<'_>) -> Verdict {
            assert_eq!(at.scope().attrs().get("tagged").is_some(), at.scope().name() == "scope1");
            span.attrs().remove("secret");
            span.events(|event| {
                if event.name() == "second" {
                    event.attrs().upsert("k", "v");
                }
            });
            Verdict::Keep
        }
    }
    let mut w = write::Traces::new();
    for scope in ["scope0", "scope1"] {
        w.scope(scope, "");
        w.span(&write::Span::default(), |a| a.str("secret", "x"));
        for event in ["first", "second", "third"] {
            w.event(1, event, |a| a.int("n", 1));
        }
    }
    let payload = w.finish();
    let mut passes: Vec<Box<dyn Pass>> = vec![Box::new(Tag), Box::new(Fns::default())];
    let edited = changed(payload.edit(&mut passes, &mut Scratch::new()));
    assert_eq!(Payload::admit(Signal::Traces, edited.bytes().clone()).as_ref(), Ok(&edited));
    for span in edited.traces().flat_map(|r| r.scopes()).flat_map(|s| s.spans()) {
        assert!(span.attrs().is_empty());
        let events: Vec<_> = span.events().map(|e| (e.name(), e.attrs().count())).collect();
        assert_eq!(events, [("first", 1), ("second", 2), ("third", 1)]);
    }
    let tagged: Vec<bool> = edited
        .traces()
        .flat_map(|r| r.scopes())
        .map(|s| s.scope().attrs().get("tagged").is_some())
        .collect();
    assert_eq!(tagged, [false, true]);
}

#[test]
fn every_attribute_edit_does_what_it_says() {
    let edited = run(
        &traces(1),
        vec![
            item(|r, _| {
                let mut a = r.attrs();
                a.upsert("n", 1.5);
                a.upsert("new", true);
                assert!(a.insert("inserted", "i"));
                assert!(a.update("name", "renamed"));
                assert!(a.remove("secret"));
                assert!(a.copy(Put::Upsert, "name", "copy"));
                assert!(a.copy(Put::Insert, "n", "n2"));
                assert!(!a.copy(Put::Insert, "n", "new"));
                assert!(!a.copy(Put::Upsert, "absent", "new"));
                assert!(a.map("new", |v| format!("was {}", v.text())));
                Verdict::Keep
            }),
            item(|r, _| {
                // The second pass sees the edits of the first, whichever way it looks.
                assert_eq!(r.attr("copy"), Some(AnyValue::Str("renamed")));
                assert_eq!(r.attrs().get("n2"), Some(AnyValue::Double(1.5)));
                assert_eq!(r.view::<SpanView<'_>>().attr("copy"), Some(AnyValue::Str("renamed")));
                r.attrs().retain(|k, _| k != "n2");
                Verdict::Keep
            }),
        ],
    );
    let edited = changed(edited.0);
    for span in edited.traces().flat_map(|r| r.scopes()).flat_map(|s| s.spans()) {
        let attrs: Vec<(&str, String)> =
            span.attrs().iter().map(|(k, v)| (k, v.text().into_owned())).collect();
        let expected = [
            ("name", "renamed"),
            ("n", "1.5"),
            ("new", "was true"),
            ("inserted", "i"),
            ("copy", "renamed"),
        ];
        assert_eq!(attrs, expected.map(|(k, v)| (k, v.to_owned())));
    }
}

#[test]
fn duplicates_of_a_key_do_not_hide_from_edits() {
    let mut w = write::Traces::new();
    w.span(&write::Span::default(), |a| {
        for value in ["a", "b", "c"] {
            a.str("k", value);
            a.str("other", value);
        }
    });
    let payload = w.finish();
    let attrs = |edit: OnElement| {
        let edited = changed(run(&payload, vec![item(edit)]).0);
        let span = edited.traces().flat_map(|r| r.scopes()).flat_map(|s| s.spans()).next();
        let attrs = span.expect("span").attrs();
        attrs
            .iter()
            .filter(|(k, _)| *k == "k")
            .map(|(_, v)| v.text().into_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(attrs(|r, _| (r.attrs().upsert("k", "x"), Verdict::Keep).1), ["x"]);
    assert_eq!(attrs(|r, _| (r.attrs().map("k", |_| "x"), Verdict::Keep).1), ["x", "x", "x"]);
    assert!(attrs(|r, _| (r.attrs().remove("k"), Verdict::Keep).1).is_empty());
}

#[test]
fn names_statuses_and_whole_elements_can_be_set() {
    let edited = run(
        &traces(1),
        vec![
            item(|r, _| {
                r.attrs().upsert("before", "1");
                let name = format!("new {}", r.name());
                r.set_name(&name);
                r.attrs().upsert("after", "1");
                r.set_status(StatusCode::Error, "bad");
                Verdict::Keep
            }),
            item(|r, _| {
                assert_eq!(r.attr("before"), Some(AnyValue::Str("1")));
                let mut span: proto::Span = r.decode();
                assert_eq!(span.attributes.len(), 5);
                span.kind = 2;
                r.replace(&span).expect("a valid span");
                span.trace_id = vec![1, 2, 3];
                assert!(r.replace(&span).is_err());
                r.attrs().remove("before");
                Verdict::Keep
            }),
        ],
    );
    let edited = changed(edited.0);
    assert_eq!(names(&edited), ["new 0.0.0", "new 0.1.0", "new 1.0.0", "new 1.1.0"]);
    for span in edited.traces().flat_map(|r| r.scopes()).flat_map(|s| s.spans()) {
        assert_eq!((span.status(), span.status_message()), (StatusCode::Error, "bad"));
        assert_eq!(span.kind_number(), 2);
        assert!(span.attr("after").is_some() && span.attr("before").is_none());
        assert!(span.trace_id().is_some());
    }
}

#[test]
fn log_bodies_and_event_names_can_be_set() {
    let mut w = write::Logs::new();
    w.log(&write::Log { body: "old".into(), ..Default::default() }, |_| ());
    let edited = run(
        &w.finish(),
        vec![item(|r, _| {
            let body = format!("{} and new", r.body().text());
            r.set_body(AnyValue::Str(&body));
            r.set_name("event");
            Verdict::Keep
        })],
    );
    let edited = changed(edited.0);
    let log = edited.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs()).next().expect("log");
    assert_eq!(log.body(), AnyValue::Str("old and new"));
    assert_eq!(log.event_name(), "event");
}

/// One metric of each type with two points, attribute `i` their index.
fn metrics() -> Payload {
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "s"));
    w.scope("scope", "");
    let t = Temporality::Cumulative;
    w.gauge("gauge", "1", "d", |p| (0..2).for_each(|i| p.int(1, i, |a| a.int("i", i))));
    w.sum("sum", "1", "d", t, true, |p| (0..2).for_each(|i| p.int(1, i, |a| a.int("i", i))));
    w.histogram("histogram", "1", "d", t, |p| {
        (0..2).for_each(|i| p.histogram(1, &Default::default(), |a| a.int("i", i)));
    });
    w.exponential_histogram("exponential", "1", "d", t, |p| {
        (0..2).for_each(|i| p.exponential_histogram(1, &Default::default(), |a| a.int("i", i)));
    });
    w.summary("summary", "1", "d", |p| {
        (0..2).for_each(|i| p.summary(1, &Default::default(), |a| a.int("i", i)));
    });
    w.finish()
}

fn points<'a>(data: Data<'a>) -> Vec<Option<i64>> {
    fn of<'a>(points: impl Iterator<Item = impl PointView<'a>>) -> Vec<Option<i64>> {
        points.map(|p| p.attrs().get("i").and_then(|v| v.as_int())).collect()
    }
    match data {
        Data::Empty => Vec::new(),
        Data::Gauge { points } | Data::Sum { points, .. } => of(points),
        Data::Histogram { points, .. } => of(points),
        Data::ExponentialHistogram { points, .. } => of(points),
        Data::Summary { points } => of(points),
    }
}

fn shape(payload: &Payload) -> Vec<(String, Vec<Option<i64>>)> {
    let metrics = payload.metrics().flat_map(|r| r.scopes()).flat_map(|s| s.metrics());
    metrics.map(|m| (m.name().to_owned(), points(m.data()))).collect()
}

#[test]
fn points_of_every_type_are_edited_and_dropped() {
    let (edited, dropped) = run(
        &metrics(),
        vec![point(|p, at| {
            assert!(at.metric().is_some_and(|m| m.unit() == "1"));
            if p.attr("i") == Some(AnyValue::Int(0)) {
                return Verdict::Drop;
            }
            p.attrs().upsert("i", 5);
            Verdict::Keep
        })],
    );
    let edited = changed(edited);
    assert_eq!((edited.items(), dropped), (5, vec![5]));
    for (name, points) in shape(&edited) {
        assert_eq!(points, [Some(5)], "{name}");
    }
}

#[test]
fn metrics_left_without_points_go_and_dropped_metrics_count_their_points() {
    let (edited, dropped) = run(
        &metrics(),
        vec![
            item(|m, _| if m.name() == "sum" { Verdict::Drop } else { Verdict::Keep }),
            point(|_, at| match at.metric().map(|m| m.name()) {
                Some("gauge" | "summary") => Verdict::Drop,
                _ => Verdict::Keep,
            }),
        ],
    );
    let edited = changed(edited);
    let names: Vec<String> = shape(&edited).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["histogram", "exponential"]);
    assert_eq!((edited.items(), dropped), (4, vec![2, 4]));
}

#[test]
fn metrics_are_renamed_before_their_points_are_seen() {
    use opentelemetry_proto::tonic::metrics::v1 as metrics_proto;
    let (edited, _) = run(
        &metrics(),
        vec![Fns {
            item: Some(|m, _| {
                let name = format!("new.{}", m.name());
                m.set_name(&name);
                m.set_unit("By");
                m.set_description("");
                if name == "new.gauge" {
                    let mut metric: metrics_proto::Metric = m.decode();
                    if let Some(metrics_proto::metric::Data::Gauge(g)) = &mut metric.data {
                        g.data_points.push(g.data_points[0].clone());
                    }
                    m.replace(&metric).expect("valid");
                }
                Verdict::Keep
            }),
            point: Some(|p, at| {
                assert!(
                    at.metric().is_some_and(|m| m.name().starts_with("new.") && m.unit() == "By")
                );
                if at.metric().is_some_and(|m| m.name() == "new.sum") {
                    p.attrs().remove("i");
                }
                Verdict::Keep
            }),
            ..Fns::default()
        }],
    );
    let edited = changed(edited);
    assert_eq!(edited.items(), 11);
    let shape = shape(&edited);
    assert_eq!(shape[0], ("new.gauge".to_owned(), vec![Some(0), Some(1), Some(0)]));
    assert_eq!(shape[1], ("new.sum".to_owned(), vec![None, None]));
    assert_eq!(shape[4], ("new.summary".to_owned(), vec![Some(0), Some(1)]));
}

#[test]
fn unknown_fields_survive_edits_byte_for_byte() {
    use crate::wire::{put_len, put_u64};
    let mut span = Vec::new();
    put_u64(&mut span, 1000, 7);
    put_len(&mut span, 5, b"n");
    put_len(&mut span, 9, &[0x0a, 1, b'k']);
    put_len(&mut span, 2000, b"future");
    let mut bytes = span;
    for number in [2, 2, 1] {
        let mut outer = Vec::new();
        put_len(&mut outer, 777, b"level");
        put_len(&mut outer, number, &bytes);
        put_len(&mut outer, 778, b"level");
        bytes = outer;
    }
    let payload = Payload::admit(Signal::Traces, bytes.into()).expect("valid");
    let edit = Fns {
        resource: Some(|r| r.attrs().upsert("r", "x")),
        item: Some(|r, _| (r.attrs().upsert("k", "v"), Verdict::Keep).1),
        ..Fns::default()
    };
    let edited = changed(run(&payload, vec![edit]).0);
    let hay = edited.bytes();
    let count = |needle: &[u8]| hay.windows(needle.len()).filter(|w| *w == needle).count();
    assert_eq!((count(b"future"), count(b"level")), (1, 6));
    let mut number = Vec::new();
    put_u64(&mut number, 1000, 7);
    assert_eq!(count(&number), 1);
}

#[test]
fn a_field_that_was_not_there_is_written_where_it_belongs() {
    for (before, after) in [("", "ot=th:8"), ("ot=th:c,vendor=x", "ot=th:e,vendor=x")] {
        let payload = |trace_state| {
            let mut w = write::Traces::new();
            let status = StatusCode::Error;
            let span =
                write::Span { trace_state, name: "n", status, flags: 1, ..Default::default() };
            w.span(&span, |a| a.str("k", "v"));
            w.finish()
        };
        let set: OnElement = |span, _| {
            let changed = match span.trace_state() {
                "" => "ot=th:8",
                _ => "ot=th:e,vendor=x",
            };
            span.set_trace_state(changed);
            assert_eq!(span.trace_state(), changed);
            Verdict::Keep
        };
        let edited = changed(run(&payload(before), vec![item(set)]).0);
        assert_eq!(edited.bytes(), payload(after).bytes());
    }
}
