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
    /// Lets whoever may look delete series and make snapshots (`/api/v1/admin/tsdb/...`), as
    /// Prometheus' `--web.enable-admin-api`.
    pub admin_api: bool,
    /// Jaeger's own ports, for clients that are set up for them.
    pub jaeger: Jaeger,
}

/// Listeners under Jaeger's ports; those without an endpoint are off. The same guard, TLS and
/// authenticator as for `endpoint`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Jaeger {
    /// For gRPC (`jaeger.api_v3.QueryService`), Jaeger's is `localhost:16685`.
    pub grpc_endpoint: String,
    /// For HTTP, with all that `endpoint` has; Jaeger's is `localhost:16686`.
    pub http_endpoint: String,
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
            admin_api: false,
            jaeger: Jaeger::default(),
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
        let mut jaeger = at.key("jaeger");
        for (key, endpoint) in [
            ("grpc_endpoint", &self.jaeger.grpc_endpoint),
            ("http_endpoint", &self.jaeger.http_endpoint),
        ] {
            let port = endpoint.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            if !endpoint.is_empty() && port.is_none() {
                jaeger.error(key, format!("{endpoint:?} is not host:port, e.g. localhost:16686"));
            }
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
        serving: Mutex::default(),
    }))
}

struct QueryServer {
    config: Config,
    clock: Clock,
    serving: Mutex<Vec<Serving>>,
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
        let api = self.api(host.clone());
        let guard = Arc::new(guard);
        let guarded = |router| {
            let router = serving::behind(auth, host, router)?;
            Ok::<_, Error>(router.layer(from_fn_with_state(guard.clone(), judge)))
        };
        let pages = guarded(query_api::routes(api.clone()).merge(dashboard::router()))?;
        let rules = |tls| Rules { tls, life: LIFE, drain: DRAIN, ..Rules::new("query_server") };
        let mut all = vec![serving::serve(listener, rules(tls.clone()), pages.clone())?];
        let jaeger = &self.config.jaeger;
        if !jaeger.http_endpoint.is_empty() {
            let listener = self.bind(host, &jaeger.http_endpoint, &guard).await?;
            all.push(serving::serve(listener, rules(tls), pages)?);
        }
        if !jaeger.grpc_endpoint.is_empty() {
            let listener = self.bind(host, &jaeger.grpc_endpoint, &guard).await?;
            let tls = self.config.tls.as_ref().map(|tls| tls.tls(&["h2"])).transpose()?;
            let calls = guarded(query_api::jaeger::grpc::routes(api))?;
            all.push(serving::serve_grpc(listener, rules(tls), calls)?);
        }
        *self.serving.lock() = all;
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let all = std::mem::take(&mut *self.serving.lock());
        for serving in all {
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

    /// Binds one of Jaeger's ports: off loopback only behind what guards the page off loopback.
    async fn bind(
        &self,
        host: &Host,
        endpoint: &str,
        guard: &Guard,
    ) -> Result<Arc<net::socket::Listener>> {
        let listener = host.listeners().bind(endpoint).await?;
        let address = listener
            .local_addr()
            .map_err(|e| Error::invalid("query_server has no address").caused_by(e))?;
        let is_open = guard.token.is_none() && self.config.auth.is_none();
        if is_open && !address.ip().is_loopback() && !self.config.allow_anonymous {
            return Err(Error::invalid(format!(
                "query_server would show its data to everybody on {endpoint}: set token, auth or allow_anonymous"
            )));
        }
        Ok(listener)
    }

    fn api(&self, host: Host) -> Api {
        let stores = host.clone();
        Api {
            host,
            clock: self.clock.clone(),
            started: self.clock.now(),
            version: env!("CARGO_PKG_VERSION"),
            limits: promql::Limits::default(),
            admin: self.config.admin_api,
            store: Arc::new(move || stores.find::<store::Store>(STORE)),
        }
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
