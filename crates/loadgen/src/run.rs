// SPDX-License-Identifier: Apache-2.0
//! Requests to an HTTP service, over a connection a worker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use basics::Random;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::drive::{AWAY, Course, Progress, Work, drive};
use crate::mix::{Ask, Mix};
use crate::pace::Pace;
use crate::report::About;
use crate::tally::Tally;

/// Most connections: beyond that a process runs into limits of its own.
pub const CONNECTIONS_MAX: usize = 4096;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

const AGENT: &str = concat!("foreglow-load/", env!("CARGO_PKG_VERSION"));
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The load on one target.
#[derive(Clone, Debug)]
pub struct Load {
    /// `http://host:port`.
    pub url: String,
    /// What is asked.
    pub mix: Mix,
    /// When.
    pub pace: Pace,
    /// Connections, at most [`CONNECTIONS_MAX`]; a request that is due waits for a free one, and
    /// that counts as its time.
    pub connections: usize,
    /// Ends after so many requests.
    pub requests: Option<u64>,
    /// Ends after so long.
    pub duration: Option<Duration>,
    /// Seed of what is asked; runs with one are alike.
    pub seed: u64,
}

impl Load {
    /// Requests that will be sent; none when that is not known before.
    pub fn expected(&self) -> Option<u64> {
        let by_time = self.duration.and_then(|time| self.pace.due_before(time));
        match (self.requests, by_time) {
            (Some(requests), Some(by_time)) => Some(requests.min(by_time)),
            (requests, by_time) => requests.or(by_time),
        }
    }

    /// What is told of it; `each` = the rate of one connection, if that was asked for.
    pub fn about(&self, each: Option<f64>) -> About {
        About {
            url: format!("{}{}", self.url.trim_end_matches('/'), self.mix.path()),
            unit: "req",
            expected: self.expected(),
            duration: self.duration,
            workers: self.connections,
            rate: self.pace.rate(),
            each,
        }
    }

    fn check(&self) -> Result<Uri> {
        let uri: Uri = self.url.parse().with_context(|| format!("{:?} is no URL", self.url))?;
        let scheme = uri.scheme_str().unwrap_or("none");
        ensure!(scheme == "http", "{:?}: only http:// is supported, not {scheme}", self.url);
        ensure!(uri.host().is_some(), "{:?} names no host", self.url);
        if !(1..=CONNECTIONS_MAX).contains(&self.connections) {
            bail!("{} connections: not between 1 and {CONNECTIONS_MAX}", self.connections);
        }
        if let Some(rate) = self.pace.rate() {
            ensure!(rate.is_finite() && rate > 0.0, "a rate of {rate}: it must be above 0");
        }
        ensure!(
            self.requests.is_some() || self.duration.is_some(),
            "without an end: say how many requests or how long"
        );
        Ok(uri)
    }
}

/// What all connections share.
struct Shared {
    load: Load,
    host: String,
    authority: HeaderValue,
}

/// Sends `load` until it is over or `stop` says so.
///
/// # Errors
/// When the load makes no sense: a URL that is none, no end. What the target does is no error.
pub async fn run(load: Load, progress: Progress, stop: watch::Receiver<bool>) -> Result<Tally> {
    let uri = load.check()?;
    let port = uri.port_u16().unwrap_or(80);
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let authority = uri.authority().context("no host")?.as_str();
    let course = Course { pace: load.pace, workers: load.connections, duration: load.duration };
    let shared = Arc::new(Shared {
        authority: HeaderValue::from_str(authority)?,
        host: if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        },
        load,
    });
    drive(course, progress, stop, |number| {
        let random = Random::seeded(shared.load.seed.wrapping_add(number));
        Worker { shared: shared.clone(), random, connection: None }
    })
    .await
}

struct Worker {
    shared: Arc<Shared>,
    random: Random,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Work for Worker {
    fn before(&self, index: u64) -> Option<u64> {
        self.shared.load.requests.is_none_or(|most| index < most).then_some(index)
    }

    /// Sends one request and counts what comes of it.
    async fn one(&mut self, _: u64, due: Instant, tally: &mut Tally) -> u64 {
        let ask = self.shared.load.mix.next(&mut self.random);
        let trace_id = [self.random.next_u64().max(1), self.random.next_u64()];
        let sent = Instant::now();
        let outcome = match tokio::time::timeout(PATIENCE, self.exchange(&ask, trace_id)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(anyhow::anyhow!("no answer within {PATIENCE:?}")),
        };
        let now = Instant::now();
        match outcome {
            Err(error) => {
                self.connection = None;
                tally.failed(format!("not answered: {error:#}"));
            }
            Ok((status, bytes)) => {
                *tally.statuses.entry(status.as_u16()).or_default() += 1;
                tally.bytes += bytes;
                if status.is_success() || status.is_redirection() {
                    tally.successful += 1;
                } else {
                    tally.failed += 1;
                }
                let micros = tally.time(now - due.min(sent), now - sent);
                let [high, low] = trace_id;
                let told =
                    || (format!("{} {}", ask.method, ask.path), format!("{high:016x}{low:016x}"));
                tally.slow(micros, told);
            }
        }
        1
    }
}

impl Worker {
    async fn exchange(&mut self, ask: &Ask, trace_id: [u64; 2]) -> Result<(http::StatusCode, u64)> {
        let ([high, low], span_id) = (trace_id, self.random.next_u64().max(1));
        let parent = format!("00-{high:016x}{low:016x}-{span_id:016x}-01");
        let body = ask.body.clone().map_or_else(Bytes::new, Bytes::from);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::from_bytes(ask.method.as_bytes())?;
        *request.uri_mut() = Uri::try_from(&ask.path)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, self.shared.authority.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(TRACEPARENT, HeaderValue::try_from(parent)?);
        if ask.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let sender = self.connected().await?;
        let answer = sender.send_request(request).await.map_err(plain)?;
        let status = answer.status();
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame.map_err(plain)?.data_ref().map_or(0, Bytes::len) as u64;
        }
        Ok((status, bytes))
    }

    async fn connected(&mut self) -> Result<&mut SendRequest<Full<Bytes>>> {
        let is_usable = match &mut self.connection {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !is_usable {
            let stream = match TcpStream::connect(&self.shared.host).await {
                Ok(stream) => stream,
                Err(error) => {
                    tokio::time::sleep(AWAY).await;
                    // Without its number it has a name alone, a failed look-up only a text.
                    let is_numbered = error.raw_os_error().is_some();
                    let why =
                        if is_numbered { error.kind().to_string() } else { error.to_string() };
                    return Err(anyhow::anyhow!("cannot connect: {why}"));
                }
            };
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(plain)?;
            // Its errors come out of the requests.
            tokio::spawn(connection);
            self.connection = Some(sender);
        }
        self.connection.as_mut().context("no connection")
    }
}

/// What went wrong without addresses and numbers, so that equal mistakes are one.
fn plain(error: hyper::Error) -> anyhow::Error {
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        return anyhow::anyhow!("the connection was closed");
    }
    let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) => anyhow::anyhow!("{}", cause.kind()),
        None => anyhow::anyhow!("{error}"),
    }
}
