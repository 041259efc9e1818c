// SPDX-License-Identifier: Apache-2.0
use super::*;
use crate::schema::request;
use crate::wire::{put_fixed32, put_fixed64, put_len, put_u64};
use crate::{AnyValue, Payload, Signal, write};

/// A traces request with one span holding `content`.
fn span(content: &[u8]) -> Vec<u8> {
    nest(content, &[2, 2, 1])
}

fn nest(content: &[u8], numbers: &[u32]) -> Vec<u8> {
    numbers.iter().fold(content.to_vec(), |inner, number| {
        let mut out = Vec::new();
        put_len(&mut out, *number, &inner);
        out
    })
}

fn traces(bytes: &[u8]) -> Result<Found, Malformed> {
    check(request(Signal::Traces), bytes)
}

#[test]
fn items_of_each_signal_are_counted() {
    assert_eq!(traces(&span(&[])).map(|f| f.items), Ok(1));
    let mut two = span(&[]);
    two.extend(span(&[]));
    assert_eq!(traces(&two).map(|f| f.items), Ok(2));
    let log = nest(&[], &[2, 2, 1]);
    assert_eq!(check(request(Signal::Logs), &log).map(|f| f.items), Ok(1));
    let point = nest(&[], &[1, 7, 2, 2, 1]);
    assert_eq!(check(request(Signal::Metrics), &point).map(|f| f.items), Ok(1));
    assert_eq!(traces(&[]).map(|f| f.items), Ok(0));
}

#[test]
fn broken_bytes_are_refused_with_reason_and_place() {
    let mut short_id = Vec::new();
    put_len(&mut short_id, 1, &[1; 5]);
    let mut long_span_id = Vec::new();
    put_len(&mut long_span_id, 2, &[1; 16]);
    let mut latin = Vec::new();
    put_len(&mut latin, 5, &[b'a', 0xe9]);
    let mut wrong_wire = Vec::new();
    put_u64(&mut wrong_wire, 5, 1);
    let cases: [(&[u8], &str, usize); 10] = [
        (&[0x0a], "field cut short", 0),
        (&[0x0a, 5, 1], "field cut short", 0),
        (&[0x80], "broken field tag", 0),
        (&[0x02, 0], "field number out of range", 0),
        (&[0x7b, 0x7c], "group or unknown wire type", 0),
        (&span(&short_id), "trace id of neither 0 nor 16 bytes", 8),
        (&span(&long_span_id), "span id of neither 0 nor 8 bytes", 8),
        (&span(&latin), "text that is not utf-8", 8),
        (&span(&wrong_wire), "field of the wrong wire type", 6),
        (&[0x08, 1], "field of the wrong wire type", 0),
    ];
    for (bytes, what, at) in cases {
        assert_eq!(traces(bytes), Err(Malformed { what, at }), "{bytes:?}");
    }
}

#[test]
fn nesting_is_refused_beyond_the_limit_only() {
    // An attribute is message 8, its value 9; each list adds two.
    let lists = |count: usize| {
        let value = nest(&[], &[1, 5].repeat(count));
        span(&nest(&value, &[2, 9]))
    };
    assert!(traces(&lists(11)).is_ok());
    assert_eq!(traces(&lists(12)).map_err(|e| e.what), Err("message nested too deeply"));
}

#[test]
fn odd_encodings_are_flagged_and_usual_ones_are_not() {
    let odd = |build: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        build(&mut out);
        traces(&span(&out)).map(|f| f.odd)
    };
    assert_eq!(odd(&|s| put_fixed64(s, 7, 1)), Ok(false));
    assert_eq!(odd(&|s| (put_fixed64(s, 7, 1), put_fixed64(s, 7, 2)).1), Ok(true));
    let attribute = |s: &mut Vec<u8>| put_len(s, 9, &[0x0a, 1, b'k']);
    assert_eq!(odd(&|s| (attribute(s), attribute(s)).1), Ok(false));
    assert_eq!(odd(&|s| (attribute(s), put_u64(s, 10, 1), attribute(s)).2), Ok(true));
    assert_eq!(odd(&|s| (attribute(s), put_u64(s, 99, 1), attribute(s)).2), Ok(true));
    let twice = nest(&[0x10, 1, 0x18, 5], &[2, 9]);
    assert_eq!(odd(&|s| s.extend_from_slice(&twice)), Ok(true));
    assert_eq!(odd(&|s| put_fixed32(s, 99, 1)), Ok(false));
    // An unpacked bucket count.
    let mut point = Vec::new();
    put_fixed64(&mut point, 6, 3);
    let metric = nest(&point, &[1, 9, 2, 2, 1]);
    assert_eq!(check(request(Signal::Metrics), &metric).map(|f| f.odd), Ok(true));
}

#[test]
fn odd_payloads_are_normalised_and_then_read_like_others() {
    let mut content = Vec::new();
    put_len(&mut content, 5, b"first");
    put_len(&mut content, 9, &[0x0a, 1, b'k', 0x12, 2, 0x10, 1]);
    put_len(&mut content, 5, b"last");
    let payload = Payload::admit(Signal::Traces, span(&content).into()).expect("legal");
    let resource = payload.traces().next().expect("resource");
    let span = resource.scopes().next().and_then(|s| s.spans().next()).expect("span");
    assert_eq!(span.name(), "last");
    assert_eq!(span.attr("k"), Some(AnyValue::Bool(true)));
}

#[test]
fn the_short_way_for_attributes_agrees_with_the_long_way() {
    let mut w = write::Traces::new();
    w.span(&write::Span::default(), |a| {
        for key in ["", "k", "a.longer.key", "sixteen bytes ok", "kl\u{fc}ssel"] {
            for value in ["", "v", "12345678", "a value of more than sixteen bytes", "gr\u{fc}n"] {
                a.str(key, value);
            }
            a.int(key, -1);
            a.int(key, 300);
            a.bool(key, true);
            a.double(key, f64::NAN);
            a.value(key, AnyValue::Bytes(&[0xff]));
            a.value(key, AnyValue::Empty);
            a.str(key, &"x".repeat(200));
        }
    });
    let bytes = w.finish().bytes().to_vec();
    assert!(traces(&bytes).is_ok());
    // Break each byte in turn: whatever the short way accepts, the long way must accept.
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x80;
        for kv in attributes(&broken) {
            if is_plain_key_value(kv) {
                let mut walk = Walk { found: Found::default(), origin: 0 };
                let table = request(Signal::Traces).field(1).message.expect("resource spans");
                let table = table.field(1).message.expect("resource");
                let table = table.field(1).message.expect("key value");
                assert_eq!(walk.message(table, kv, 1), Ok(()), "{kv:?}");
                assert!(!walk.found.odd);
            }
        }
    }
}

fn attributes(request: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    for resource in crate::view::Resources::new(request, Signal::Traces) {
        for span in resource.scopes().flat_map(|s| s.spans()) {
            out.extend(span.attrs().each().map(|a| a.raw()));
        }
    }
    out
}

#[test]
fn ascii_is_told_at_every_length_and_place() {
    for len in 0..70 {
        let mut text = vec![b'x'; len];
        assert!(is_ascii(&text));
        for at in 0..len {
            text[at] = 0x80;
            assert!(!is_ascii(&text), "length {len}, at {at}");
            text[at] = b'x';
        }
    }
}
