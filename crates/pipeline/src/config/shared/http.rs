// SPDX-License-Identifier: Apache-2.0
//! HTTP client and server keys (the collector's confighttp).

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration};
use super::{Headers, TlsClient, TlsServer, check_listen, refuse_if};

/// How a client compresses bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// RFC 1950, the name HTTP has for it.
    Deflate,
    /// RFC 1950.
    Zlib,
    /// Snappy block format.
    Snappy,
    /// Not at all.
    #[serde(alias = "")]
    None,
}

/// Keys of an HTTP client, standing among the component's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpClient {
    /// URL to send to; empty if not given.
    pub endpoint: String,
    /// Plain text or TLS is decided by the scheme of `endpoint`.
    pub tls: TlsClient,
    /// For one request; zero = none; `None` = the component's default.
    pub timeout: Option<Duration>,
    /// Sent with every request.
    pub headers: Headers,
    /// `None` = the component's default.
    pub compression: Option<Compression>,
    /// How hard to compress.
    pub compression_params: CompressionParams,
    /// Idle connections to keep at most; `None` = 100.
    pub max_idle_conns: Option<u32>,
    /// How long an idle connection is kept; `None` = 90 s.
    pub idle_conn_timeout: Option<Duration>,
    /// One connection per request.
    pub disable_keep_alives: bool,
    proxy_url: String,
    auth: Option<IgnoredAny>,
    middlewares: Vec<IgnoredAny>,
    cookies: IgnoredAny,
    read_buffer_size: IgnoredAny,
    write_buffer_size: IgnoredAny,
    max_idle_conns_per_host: IgnoredAny,
    max_conns_per_host: IgnoredAny,
    http2_read_idle_timeout: Duration,
    http2_ping_timeout: Duration,
    force_attempt_http2: IgnoredAny,
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompressionParams {
    /// Level of the algorithm; `None` = ours, chosen for throughput.
    pub level: Option<i32>,
}

impl HttpClient {
    /// Checks the client's keys; `at` is the component's place. The endpoint's presence is the
    /// component's to check.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.tls.validate(&mut at.key("tls"));
        check_url(&self.endpoint, "endpoint", at);
        refuse_if(!self.proxy_url.is_empty(), "proxy_url", "a proxy is", at);
        refuse_if(self.auth.is_some(), "auth", "authenticators are", at);
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
    }
}

/// An `http://host[:port][/path]` URL; `https` is refused as long as there is no TLS.
pub(crate) fn check_url(url: &str, key: &str, at: &mut Checker<'_>) {
    match url.split_once("://") {
        _ if url.is_empty() => {}
        Some(("http", rest)) if !rest.is_empty() && !rest.starts_with('/') => {}
        Some(("https", _)) => at.error(key, "TLS is not supported yet; use an http:// endpoint"),
        _ => at.error(key, format!("\"{url}\" is not a URL such as http://host:4318")),
    }
}

/// Keys of an HTTP server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HttpServer {
    /// `host:port` to listen on; `None` = the component's default.
    pub endpoint: Option<String>,
    /// Which web pages may call it.
    pub cors: Option<Cors>,
    /// Copies request headers into the batch's metadata.
    pub include_metadata: bool,
    /// Sent with every answer.
    pub response_headers: Headers,
    /// Content encodings taken; `None` = all there are.
    pub compression_algorithms: Option<Vec<String>>,
    max_request_body_size: i64,
    tls: Option<TlsServer>,
    auth: Option<IgnoredAny>,
    middlewares: Vec<IgnoredAny>,
    transport: Option<String>,
    /// For reading a whole request; `None` = the component's default, zero = none.
    pub read_timeout: Option<Duration>,
    /// For reading a request's head; `None` = the component's default, zero = none.
    pub read_header_timeout: Option<Duration>,
    /// For writing an answer; `None` = the component's default, zero = none.
    pub write_timeout: Option<Duration>,
    /// How long an idle connection is kept; `None` = the component's default, zero = for ever.
    pub idle_timeout: Option<Duration>,
    /// More than one request per connection; `None` = yes.
    pub keep_alives_enabled: Option<bool>,
}

/// `cors`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Origins, `*` stands for any text; CORS is off if there is none.
    pub allowed_origins: Vec<String>,
    /// Request headers allowed beyond the safe ones.
    pub allowed_headers: Vec<String>,
    /// Answer headers shown to the page.
    pub exposed_headers: Vec<String>,
    /// How long a preflight answer holds, in seconds; 0 = not said.
    pub max_age: u64,
}

impl HttpServer {
    /// Largest body in bytes, compressed and uncompressed: `default` unless a positive
    /// `max_request_body_size` is given.
    pub fn body_bytes_max(&self, default: u64) -> u64 {
        match u64::try_from(self.max_request_body_size) {
            Ok(0) | Err(_) => default,
            Ok(bytes) => bytes,
        }
    }

    /// Checks the server's keys; `at` is their place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        if let Some(endpoint) = &self.endpoint {
            check_listen(endpoint, "endpoint", at);
        }
        if let Some(tls) = &self.tls {
            tls.validate(&mut at.key("tls"));
        }
        refuse_if(self.auth.is_some(), "auth", "authenticators are", at);
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
        check_transport(self.transport.as_deref(), at);
    }
}

pub(crate) fn check_transport(transport: Option<&str>, at: &mut Checker<'_>) {
    if let Some(transport) = transport
        && !["", "tcp", "tcp4", "tcp6"].contains(&transport)
    {
        at.error("transport", format!("transport \"{transport}\" is not supported yet; use tcp"));
    }
}
