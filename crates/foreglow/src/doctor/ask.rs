// SPDX-License-Identifier: Apache-2.0
//! Questions to servers that may be anything: within [`PATIENCE`] and [`ANSWER_MAX`], whatever they
//! answer, and told in words when they do not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use net::connect::Connector;
use net::tls::{ClientSettings, ClientTls};

/// How long one answer may take: what is well answers in milliseconds, also under load.
const PATIENCE: Duration = Duration::from_secs(3);

/// Longest answer that is read: the page of 10,000 own series has 2 MiB.
const ANSWER_MAX: usize = 16 << 20;

/// An HTTP answer.
#[derive(Debug)]
pub struct Said {
    /// Status.
    pub status: u16,
    /// Headers, the trailers among them.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// From the question to the end of the answer.
    pub took: Duration,
}

impl Said {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` if it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Where this one's clock is, in seconds after ours. Of an HTTP date; half a second is rounded off.
    pub fn clock_ahead(&self) -> Option<f64> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        let theirs = httpdate::parse_http_date(date).ok()? + Duration::from_millis(500);
        let ours = std::time::SystemTime::now();
        Some(match theirs.duration_since(ours) {
            Ok(ahead) => ahead.as_secs_f64(),
            Err(behind) => -behind.duration().as_secs_f64(),
        })
    }
}

/// Who asks. Takes any certificate: what is asked is whether somebody is there.
#[derive(Clone)]
pub struct Asker {
    http: Client<Connector, Full<Bytes>>,
    grpc: Client<Connector, Full<Bytes>>,
    token: Option<String>,
}

impl Asker {
    /// With the token of the page.
    pub fn new(token: Option<String>) -> Asker {
        let tls = |alpn| {
            let settings = ClientSettings { insecure_skip_verify: true, ..Default::default() };
            // Nothing is read for it, so nothing can be wrong with it.
            ClientTls::new(settings, alpn).ok()
        };
        let builder = || Client::builder(TokioExecutor::new());
        Asker {
            http: builder().build(Connector::new(tls(&["http/1.1"]))),
            grpc: builder().http2_only(true).build(Connector::new(tls(&["h2"]))),
            token,
        }
    }

    /// `GET url`.
    ///
    /// # Errors
    /// What is wrong with who is asked, in words.
    pub async fn get(&self, url: &str) -> Result<Said, String> {
        let mut request = Request::get(url);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        ask(&self.http, request, "HTTP").await
    }

    /// `POST url` with nothing in it: an export request without data.
    ///
    /// # Errors
    /// As [`Asker::get`].
    pub async fn post_nothing(&self, url: &str) -> Result<Said, String> {
        let request = Request::post(url).header(header::CONTENT_TYPE, "application/x-protobuf");
        let request = request.body(Full::default()).map_err(|error| error.to_string())?;
        ask(&self.http, request, "HTTP").await
    }

    /// A gRPC call of `method` (`package.Service/Method`) at `base`; the answer's `grpc-status` and
    /// message, and its bytes.
    ///
    /// # Errors
    /// As [`Asker::get`].
    pub async fn call(
        &self,
        base: &str,
        method: &str,
        message: &[u8],
    ) -> Result<(u32, String, Bytes), String> {
        let length = (message.len() as u32).to_be_bytes();
        let framed = [&[0], &length[..], message].concat();
        let request = Request::post(format!("{base}/{method}"))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(framed.into()))
            .map_err(|error| error.to_string())?;
        let said = ask(&self.grpc, request, "gRPC").await?;
        let text = |name| said.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(code) = text("grpc-status").and_then(|code| code.parse().ok()) else {
            return Err(format!("answers HTTP status {}, but not in gRPC", said.status));
        };
        let answer = said.body.slice(said.body.len().min(5)..);
        Ok((code, text("grpc-message").unwrap_or_default().replace("%20", " "), answer))
    }
}

async fn ask(
    client: &Client<Connector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
    protocol: &str,
) -> Result<Said, String> {
    let begun = Instant::now();
    let answer = async {
        let (head, body) =
            client.request(request).await.map_err(|e| wrong(&e, protocol))?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|error| format!("breaks off its answer: {error}"))?;
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        let (status, took) = (head.status.as_u16(), begun.elapsed());
        Ok(Said { status, headers, body: body.to_bytes(), took })
    };
    let late = |_| format!("accepts, but does not answer in {protocol} within {PATIENCE:?}");
    tokio::time::timeout(PATIENCE, answer).await.map_err(late)?
}

/// What kept an answer from coming, with its innermost cause.
fn wrong(error: &Error, protocol: &str) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    match error.is_connect() {
        true => format!("cannot be connected to: {cause}"),
        false => format!("does not speak {protocol}: {cause}"),
    }
}

/// Percent-encoded for a query string.
pub fn escape(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
