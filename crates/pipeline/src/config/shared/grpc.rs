// SPDX-License-Identifier: Apache-2.0
//! gRPC client and server keys (the collector's configgrpc).

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration};
use super::http::check_transport;
use super::{Compression, Headers, TlsClient, TlsServer, check_listen, refuse_if};

/// Keys of a gRPC client, standing among the component's own.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GrpcClient {
    /// `host:port`, with or without `http://`; empty if not given. See [`GrpcClient::authority`].
    pub endpoint: String,
    /// Plain text only with `insecure: true`.
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
    balancer_name: Option<String>,
    wait_for_ready: bool,
    auth: Option<IgnoredAny>,
    middlewares: Vec<IgnoredAny>,
    read_buffer_size: IgnoredAny,
    write_buffer_size: IgnoredAny,
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

impl GrpcClient {
    /// `host:port` without a scheme.
    pub fn address(&self) -> &str {
        let endpoint = self.endpoint.as_str();
        endpoint.strip_prefix("http://").or(endpoint.strip_prefix("dns:///")).unwrap_or(endpoint)
    }

    /// Checks the client's keys; `at` is the component's place. The endpoint's presence is the
    /// component's to check.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.tls.validate(&mut at.key("tls"));
        if self.endpoint.starts_with("https://") {
            at.error("endpoint", "TLS is not supported yet; use host:port and tls.insecure: true");
        } else if !self.endpoint.is_empty() {
            check_listen(self.address().trim_end_matches('/'), "endpoint", at);
            if !self.tls.insecure {
                at.error(
                    "tls",
                    "TLS is not supported yet; send in plain text with tls: {insecure: true}",
                );
            }
        }
        if let Some(name) = &self.balancer_name
            && !["", "round_robin", "pick_first"].contains(&name.as_str())
        {
            at.error("balancer_name", format!("invalid balancer_name: {name}"));
        }
        refuse_if(self.auth.is_some(), "auth", "authenticators are", at);
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
    max_recv_msg_size_mib: u32,
    tls: Option<TlsServer>,
    auth: Option<IgnoredAny>,
    middlewares: Vec<IgnoredAny>,
    transport: Option<String>,
    read_buffer_size: IgnoredAny,
    write_buffer_size: IgnoredAny,
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
