// SPDX-License-Identifier: Apache-2.0
//! Log records: attributes as source, priority and carrier.

use otlp_wire::write;

use super::*;

type Put = fn(&mut write::AttrWriter<'_>);

const B: &str = "5b8aa5a2d2c872e8321cf37308d69df2";
const D: &str = "ffffffffffffffffffffffffffffffff";

fn log(id: &str, put: Put) -> Payload {
    let mut w = write::Logs::new();
    let trace_id = (!id.is_empty()).then(|| id_of(id));
    w.log(&write::Log { body: "x".into(), trace_id, ..<_>::default() }, put);
    w.finish()
}

/// The attributes `sampling.*` with which `payload` is kept, as text.
fn kept(yaml: &str, payload: &Payload) -> Option<String> {
    let left = sampled(yaml, payload).or(payload)?;
    let resource = left.logs().next()?;
    let log = resource.scopes().next()?.logs().next()?;
    let attrs = log.attrs().iter().filter(|(key, _)| key.starts_with("sampling."));
    let texts = attrs.map(|(key, value)| format!("{}={}", &key["sampling.".len()..], value.text()));
    Some(texts.collect::<Vec<_>>().join(" "))
}

#[test]
fn log_records_are_hashed_by_trace_id_or_attribute() {
    let seeded = "{hash_seed: 22, sampling_percentage: 50, from_attribute: key}";
    let record = "{hash_seed: 22, sampling_percentage: 50, attribute_source: record, \
                  from_attribute: key}";
    let by_id = Some("randomness=9e5c15334d9868 threshold=8");
    // FNV-1a of the seed and "a", by hand: bucket 2119, so it is kept; "0" is not.
    let hash = |bytes: &[u8]| {
        let mut text = String::from("randomness=");
        write_randomness(&mut text, chance::hashed(bytes, 22));
        text + " threshold=8"
    };
    let (text, int) = (hash(b"a"), hash(b"7"));
    let cases: [(&str, &str, Put, Option<&str>); 8] = [
        (seeded, B, |_| (), by_id),
        (seeded, B, |a| a.str("key", "a"), by_id),
        (seeded, "", |a| a.str("key", "a"), Some(&text)),
        (record, B, |a| a.str("key", "a"), Some(&text)),
        (record, B, |a| a.value("key", AnyValue::Bytes(b"a")), Some(&text)),
        (record, B, |a| a.int("key", 7), Some(&int)),
        (record, B, |a| a.str("key", ""), None),
        (record, B, |_| (), None),
    ];
    for (at, (yaml, id, put, expected)) in cases.into_iter().enumerate() {
        assert_eq!(kept(yaml, &log(id, put)).as_deref(), expected, "case {at}");
    }
}

#[test]
fn attributes_carry_what_was_decided() {
    let equal = |percent| format!("{{mode: equalizing, sampling_percentage: {percent}}}");
    let cases: [(String, &str, Put, Option<&str>); 7] = [
        (equal(10), D, |_| (), Some("threshold=e666")),
        (equal(10), B, |_| (), None),
        (equal(10), D, |a| a.str(THRESHOLD, "f"), Some("threshold=f")),
        (equal(10), D, |a| a.str(THRESHOLD, "80"), Some("threshold=e666")),
        (
            equal(10),
            "",
            |a| a.str(RANDOMNESS, "fedcba98765432"),
            Some("randomness=fedcba98765432 threshold=e666"),
        ),
        (equal(100), "", |a| a.str(RANDOMNESS, "fedcba9876543"), None),
        ("{sampling_percentage: 100}".to_owned(), D, |a| a.str(THRESHOLD, "8"), None),
    ];
    for (at, (yaml, id, put, expected)) in cases.into_iter().enumerate() {
        assert_eq!(kept(&yaml, &log(id, put)).as_deref(), expected, "case {at}");
    }
}

#[test]
fn records_without_randomness_are_kept_when_it_fails_open() {
    let open = "{sampling_percentage: 10, fail_closed: false}";
    assert_eq!(kept(open, &log("", |_| ())).as_deref(), Some("threshold=0"));
    let closed = "{sampling_percentage: 100}";
    assert_eq!(kept(closed, &log("", |_| ())), None);
}

#[test]
fn a_priority_is_another_percentage() {
    let yaml = "{mode: equalizing, sampling_percentage: 0.001, sampling_priority: p}";
    let half = "00000000000000000080000000000000";
    let cases: [(&str, Put, Option<&str>); 7] = [
        (half, |a| a.int("p", 50), Some("threshold=8")),
        (half, |a| a.double("p", 49.9), None),
        (half, |a| a.int("p", 100), Some("threshold=0")),
        (half, |a| a.int("p", 101), None),
        (half, |a| a.int("p", 0), None),
        (half, |a| a.str("p", "100"), None),
        ("", |a| a.int("p", 100), Some("threshold=0")),
    ];
    for (at, (id, put, expected)) in cases.into_iter().enumerate() {
        assert_eq!(kept(yaml, &log(id, put)).as_deref(), expected, "case {at}");
    }
}
