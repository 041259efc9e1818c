// SPDX-License-Identifier: Apache-2.0
use crate::{AnyValue, write};

fn text(build: impl Fn(&mut write::AttrWriter<'_>)) -> String {
    let mut w = write::Logs::new();
    w.log(&write::Log::default(), |a| build(a));
    let payload = w.finish();
    let log = payload.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs()).next().expect("log");
    log.attrs().iter().next().expect("attribute").1.text().into_owned()
}

#[test]
fn numbers_are_shortest_as_go_writes_them() {
    let cases = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1.5e20, "150000000000000000000"),
        (1e21, "1e+21"),
        (1.25e300, "1.25e+300"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-2.5e-9, "-2.5e-9"),
        (f64::NAN, "json: unsupported value: NaN"),
        (f64::INFINITY, "json: unsupported value: +Inf"),
        (f64::NEG_INFINITY, "json: unsupported value: -Inf"),
    ];
    for (value, expected) in cases {
        assert_eq!(AnyValue::Double(value).text(), expected);
    }
    assert_eq!(AnyValue::Int(i64::MIN).text(), "-9223372036854775808");
}

#[test]
fn scalars_bytes_and_nothing_have_their_text() {
    assert_eq!(AnyValue::Str("a \"b\"").text(), "a \"b\"");
    assert_eq!(AnyValue::Bool(false).text(), "false");
    assert_eq!(AnyValue::Bytes(&[0, 255]).text(), "AP8=");
    assert_eq!(AnyValue::Empty.text(), "");
}

#[test]
fn lists_are_json_with_the_escapes_of_go() {
    assert_eq!(
        text(|a| a.strs("k", &["a", "<b>&\n\u{1}"])),
        "[\"a\",\"\\u003cb\\u003e\\u0026\\n\\u0001\"]"
    );
    assert_eq!(text(|a| a.strs("k", &[])), "[]");
}

#[test]
fn maps_are_json_with_sorted_keys_and_the_last_of_equal_ones() {
    let mut inner = write::Logs::new();
    inner.log(&write::Log::default(), |a| {
        a.int("b", 2);
        a.str("a", "x");
        a.int("b", 3);
        a.value("n", AnyValue::Empty);
    });
    let inner = inner.finish();
    let log = inner.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs()).next().expect("log");
    let map = AnyValue::KvList(log.attrs());
    assert_eq!(text(|a| a.value("k", map)), "{\"a\":\"x\",\"b\":3,\"n\":null}");
}
