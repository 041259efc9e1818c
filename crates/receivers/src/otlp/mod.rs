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
mod door;
mod grpc;
mod http;
mod status;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
use pipeline::config::shared::{Auth, GrpcServer, TimeOuts};
use pipeline::telemetry::{CallMeter, ReceiverMeter};
use pipeline::{Context, Inlets, Receiver};

pub use config::{Config, Http, Protocols, REQUEST_BYTES_MAX};

use door::Door;

/// Flow-control windows: one request of 4 MiB without waiting, 16 MiB a connection. With HTTP/2's
/// default of 64 KiB throughput was a quarter.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Largest HTTP/2 frame we take; halves the CPU of a request against 16 KiB.
const FRAME_SIZE_MAX: u32 = 1 << 20;
/// Concurrent calls of one connection, above what SDKs and collectors use.
const STREAMS_MAX: u32 = 256;
/// gRPC's defaults for a server: a ping after two idle hours, 20 s for the answer.
const PING_INTERVAL: Duration = Duration::from_secs(2 * 3600);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
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
        signals: &[Signal::Traces, Signal::Metrics, Signal::Logs],
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
        let budget = context.host.budget().clone();
        let door = Arc::new(Door { inlets, clock: context.clock.clone(), budget });
        Otlp { config, context, door, serving: Mutex::new(Vec::new()) }
    }

    /// Addresses it listens on, gRPC first; empty until started.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.serving.lock().iter().map(Serving::address).collect()
    }

    fn meter(&self, transport: &str) -> ReceiverMeter {
        ReceiverMeter::new(self.context.host.telemetry(), &self.context.id, transport)
    }

    async fn start_grpc(&self, config: &GrpcServer) -> Result<Serving> {
        let rules = config.rules("grpc")?;
        let service = Arc::new(grpc::Service {
            limit: config.message_bytes_max(REQUEST_BYTES_MAX),
            include_metadata: config.include_metadata,
            auth: self.server_auth(config.auth.as_ref())?,
            meter: self.meter("grpc"),
            calls: CallMeter::server(self.context.host.telemetry()),
        });
        let streams = match config.max_concurrent_streams {
            0 => STREAMS_MAX,
            streams => streams,
        };
        let keepalive = config.keepalive.server_parameters;
        let ping = keepalive.time.nonzero().unwrap_or(PING_INTERVAL);
        let pong = keepalive.timeout.nonzero().unwrap_or(PING_TIMEOUT);
        let door = self.door.clone();
        let listener = self.context.host.listeners().bind(&config::grpc_endpoint(config)).await?;
        let serving = listen::serve(listener, rules, move |stream, peer, activity| {
            let (door, service) = (door.clone(), service.clone());
            let service = service_fn(move |request| {
                let call = grpc::call(door.clone(), service.clone(), peer, request);
                let busy = activity.begin();
                async move {
                    let _busy = busy;
                    Ok::<_, Infallible>(call.await)
                }
            });
            let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_frame_size(FRAME_SIZE_MAX)
                .max_concurrent_streams(streams)
                .keep_alive_interval(Some(ping))
                .keep_alive_timeout(pong);
            builder.serve_connection(TokioIo::new(stream), service)
        });
        serving.map_err(|e| Error::invalid("cannot listen").caused_by(e))
    }

    async fn start_http(&self, config: &Http) -> Result<Serving> {
        let server = &config.server;
        let rules = server.rules("http", &["h2", "http/1.1"], TIME_OUTS)?;
        let auth = self.server_auth(server.auth.as_ref())?;
        let calls = CallMeter::server(self.context.host.telemetry());
        let service = Arc::new(config.service(self.meter("http"), auth, calls)?);
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

    fn server_auth(&self, auth: Option<&Auth>) -> Result<Option<Arc<dyn ServerAuth>>> {
        let find = |auth: &Auth| self.context.host.authenticators().server(&auth.authenticator);
        auth.map(find).transpose()
    }
}

const fn secs(seconds: u64) -> pipeline::config::Duration {
    pipeline::config::Duration::from_secs(seconds)
}

#[async_trait]
impl Receiver for Otlp {
    async fn start(&self) -> Result<()> {
        let mut started = Vec::new();
        if let Some(config) = &self.config.protocols.grpc {
            started.push(self.start_grpc(config).await?);
            tracing::info!(endpoint = config::grpc_endpoint(config), "Starting GRPC server");
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
