// SPDX-License-Identifier: Apache-2.0
//! Request parameters as Prometheus reads them: the query string and a form body together,
//! times as float seconds or RFC 3339, durations as float seconds or `1h30m`.
//!
//! Bounds: a form body is at most [`FORM_BYTES_MAX`]. Error texts are Prometheus' own, since
//! clients show them.

use axum::body::Body;
use axum::http::{Method, Request, header};
use bytes::Bytes;

use crate::answer::Failure;

/// Largest form body: a query of a dashboard is kilobytes, promtool's largest are under one MiB.
pub const FORM_BYTES_MAX: usize = 4 << 20;

/// Earliest and latest time in milliseconds that a parameter may name: `start` and `end` default
/// to these, as in Prometheus, and windows may still be added without overflow.
pub const TIME_MS_MIN: i64 = i64::MIN / 4;
/// See [`TIME_MS_MIN`].
pub const TIME_MS_MAX: i64 = i64::MAX / 4;

/// The parameters of one request, form values before those of the query string.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads the query string, and the body of a POSTed form.
    ///
    /// # Errors
    /// `bad_data` when the body is too large or cannot be read.
    pub async fn read(request: Request<Body>) -> Result<Self, Failure> {
        let (head, body) = request.into_parts();
        let mut pairs = Vec::new();
        let is_form = head
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .is_some_and(|v| v.starts_with("application/x-www-form-urlencoded"));
        if head.method == Method::POST && is_form {
            let body: Bytes = axum::body::to_bytes(body, FORM_BYTES_MAX)
                .await
                .map_err(|e| Failure::bad_data(format!("error parsing form values: {e}")))?;
            decode_pairs(&String::from_utf8_lossy(&body), &mut pairs);
        }
        decode_pairs(head.uri.query().unwrap_or(""), &mut pairs);
        Ok(Params(pairs))
    }

    /// The first value of `name`, or `""`.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// All values of `name` in the order given.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The time `name` in milliseconds; `default` when absent.
    ///
    /// # Errors
    /// `bad_data` with Prometheus' text when it is not a time.
    pub fn time(&self, name: &str, default: i64) -> Result<i64, Failure> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).ok_or_else(|| {
                let message = format!(
                    "invalid time value for '{name}': cannot parse {text:?} to a valid timestamp"
                );
                Failure::parameter(name, message)
            }),
        }
    }

    /// The time `name` in milliseconds, which must be given.
    ///
    /// # Errors
    /// As [`Params::time`].
    pub fn time_required(&self, name: &str) -> Result<i64, Failure> {
        let text = self.get(name);
        parse_time(text).ok_or_else(|| {
            Failure::parameter(name, format!("cannot parse {text:?} to a valid timestamp"))
        })
    }

    /// The duration `name` in milliseconds, which must be given.
    ///
    /// # Errors
    /// `bad_data` with Prometheus' text when it is not a duration.
    pub fn duration_required(&self, name: &str) -> Result<i64, Failure> {
        let text = self.get(name);
        parse_duration(text).ok_or_else(|| {
            Failure::parameter(name, format!("cannot parse {text:?} to a valid duration"))
        })
    }

    /// The duration `name` in milliseconds if given.
    ///
    /// # Errors
    /// As [`Params::duration_required`].
    pub fn duration(&self, name: &str) -> Result<Option<i64>, Failure> {
        if self.get(name).is_empty() {
            return Ok(None);
        }
        self.duration_required(name).map(Some)
    }

    /// The number of rows wanted; `None` = all. `0` means all, as in Prometheus.
    ///
    /// # Errors
    /// `bad_data` when it is not a natural number.
    pub fn limit(&self) -> Result<Option<usize>, Failure> {
        match self.get("limit") {
            "" | "0" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::parameter("limit", format!("cannot parse {text:?} to a natural number"))
            }),
        }
    }
}

/// Decodes `a=b&c=d` with `+` and `%xx`; a broken escape is kept as it stands.
fn decode_pairs(text: &str, out: &mut Vec<(String, String)>) {
    for part in text.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        out.push((decode(name), decode(value)));
    }
}

/// Undoes percent-encoding; bytes that are no UTF-8 become U+FFFD.
pub fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (bytes[at], hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// A time as float seconds since 1970 or RFC 3339, in milliseconds.
pub fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        return (ms.is_finite() && ms >= TIME_MS_MIN as f64 && ms <= TIME_MS_MAX as f64)
            .then_some(ms as i64);
    }
    // Go formats the defaults of `start` and `end` outside of what RFC 3339 can say.
    match text {
        "-292273086-05-16T16:47:06Z" => return Some(TIME_MS_MIN),
        "292277025-08-18T07:12:54.999999999Z" => return Some(TIME_MS_MAX),
        _ => {}
    }
    text.parse::<jiff::Timestamp>().ok().map(|t| t.as_millisecond())
}

/// A duration as float seconds or Prometheus' `1w2d3h4m5s6ms`, in milliseconds.
pub fn parse_duration(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = seconds * 1000.0;
        return (ms.is_finite() && ms.abs() <= TIME_MS_MAX as f64).then_some(ms.round() as i64);
    }
    let duration = basics::duration::parse_prometheus(text).ok()?;
    i64::try_from(duration.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_units_from_long_to_short() {
        for (text, expected) in [
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("-1", Some(-1_000)),
            ("1h30m", Some(5_400_000)),
            ("1y2w3d4h5m6s7ms", Some(33_019_506_007)),
            ("30m1h", None),
            ("1h1h", None),
            ("5m ", None),
            ("5", Some(5_000)),
            ("m", None),
            ("", None),
            ("NaN", None),
            ("1e30", None),
            ("99999999999999999999y", None),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }
}
