// SPDX-License-Identifier: Apache-2.0
//! `basicauth`: user and password (RFC 7617).
//!
//! For servers: lets in who is in an htpasswd file or text. For clients: sends a user and password.
//! Files are read again when they change. A bcrypt hash takes a tenth of a second of CPU, so what
//! has been verified is remembered (by its SHA-256, at most [`VERIFIED_MAX`]) and at most
//! [`VERIFYING_MAX`] are under way: guessing passwords does not take the machine from telemetry.
//! Source: opentelemetry-collector-contrib, extension/basicauthextension.

mod htpasswd;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use basics::{Error, Result};
use hashbrown::HashSet;
use parking_lot::Mutex;
use pipeline::auth::{AuthData, Authenticator, ClientAuth, Denied, ServerAuth};
use pipeline::component::{Alias, Context, Extension, ExtensionFactory};
use pipeline::config::{Checker, ComponentConfig, Decoded};
use pipeline::host::Host;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::secrets::{self, Watched};
use htpasswd::Htpasswd;

/// Verified credentials remembered, 32 bytes each: more than the clients of one collector.
const VERIFIED_MAX: usize = 4096;

/// Passwords being verified at a time.
const VERIFYING_MAX: usize = 2;

/// What a user writes.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Who may come in.
    pub htpasswd: Option<HtpasswdConfig>,
    /// Who we are.
    pub client_auth: Option<ClientConfig>,
}

/// `htpasswd`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct HtpasswdConfig {
    /// A file of `user:hash` lines.
    pub file: String,
    /// Such lines; they win over those of the file.
    pub inline: String,
}

/// `client_auth`.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct ClientConfig {
    /// User.
    pub username: String,
    /// Password.
    pub password: String,
    /// A file with the user, instead.
    pub username_file: String,
    /// A file with the password, instead.
    pub password_file: String,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        match (&self.htpasswd, &self.client_auth) {
            (Some(_), Some(_)) => {
                at.error("", "only one of `htpasswd` or `client_auth` can be specified");
            }
            (None, None) => at.error("", "no credential source provided"),
            (Some(server), None) => server.validate(&mut at.key("htpasswd")),
            (None, Some(client)) => client.validate(&mut at.key("client_auth")),
        }
    }
}

impl HtpasswdConfig {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.file.is_empty() && self.inline.is_empty() {
            at.error("", "no credential source provided: give file or inline");
        }
        if !self.file.is_empty() {
            let read = secrets::read(self.file.as_ref());
            at.check("file", read.and_then(|text| Htpasswd::parse([text.as_str()])));
        }
        at.check("inline", Htpasswd::parse([self.inline.as_str()]));
    }
}

impl ClientConfig {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.username.is_empty() && self.username_file.is_empty() {
            at.error("username", "requires a username or username_file");
        }
        for (key, file) in
            [("username_file", &self.username_file), ("password_file", &self.password_file)]
        {
            if !file.is_empty() {
                at.check(key, secrets::read(file.as_ref()));
            }
        }
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "basicauth",
        aliases: &[Alias { kind: "basic_auth", warning: None }],
        signals: &[],
        summary: "user and password, of clients and for servers",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, _: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("basicauth was given another component's settings"))?;
    Ok(Arc::new(BasicAuth {
        server: config.htpasswd.clone().map(|config| {
            let verifying = Arc::new(Semaphore::new(VERIFYING_MAX));
            Arc::new(Server { config, users: OnceLock::new(), verifying })
        }),
        client: config
            .client_auth
            .clone()
            .map(|config| Arc::new(Client { config, header: OnceLock::new() })),
    }))
}

struct BasicAuth {
    server: Option<Arc<Server>>,
    client: Option<Arc<Client>>,
}

#[async_trait]
impl Extension for BasicAuth {
    async fn start(&self, _: &Host) -> Result<()> {
        if let Some(server) = &self.server {
            server.users()?;
        }
        if let Some(client) = &self.client {
            client.header()?;
        }
        Ok(())
    }

    fn authenticator(&self) -> Option<Authenticator> {
        let server = self.server.clone().map(|server| server as Arc<dyn ServerAuth>);
        let client = self.client.clone().map(|client| client as Arc<dyn ClientAuth>);
        Some(Authenticator { server, client })
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

// === server ===

struct Server {
    config: HtpasswdConfig,
    /// Read at first use.
    users: OnceLock<Watched<Users>>,
    verifying: Arc<Semaphore>,
}

/// The users of one version of the file, and who of them has been verified.
struct Users {
    known: Htpasswd,
    verified: Mutex<HashSet<[u8; 32]>>,
}

impl Server {
    fn users(&self) -> Result<Arc<Users>> {
        if let Some(users) = self.users.get() {
            return Ok(users.get());
        }
        let inline = self.config.inline.clone();
        let files = match self.config.file.as_str() {
            "" => Vec::new(),
            name => vec![name.into()],
        };
        let read = Watched::new(files, move |texts| {
            let texts = texts.iter().map(String::as_str).chain([inline.as_str()]);
            Ok(Users { known: Htpasswd::parse(texts)?, verified: Mutex::default() })
        })?;
        Ok(self.users.get_or_init(|| read).get())
    }

    async fn is_known(&self, user: &str, password: &str, shown: &str) -> bool {
        let Ok(users) = self.users() else { return false };
        let digest: [u8; 32] = Sha256::digest(shown).into();
        if users.verified.lock().contains(&digest) {
            return true;
        }
        let Ok(turn) = self.verifying.clone().acquire_owned().await else { return false };
        let (user, password) = (user.to_owned(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let is_known = users.known.verify(&user, &password);
            if is_known {
                let mut verified = users.verified.lock();
                if verified.len() >= VERIFIED_MAX {
                    verified.clear();
                }
                verified.insert(digest);
            }
            is_known
        });
        verified.await.unwrap_or(false)
    }
}

#[async_trait]
impl ServerAuth for Server {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<AuthData, Denied> {
        let denied = |message: &str| Denied {
            message: message.to_owned(),
            challenge: HeaderValue::from_static("Basic realm=\"foreglow\", charset=\"UTF-8\""),
        };
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.ok_or_else(|| denied("no basic auth provided"))?;
        let raw = match shown.split_once(' ') {
            Some((scheme, raw)) if scheme.eq_ignore_ascii_case("basic") => raw.trim(),
            _ => return Err(denied("no basic auth provided")),
        };
        let decoded = STANDARD.decode(raw).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or_else(|| denied("invalid format"))?;
        let (user, password) = decoded.split_once(':').ok_or_else(|| denied("invalid format"))?;
        if !self.is_known(user, password, raw).await {
            return Err(denied("invalid credentials"));
        }
        Ok(vec![("username".to_owned(), user.to_owned()), ("raw".to_owned(), raw.to_owned())])
    }
}

// === client ===

struct Client {
    config: ClientConfig,
    /// Read at first use.
    header: OnceLock<Watched<HeaderValue>>,
}

impl Client {
    fn header(&self) -> Result<Arc<HeaderValue>> {
        if let Some(header) = self.header.get() {
            return Ok(header.get());
        }
        let config = self.config.clone();
        let files = [&config.username_file, &config.password_file];
        let files = files.into_iter().filter(|name| !name.is_empty()).map(Into::into).collect();
        let made = Watched::new(files, move |texts| {
            let mut texts = texts.iter().map(|text| text.trim_end_matches(['\r', '\n']));
            let mut or = |file: &str, written: &str| match file {
                "" => written.to_owned(),
                _ => texts.next().unwrap_or_default().to_owned(),
            };
            let user = or(&config.username_file, &config.username);
            let password = or(&config.password_file, &config.password);
            let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| Error::invalid("the credentials cannot stand in a header"))?;
            value.set_sensitive(true);
            Ok(value)
        })?;
        Ok(self.header.get_or_init(|| made).get())
    }
}

impl ClientAuth for Client {
    fn add_to(&self, headers: &mut HeaderMap) -> Result<()> {
        headers.insert(header::AUTHORIZATION, (*self.header()?).clone());
        Ok(())
    }
}
