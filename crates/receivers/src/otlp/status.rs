// SPDX-License-Identifier: Apache-2.0
//! `google.rpc.Status` and the success bodies, in protobuf and JSON; codes to HTTP statuses.

use std::time::Duration;

use basics::{Error, Kind};
use bytes::Bytes;
use otlp_wire::{Signal, put_varint};
use pipeline::Delivered;

use super::door::Refusal;

/// gRPC status codes this receiver answers with itself.
pub(crate) mod code {
    pub const INVALID_ARGUMENT: i32 = 3;
    pub const RESOURCE_EXHAUSTED: i32 = 8;
    pub const UNIMPLEMENTED: i32 = 12;
    pub const INTERNAL: i32 = 13;
    pub const UNAUTHENTICATED: i32 = 16;
}

/// An answer that is not success.
#[derive(Debug)]
pub(crate) struct Status {
    pub code: i32,
    pub http: u16,
    pub message: String,
    /// Shortest wait before the client should come back.
    pub retry_after: Option<Duration>,
}

/// What a client is asked to wait when a queue or the memory is full: a queue that is full of what
/// arrived within a second has room again after one; without it clients come back at once.
const OVERLOAD_WAIT: Duration = Duration::from_secs(1);

/// `Export*ServiceResponse { partial_success {} }`, byte for byte what the collector sends.
const SUCCESS_PROTO: &[u8] = &[0x0a, 0x00];
/// The same in JSON.
const SUCCESS_JSON: &[u8] = br#"{"partialSuccess":{}}"#;

/// The answer to a request that was taken, with what was rejected of it.
pub(crate) fn success(signal: Signal, delivered: &Delivered, json: bool) -> Bytes {
    match (delivered.is_whole(), json) {
        (true, true) => Bytes::from_static(SUCCESS_JSON),
        (true, false) => Bytes::from_static(SUCCESS_PROTO),
        (false, true) => partial_json(signal, delivered).into(),
        (false, false) => partial_proto(delivered).into(),
    }
}

fn partial_proto(delivered: &Delivered) -> Vec<u8> {
    let mut partial = Vec::with_capacity(delivered.message.len() + 16);
    field_varint(&mut partial, 1, delivered.rejected);
    if !delivered.message.is_empty() {
        field_bytes(&mut partial, 2, delivered.message.as_bytes());
    }
    let mut out = Vec::with_capacity(partial.len() + 4);
    field_bytes(&mut out, 1, &partial);
    out
}

fn partial_json(signal: Signal, delivered: &Delivered) -> Vec<u8> {
    let what = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    let mut fields = Vec::new();
    if delivered.rejected > 0 {
        fields.push(format!("\"{what}\":\"{}\"", delivered.rejected));
    }
    if !delivered.message.is_empty() {
        let mut text = Vec::new();
        json_string(&mut text, &delivered.message);
        fields.push(format!("\"errorMessage\":{}", String::from_utf8_lossy(&text)));
    }
    format!("{{\"partialSuccess\":{{{}}}}}", fields.join(",")).into_bytes()
}

impl Status {
    /// A request that is wrong in itself.
    pub fn invalid(message: impl Into<String>) -> Self {
        Status {
            code: code::INVALID_ARGUMENT,
            http: 400,
            message: message.into(),
            retry_after: None,
        }
    }

    /// A client that has not shown who it is.
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Status { code: code::UNAUTHENTICATED, http: 401, ..Status::invalid(message) }
    }

    /// As `google.rpc.Status` in protobuf, with `RetryInfo` if a wait is named.
    pub fn to_proto(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.message.len() + 64);
        field_varint(&mut out, 1, self.code as u64);
        field_bytes(&mut out, 2, self.message.as_bytes());
        if let Some(after) = self.retry_after {
            field_bytes(&mut out, 3, &retry_info(after));
        }
        out
    }

    /// As `google.rpc.Status` in JSON.
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = format!("{{\"code\":{},\"message\":", self.code).into_bytes();
        json_string(&mut out, &self.message);
        out.push(b'}');
        out
    }

    /// The wait in whole seconds for `Retry-After`, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|after| after.as_secs() + u64::from(after.subsec_nanos() > 0))
    }
}

impl From<&Error> for Status {
    fn from(error: &Error) -> Self {
        let retry_after = match error.kind() {
            Kind::Retry { after } => after,
            Kind::Overloaded => Some(OVERLOAD_WAIT),
            _ => None,
        };
        Status {
            code: error.kind().grpc_code(),
            http: error.kind().http_status(),
            message: error.to_string(),
            retry_after,
        }
    }
}

impl From<&Refusal> for Status {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Error(error) => Status::from(error),
            // The collector answers 400 over HTTP and RESOURCE_EXHAUSTED over gRPC, both final.
            Refusal::TooLarge(message) => {
                Status { code: code::RESOURCE_EXHAUSTED, ..Status::invalid(message.clone()) }
            }
        }
    }
}

/// `google.protobuf.Any` holding `google.rpc.RetryInfo { retry_delay }`.
fn retry_info(after: Duration) -> Vec<u8> {
    let mut delay = Vec::new();
    field_varint(&mut delay, 1, after.as_secs());
    field_varint(&mut delay, 2, u64::from(after.subsec_nanos()));
    let mut info = Vec::new();
    field_bytes(&mut info, 1, &delay);
    let mut any = Vec::new();
    field_bytes(&mut any, 1, b"type.googleapis.com/google.rpc.RetryInfo");
    field_bytes(&mut any, 2, &info);
    any
}

fn field_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3);
        put_varint(out, value);
    }
}

fn field_bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn json_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            c if (c as u32) < 0x20 => {
                out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes())
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_the_same_in_both_encodings() {
        let status = Status::invalid("bad \"x\"\n");
        assert_eq!(status.to_json(), br#"{"code":3,"message":"bad \"x\"\u000a"}"#);
        assert_eq!(status.to_proto(), b"\x08\x03\x12\x08bad \"x\"\n");
    }

    #[test]
    fn what_was_rejected_reads_the_same_in_both_encodings() {
        let whole = Delivered::default();
        assert_eq!(success(Signal::Logs, &whole, false), SUCCESS_PROTO);
        assert_eq!(success(Signal::Logs, &whole, true), SUCCESS_JSON);
        let part = Delivered { rejected: 3, message: "too \"old\"".to_owned() };
        assert_eq!(
            success(Signal::Metrics, &part, false),
            &b"\x0a\x0d\x08\x03\x12\x09too \"old\""[..]
        );
        for (signal, name) in [
            (Signal::Traces, "rejectedSpans"),
            (Signal::Metrics, "rejectedDataPoints"),
            (Signal::Logs, "rejectedLogRecords"),
        ] {
            let json: serde_json::Value =
                serde_json::from_slice(&success(signal, &part, true)).expect("JSON");
            assert_eq!(json["partialSuccess"][name], "3");
            assert_eq!(json["partialSuccess"]["errorMessage"], "too \"old\"");
        }
    }

    #[test]
    fn a_named_wait_travels_as_retry_info_and_whole_seconds() {
        let after = Some(Duration::from_millis(1500));
        let error = Error::new(Kind::Retry { after }, "later");
        let status = Status::from(&error);
        assert_eq!((status.code, status.http), (14, 503));
        assert_eq!(status.retry_after_seconds(), Some(2));
        let proto = status.to_proto();
        assert!(proto.windows(9).any(|w| w == b"RetryInfo"), "{proto:?}");
        let full = Status::from(&Error::overloaded("sending queue is full"));
        assert_eq!((full.code, full.retry_after_seconds()), (14, Some(1)));
    }
}
