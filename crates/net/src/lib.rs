// SPDX-License-Identifier: Apache-2.0
//! The edges of the process: listening and connecting, in plain text or over TLS.
//!
//! [`listen`] binds an address and serves connections within bounds, [`connect`] is the connector
//! under every HTTP client, [`tls`] makes both secure from the collector's keys and sees
//! certificates that are renewed while the process runs. TLS is rustls with ring; 1.2 and 1.3.

pub mod activity;
pub mod connect;
pub mod listen;
pub mod pool;
pub mod socket;
pub mod stream;
pub mod tls;

#[cfg(test)]
mod tests;
