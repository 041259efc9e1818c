// SPDX-License-Identifier: Apache-2.0
//! Versions, cipher suites and key exchanges by the names the collector (and Go) has for them.

use std::sync::Arc;

use basics::{Error, Result};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, SupportedCipherSuite, SupportedProtocolVersion};

/// A version of TLS that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 1.2
    V12,
    /// 1.3
    V13,
}

const ONLY_12: &[&SupportedProtocolVersion] = &[&TLS12];
const ONLY_13: &[&SupportedProtocolVersion] = &[&TLS13];
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The versions from `min` to `max`.
pub(super) fn versions(
    min: Option<Version>,
    max: Option<Version>,
) -> &'static [&'static SupportedProtocolVersion] {
    match (min, max) {
        (Some(Version::V13), _) => ONLY_13,
        (_, Some(Version::V12)) => ONLY_12,
        _ => BOTH,
    }
}

/// The suite called `name`, such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`.
///
/// # Errors
/// `Invalid` when there is no such suite, or it is one that is not safe any more.
pub fn cipher_suite(name: &str) -> Result<SupportedCipherSuite> {
    let all = ring::ALL_CIPHER_SUITES;
    let found = all.iter().find(|suite| suite_name(suite) == name.trim());
    found.copied().ok_or_else(|| {
        let known: Vec<String> = all.iter().map(suite_name).collect();
        Error::invalid(format!(
            "invalid TLS cipher suite: \"{name}\"; there are {}",
            known.join(", ")
        ))
    })
}

/// rustls marks the suites of 1.3 in their names.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}

/// The key exchange called `name`: `X25519`, `P256`, `P384`.
///
/// # Errors
/// `Invalid` when there is none of this name here.
pub fn curve(name: &str) -> Result<&'static dyn SupportedKxGroup> {
    let group = match name.trim() {
        "X25519" => NamedGroup::X25519,
        "P256" => NamedGroup::secp256r1,
        "P384" => NamedGroup::secp384r1,
        name => {
            let text = format!("invalid curve \"{name}\"; there are X25519, P256, P384");
            return Err(Error::invalid(text));
        }
    };
    let found = ring::ALL_KX_GROUPS.iter().find(|known| known.name() == group);
    found.copied().ok_or_else(|| Error::invalid(format!("curve \"{name}\" is not available")))
}

/// What rustls is to use of ring.
pub(super) fn provider(suites: &[String], curves: &[String]) -> Result<Arc<CryptoProvider>> {
    let mut provider = ring::default_provider();
    if !suites.is_empty() {
        let mut wanted: Vec<_> = provider.cipher_suites.clone();
        wanted.retain(|suite| suite.tls13().is_some());
        for name in suites {
            let suite = cipher_suite(name)?;
            if suite.tls13().is_none() {
                wanted.push(suite);
            }
        }
        provider.cipher_suites = wanted;
    }
    if !curves.is_empty() {
        provider.kx_groups = curves.iter().map(|name| curve(name)).collect::<Result<_>>()?;
    }
    Ok(Arc::new(provider))
}
