// SPDX-License-Identifier: Apache-2.0
//! Receiver `otlp`: OTLP over gRPC and over HTTP (protobuf, JSON), traces, metrics and logs.
//!
//! One instance serves all signals and both protocols. A request is read within a memory bound,
//! inflated within a size bound, validated once and handed to the signal's pipeline; the answer
//! says what the client should do. A signal without a pipeline is answered 404 / UNIMPLEMENTED,
//! as the collector does.
//! Bounds: message size 64 MiB (keys override), bodies in flight by the process's budget, 8192
//! connections a listener, 256 streams a connection.

mod config;
mod cors;
pub(crate) mod door;
pub(crate) mod grpc;
mod http;
mod status;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use ::net::listen::{self, Serving};
use async_trait::async_trait;
use basics::{Error, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::auth::ServerAuth;
use pipeline::component::ReceiverFactory;
use pipeline::config::shared::{Auth, TimeOuts};
use pipeline::telemetry::{CallMeter, ReceiverMeter};
use pipeline::{Context, Inlets, Receiver};

pub use config::{Config, Http, Protocols, REQUEST_BYTES_MAX};

use door::Door;
use grpc::Protocol;

/// Flow-control windows: one request of 4 MiB without waiting, 16 MiB a connection. With HTTP/2's
/// default of 64 KiB throughput was a quarter.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame we take; halves the CPU of a request against 16 KiB.
const FRAME_SIZE_MAX: u32 = 1 << 20;
/// Concurrent calls of one connection, above what SDKs and collectors use.
const STREAMS_MAX: u32 = 256;
/// Headers must be complete within a minute; the collector has no limit here. Nothing else has one:
/// an answer may wait for back-pressure, and an SDK may export once in five minutes.
const TIME_OUTS: TimeOuts = TimeOuts { head: secs(60), answer: secs(0), idle: secs(0) };

/// The receiver.
pub struct Otlp {
    config: Arc<Config>,
    context: Context,
    door: Arc<Door>,
    serving: Mutex<Vec<Serving>>,
}

/// How the component table makes it.
pub fn factory() -> ReceiverFactory {
    ReceiverFactory {
        kind: "otlp",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "OTLP over gRPC and HTTP (protobuf and JSON)",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config
                .downcast::<Config>()
                .map_err(|_| Error::invalid("receiver otlp got another component's settings"))?;
            Ok(Box::new(move |inlets| Arc::new(Otlp::new(config, context, inlets)) as _))
        },
    }
}

impl Otlp {
    /// A receiver that hands what it takes to `inlets`.
    pub fn new(config: Arc<Config>, context: Context, inlets: Inlets) -> Self {
        let door = Arc::new(Door::new(inlets, &context));
        Otlp { config, context, door, serving: Mutex::new(Vec::new()) }
    }

    /// Addresses it listens on, gRPC first; empty until started.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.serving.lock().iter().map(Serving::address).collect()
    }

    async fn start_http(&self, config: &Http) -> Result<Serving> {
        let server = &config.server;
        let rules = server.rules("http", &["h2", "http/1.1"], TIME_OUTS)?;
        let auth = server_auth(&self.context, server.auth.as_ref())?;
        let telemetry = self.context.host.telemetry();
        let meter = ReceiverMeter::new(telemetry, &self.context.id, "http");
        let calls = CallMeter::server(telemetry);
        let service = Arc::new(config.service(meter, auth, calls)?);
        let keep_alive = server.keep_alives_enabled.unwrap_or(true);
        let door = self.door.clone();
        let listener = self.context.host.listeners().bind(&config.endpoint()).await?;
        let serving = listen::serve(listener, rules, move |stream, peer, activity| {
            let (door, service) = (door.clone(), service.clone());
            let service = service_fn(move |request| {
                let call = http::call(door.clone(), service.clone(), peer, request);
                let busy = activity.begin();
                async move {
                    let _busy = busy;
                    Ok::<_, Infallible>(call.await)
                }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            // Its own limit counts the wait between two requests, see `net::activity`.
            builder.http1().header_read_timeout(None).keep_alive(keep_alive);
            builder
                .http2()
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_concurrent_streams(STREAMS_MAX);
            builder.serve_connection(TokioIo::new(stream), service).into_owned()
        });
        serving.map_err(|e| Error::invalid("cannot listen").caused_by(e))
    }
}

/// The authenticator that is named.
fn server_auth(context: &Context, auth: Option<&Auth>) -> Result<Option<Arc<dyn ServerAuth>>> {
    let find = |auth: &Auth| context.host.authenticators().server(&auth.authenticator);
    auth.map(find).transpose()
}

const fn secs(seconds: u64) -> pipeline::config::Duration {
    pipeline::config::Duration::from_secs(seconds)
}

#[async_trait]
impl Receiver for Otlp {
    async fn start(&self) -> Result<()> {
        let mut started = Vec::new();
        if let Some(config) = &self.config.protocols.grpc {
            let endpoint = config::grpc_endpoint(config);
            let (context, door) = (&self.context, &self.door);
            started.push(grpc::serve(Protocol::Otlp, config, &endpoint, context, door).await?);
            tracing::info!(endpoint, "Starting GRPC server");
        }
        if let Some(config) = &self.config.protocols.http {
            started.push(self.start_http(config).await?);
            tracing::info!(endpoint = config.endpoint(), "Starting HTTP server");
        }
        *self.serving.lock() = started;
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let serving = std::mem::take(&mut *self.serving.lock());
        futures::future::join_all(serving.into_iter().map(Serving::stop)).await;
        Ok(())
    }
}
