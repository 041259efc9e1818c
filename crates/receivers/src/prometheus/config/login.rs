// SPDX-License-Identifier: Apache-2.0
//! How to log in at a target, with the keys of Prometheus' HTTP client.

use std::collections::BTreeMap;
use std::fmt;

use basics::{Error, Result};
use net::tls::{self, ClientSettings, Pem, Version};
use pipeline::config::Checker;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::refuse;

/// Text that is not shown.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "[REDACTED]" })
    }
}

/// The keys of a job about who asks.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Login {
    /// User and password.
    pub basic_auth: Option<BasicAuth>,
    /// `Authorization` header.
    pub authorization: Option<Authorization>,
    /// Bearer token.
    pub bearer_token: Secret,
    /// File with it.
    pub bearer_token_file: String,
    /// Further headers.
    pub http_headers: BTreeMap<String, HeaderValues>,
    /// How `https` is spoken.
    pub tls_config: Option<TlsConfig>,
    oauth2: Option<IgnoredAny>,
    proxy_url: Option<String>,
    proxy_from_environment: bool,
    no_proxy: Option<IgnoredAny>,
    proxy_connect_header: Option<IgnoredAny>,
}

/// `basic_auth`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BasicAuth {
    username: String,
    username_file: String,
    password: Secret,
    password_file: String,
}

/// `authorization`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Authorization {
    #[serde(rename = "type")]
    kind: String,
    credentials: Secret,
    credentials_file: String,
}

impl Default for Authorization {
    fn default() -> Self {
        let (credentials, credentials_file) = Default::default();
        Authorization { kind: "Bearer".to_owned(), credentials, credentials_file }
    }
}

/// `tls_config`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    ca: String,
    ca_file: String,
    cert: String,
    cert_file: String,
    key: Secret,
    key_file: String,
    server_name: String,
    insecure_skip_verify: bool,
    min_version: TlsVersion,
    max_version: TlsVersion,
}

/// A version of TLS, as Prometheus writes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum TlsVersion {
    /// Not given.
    #[default]
    #[serde(rename = "")]
    Any,
    #[serde(rename = "TLS10")]
    Tls10,
    #[serde(rename = "TLS11")]
    Tls11,
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

impl TlsVersion {
    fn version(self) -> Option<Version> {
        match self {
            TlsVersion::Any => None,
            // Older ones are not spoken here.
            TlsVersion::Tls10 | TlsVersion::Tls11 | TlsVersion::Tls12 => Some(Version::V12),
            TlsVersion::Tls13 => Some(Version::V13),
        }
    }
}

impl TlsConfig {
    fn parts(&self) -> [(&'static str, &str, &str); 3] {
        [
            ("ca", &self.ca, &self.ca_file),
            ("cert", &self.cert, &self.cert_file),
            ("key", &self.key.0, &self.key_file),
        ]
    }

    fn validate(&self, at: &mut Checker<'_>) {
        for (name, text, file) in self.parts() {
            if !text.is_empty() && !file.is_empty() {
                let key = format!("{name}_file");
                at.error(&key, format!("at most one of {name} and {name}_file must be configured"));
            } else if let Some(pem) = pem(text, file) {
                let key = if file.is_empty() { name.to_owned() } else { format!("{name}_file") };
                match name {
                    "key" => at.check(&key, tls::private_key(&pem)).is_some(),
                    _ => at.check(&key, tls::certificates(&pem)).is_some(),
                };
            }
        }
        let given = |at: usize| pem(self.parts()[at].1, self.parts()[at].2).is_some();
        if given(1) != given(2) {
            at.error("", "cert and key belong together: configure both or neither");
        }
        for (key, version) in [("min_version", self.min_version), ("max_version", self.max_version)]
        {
            if matches!(version, TlsVersion::Tls10 | TlsVersion::Tls11) {
                at.warn(key, "TLS 1.0 and 1.1 are not spoken here; 1.2 is the lowest");
            }
        }
    }

    /// What the handshake needs.
    pub fn settings(&self) -> ClientSettings {
        let [ca, cert, key] = self.parts().map(|(_, text, file)| pem(text, file));
        let shared = tls::Settings {
            ca,
            cert,
            key,
            min_version: self.min_version.version(),
            max_version: self.max_version.version(),
            ..tls::Settings::default()
        };
        let server_name = Some(self.server_name.clone()).filter(|name| !name.is_empty());
        ClientSettings { shared, insecure_skip_verify: self.insecure_skip_verify, server_name }
    }
}

fn pem(text: &str, file: &str) -> Option<Pem> {
    match (text, file) {
        ("", "") => None,
        ("", file) => Some(Pem::File(file.into())),
        (text, _) => Some(Pem::Text(text.to_owned())),
    }
}

/// Values of a header.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct HeaderValues {
    values: Vec<String>,
    secrets: Vec<Secret>,
    files: Vec<String>,
}

/// Headers that a request makes itself.
const RESERVED: [&str; 11] = [
    "accept",
    "accept-encoding",
    "authorization",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "user-agent",
    "transfer-encoding",
    "connection",
    "x-prometheus-scrape-timeout-seconds",
];

impl Login {
    pub(super) fn validate(&self, at: &mut Checker<'_>) {
        let missing = [
            ("oauth2", self.oauth2.is_some()),
            ("proxy_url", self.proxy_url.as_ref().is_some_and(|url| !url.is_empty())),
            ("proxy_from_environment", self.proxy_from_environment),
            ("no_proxy", self.no_proxy.is_some()),
            ("proxy_connect_header", self.proxy_connect_header.is_some()),
        ];
        refuse(&missing, at);
        check_file(&self.bearer_token_file, "bearer_token_file", at);
        if let Some(tls) = &self.tls_config {
            tls.validate(&mut at.key("tls_config"));
        }
        let ways = [
            self.basic_auth.is_some(),
            self.authorization.is_some(),
            !self.bearer_token.0.is_empty(),
            !self.bearer_token_file.is_empty(),
        ];
        if ways.iter().filter(|given| **given).count() > 1 {
            at.error(
                "",
                "at most one of basic_auth, authorization, bearer_token & bearer_token_file must \
                 be configured",
            );
        }
        if let Some(basic) = &self.basic_auth {
            let mut at = at.key("basic_auth");
            if !basic.username.is_empty() && !basic.username_file.is_empty() {
                at.error("username_file", "at most one of username & username_file");
            }
            if !basic.password.0.is_empty() && !basic.password_file.is_empty() {
                at.error("password_file", "at most one of password & password_file");
            }
        }
        if let Some(authorization) = &self.authorization {
            let mut at = at.key("authorization");
            check_file(&authorization.credentials_file, "credentials_file", &mut at);
            if !authorization.credentials.0.is_empty() && !authorization.credentials_file.is_empty()
            {
                at.error("credentials_file", "at most one of credentials & credentials_file");
            }
            if authorization.kind.trim().eq_ignore_ascii_case("basic") {
                at.error("type", "authorization type cannot be \"basic\", use \"basic_auth\"");
            }
        }
        let mut headers = at.key("http_headers");
        for name in self.http_headers.keys() {
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                headers.error(name, format!("setting header \"{name}\" is not allowed"));
            } else if http::HeaderName::try_from(name.as_str()).is_err() {
                headers.error(name, format!("\"{name}\" is not a header name"));
            }
        }
    }

    /// The headers of a request; files are read anew, since their secrets change.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn headers(&self) -> Result<Vec<(String, String)>> {
        let mut headers = Vec::new();
        if let Some(value) = self.authorization()? {
            headers.push(("authorization".to_owned(), value));
        }
        for (name, values) in &self.http_headers {
            let secrets = values.secrets.iter().map(|secret| &secret.0);
            for value in values.values.iter().chain(secrets) {
                headers.push((name.clone(), value.clone()));
            }
            for file in &values.files {
                headers.push((name.clone(), read(file)?));
            }
        }
        Ok(headers)
    }

    /// True when there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.basic_auth.is_none()
            && self.authorization.is_none()
            && self.bearer_token.0.is_empty()
            && self.bearer_token_file.is_empty()
            && self.http_headers.is_empty()
    }

    fn authorization(&self) -> Result<Option<String>> {
        use base64::Engine;
        if let Some(basic) = &self.basic_auth {
            let user = or_file(&basic.username, &basic.username_file)?;
            let password = or_file(&basic.password.0, &basic.password_file)?;
            let pair = format!("{user}:{password}");
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            return Ok(Some(format!("Basic {encoded}")));
        }
        if let Some(authorization) = &self.authorization {
            let credentials =
                or_file(&authorization.credentials.0, &authorization.credentials_file)?;
            return Ok(Some(format!("{} {credentials}", authorization.kind.trim())));
        }
        let token = or_file(&self.bearer_token.0, &self.bearer_token_file)?;
        Ok((!token.is_empty()).then(|| format!("Bearer {token}")))
    }
}

/// Tells a file that is named and not there, as the Collector does.
fn check_file(file: &str, key: &str, at: &mut Checker<'_>) {
    if !file.is_empty()
        && let Err(error) = std::fs::metadata(file)
    {
        at.error(key, format!("cannot read {file}: {error}"));
    }
}

fn or_file(text: &str, file: &str) -> Result<String> {
    if file.is_empty() { Ok(text.to_owned()) } else { read(file) }
}

/// A few bytes of a secret; read in the task that scrapes.
fn read(file: &str) -> Result<String> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| Error::invalid(format!("cannot read {file}")).caused_by(e))?;
    Ok(text.trim().to_owned())
}
