// SPDX-License-Identifier: Apache-2.0
//! gRPC client and server keys (the collector's configgrpc).

use basics::Result;
use net::activity::Life;
use net::listen::Rules;
use net::tls::ClientTls;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration, NoEffect};
use super::http::{check_server, listen_on};
use super::{Auth, Compression, Headers, TlsClient, TlsServer, check_listen, refuse_if};

/// A connection begins to speak HTTP/2 within this: as long as headers may take over HTTP/1.
const PREFACE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// Keys of a gRPC client, standing among the component's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcClient {
    /// `host:port`, with or without a scheme; empty if not given. See [`GrpcClient::address`].
    pub endpoint: String,
    /// Plain text only with `insecure: true`. See [`GrpcClient::is_plain`].
    pub tls: TlsClient,
    /// `None` = the component's default.
    pub compression: Option<Compression>,
    /// Pings on idle connections; `None` = the component's default.
    pub keepalive: Option<Keepalive>,
    /// Sent with every request.
    pub headers: Headers,
    /// Name sent as `:authority`; empty = the endpoint's.
    pub authority: String,
    /// `User-Agent`; empty = ours.
    pub user_agent: String,
    /// Who we are.
    pub auth: Option<Auth>,
    /// Checked, without effect: a client has one connection.
    balancer_name: Option<String>,
    wait_for_ready: NoEffect,
    /// Refused if there is one.
    middlewares: Vec<IgnoredAny>,
    read_buffer_size: NoEffect,
    write_buffer_size: NoEffect,
}

/// `keepalive` of a client.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default)]
pub struct Keepalive {
    /// Ping after this long without traffic.
    pub time: Duration,
    /// How long to wait for the answer.
    pub timeout: Duration,
    /// Ping with no call under way, too.
    pub permit_without_stream: bool,
}

impl Default for Keepalive {
    fn default() -> Self {
        Keepalive {
            time: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            permit_without_stream: false,
        }
    }
}

/// What gRPC speaks over TLS.
const ALPN: &[&str] = &["h2"];

impl GrpcClient {
    /// The unix domain socket that `endpoint` names, `unix:///path`.
    pub fn unix(&self) -> Option<&str> {
        self.endpoint.strip_prefix("unix://")
    }

    /// `host:port` without a scheme; over a unix domain socket gRPC says `localhost`.
    pub fn address(&self) -> &str {
        if self.unix().is_some() {
            return "localhost";
        }
        let endpoint = self.endpoint.as_str();
        let schemes = ["http://", "https://", "dns:///", "dns://", "passthrough:///"];
        let bare = schemes.iter().find_map(|scheme| endpoint.strip_prefix(scheme));
        bare.unwrap_or(endpoint).trim_end_matches('/')
    }

    /// Plain text: only with `tls.insecure`, without a CA, and unless the endpoint says `https`.
    pub fn is_plain(&self) -> bool {
        self.tls.is_off() && !self.endpoint.starts_with("https://")
    }

    /// The scheme of a URL that is sent to: `https` for TLS.
    pub fn scheme(&self) -> &'static str {
        if self.is_plain() { "http" } else { "https" }
    }

    /// TLS as configured; `None` = plain text.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn client_tls(&self) -> Result<Option<ClientTls>> {
        if self.is_plain() { Ok(None) } else { self.tls.tls(ALPN).map(Some) }
    }

    /// Checks the client's keys; `at` is the component's place. The endpoint's presence is the
    /// component's to check.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.tls.validate(&mut at.key("tls"));
        if self.unix() == Some("") {
            at.error("endpoint", "unix socket path cannot be empty");
        } else if self.unix().is_some() {
            // Nothing else to check: the file may come later.
        } else if self.endpoint.starts_with("xds:") {
            at.error("endpoint", "xds endpoints are not supported; use host:port");
        } else if !self.endpoint.is_empty() {
            check_listen(self.address(), "endpoint", at);
            if self.endpoint.starts_with("http://") && !self.is_plain() {
                at.warn(
                    "endpoint",
                    "http:// does not mean plain text for gRPC: TLS is spoken unless tls has insecure: true and no CA",
                );
            }
        }
        if let Some(auth) = &self.auth {
            auth.validate(&mut at.key("auth"));
        }
        if let Some(
            Compression::Deflate | Compression::Zlib | Compression::SnappyFramed | Compression::Lz4,
        ) = self.compression
        {
            at.error("compression", "gRPC has gzip, zstd, snappy and none");
        }
        if let Some(name) = &self.balancer_name
            && !["", "round_robin", "pick_first"].contains(&name.as_str())
        {
            at.error("balancer_name", format!("invalid balancer_name: {name}"));
        }
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
    }
}

/// Keys of a gRPC server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcServer {
    /// `host:port` to listen on; `None` = the component's default.
    pub endpoint: Option<String>,
    /// Calls at a time on one connection; 0 = as the library has it.
    pub max_concurrent_streams: u32,
    /// Pings and the life of connections.
    pub keepalive: ServerKeepalive,
    /// Copies request headers into the batch's metadata.
    pub include_metadata: bool,
    /// Who may send.
    pub auth: Option<Auth>,
    /// Largest message in MiB; 0 = the component's default.
    max_recv_msg_size_mib: u32,
    /// Not written = plain text.
    tls: Option<TlsServer>,
    /// Refused if there is one.
    middlewares: Vec<IgnoredAny>,
    /// `tcp`, `tcp4`, `tcp6`, or `unix` with a path as the endpoint.
    transport: Option<String>,
    read_buffer_size: NoEffect,
    write_buffer_size: NoEffect,
}

/// `keepalive` of a server.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerKeepalive {
    /// See [`ServerParameters`].
    pub server_parameters: ServerParameters,
    /// See [`EnforcementPolicy`].
    pub enforcement_policy: EnforcementPolicy,
}

/// `server_parameters`; zero = gRPC's defaults.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServerParameters {
    /// Closes a connection idle this long.
    pub max_connection_idle: Duration,
    /// Closes a connection this old.
    pub max_connection_age: Duration,
    /// What calls get to finish after that.
    pub max_connection_age_grace: Duration,
    /// Ping after this long without traffic.
    pub time: Duration,
    /// How long to wait for the answer.
    pub timeout: Duration,
}

/// `enforcement_policy`; zero = gRPC's defaults.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EnforcementPolicy {
    /// Shortest time between a client's pings.
    pub min_time: Duration,
    /// Pings without a call are fine.
    pub permit_without_stream: bool,
}

impl GrpcServer {
    /// Largest message in bytes: `default` unless `max_recv_msg_size_mib` says otherwise.
    pub fn message_bytes_max(&self, default: usize) -> usize {
        match self.max_recv_msg_size_mib {
            0 => default,
            mib => (mib as usize) << 20,
        }
    }

    /// Where to listen, as [`net::listen::bind`] takes it; `default` where nothing is written.
    pub fn address(&self, default: &str) -> String {
        listen_on(self.transport.as_deref(), self.endpoint.as_deref(), default)
    }

    /// How to serve; `name` is for log lines.
    ///
    /// # Errors
    /// When a certificate or key cannot be read.
    pub fn rules(&self, name: &'static str) -> Result<Rules> {
        let tls = self.tls.as_ref().map(|tls| tls.tls(ALPN)).transpose()?;
        let server = &self.keepalive.server_parameters;
        let life = Life {
            head: Some(PREFACE_TIME_MAX),
            idle: server.max_connection_idle.nonzero(),
            age: server.max_connection_age.nonzero(),
            grace: server.max_connection_age_grace.nonzero(),
            ..Life::default()
        };
        Ok(Rules { tls, life, ..Rules::new(name) })
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
        let enforced = &self.keepalive.enforcement_policy;
        if enforced.min_time.nonzero().is_some() || enforced.permit_without_stream {
            let mut at = at.key("keepalive");
            at.no_effect("enforcement_policy", "every ping of a client is answered");
        }
        refuse_if(!self.middlewares.is_empty(), "middlewares", "middlewares are", at);
    }
}
