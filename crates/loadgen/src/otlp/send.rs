// SPDX-License-Identifier: Apache-2.0
//! One request over gRPC or HTTP: taken, put off, or failed.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use basics::Kind;
use bytes::{BufMut, BytesMut};
use exporters::net::answer;
use exporters::net::client::{self, Client, Parts, Settings};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri, Version};
use net::tls::{ClientSettings, ClientTls};
use otlp_wire::{Payload, Signal};
use tokio::time::Instant;

use crate::drive::AWAY;
use crate::tally::Tally;

/// Waits between attempts when the peer names none, doubling.
const WAIT_FIRST: Duration = Duration::from_millis(100);
const WAIT_MAX: Duration = Duration::from_secs(5);

/// An OTLP receiver.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is sent there.
    pub signal: Signal,
    /// `host:port`; or a URL, whose scheme then says whether TLS is spoken.
    pub endpoint: String,
    /// Over HTTP instead of gRPC, to this path.
    pub http_path: Option<String>,
    /// TLS; none = plain text.
    pub tls: Option<ClientSettings>,
    /// Sent with each request.
    pub headers: Vec<(String, String)>,
}

impl Target {
    fn parts(&self) -> (&'static str, &str) {
        let usual = if self.tls.is_some() { "https" } else { "http" };
        let (scheme, rest) = match self.endpoint.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("https", rest)) => ("https", rest),
            _ => (usual, self.endpoint.as_str()),
        };
        (scheme, rest.trim_end_matches('/'))
    }

    /// Where requests go.
    pub fn url(&self) -> String {
        let (scheme, authority) = self.parts();
        let path = match (&self.http_path, self.signal) {
            (Some(path), _) => path.as_str(),
            (None, Signal::Traces) => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            (None, Signal::Metrics) => {
                "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
            }
            (None, Signal::Logs) => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        format!("{scheme}://{authority}{slash}{path}")
    }

    fn uri(&self) -> Result<Uri> {
        let wrong = || format!("endpoint {:?}: expected host:port", self.endpoint);
        let (_, authority) = self.parts();
        if self.endpoint.contains("://") && authority.contains('/') {
            bail!("{}; the path is an option of its own (--otlp-http-url-path)", wrong());
        }
        let uri: Uri = self.url().parse().with_context(wrong)?;
        ensure!(uri.host().is_some_and(|host| !host.is_empty()), wrong());
        ensure!(!authority.contains('/'), wrong());
        Ok(uri)
    }

    fn headers(&self) -> Result<HeaderMap> {
        let mut all = HeaderMap::new();
        all.insert(USER_AGENT, HeaderValue::from_static(client::USER_AGENT));
        for (name, value) in &self.headers {
            let wrong = || format!("header {name:?} is not a valid HTTP header");
            let name = HeaderName::from_bytes(name.as_bytes()).with_context(wrong)?;
            all.insert(name, HeaderValue::from_str(value).with_context(wrong)?);
        }
        if self.http_path.is_some() {
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        } else {
            all.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            all.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(all)
    }
}

/// What all connections to a target have in common.
pub(super) struct Link {
    uri: Uri,
    headers: HeaderMap,
    is_grpc: bool,
    tls: Option<ClientTls>,
}

impl Link {
    pub fn new(target: &Target) -> Result<Arc<Link>> {
        let uri = target.uri()?;
        let is_grpc = target.http_path.is_none();
        let tls = match uri.scheme_str() {
            Some("https") => {
                let settings = target.tls.clone().unwrap_or_default();
                let alpn: &[&str] = if is_grpc { &["h2"] } else { &["http/1.1"] };
                Some(ClientTls::new(settings, alpn).map_err(|error| anyhow!("{error}"))?)
            }
            _ => None,
        };
        Ok(Arc::new(Link { uri, headers: target.headers()?, is_grpc, tls }))
    }

    pub fn sender(self: &Arc<Link>) -> Sender {
        let settings =
            Settings { http2: self.is_grpc, tls: self.tls.clone(), ..Settings::default() };
        Sender { link: self.clone(), client: Client::with(settings) }
    }

    fn request(&self, payload: &Payload) -> Request<Parts> {
        let message = payload.bytes().clone();
        let mut prefix = BytesMut::new();
        if self.is_grpc {
            prefix.put_u8(0);
            prefix.put_u32(message.len() as u32);
        }
        let mut request = Request::new(Parts::new([prefix.freeze(), message]));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if self.is_grpc {
            *request.version_mut() = Version::HTTP_2;
        }
        request
    }
}

/// One connection.
pub(super) struct Sender {
    link: Arc<Link>,
    client: Client,
}

/// What one attempt came to.
enum Attempt {
    /// Taken, but for so many items.
    Taken(u64, String),
    /// Not now, for a reason; perhaps after a time.
    PutOff(Option<Duration>, String),
    Failed(String),
}

impl Sender {
    /// Sends `payload` until it is taken, at most for `timeout`; how many items of it were rejected.
    pub async fn deliver(
        &self,
        payload: &Payload,
        timeout: Duration,
        tally: &mut Tally,
    ) -> Result<u64, String> {
        let deadline = Instant::now() + timeout;
        let mut usual = WAIT_FIRST;
        loop {
            let attempt = tokio::time::timeout_at(deadline, self.attempt(payload)).await;
            match attempt
                .unwrap_or_else(|_| Attempt::Failed(format!("no answer within {timeout:?}")))
            {
                Attempt::Taken(rejected, told) => {
                    if rejected > 0 || !told.is_empty() {
                        tally.wrong(format!("partial success: {told}"));
                    }
                    return Ok(rejected);
                }
                Attempt::Failed(why) => return Err(why),
                Attempt::PutOff(wait, why) => {
                    let wait = wait.unwrap_or(usual);
                    if Instant::now() + wait >= deadline {
                        return Err(format!("{why} (until the time-out)"));
                    }
                    tally.put_off += 1;
                    usual = (usual * 2).min(WAIT_MAX);
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn attempt(&self, payload: &Payload) -> Attempt {
        let answer = match self.client.send(self.link.request(payload)).await {
            Ok(answer) => answer,
            Err(error) => {
                tokio::time::sleep(AWAY).await;
                return Attempt::Failed(plain(&error.to_string(), &self.link.uri));
            }
        };
        let outcome = match self.link.is_grpc {
            true => answer::grpc(&answer),
            false => answer::otlp_http(&answer, false),
        };
        match outcome {
            Ok(pushed) => Attempt::Taken(pushed.rejected, pushed.message),
            Err(error) => match error.kind() {
                Kind::Retry { after } => {
                    Attempt::PutOff(after, plain(&error.to_string(), &self.link.uri))
                }
                _ => Attempt::Failed(plain(&error.to_string(), &self.link.uri)),
            },
        }
    }
}

/// Without the address, which the report has, and with what to do about it in this program's words.
fn plain(error: &str, uri: &Uri) -> String {
    let text = error.replacen(&format!(" to {uri}"), "", 1);
    let text = text.trim_end_matches([':', ' ']);
    if let Some(at) = text.find("the peer does not speak TLS") {
        return format!(
            "{}the peer does not speak TLS: --otlp-insecure sends plain text",
            &text[..at]
        );
    }
    let is_untrusted = text.contains("invalid peer certificate");
    let hint = if is_untrusted { "; --ca-cert names who may have signed it" } else { "" };
    format!("{text}{hint}")
}
