// SPDX-License-Identifier: Apache-2.0
//! `query_server`: the one port for people. Dashboard, Prometheus API and our own API.
//!
//! In: HTTP/1.1, plain or over TLS, on `endpoint` (default `127.0.0.1:7070`, the command line's `--listen`). Starts
//! before the pipelines, so the page is there while the log is replayed; `/-/ready` tells when all
//! runs. Who may talk to it is decided by the guard (see `guard.rs`) before any handler.
//! Source of the rules: design of the product; DNS rebinding as in CWE-350.

mod guard;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use axum::middleware::{Next, from_fn_with_state};
use basics::{Clock, Error, Result};
use exporters::embedded_store::STORE;
use net::activity::Life;
use net::listen::{Rules, Serving};
use parking_lot::Mutex;
use pipeline::component::{Context, Extension, ExtensionFactory};
use pipeline::config::shared::{Auth, TlsServer};
use pipeline::config::{Checker, ComponentConfig};
use pipeline::host::Host;
use query_api::Api;
use serde::{Deserialize, Serialize};

use crate::dashboard;
use crate::serving::{self, ALPN};
use guard::{Decision, Guard};

/// What a user writes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// Address to listen on, `host:port`. Off loopback everybody must show the token.
    pub endpoint: String,
    /// Host names (without port) under which the page may be opened besides IP addresses and
    /// `localhost`.
    pub allowed_hosts: Vec<String>,
    /// The token to show; when absent and the listener is off loopback, a random one is made at
    /// every start and printed as a link.
    #[serde(skip_serializing)]
    pub token: Option<String>,
    /// Open to everybody who reaches the port, also off loopback.
    pub allow_anonymous: bool,
    /// TLS; absent = plain text.
    #[serde(skip_serializing)]
    pub tls: Option<TlsServer>,
    /// Who may look, instead of those with the token.
    #[serde(skip_serializing)]
    pub auth: Option<Auth>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            endpoint: "127.0.0.1:7070".into(),
            allowed_hosts: Vec::new(),
            token: None,
            allow_anonymous: false,
            tls: None,
            auth: None,
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        let port = self.endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none() {
            at.error(
                "endpoint",
                format!("{:?} is not host:port, e.g. 127.0.0.1:7070", self.endpoint),
            );
        }
        if self.token.as_deref().is_some_and(str::is_empty) {
            at.error(
                "token",
                "an empty token protects nothing: leave the key out for a random one",
            );
        }
        if self.token.is_some() && self.allow_anonymous {
            at.error("allow_anonymous", "a token that nobody needs to show: set one of the two");
        }
        if let Some(tls) = &self.tls {
            tls.validate(&mut at.key("tls"));
        }
        if let Some(auth) = &self.auth {
            auth.validate(&mut at.key("auth"));
            if self.token.is_some() {
                at.error("token", "the authenticator says who may look: set one of the two");
            }
        }
    }
}

/// The address of the page as a person opens it, with the token if one is needed. The binary
/// prints it when all runs.
#[derive(Debug, Default)]
pub struct PageLink(Mutex<Option<String>>);

impl PageLink {
    /// The link, once the server listens.
    pub fn get(&self) -> Option<String> {
        self.0.lock().clone()
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "query_server",
        aliases: &[],
        signals: &[],
        summary: "the dashboard, the Prometheus API and Foreglow's own API on one port",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: pipeline::config::Decoded, context: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("query_server was given another component's settings"))?;
    Ok(Arc::new(QueryServer {
        config: (*config).clone(),
        clock: context.clock,
        serving: Mutex::new(None),
    }))
}

struct QueryServer {
    config: Config,
    clock: Clock,
    serving: Mutex<Option<Serving>>,
}

/// How long open requests may take to end when the process stops.
const DRAIN: Duration = Duration::from_secs(2);

/// A browser keeps connections open while its page is; what stalls is ended.
const LIFE: Life = Life {
    head: Some(Duration::from_secs(60)),
    idle: Some(Duration::from_secs(300)),
    answer: None,
    age: None,
    grace: None,
};

#[async_trait]
impl Extension for QueryServer {
    async fn start(&self, host: &Host) -> Result<()> {
        let endpoint = &self.config.endpoint;
        let tls = self.config.tls.as_ref().map(|tls| tls.tls(ALPN)).transpose()?;
        let bound = host.listeners().bind(endpoint).await;
        let listener =
            bound.map_err(|e| e.within("query_server (choose another with --listen)"))?;
        let address = listener
            .local_addr()
            .map_err(|e| Error::invalid("query_server has no address").caused_by(e))?;
        let guard = self.guard(address)?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let link = link(scheme, address, guard.token.as_deref());
        *host.shared("page", || Ok(PageLink::default()))?.0.lock() = Some(link);
        let auth = self.config.auth.as_ref();
        let router = serving::behind(auth, host, self.router(host.clone()))?;
        let router = router.layer(from_fn_with_state(Arc::new(guard), judge));
        let rules = Rules { tls, life: LIFE, drain: DRAIN, ..Rules::new("query_server") };
        *self.serving.lock() = Some(serving::serve(listener, rules, router)?);
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let serving = self.serving.lock().take();
        if let Some(serving) = serving {
            serving.stop().await;
        }
        Ok(())
    }
}

impl QueryServer {
    fn guard(&self, address: SocketAddr) -> Result<Guard> {
        let token = match &self.config.token {
            Some(token) => Some(token.clone()),
            None if address.ip().is_loopback() || self.config.allow_anonymous => None,
            // Whoever the authenticator lets in may come in.
            None if self.config.auth.is_some() => None,
            None => Some(Guard::make_token()?),
        };
        Ok(Guard { allowed_hosts: self.config.allowed_hosts.clone(), token })
    }

    fn router(&self, host: Host) -> axum::Router {
        let stores = host.clone();
        let api = Api {
            host,
            clock: self.clock.clone(),
            started: self.clock.now(),
            version: env!("CARGO_PKG_VERSION"),
            limits: promql::Limits::default(),
            store: Arc::new(move || stores.find::<store::Store>(STORE)),
        };
        query_api::routes(api).merge(dashboard::router())
    }
}

async fn judge(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response<Body> {
    match guard.judge(&request) {
        Decision::Pass => next.run(request).await,
        Decision::Answer(answer) => answer,
    }
}

/// `scheme://host:port/` as a browser on this machine (or, off loopback, any other) opens it.
fn link(scheme: &str, address: SocketAddr, token: Option<&str>) -> String {
    let host = match address.ip() {
        ip if ip.is_unspecified() || ip.is_loopback() && ip.is_ipv4() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let query = token.map_or(String::new(), |token| format!("?token={token}"));
    format!("{scheme}://{host}:{}/{query}", address.port())
}
