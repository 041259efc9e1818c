// SPDX-License-Identifier: Apache-2.0
//! HTTP client and server keys (the collector's confighttp).

use basics::Result;
use net::activity::Life;
use net::listen::Rules;
use net::tls::ClientTls;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration, NoEffect};
use super::{Auth, Headers, TlsClient, TlsServer, check_listen, refuse_if};

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
    /// Snappy: its block format over HTTP, the framed one over gRPC.
    Snappy,
    /// Snappy framing format.
    #[serde(rename = "x-snappy-framed")]
    SnappyFramed,
    /// LZ4 frames.
    Lz4,
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
    /// Who we are.
    pub auth: Option<Auth>,
    /// Refused if written.
    proxy_url: String,
    /// Refused if there is one.
    middlewares: Vec<IgnoredAny>,
    cookies: NoEffect,
    read_buffer_size: NoEffect,
    write_buffer_size: NoEffect,
    /// Idle connections to one peer at most; `None` or 0 = by `max_idle_conns`.
    pub max_idle_conns_per_host: Option<u32>,
    /// Checked, without effect.
    max_conns_per_host: u32,
    http2_read_idle_timeout: Duration,
    http2_ping_timeout: Duration,
    force_attempt_http2: Option<bool>,
}

/// `compression_params`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompressionParams {
    /// Level of the algorithm; `None` = ours, chosen for throughput.
    pub level: Option<i32>,
}

impl HttpClient {
    /// TLS as configured, for `https` URLs.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn client_tls(&self) -> Result<ClientTls> {
        match self.force_attempt_http2 {
            Some(false) => self.tls.tls(&["http/1.1"]),
            _ => self.tls.tls(&["h2", "http/1.1"]),
        }
    }

    /// Pings on HTTP/2 connections: after how long, and how long the answer may take.
    pub fn pings(&self) -> Option<(std::time::Duration, std::time::Duration)> {
        let interval = self.http2_read_idle_timeout.nonzero()?;
        let timeout = self.http2_ping_timeout.nonzero();
        Some((interval, timeout.unwrap_or(PING_TIMEOUT)))
    }

    /// Checks the client's keys; `at` is the component's place. The endpoint's presence is the
    /// component's to check.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.tls.validate(&mut at.key("tls"));
        check_url(&self.endpoint, "endpoint", at);
        if let Some(auth) = &self.auth {
            auth.validate(&mut at.key("auth"));
        }
        refuse_if(!self.proxy_url.is_empty(), "proxy_url", "a proxy is", at);
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
        self.validate_level(at);
        if self.max_conns_per_host > 0 {
            at.no_effect(
                "max_conns_per_host",
                "there are as many connections as requests, sending_queue.num_consumers at most",
            );
        }
    }
}

impl HttpClient {
    fn validate_level(&self, at: &mut Checker<'_>) {
        let Some(level) = self.compression_params.level else { return };
        let (name, is_right) = match self.compression {
            None => return,
            Some(Compression::Gzip) => ("gzip", (-2..=9).contains(&level)),
            Some(Compression::Deflate) => ("deflate", (-2..=9).contains(&level)),
            Some(Compression::Zlib) => ("zlib", (-2..=9).contains(&level)),
            Some(Compression::Zstd) => ("zstd", true),
            Some(Compression::Snappy) => ("snappy", level == 0),
            Some(Compression::SnappyFramed) => ("x-snappy-framed", level == 0),
            Some(Compression::Lz4) => ("lz4", level == 0),
            Some(Compression::None) => ("none", level == 0),
        };
        if !is_right {
            let message = format!("unsupported level {level} for compression type \"{name}\"");
            at.key("compression_params").error("level", message);
        }
    }
}

/// Go's default for `http2_ping_timeout`.
const PING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(15);

/// An `http://` or `https://host[:port][/path]` URL.
pub(crate) fn check_url(url: &str, key: &str, at: &mut Checker<'_>) {
    match url.split_once("://") {
        _ if url.is_empty() => {}
        Some(("http" | "https", rest)) if !rest.is_empty() && !rest.starts_with('/') => {}
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
    /// Who may come in.
    pub auth: Option<Auth>,
    /// Largest body in bytes, compressed and plain; 0 = the component's default.
    max_request_body_size: i64,
    /// Not written = plain text.
    tls: Option<TlsServer>,
    /// Refused if there is one.
    middlewares: Vec<IgnoredAny>,
    /// `tcp`, `tcp4`, `tcp6`, or `unix` with a path as the endpoint.
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

/// Time-outs of a server where its keys say nothing; zero = none.
#[derive(Clone, Copy, Debug)]
pub struct TimeOuts {
    /// For a request's head.
    pub head: Duration,
    /// For an answer.
    pub answer: Duration,
    /// For an idle connection.
    pub idle: Duration,
}

/// The collector's.
impl Default for TimeOuts {
    fn default() -> Self {
        TimeOuts {
            head: Duration::from_secs(60),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(60),
        }
    }
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

    /// How to serve where the keys say nothing else; `name` is for log lines.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn rules(
        &self,
        name: &'static str,
        alpn: &'static [&'static str],
        default: TimeOuts,
    ) -> Result<Rules> {
        let tls = self.tls.as_ref().map(|tls| tls.tls(alpn)).transpose()?;
        let or =
            |written: Option<Duration>, default: Duration| written.unwrap_or(default).nonzero();
        let life = Life {
            head: or(self.read_header_timeout, default.head),
            answer: or(self.write_timeout, default.answer),
            idle: or(self.idle_timeout, default.idle),
            ..Life::default()
        };
        Ok(Rules { tls, life, ..Rules::new(name) })
    }

    /// Where to listen, as [`net::listen::bind`] takes it; `default` where nothing is written.
    pub fn address(&self, default: &str) -> String {
        listen_on(self.transport.as_deref(), self.endpoint.as_deref(), default)
    }

    /// True if clients speak TLS with it.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Checks the server's keys; `at` is their place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        check_server(self.transport.as_deref(), self.endpoint.as_deref(), at);
        if let Some(tls) = &self.tls {
            tls.validate(&mut at.key("tls"));
        }
        if let Some(auth) = &self.auth {
            auth.validate(&mut at.key("auth"));
        }
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
    }
}

/// Checks where a server listens.
pub(crate) fn check_server(transport: Option<&str>, endpoint: Option<&str>, at: &mut Checker<'_>) {
    match (transport.unwrap_or_default(), endpoint) {
        ("unix", None | Some("")) => {
            at.error("endpoint", "a unix transport needs the path of a socket")
        }
        ("unix", _) => {}
        ("" | "tcp" | "tcp4" | "tcp6", Some(endpoint)) => check_listen(endpoint, "endpoint", at),
        ("" | "tcp" | "tcp4" | "tcp6", None) => {}
        (other, _) => at
            .error("transport", format!("transport \"{other}\" is not supported; use tcp or unix")),
    }
}

/// What a server is bound to; see [`net::listen::bind`].
pub(crate) fn listen_on(transport: Option<&str>, endpoint: Option<&str>, default: &str) -> String {
    let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty()).unwrap_or(default);
    match transport {
        Some("unix") => format!("{}{endpoint}", net::socket::UNIX),
        _ => endpoint.to_owned(),
    }
}
