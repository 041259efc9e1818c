// SPDX-License-Identifier: Apache-2.0
//! What a peer's answer means: delivered, partly delivered, try again (when), or never.
//!
//! ```text
//! HTTP  2xx ok | 429 502 503 504 retry | the rest final          Retry-After: seconds or date
//! gRPC  0 ok | 1 4 10 11 14 15 retry | 8 retry only with RetryInfo | the rest final
//! ```
//! Source: opentelemetry-proto, docs/specification.md; RFC 9110.

use std::time::Duration;

use basics::{Error, Kind, Result};
use bytes::Bytes;
use http::HeaderMap;
use pipeline::telemetry::grpc_code_name;
use prost::Message;

use super::client::Answer;
use super::compress;
use crate::delivery::Pushed;

/// A wait longer than this is not believed: nobody means to stop telemetry for a day.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// `Export*ServiceResponse`; the three signals differ in names only.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// What a gRPC answer means.
///
/// # Errors
/// By the status; see the table above.
pub fn grpc(answer: &Answer) -> Result<Pushed> {
    let Some((at, code)) = status_in(answer) else {
        // No gRPC server answered: a proxy, or an HTTP server on that port.
        return Err(from_http_status(answer, "no gRPC status in the answer"));
    };
    if code == 0 {
        // The peer has taken the data; an answer that cannot be read changes nothing about that.
        let response = message(answer).and_then(|m| ExportResponse::decode(&m[..]).ok());
        let unread = || Pushed { rejected: 0, message: "answer cannot be read".to_owned() };
        return Ok(response.map_or_else(unread, pushed));
    }
    let message = percent_decoded(text(at, "grpc-message"));
    let wait = retry_info(text(at, "grpc-status-details-bin"));
    let message = format!("grpc status {code} ({}): {message}", grpc_code_name(code));
    Err(Error::new(grpc_kind(code, wait), message))
}

/// The status of a call; unknown where no gRPC server answered.
pub fn grpc_status(answer: &Answer) -> i32 {
    status_in(answer).map_or(2, |(_, code)| code)
}

/// The headers or trailers with the status, and the status.
fn status_in(answer: &Answer) -> Option<(&HeaderMap, i32)> {
    let mut both = [&answer.trailers, &answer.headers].into_iter();
    let at = both.find(|headers| headers.contains_key("grpc-status"))?;
    Some((at, text(at, "grpc-status").parse().unwrap_or(2)))
}

/// The message of a unary answer. Go's servers compress it as the request was, whatever the client
/// says it takes.
fn message(answer: &Answer) -> Option<Bytes> {
    let Some((prefix, _)) = answer.body.split_first_chunk::<5>() else {
        return Some(Bytes::new());
    };
    let message = answer.body.slice(5..);
    match prefix[0] {
        0 => Some(message),
        _ => compress::inflate(text(&answer.headers, "grpc-encoding"), &message),
    }
}

fn grpc_kind(code: i32, wait: Option<Duration>) -> Kind {
    match code {
        1 | 4 | 10 | 11 | 14 | 15 => Kind::Retry { after: wait },
        8 if wait.is_some() => Kind::Retry { after: wait },
        _ => Kind::Rejected,
    }
}

/// What an answer to OTLP/HTTP means; `json` is the encoding the request had.
///
/// # Errors
/// By the status; see the table above.
pub fn otlp_http(answer: &Answer, json: bool) -> Result<Pushed> {
    if !answer.status.is_success() {
        return Err(from_http_status(answer, &said(answer)));
    }
    if json {
        return partial_json(&answer.body);
    }
    let response = ExportResponse::decode(answer.body.clone())
        .map_err(|e| Error::rejected("answer is not an export response").caused_by(e))?;
    Ok(pushed(response))
}

/// A failure by HTTP status alone, as OTLP/HTTP classifies it; `said` is what the peer told.
pub fn from_http_status(answer: &Answer, said: &str) -> Error {
    let status = answer.status;
    let message = format!("peer answered {status}: {said}");
    let kind = match status.as_u16() {
        429 | 503 => Kind::Retry { after: retry_after(&answer.headers) },
        502 | 504 => Kind::Retry { after: None },
        _ => Kind::Rejected,
    };
    Error::new(kind, message)
}

/// What the peer said in a body of any type, on one line, at most 512 characters.
pub fn said(answer: &Answer) -> String {
    let status = RpcStatus::decode(answer.body.clone()).ok().filter(|s| !s.message.is_empty());
    let proto = text(&answer.headers, "content-type").starts_with("application/x-protobuf");
    let text = match status {
        Some(status) if proto => status.message,
        _ => String::from_utf8_lossy(&answer.body).into_owned(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(512).collect()
}

/// The wait that `Retry-After` names: seconds, or a date against the answer's own `Date`.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, "retry-after").trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(WAIT_MAX));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    // The peer's own clock, so that ours may be wrong.
    let now = httpdate::parse_http_date(text(headers, "date")).ok();
    let now = now.unwrap_or_else(std::time::SystemTime::now);
    Some(until.duration_since(now).unwrap_or_default().min(WAIT_MAX))
}

fn retry_info(details: &str) -> Option<Duration> {
    use base64::Engine;
    let engine = base64::engine::general_purpose::STANDARD_NO_PAD;
    let bytes = engine.decode(details.trim_end_matches('=')).ok()?;
    let status = RpcStatus::decode(&bytes[..]).ok()?;
    let any = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(any.value.clone()).ok()?.retry_delay.unwrap_or_default();
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(
        Duration::from_secs(seconds)
            .saturating_add(Duration::from_nanos(nanos.into()))
            .min(WAIT_MAX),
    )
}

fn pushed(response: ExportResponse) -> Pushed {
    let partial = response.partial_success.unwrap_or_default();
    Pushed { rejected: partial.rejected.max(0) as u64, message: partial.error_message }
}

fn partial_json(body: &[u8]) -> Result<Pushed> {
    if body.is_empty() {
        return Ok(Pushed::default());
    }
    let value: serde_json::Value = serde_json::from_slice(body)
        .map_err(|e| Error::rejected("answer is not an export response").caused_by(e))?;
    let partial = &value["partialSuccess"];
    let rejected =
        ["rejectedSpans", "rejectedDataPoints", "rejectedLogRecords"].iter().find_map(|name| {
            match &partial[*name] {
                serde_json::Value::String(text) => text.parse().ok(),
                number => number.as_u64(),
            }
        });
    let message = partial["errorMessage"].as_str().unwrap_or_default().to_owned();
    Ok(Pushed { rejected: rejected.unwrap_or(0), message })
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

fn percent_decoded(text: &str) -> String {
    let mut rest = text.as_bytes();
    let mut out = Vec::with_capacity(rest.len());
    let digit = |b: u8| (b as char).to_digit(16);
    while let [byte, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *byte == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, StatusCode};
    use pipeline::Encoding;

    fn answer(
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &'static [u8],
    ) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: map,
            body: Bytes::from_static(body),
            trailers: HeaderMap::new(),
            version: http::Version::HTTP_2,
        }
    }

    fn kind<T: std::fmt::Debug>(outcome: Result<T>) -> Kind {
        outcome.expect_err("a failure").kind()
    }

    #[test]
    fn http_statuses_are_classified_as_the_specification_says() {
        let retry = |seconds: Option<u64>| Kind::Retry { after: seconds.map(Duration::from_secs) };
        for (status, header, expected) in [
            (429, "7", retry(Some(7))),
            (503, "Fri, 01 Jan 2100 00:01:00 GMT", retry(Some(60))),
            (503, "soon", retry(None)),
            (502, "7", retry(None)),
            (504, "", retry(None)),
            (400, "", Kind::Rejected),
            (408, "", Kind::Rejected),
            (500, "7", Kind::Rejected),
            (501, "", Kind::Rejected),
            (301, "", Kind::Rejected),
        ] {
            let date = ("date", "Fri, 01 Jan 2100 00:00:00 GMT");
            let answer = answer(status, &[("retry-after", header), date], b"why");
            assert_eq!(kind(otlp_http(&answer, false)), expected, "{status} {header}");
        }
    }

    #[test]
    fn grpc_statuses_are_classified_as_the_specification_says() {
        for code in 1..=17 {
            let text: &'static str = Box::leak(code.to_string().into_boxed_str());
            let answer = answer(200, &[("grpc-status", text), ("grpc-message", "a%20b%")], b"");
            let error = grpc(&answer).expect_err("a failure");
            let retried = [1, 4, 10, 11, 14, 15].contains(&code);
            assert_eq!(error.kind().is_retryable(), retried, "{code}");
            assert!(error.message().ends_with("a b%"), "{error}");
        }
        let proxy = answer(503, &[], b"");
        assert!(kind(grpc(&proxy)).is_retryable(), "a proxy without its server");
        assert_eq!(kind(grpc(&answer(404, &[], b""))), Kind::Rejected);
    }

    #[test]
    fn a_compressed_answer_is_read_and_one_that_cannot_be_is_still_success() {
        let partial = b"\x0a\x07\x08\x03\x12\x03old";
        for encoding in [
            Encoding::Gzip,
            Encoding::Zstd,
            Encoding::Snappy,
            Encoding::SnappyFramed,
            Encoding::Deflate,
            Encoding::Lz4,
        ] {
            let packed = compress::compress(partial, encoding);
            let mut body = vec![1, 0, 0, 0, packed.len() as u8];
            body.extend_from_slice(&packed);
            let mut good = answer(200, &[("grpc-status", "0")], b"");
            good.body = body.into();
            let name = HeaderValue::from_static(compress::grpc_name(encoding));
            good.headers.insert("grpc-encoding", name);
            assert_eq!(grpc(&good).expect("success").rejected, 3, "{encoding:?}");
        }
        for body in [
            &b""[..],
            b"\x00\x00\x00\x00\x00",
            b"\x01\x00\x00\x00\x02xx",
            b"\x00\x00\x00\x00\x01\xff",
        ] {
            let odd = answer(200, &[("grpc-status", "0"), ("grpc-encoding", "gzip")], body);
            assert_eq!(grpc(&odd).expect("success").rejected, 0);
        }
    }

    #[test]
    fn partial_success_is_read_in_both_encodings() {
        let expected = Pushed { rejected: 3, message: "old".into() };
        let proto = answer(200, &[], b"\x0a\x07\x08\x03\x12\x03old");
        assert_eq!(otlp_http(&proto, false).expect("success"), expected);
        let json = br#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"old"}}"#;
        assert_eq!(otlp_http(&answer(200, &[], json), true).expect("success"), expected);
        for empty in [&b""[..], b"\x0a\x00"] {
            let answer = answer(200, &[], empty);
            assert_eq!(otlp_http(&answer, false).expect("success"), Pushed::default());
        }
        assert_eq!(kind(otlp_http(&answer(200, &[], b"<html>"), false)), Kind::Rejected);
    }

    #[test]
    fn what_a_peer_says_fits_one_short_line() {
        let status =
            answer(400, &[("content-type", "application/x-protobuf")], b"\x08\x03\x12\x05a\nb c");
        assert_eq!(said(&status), "a b c");
        let page = answer(502, &[], &[b'x'; 5000]);
        assert_eq!(said(&page).len(), 512);
    }
}
