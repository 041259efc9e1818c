// SPDX-License-Identifier: Apache-2.0
//! `tls` keys (the collector's configtls), and what they mean for a server or client.
//!
//! The files are read when the configuration is checked, so that one that is missing or no
//! certificate is told with its place before anything starts.

use basics::Result;
use net::tls::{self, ClientSettings, ClientTls, Pem, ServerSettings, ServerTls, Version};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::super::{Checker, Duration};

/// `tls` of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TlsClient {
    /// Plain text (gRPC, unless a CA is given); for HTTP, where the URL's scheme decides, it means
    /// that the other keys do not count.
    pub insecure: bool,
    /// Do not verify the peer.
    pub insecure_skip_verify: bool,
    /// Name expected in the peer's certificate.
    pub server_name_override: String,
    #[serde(rename = "..common")]
    common: TlsCommon,
}

/// `tls` of a server; leaving it out means plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TlsServer {
    /// Whose certificates clients must have (mTLS); empty = clients need none.
    client_ca_file: String,
    /// Looks at that file again when it changes.
    client_ca_file_reload: bool,
    #[serde(rename = "..common")]
    common: TlsCommon,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct TlsCommon {
    /// Who signs the peer's certificate; empty = the system's authorities.
    ca_file: String,
    /// The same as text.
    ca_pem: Secret,
    /// Own certificate chain.
    cert_file: String,
    /// The same as text.
    cert_pem: Secret,
    /// Private key of the certificate.
    key_file: String,
    /// The same as text.
    key_pem: Secret,
    /// `1.2` (also when not written) or `1.3`.
    min_version: String,
    /// `1.2` or `1.3`; not written = the newest.
    max_version: String,
    /// Names of those allowed for TLS 1.2; none = the library's.
    cipher_suites: Vec<String>,
    /// Key exchange groups in order; none = the library's.
    curve_preferences: Vec<String>,
    /// The system's authorities beside `ca_file`.
    include_system_ca_certs_pool: bool,
    /// Reads certificate and key again this often; 0 = when the files change.
    reload_interval: Duration,
    /// Keys in a TPM; refused if enabled.
    tpm: Tpm,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Tpm {
    enabled: bool,
    path: IgnoredAny,
    owner_auth: IgnoredAny,
    auth: IgnoredAny,
}

impl PartialEq for Tpm {
    fn eq(&self, other: &Self) -> bool {
        self.enabled == other.enabled
    }
}

impl Eq for Tpm {}

/// A text that `Debug` does not show.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "\"\"" } else { "[REDACTED]" })
    }
}

fn pem(file: &str, text: &Secret) -> Option<Pem> {
    match (file, text.0.as_str()) {
        ("", "") => None,
        ("", text) => Some(Pem::Text(text.to_owned())),
        (file, _) => Some(Pem::File(file.into())),
    }
}

impl TlsCommon {
    fn settings(&self) -> tls::Settings {
        tls::Settings {
            ca: pem(&self.ca_file, &self.ca_pem),
            cert: pem(&self.cert_file, &self.cert_pem),
            key: pem(&self.key_file, &self.key_pem),
            min_version: version(&self.min_version).ok().flatten(),
            max_version: version(&self.max_version).ok().flatten(),
            cipher_suites: self.cipher_suites.clone(),
            curves: self.curve_preferences.clone(),
            include_system_ca_certs_pool: self.include_system_ca_certs_pool,
            reload_interval: self.reload_interval.get(),
        }
    }

    /// True if nothing was found wrong.
    fn validate(&self, at: &mut Checker<'_>) -> bool {
        let mut is_right = true;
        for (name, file, text) in [
            ("ca", &self.ca_file, &self.ca_pem),
            ("cert", &self.cert_file, &self.cert_pem),
            ("key", &self.key_file, &self.key_pem),
        ] {
            if !file.is_empty() && !text.0.is_empty() {
                let message = format!("provide either {name}_file or {name}_pem, but not both");
                at.error(&format!("{name}_pem"), message);
                is_right = false;
                continue;
            }
            let Some(pem) = pem(file, text) else { continue };
            let key = format!("{name}_{}", if file.is_empty() { "pem" } else { "file" });
            is_right &= match name {
                "key" => at.check(&key, tls::private_key(&pem)).is_some(),
                _ => at.check(&key, tls::certificates(&pem)).is_some(),
            };
        }
        is_right &= self.validate_versions(at);
        for (index, name) in self.cipher_suites.iter().enumerate() {
            is_right &=
                at.key("cipher_suites").item(index).check("", tls::cipher_suite(name)).is_some();
        }
        for (index, name) in self.curve_preferences.iter().enumerate() {
            is_right &=
                at.key("curve_preferences").item(index).check("", tls::curve(name)).is_some();
        }
        if self.tpm.enabled {
            at.key("tpm").error("enabled", "keys in a TPM are not supported; use key_file");
            is_right = false;
        }
        is_right
    }

    fn validate_versions(&self, at: &mut Checker<'_>) -> bool {
        let min = at.check("min_version", version(&self.min_version));
        let max = at.check("max_version", version(&self.max_version));
        let (Some(min), Some(max)) = (min, max) else { return false };
        if ["1.0", "1.1"].contains(&self.min_version.as_str()) {
            at.warn("min_version", "TLS 1.0 and 1.1 are not spoken here; 1.2 is the lowest");
        }
        if ["1.0", "1.1"].contains(&self.max_version.as_str()) {
            at.error("max_version", "TLS 1.0 and 1.1 are not spoken here; use 1.2 or 1.3");
            return false;
        }
        if min > max && max.is_some() {
            at.error("min_version", "min_version cannot be greater than max_version");
            return false;
        }
        true
    }
}

/// `None` = where nothing is said.
fn version(text: &str) -> Result<Option<Version>> {
    match text {
        "" => Ok(None),
        "1.0" | "1.1" | "1.2" => Ok(Some(Version::V12)),
        "1.3" => Ok(Some(Version::V13)),
        text => Err(basics::Error::invalid(format!("unsupported TLS version: \"{text}\""))),
    }
}

impl TlsClient {
    /// True if nothing but `insecure` counts: no CA says whom to trust.
    pub(crate) fn is_off(&self) -> bool {
        self.insecure && self.common.ca_file.is_empty() && self.common.ca_pem.0.is_empty()
    }

    /// Reads what is named; `alpn` = protocols to offer, the preferred first.
    ///
    /// # Errors
    /// As [`ClientTls::new`].
    pub fn tls(&self, alpn: &'static [&'static str]) -> Result<ClientTls> {
        if self.is_off() {
            return ClientTls::new(ClientSettings::default(), alpn);
        }
        let name = Some(self.server_name_override.clone()).filter(|name| !name.is_empty());
        let settings = ClientSettings {
            shared: self.common.settings(),
            insecure_skip_verify: self.insecure_skip_verify,
            server_name: name,
        };
        ClientTls::new(settings, alpn)
    }

    /// Checks what is written under `tls`, with its files; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        if self.is_off() {
            for key in ["cert_file", "cert_pem", "key_file", "key_pem", "insecure_skip_verify"] {
                at.no_effect(key, "insecure: true without a CA switches TLS settings off");
            }
            return;
        }
        if self.common.validate(at) {
            at.check("", self.tls(&[]));
        }
    }
}

impl TlsServer {
    /// Reads what is named; `alpn` = protocols to agree on, the preferred first.
    ///
    /// # Errors
    /// As [`ServerTls::new`].
    pub fn tls(&self, alpn: &'static [&'static str]) -> Result<ServerTls> {
        let settings = ServerSettings {
            shared: self.common.settings(),
            client_ca: pem(&self.client_ca_file, &Secret::default()),
            client_ca_reload: self.client_ca_file_reload,
        };
        ServerTls::new(settings, alpn)
    }

    /// Checks what is written under `tls`, with its files; `at` is that place.
    pub fn validate(&self, at: &mut Checker<'_>) {
        let mut is_right = self.common.validate(at);
        if let Some(ca) = pem(&self.client_ca_file, &Secret::default()) {
            is_right &= at.check("client_ca_file", tls::certificates(&ca)).is_some();
        } else if pem(&self.common.ca_file, &self.common.ca_pem).is_some() {
            let key = if self.common.ca_file.is_empty() { "ca_pem" } else { "ca_file" };
            at.no_effect(key, "clients are verified by client_ca_file");
        }
        if is_right {
            at.check("", self.tls(&[]));
        }
    }
}
