// SPDX-License-Identifier: Apache-2.0
//! `healthcheckv2`: the keys of the collector's second health check, answered by the first.
//!
//! With `use_v2` the address and path are those under `http`; without it the keys are the first
//! version's. What only the second one has (gRPC, the status of each component) loads with a
//! warning and is not there.

use std::sync::Arc;

use basics::Error;
use pipeline::component::ExtensionFactory;
use pipeline::config::shared::HttpServer;
use pipeline::config::{Checker, ComponentConfig, NoEffect};
use serde::Deserialize;

/// What a user writes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(rename = "..first")]
    first: super::Config,
    use_v2: bool,
    http: Option<Http>,
    #[serde(rename = "grpc")]
    _grpc: NoEffect,
    #[serde(rename = "component_health")]
    _component_health: NoEffect,
}

/// Where the second version answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Http {
    #[serde(rename = "..server")]
    server: HttpServer,
    status: Path,
    #[serde(rename = "config")]
    _config: NoEffect,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
struct Path {
    enabled: bool,
    path: String,
}

impl Default for Path {
    fn default() -> Self {
        Path { enabled: true, path: "/status".to_owned() }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.first.validate(at);
        if let Some(http) = &self.http {
            let mut at = at.key("http");
            http.server.validate(&mut at);
            let mut at = at.key("status");
            if !http.status.path.starts_with('/') {
                at.error("path", "path must start with /");
            }
            if !http.status.enabled {
                at.no_effect("enabled", "the status is all there is to answer");
            }
        }
    }
}

impl Config {
    /// The same in the words of the first version.
    pub(super) fn into_first(self) -> super::Config {
        match self.http {
            Some(http) if self.use_v2 => {
                super::Config { server: http.server, path: http.status.path, ..self.first }
            }
            _ => self.first,
        }
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "healthcheckv2",
        aliases: &[],
        signals: &[],
        summary: "health_check with the keys of its second version",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("healthcheckv2 was given another component's settings")
            })?;
            Ok(super::made(Arc::new((*config).clone().into_first()), context))
        },
    }
}
