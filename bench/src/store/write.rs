// SPDX-License-Identifier: Apache-2.0
//! The import: remote write 1.0, each instance on a connection of its own, in order of time, the
//! next request when the one before is acknowledged.
//!
//! Requests are made while they are sent, encoded here so that the generator shares no code with
//! what it measures. Instances are at most [`AHEAD`] requests apart, since a Prometheus refuses what
//! is an hour older than its newest.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use prost::encoding::{encode_varint, encoded_len_varint};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::workload::{STEP_MS, Workload};

/// Requests of an instance that wait.
const AHEAD: usize = 2;

/// As a sender waits a little before it sends a refused request again.
const REFUSED_WAIT: Duration = Duration::from_millis(2);

/// Samples in order of time, as bodies.
pub struct Generator {
    workload: Workload,
    instances: usize,
    /// Labels of each series, encoded.
    labels: Vec<Vec<u8>>,
    start_ms: i64,
    jitter_ms: u64,
    step: usize,
    values: Vec<Vec<f64>>,
}

impl Generator {
    /// `instances` machines from `start_ms` on, up to `jitter_ms` off a grid of 15 s.
    pub fn new(instances: usize, start_ms: i64, jitter_ms: u64) -> Generator {
        let workload = Workload::new(instances, 1);
        let labels = workload.series.iter().map(|series| encode_labels(&series.labels)).collect();
        Generator { workload, instances, labels, start_ms, jitter_ms, step: 0, values: Vec::new() }
    }

    /// Series of all instances.
    pub fn series(&self) -> usize {
        self.labels.len()
    }

    /// The next `steps` steps: a body an instance.
    fn next(&mut self, steps: usize) -> Vec<Bytes> {
        self.values.resize_with(steps, Vec::new);
        self.values.iter_mut().for_each(|values| self.workload.next(values));
        let time = |instance, step| {
            Workload::time_ms(self.start_ms, instance, self.step + step, self.jitter_ms)
        };
        let mut bodies = vec![Vec::new(); self.instances];
        let mut series = Vec::new();
        for (at, labels) in self.labels.iter().enumerate() {
            let instance = self.workload.series[at].instance;
            series.clear();
            series.extend_from_slice(labels);
            for (step, values) in self.values.iter().enumerate() {
                encode_sample(values[at], time(instance, step), &mut series);
            }
            encode_field(1, &series, &mut bodies[instance]);
        }
        self.step += steps;
        let mut snappy = snap::raw::Encoder::new();
        let packed = bodies.iter().map(|body| snappy.compress_vec(body).expect("small"));
        packed.map(Bytes::from).collect()
    }
}

/// `WriteRequest.timeseries[].labels[]`, both fields strings.
fn encode_labels(labels: &[(String, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        encode_field(1, name.as_bytes(), &mut label);
        encode_field(2, value.as_bytes(), &mut label);
        encode_field(1, &label, &mut out);
    }
    out
}

fn encode_field(number: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(number << 3 | 2);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// `WriteRequest.timeseries[].samples[]`: a double and milliseconds.
fn encode_sample(value: f64, time_ms: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(&[
        2 << 3 | 2,
        (10 + encoded_len_varint(time_ms as u64)) as u8,
        1 << 3 | 1,
    ]);
    out.extend_from_slice(&value.to_le_bytes());
    out.push(2 << 3);
    encode_varint(time_ms as u64, out);
}

/// Sends `steps` steps, `at_once` of them in a request; returns how many samples were acknowledged.
pub async fn import(mut from: Generator, port: u16, steps: usize, at_once: usize) -> Result<u64> {
    let samples = from.series() as u64 * steps as u64;
    let mut workers = tokio::task::JoinSet::new();
    let mut lanes = Vec::new();
    for _ in 0..from.instances {
        let (lane, mut bodies) = mpsc::channel::<Bytes>(AHEAD);
        lanes.push(lane);
        let mut connection = connect(port).await?;
        workers.spawn(async move {
            while let Some(body) = bodies.recv().await {
                while !send(&mut connection, body.clone()).await? {
                    tokio::time::sleep(REFUSED_WAIT).await;
                }
            }
            anyhow::Ok(())
        });
    }
    let generator = tokio::task::spawn_blocking(move || {
        for at in (0..steps).step_by(at_once) {
            for (lane, body) in lanes.iter().zip(from.next(at_once.min(steps - at))) {
                // Whoever does not receive any more tells why.
                if lane.blocking_send(body).is_err() {
                    return;
                }
            }
        }
    });
    while let Some(done) = workers.join_next().await {
        done??;
    }
    generator.await?;
    Ok(samples)
}

async fn connect(port: u16) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.context("connecting")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// True when it was taken, false when it is to be sent again.
async fn send(connection: &mut SendRequest<Full<Bytes>>, body: Bytes) -> Result<bool> {
    let request = Request::post("/api/v1/write")
        .header(header::HOST, "127.0.0.1")
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .header(header::CONTENT_ENCODING, "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0")
        .body(Full::new(body))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let told = answer.into_body().collect().await?.to_bytes();
    match status {
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Ok(false),
        status => bail!("status {status}: {}", String::from_utf8_lossy(&told)),
    }
}

/// Steps of a day.
pub const DAY_STEPS: usize = (24 * 3_600_000 / STEP_MS) as usize;
