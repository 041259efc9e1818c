// SPDX-License-Identifier: Apache-2.0
//! Prometheus' envelope: `{"status":"success","data":..}` and `{"status":"error",..}`.
//!
//! Results are written straight into a buffer, number by number: no tree of values is built for an
//! answer of millions of points. Numbers look as Go prints them, since clients compare text.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use basics::{Error, Kind};

/// A failed request, in Prometheus' classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    status: u16,
    class: &'static str,
    message: String,
}

impl Failure {
    /// The request itself is wrong: 400 `bad_data`.
    pub fn bad_data(message: impl Into<String>) -> Self {
        Failure { status: 400, class: "bad_data", message: message.into() }
    }

    /// A parameter is wrong, in Prometheus' words.
    pub fn parameter(name: &str, message: impl std::fmt::Display) -> Self {
        Failure::bad_data(format!("invalid parameter {name:?}: {message}"))
    }

    /// The query is right but cannot be answered: 422 `execution`.
    pub fn execution(message: impl Into<String>) -> Self {
        Failure { status: 422, class: "execution", message: message.into() }
    }

    /// It cannot be had now: 503 `unavailable`.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Failure { status: 503, class: "unavailable", message: message.into() }
    }

    /// Switched off: 500 `unavailable`, as Prometheus answers.
    pub fn disabled(message: impl Into<String>) -> Self {
        Failure { status: 500, class: "unavailable", message: message.into() }
    }

    /// The query took too long: 503 `timeout`.
    pub fn timeout(message: impl Into<String>) -> Self {
        Failure { status: 503, class: "timeout", message: message.into() }
    }

    /// The client has gone: 499 `canceled`.
    pub fn canceled(message: impl Into<String>) -> Self {
        Failure { status: 499, class: "canceled", message: message.into() }
    }

    /// Nothing of this name: 404 `not_found`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Failure { status: 404, class: "not_found", message: message.into() }
    }

    /// Our own fault: 500 `internal`.
    pub fn internal(message: impl Into<String>) -> Self {
        Failure { status: 500, class: "internal", message: message.into() }
    }

    /// The HTTP status it is answered with.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// What went wrong, for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The HTTP answer.
    pub fn response(&self) -> Response<Body> {
        let mut body = String::from(r#"{"status":"error","errorType":"#);
        string(&mut body, self.class);
        body.push_str(r#","error":"#);
        string(&mut body, &self.message);
        body.push('}');
        json(self.status(), body)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Invalid => Failure::bad_data(error.to_string()),
            Kind::Retry { .. } => Failure::timeout(error.to_string()),
            Kind::Overloaded | Kind::Rejected => Failure::execution(error.to_string()),
            Kind::Corrupt | Kind::Closed => Failure::internal(error.to_string()),
        }
    }
}

impl axum::response::IntoResponse for Failure {
    fn into_response(self) -> Response<Body> {
        self.response()
    }
}

/// Opens the envelope of a successful answer; what follows is its `data`.
pub const BEGIN: &str = r#"{"status":"success","data":"#;

/// Closes the envelope behind `data`.
pub fn end(out: &mut String, warnings: &[String], infos: &[String]) {
    for (name, kind, list) in [("warnings", "warning", warnings), ("infos", "info", infos)] {
        if list.is_empty() {
            continue;
        }
        let more = list.len().saturating_sub(NOTES_MAX);
        let omitted = (more > 0).then(|| format!("{more} more {kind} annotations omitted"));
        let _ = write!(out, ",\"{name}\":");
        strings(out, list.iter().take(NOTES_MAX).map(String::as_str).chain(omitted.as_deref()));
    }
    out.push('}');
}

/// Most warnings, and most infos, of an answer, as in Prometheus.
const NOTES_MAX: usize = 10;

/// A successful answer whose `data` is the JSON text `data`.
pub fn success(data: &str) -> Response<Body> {
    success_with(data, &[], &[])
}

/// As [`success`], with what the evaluation wants to tell the user.
pub fn success_with(data: &str, warnings: &[String], infos: &[String]) -> Response<Body> {
    let mut body = String::with_capacity(data.len() + 64);
    body.push_str(BEGIN);
    body.push_str(data);
    end(&mut body, warnings, infos);
    json(StatusCode::OK, body)
}

/// A successful answer with nothing in it.
pub fn no_content() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// An answer of any JSON text.
pub fn json(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Appends a JSON string.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a JSON array of strings.
pub fn strings<'a>(out: &mut String, list: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (i, text) in list.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, text);
    }
    out.push(']');
}

/// Appends a label set as a JSON object.
pub fn labels(out: &mut String, labels: &basics::labels::Labels) {
    out.push('{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        string(out, name);
        out.push(':');
        string(out, value);
    }
    out.push('}');
}

/// Appends `[seconds,"value"]`.
pub fn point(out: &mut String, time_ms: i64, value: f64) {
    out.push('[');
    timestamp(out, time_ms);
    out.push_str(",\"");
    float(out, value);
    out.push_str("\"]");
}

/// Appends a time as seconds, with three decimals if it is not a whole second.
pub fn timestamp(out: &mut String, time_ms: i64) {
    if time_ms < 0 {
        out.push('-');
    }
    let ms = time_ms.unsigned_abs();
    let _ = write!(out, "{}", ms / 1000);
    if !ms.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", ms % 1000);
    }
}

/// Appends a number as Prometheus writes it: shortest digits that read back the same, an exponent
/// below 1e-6 and from 1e21 on, `NaN`, `+Inf`, `-Inf`.
pub fn float(out: &mut String, value: f64) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    match text.find('e') {
        None => out.push_str(text.strip_suffix(".0").unwrap_or(text)),
        Some(at) => respell(out, value, &text[..at], &text[at + 1..]),
    }
}

/// Writes digits with an exponent the way Go does: spelled out, or with two digits of exponent.
fn respell(out: &mut String, value: f64, digits: &str, exponent: &str) {
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    let size = value.abs();
    if !(1e-6..1e21).contains(&size) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{digits}e{sign}{:02}", exponent.abs());
        return;
    }
    let unsigned = digits.strip_prefix('-').unwrap_or(digits);
    if unsigned.len() < digits.len() {
        out.push('-');
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if exponent < 0 {
        out.push_str("0.");
        (1..-exponent).for_each(|_| out.push('0'));
        out.push_str(whole);
        out.push_str(fraction);
    } else {
        // From 1e16 on a number has no fraction: all its digits stand before the point.
        out.push_str(whole);
        out.push_str(fraction);
        (fraction.len()..exponent as usize).for_each(|_| out.push('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_go_prints_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (1e20, "100000000000000000000"),
            (0.000001, "0.000001"),
            (0.0000001, "1e-07"),
            (-1.5e-300, "-1.5e-300"),
            (0.00001234, "0.00001234"),
            (-0.0000012, "-0.0000012"),
            (1.2345e17, "123450000000000000"),
            (12345678901234567000.0, "12345678901234567000"),
            (-9007199254740993.0, "-9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            let mut out = String::new();
            float(&mut out, value);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn times_are_seconds_with_three_decimals_or_none() {
        for (ms, expected) in [
            (0, "0"),
            (1_435_781_430_781, "1435781430.781"),
            (1_435_781_430_000, "1435781430"),
            (1_001, "1.001"),
            (1_010, "1.010"),
            (-1_500, "-1.500"),
        ] {
            let mut out = String::new();
            timestamp(&mut out, ms);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn strings_are_escaped() {
        let mut out = String::new();
        string(&mut out, "a\"b\\c\nd\u{1}e");
        assert_eq!(out, r#""a\"b\\c\nd\u0001e""#);
    }
}
