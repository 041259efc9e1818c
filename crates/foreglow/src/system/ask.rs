// SPDX-License-Identifier: Apache-2.0
//! Asking processes of this host over HTTP: whether they are there, and what PromQL says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use basics::percent;
use serde_json::Value;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Longest answer that is read.
const ANSWER_MAX: u64 = 1 << 20;

/// Status of `GET path` at a port of the loopback interface; none if nobody answers.
pub fn status(port: u16, path: &str) -> Option<u16> {
    Some(get(port, path)?.0)
}

/// What PromQL says now: an entry a series.
pub fn promql(port: u16, expression: &str) -> Option<Vec<Value>> {
    match result(port, &query(expression))? {
        Value::Array(series) => Some(series),
        _ => None,
    }
}

/// The result of a question to Prometheus' API.
pub fn result(port: u16, path: &str) -> Option<Value> {
    let (status, body) = get(port, path)?;
    let mut body: Value = serde_json::from_str(&body).ok().filter(|_| status == 200)?;
    Some(body["data"]["result"].take())
}

/// The path that asks for a PromQL expression.
pub fn query(expression: &str) -> String {
    format!("/api/v1/query?query={}", percent::encoded(expression))
}

/// True when a service has traces, by Jaeger's API.
pub fn has_traces(port: u16, service: &str) -> bool {
    let path = format!("/api/traces?limit=1&lookback=1h&service={}", percent::encoded(service));
    let Some((200, body)) = get(port, &path) else { return false };
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    body["data"].as_array().is_some_and(|traces| !traces.is_empty())
}

fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut text = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}
