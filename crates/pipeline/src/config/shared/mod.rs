// SPDX-License-Identifier: Apache-2.0
//! Groups of keys that many components have, as in the collector's helper packages.
//!
//! Each is a plain struct with the collector's keys and defaults. A component takes one under its
//! own key (`tls: TlsClient`) or, where the keys stand among its own, with
//! `#[serde(rename = "..client")] client: HttpClient`; its `validate` calls theirs with the same
//! place. Settings whose default differs by component are `Option`s. What this build cannot do
//! (middlewares, proxies) is refused by name instead of being ignored.

mod auth;
mod delivery;
mod grpc;
mod headers;
mod http;
mod tls;

pub use auth::Auth;
pub use delivery::{Partition, QueueBatch, Retry, SendingQueue, Sizer};
pub use grpc::{GrpcClient, GrpcServer, Keepalive, ServerKeepalive};
pub use headers::Headers;
pub use http::{Compression, Cors, HttpClient, HttpServer, TimeOuts};
pub use tls::{TlsClient, TlsServer};

use super::Checker;

/// Refuses `key` if it is set.
fn refuse_if(is_set: bool, key: &str, what: &str, at: &mut Checker<'_>) {
    if is_set {
        at.error(key, format!("{what} not supported yet; remove this key"));
    }
}

/// `host:port`, `:port`, `[::1]:port`; what a listener takes.
pub(crate) fn check_listen(endpoint: &str, key: &str, at: &mut Checker<'_>) {
    let port = endpoint.rsplit_once(':').map(|(_, port)| port);
    match port {
        None => at.error(key, format!("\"{endpoint}\" has no port; write host:port")),
        Some(port) if port.parse::<u16>().is_err() => {
            at.error(key, format!("\"{port}\" is not a port number from 0 to 65535"));
        }
        Some(_) => {}
    }
}
