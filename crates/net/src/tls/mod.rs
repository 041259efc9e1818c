// SPDX-License-Identifier: Apache-2.0
//! TLS of servers and clients from the collector's keys.
//!
//! [`Settings`] is what both sides have; [`ServerTls`] and [`ClientTls`] are made of it, read every
//! file at once, and read them again when they have changed ([`reload`]). rustls with ring:
//! versions 1.2 and 1.3, no renegotiation, no CBC. A certificate that cannot be read keeps a
//! process from starting, but a renewed one that cannot be read leaves the old one in use.
//! Source of the keys: opentelemetry-collector, config/configtls.

mod client;
mod pem;
mod reload;
mod server;
mod suites;

use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;

pub use client::{ClientSettings, ClientTls};
pub use pem::{Pem, certificates, private_key};
pub use server::{ServerSettings, ServerTls};
pub use suites::{Version, cipher_suite, curve};

/// A handshake that takes longer is given up, on both sides.
pub const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// What servers and clients have in common.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Certificates of authorities; of a client: who may have signed the server's.
    pub ca: Option<Pem>,
    /// Our certificate, with the intermediate ones behind it.
    pub cert: Option<Pem>,
    /// Its key.
    pub key: Option<Pem>,
    /// Lowest version; `None` = 1.2.
    pub min_version: Option<Version>,
    /// Highest version; `None` = 1.3.
    pub max_version: Option<Version>,
    /// Names of TLS 1.2 suites to use; empty = all. Those of 1.3 are always on, as in Go.
    pub cipher_suites: Vec<String>,
    /// Names of key exchanges, the preferred first; empty = all.
    pub curves: Vec<String>,
    /// The system's authorities beside those of `ca`.
    pub include_system_ca_certs_pool: bool,
    /// Files are read anew after this time even if they look unchanged; zero = only if they have
    /// changed.
    pub reload_interval: Duration,
}

impl Settings {
    fn provider(&self) -> Result<Arc<CryptoProvider>> {
        suites::provider(&self.cipher_suites, &self.curves)
    }

    fn versions(&self) -> &'static [&'static rustls::SupportedProtocolVersion] {
        suites::versions(self.min_version, self.max_version)
    }
}

fn roots(ca: Option<&Pem>, with_system: bool) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    if let Some(ca) = ca {
        for certificate in certificates(ca)? {
            roots.add(certificate).map_err(|e| wrong("not a usable CA certificate", e))?;
        }
    }
    if with_system {
        let found = rustls_native_certs::load_native_certs();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            tracing::warn!("this system has no CA certificates: set tls.ca_file");
        }
    }
    Ok(roots)
}

fn wrong(what: &str, cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::invalid(what).caused_by(cause)
}
