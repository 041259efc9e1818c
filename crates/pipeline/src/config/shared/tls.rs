// SPDX-License-Identifier: Apache-2.0
//! `tls` keys. This build speaks plain text only and refuses what would need TLS.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration};
use super::refuse_if;

/// `tls` of a client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsClient {
    /// Plain text (gRPC); of no effect for HTTP, where the URL's scheme decides.
    pub insecure: bool,
    /// Do not verify the peer.
    pub insecure_skip_verify: bool,
    /// Name expected in the peer's certificate.
    pub server_name_override: String,
    #[serde(rename = "..common")]
    common: TlsCommon,
}

/// `tls` of a server; leaving it out means plain text.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsServer {
    client_ca_file: Option<String>,
    client_ca_file_reload: bool,
    #[serde(rename = "..common")]
    common: TlsCommon,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TlsCommon {
    ca_file: Option<String>,
    ca_pem: Option<String>,
    cert_file: Option<String>,
    cert_pem: Option<String>,
    key_file: Option<String>,
    key_pem: Option<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    cipher_suites: IgnoredAny,
    curve_preferences: IgnoredAny,
    include_system_ca_certs_pool: bool,
    reload_interval: Duration,
    tpm: IgnoredAny,
}

impl TlsCommon {
    fn validate(&self, at: &mut Checker<'_>) {
        let files = [
            ("ca_file", &self.ca_file),
            ("ca_pem", &self.ca_pem),
            ("cert_file", &self.cert_file),
            ("cert_pem", &self.cert_pem),
            ("key_file", &self.key_file),
            ("key_pem", &self.key_pem),
        ];
        for (key, value) in files {
            refuse_if(value.as_ref().is_some_and(|text| !text.is_empty()), key, "TLS is", at);
        }
        for (key, version) in
            [("min_version", &self.min_version), ("max_version", &self.max_version)]
        {
            if let Some(version) = version
                && !["", "1.0", "1.1", "1.2", "1.3"].contains(&version.as_str())
            {
                at.error(key, format!("unsupported TLS version: \"{version}\""));
            }
        }
    }
}

impl TlsClient {
    /// Checks what is written under `tls`; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.common.validate(at);
    }
}

impl TlsServer {
    /// Checks what is written under `tls`; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        self.common.validate(at);
        refuse_if(self.client_ca_file.is_some(), "client_ca_file", "TLS is", at);
    }
}
