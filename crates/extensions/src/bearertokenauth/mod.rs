// SPDX-License-Identifier: Apache-2.0
//! `bearertokenauth`: a secret that clients show, in a header.
//!
//! For servers: lets in who sends one of the tokens; each is compared to its end, so that the time
//! tells nothing. For clients: sends the first token. Tokens stand in the configuration or one a
//! line in a file, which is read again when it changes.
//! Source: opentelemetry-collector-contrib, extension/bearertokenauthextension.

#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use basics::{Error, Result};
use pipeline::auth::{AuthData, Authenticator, ClientAuth, Denied, ServerAuth};
use pipeline::component::{Alias, Context, Extension, ExtensionFactory};
use pipeline::config::{Checker, ComponentConfig, Decoded};
use pipeline::host::Host;
use serde::Deserialize;

use crate::secrets::{self, Watched, same_bytes};

/// What a user writes.
#[derive(Clone, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The header it stands in.
    pub header: String,
    /// What comes before the token; empty = nothing.
    pub scheme: String,
    /// The token.
    pub token: String,
    /// Several; clients send the first.
    pub tokens: Vec<String>,
    /// A file with a token in each line, instead.
    pub filename: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            header: "Authorization".to_owned(),
            scheme: "Bearer".to_owned(),
            token: String::new(),
            tokens: Vec::new(),
            filename: String::new(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        let written = !self.token.is_empty() || !self.tokens.is_empty();
        if !self.token.is_empty() && !self.tokens.is_empty() {
            at.error("tokens", "either tokens or token should be provided, not both");
        }
        if !written && self.filename.is_empty() {
            at.error("", "no bearer token provided");
        }
        if written && !self.filename.is_empty() {
            at.warn("filename", "the tokens of the file count, those written here do not");
        }
        at.check("header", header_name(&self.header));
        if !self.filename.is_empty() {
            at.check("filename", secrets::read(self.filename.as_ref()));
        }
    }
}

fn header_name(text: &str) -> Result<HeaderName> {
    text.parse().map_err(|_| Error::invalid(format!("\"{text}\" is not the name of a header")))
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "bearertokenauth",
        aliases: &[Alias { kind: "bearer_token_auth", warning: None }],
        signals: &[],
        summary: "a secret token in a header, of clients and for servers",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, _: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("bearertokenauth was given another component's settings"))?;
    let tokens = Tokens { header: header_name(&config.header)?, config, values: OnceLock::new() };
    Ok(Arc::new(BearerTokenAuth(Arc::new(tokens))))
}

struct BearerTokenAuth(Arc<Tokens>);

#[async_trait]
impl Extension for BearerTokenAuth {
    async fn start(&self, _: &Host) -> Result<()> {
        self.0.values().map(|_| ())
    }

    fn authenticator(&self) -> Option<Authenticator> {
        Some(Authenticator { server: Some(self.0.clone()), client: Some(self.0.clone()) })
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

struct Tokens {
    header: HeaderName,
    config: Arc<Config>,
    /// Whole header values, read at first use.
    values: OnceLock<Watched<Vec<String>>>,
}

impl Tokens {
    fn values(&self) -> Result<Arc<Vec<String>>> {
        if let Some(values) = self.values.get() {
            return Ok(values.get());
        }
        let config = self.config.clone();
        let files = match config.filename.as_str() {
            "" => Vec::new(),
            name => vec![name.into()],
        };
        let read = Watched::new(files, move |texts| header_values(&config, texts))?;
        Ok(self.values.get_or_init(|| read).get())
    }
}

fn header_values(config: &Config, texts: &[String]) -> Result<Vec<String>> {
    let tokens: Vec<&str> = match texts {
        [] if config.token.is_empty() => config.tokens.iter().map(String::as_str).collect(),
        [] => vec![&config.token],
        texts => texts.iter().flat_map(|text| text.lines()).map(str::trim).collect(),
    };
    let with_scheme = |token: &str| match config.scheme.as_str() {
        "" => token.to_owned(),
        scheme => format!("{scheme} {token}"),
    };
    let values: Vec<String> =
        tokens.into_iter().filter(|token| !token.is_empty()).map(with_scheme).collect();
    if values.is_empty() {
        return Err(Error::invalid("no bearer token provided"));
    }
    Ok(values)
}

#[async_trait]
impl ServerAuth for Tokens {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<AuthData, Denied> {
        let denied = |message: &str| Denied {
            message: message.to_owned(),
            challenge: HeaderValue::from_static("Bearer"),
        };
        let shown = headers
            .get(&self.header)
            .ok_or_else(|| denied("missing or empty authorization header"))?;
        let values = self.values().map_err(|_| denied("no tokens are known now"))?;
        // Every one is looked at, so that the time does not tell which it was.
        let is_known = values
            .iter()
            .fold(false, |known, value| known | same_bytes(value.as_bytes(), shown.as_bytes()));
        match is_known {
            true => Ok(vec![("raw".to_owned(), shown.to_str().unwrap_or_default().to_owned())]),
            false => Err(denied("scheme or token does not match")),
        }
    }
}

impl ClientAuth for Tokens {
    fn add_to(&self, headers: &mut HeaderMap) -> Result<()> {
        let values = self.values()?;
        let value = values.first().map(String::as_str).unwrap_or_default();
        let mut value = HeaderValue::from_str(value)
            .map_err(|_| Error::invalid("the bearer token cannot stand in a header"))?;
        value.set_sensitive(true);
        headers.insert(self.header.clone(), value);
        Ok(())
    }
}
