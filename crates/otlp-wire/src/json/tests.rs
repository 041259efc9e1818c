// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::write;
use crate::{AnyValue, Number, Temporality};

fn rewrite(signal: Signal, text: &str) -> Result<String, Malformed> {
    let payload = Payload::from_json(signal, text.as_bytes())?;
    let mut out = Vec::new();
    payload.to_json(&mut out);
    Ok(String::from_utf8(out).expect("json is text"))
}

/// A span's content wrapped into a request.
fn span(content: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{content}}}]}}]}}]}}"#)
}

#[test]
fn what_is_written_reads_back_the_same() {
    let mut w = write::Traces::new();
    w.resource(|r| r.str("service.name", "caf\u{e9} \"x\"\n\u{1}\\"));
    let head = write::Span {
        trace_id: [0xab; 16],
        span_id: [0xcd; 8],
        parent_span_id: Some([1; 8]),
        name: "n",
        kind: crate::SpanKind::Server,
        start: u64::MAX,
        end: 1,
        status: crate::StatusCode::Error,
        flags: 257,
        ..Default::default()
    };
    w.span(&head, |a| {
        a.int("i", i64::MIN);
        a.double("d", 0.1);
        a.double("nan", f64::NAN);
        a.double("inf", f64::NEG_INFINITY);
        a.bool("b", false);
        a.value("bytes", AnyValue::Bytes(&[0, 255, 254]));
        a.value("none", AnyValue::Empty);
        a.strs("list", &["", "x"]);
        a.str("empty", "");
    });
    w.event(1, "e", |_| ());
    w.link([1; 16], [2; 8], |_| ());
    let payload = w.finish();
    let mut text = Vec::new();
    payload.to_json(&mut text);
    assert_eq!(Payload::from_json(Signal::Traces, &text), Ok(payload));
    let text = String::from_utf8(text).expect("text");
    for part in [
        "\"stringValue\":\"caf\u{e9} \\\"x\\\"\\n\\u0001\\\\\"",
        r#""traceId":"abababababababababababababababab""#,
        r#""startTimeUnixNano":"18446744073709551615""#,
        r#""kind":2"#,
        r#""intValue":"-9223372036854775808""#,
        r#""doubleValue":0.1"#,
        r#""doubleValue":"NaN""#,
        r#""doubleValue":"-Infinity""#,
        r#""boolValue":false"#,
        r#""bytesValue":"AP/+""#,
        r#"{"key":"none","value":{}}"#,
        r#""arrayValue":{"values":[{"stringValue":""},{"stringValue":"x"}]}"#,
        r#""flags":257"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn metrics_of_all_types_read_back_the_same() {
    let mut w = write::Metrics::new();
    let t = Temporality::Cumulative;
    w.gauge("g", "1", "d", |p| {
        p.int(1, 0, |_| ());
        p.double(1, 0.0, |_| ());
        p.none(1, |_| ());
        p.exemplar(1, Number::Int(-1), Some(([1; 16], [2; 8])), |a| a.str("k", "v"));
    });
    w.sum("s", "", "", t, true, |p| p.double(1, 1e300, |_| ()));
    w.histogram("h", "", "", t, |p| {
        let value = write::Histogram {
            count: 6,
            sum: Some(0.0),
            min: None,
            max: Some(f64::INFINITY),
            explicit_bounds: &[0.0, 1.5],
            bucket_counts: &[1, 0, 5],
        };
        p.histogram(1, &value, |_| ());
    });
    w.exponential_histogram("e", "", "", t, |p| {
        let buckets = write::ExponentialBuckets { offset: -3, counts: &[0, 300, 1] };
        let value = write::ExponentialHistogram {
            count: 9,
            scale: -2,
            zero_count: 1,
            zero_threshold: 1e-9,
            positive: buckets,
            negative: buckets,
            ..Default::default()
        };
        p.exponential_histogram(1, &value, |_| ());
    });
    w.summary("q", "", "", |p| {
        let value = write::Summary { count: 1, sum: 2.0, quantiles: &[(0.0, 1.0), (0.5, 2.0)] };
        p.summary(1, &value, |_| ());
    });
    let payload = w.finish();
    let mut text = Vec::new();
    payload.to_json(&mut text);
    assert_eq!(Payload::from_json(Signal::Metrics, &text), Ok(payload));
    let text = String::from_utf8(text).expect("text");
    for part in [
        r#""asInt":"0""#,
        r#""asDouble":0"#,
        r#""asDouble":1e+300"#,
        r#""bucketCounts":["1","0","5"],"explicitBounds":[0,1.5]"#,
        r#""max":"Infinity""#,
        r#""offset":-3,"bucketCounts":["0","300","1"]"#,
        r#""aggregationTemporality":2,"isMonotonic":true"#,
        r#"{"quantile":0.5,"value":2}"#,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn liberal_input_is_read_as_the_collector_reads_it() {
    let id = r#""traceId":"5B8EFFF798038103D269B633813FC60C""#;
    let lower = r#""traceId":"5b8efff798038103d269b633813fc60c""#;
    let cases = [
        (id, lower),
        (r#""trace_id":"""#, ""),
        (r#""traceId":null,"kind":null,"attributes":null"#, ""),
        (r#""kind":"SPAN_KIND_SERVER""#, r#""kind":2"#),
        (r#""kind":"NO_SUCH_KIND""#, ""),
        (r#""kind":"3""#, r#""kind":3"#),
        (r#""start_time_unix_nano":5"#, r#""startTimeUnixNano":"5""#),
        (r#""startTimeUnixNano":"5""#, r#""startTimeUnixNano":"5""#),
        (r#""startTimeUnixNano":1.0e3"#, r#""startTimeUnixNano":"1000""#),
        (r#""droppedAttributesCount":"7""#, r#""droppedAttributesCount":7"#),
        (r#""name":"\ud83d\ude00\u00e9\/\ud800x""#, "\"name\":\"\u{1f600}\u{e9}/\u{fffd}x\""),
        (r#""unknown":{"a":[1,{"b":null}],"c":"\"]"},"name":"x""#, r#""name":"x""#),
        (r#" "name" : "x" , "status" : { } "#, r#""name":"x","status":{}"#),
        (r#""attributes":[{"key":"k","value":{}}]"#, r#""attributes":[{"key":"k","value":{}}]"#),
        (
            r#""attributes":[{"key":"k","value":{"intValue":5}}]"#,
            r#""attributes":[{"key":"k","value":{"intValue":"5"}}]"#,
        ),
        (
            r#""attributes":[{"key":"k","value":{"bytesValue":"_-8"}}]"#,
            r#""attributes":[{"key":"k","value":{"bytesValue":"/+8="}}]"#,
        ),
        (r#""name":"a","name":"b""#, r#""name":"b""#),
    ];
    for (input, expected) in cases {
        assert_eq!(rewrite(Signal::Traces, &span(input)), Ok(span(expected)), "{input}");
    }
    for (input, expected) in [("{}", "{}"), (r#" {"resourceSpans":null} "#, "{}")] {
        assert_eq!(rewrite(Signal::Traces, input).as_deref(), Ok(expected));
    }
}

#[test]
fn what_is_not_otlp_json_is_refused_with_a_reason() {
    let deep = format!("{}{}", r#"{"x":"#.repeat(200), "}".repeat(200));
    let cases = [
        ("".to_owned(), "expected an object"),
        ("[]".to_owned(), "expected an object"),
        ("{".to_owned(), "expected a string"),
        ("{} x".to_owned(), "text after the json value"),
        ("\u{feff}{}".to_owned(), "expected an object"),
        (r#"{"resourceSpans":{}}"#.to_owned(), "expected an array"),
        (r#"{"x":01}"#.to_owned(), "expected a number"),
        (r#"{"x":1 2}"#.to_owned(), "expected a comma or the end of an object or array"),
        (r#"{"x":nul}"#.to_owned(), "expected a number"),
        (r#"{"x":"a"#.to_owned(), "broken string"),
        (r#"{"x":"\q"}"#.to_owned(), "broken escape"),
        (r#"{"x":"\u12"}"#.to_owned(), "broken escape"),
        (deep, "json nested too deeply"),
        (span(r#""traceId":"5B8A""#), "id of the wrong length"),
        (span(r#""traceId":"zz8efff798038103d269b633813fc60c""#), "id that is not hexadecimal"),
        (span(r#""startTimeUnixNano":-1"#), "expected an unsigned 64-bit integer"),
        (span(r#""startTimeUnixNano":"x""#), "expected an unsigned 64-bit integer"),
        (span(r#""startTimeUnixNano":1.5"#), "expected an unsigned 64-bit integer"),
        (span(r#""flags":4294967296"#), "integer out of range"),
        (span(r#""name":5"#), "expected a string"),
        (span(r#""status":5"#), "expected an object"),
        (span(r#""attributes":[{"value":{"boolValue":1}}]"#), "expected true or false"),
        (span(r#""attributes":[{"value":{"bytesValue":"?"}}]"#), "bytes that are not base64"),
        (span(r#""attributes":[{"value":{"doubleValue":"inf"}}]"#), "expected a number"),
    ];
    for (input, what) in cases {
        assert_eq!(rewrite(Signal::Traces, &input).map_err(|e| e.what), Err(what), "{input}");
    }
    let latin = Payload::from_json(Signal::Logs, b"{\"\xe9\":1}");
    assert_eq!(latin.map_err(|e| e.what), Err("json that is not utf-8"));
}
