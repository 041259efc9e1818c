// SPDX-License-Identifier: Apache-2.0
//! Binding an address and serving connections until told to stop.
//!
//! In: an endpoint as the collector writes it (`host:port`, `:port` = all addresses), or `unix:` and
//! the path of a unix domain socket, [`Rules`],
//! and a function that makes hyper's future for one connection. TLS handshakes run in the task of
//! their connection, within [`HANDSHAKE_TIME_MAX`], at most [`HANDSHAKES_MAX`] at a time: a client
//! that does not finish its own holds up nobody else's. On stop: no new connections, those that are
//! open finish what they are at, within [`Rules::drain`].

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use hyper_util::server::graceful::GracefulConnection;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::activity::{Activity, Life, Verdict};
use crate::socket::{Listener, Socket, UNIX};
use crate::stream::Stream;
use crate::tls::{HANDSHAKE_TIME_MAX, ServerTls};

/// Connections open at a time; beyond it new ones wait in the kernel's backlog. Each costs some
/// 10 KiB while idle.
pub const CONNECTIONS_MAX: usize = 8192;

/// TLS handshakes of one listener at a time: some 30 KiB each, and a signature that takes up to a
/// millisecond of CPU.
pub const HANDSHAKES_MAX: usize = 1024;

/// Pending connections in the kernel, what Go and nginx ask for too (capped by `somaxconn`).
const BACKLOG: u32 = 4096;

/// How long a client may take to agree that an idle connection is over.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// How long a connection whose first request has not come yet may still send it after the stop:
/// longer than the way of a packet around the earth.
const LAST_CALL: Duration = Duration::from_millis(300);

/// How often it is looked whether it has come.
const LAST_CALL_LOOK: Duration = Duration::from_millis(5);

/// Pause after accept failed for lack of descriptors, so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `endpoint`.
///
/// # Errors
/// Kind `Invalid` with the address and what to do: port in use, no permission, unknown host.
pub async fn bind(endpoint: &str) -> Result<Listener> {
    if let Some(path) = endpoint.strip_prefix(UNIX) {
        let bound = Listener::unix(path.as_ref());
        return bound.map_err(|e| Error::invalid(explain(endpoint, &e)).caused_by(e));
    }
    bind_tcp(endpoint).await.map(Listener::Tcp)
}

async fn bind_tcp(endpoint: &str) -> Result<TcpListener> {
    let spelled =
        if endpoint.starts_with(':') { format!("[::]{endpoint}") } else { endpoint.to_owned() };
    let found = tokio::net::lookup_host(&spelled).await.map_err(|e| {
        Error::invalid(format!("cannot resolve listen address {endpoint:?}, want host:port"))
            .caused_by(e)
    })?;
    // `localhost` is both ::1 and 127.0.0.1; Go's listeners take IPv4, so clients expect that.
    let mut addresses: Vec<SocketAddr> = found.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let mut last = None;
    for address in addresses {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            // A host without IPv6 still listens on all its addresses.
            Err(e) if endpoint.starts_with(':') && e.kind() != io::ErrorKind::AddrInUse => {
                let any = SocketAddr::from(([0, 0, 0, 0], address.port()));
                match bind_one(any) {
                    Ok(listener) => return Ok(listener),
                    Err(e) => last = Some(e),
                }
            }
            Err(e) => last = Some(e),
        }
    }
    let Some(cause) = last else {
        return Err(Error::invalid(format!("listen address {endpoint:?} has no IP address")));
    };
    Err(Error::invalid(explain(endpoint, &cause)).caused_by(cause))
}

fn explain(endpoint: &str, cause: &io::Error) -> String {
    match cause.kind() {
        io::ErrorKind::AddrInUse if endpoint.starts_with(UNIX) => format!(
            "cannot listen on {endpoint}: it is there already, and in use or no socket; remove it or choose another path"
        ),
        io::ErrorKind::PermissionDenied if endpoint.starts_with(UNIX) => {
            format!("cannot listen on {endpoint}: no permission to make a file there")
        }
        io::ErrorKind::AddrInUse => format!(
            "cannot listen on {endpoint}: port in use by another process; stop it or choose another endpoint"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("cannot listen on {endpoint}: no permission (ports below 1024 need privileges)")
        }
        io::ErrorKind::AddrNotAvailable => {
            format!("cannot listen on {endpoint}: this machine does not have that address")
        }
        _ => format!("cannot listen on {endpoint}"),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        tokio::net::TcpSocket::new_v4()?
    } else {
        tokio::net::TcpSocket::new_v6()?
    };
    // A restart must not wait for old connections in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// How a listener serves.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What it is called in log lines.
    pub name: &'static str,
    /// TLS; `None` = plain text.
    pub tls: Option<ServerTls>,
    /// How long connections may live.
    pub life: Life,
    /// Connections open at a time.
    pub connections_max: usize,
    /// How long open requests may take to finish after stop.
    pub drain: Duration,
}

impl Rules {
    /// Plain text, connections that live as long as their clients want, 5 s to finish.
    pub fn new(name: &'static str) -> Self {
        Rules {
            name,
            tls: None,
            life: Life::default(),
            connections_max: CONNECTIONS_MAX,
            drain: Duration::from_secs(5),
        }
    }
}

/// A listener that is being served.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Serving {
    /// The address it listens on, with the port the system chose if the endpoint's was 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections and waits for the open ones, at most [`Rules::drain`].
    pub async fn stop(self) {
        // No receiver left means the task has ended already.
        let _ = self.stop.send(true);
        if let Err(e) = self.task.await {
            tracing::error!(address = %self.address, "listener task failed: {e}");
        }
    }
}

/// Serves connections of `listener`; `connection` makes hyper's future for one. It tells the
/// [`Activity`] of each request it handles.
///
/// # Errors
/// When the listener has no address.
pub fn serve<F, C>(
    listener: impl Into<Arc<Listener>>,
    rules: Rules,
    connection: F,
) -> io::Result<Serving>
where
    F: Fn(Stream, SocketAddr, Activity) -> C + Send + Sync + 'static,
    C: GracefulConnection + Send + 'static,
    C::Error: Display + Send,
{
    let listener = listener.into();
    let address = listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let server = Server {
        handshakes: Semaphore::new(HANDSHAKES_MAX),
        drain: rules.drain,
        rules,
        connection,
        address,
    };
    let task = tokio::spawn(Arc::new(server).run(listener, stopped));
    Ok(Serving { address, stop, task })
}

struct Server<F> {
    rules: Rules,
    drain: Duration,
    handshakes: Semaphore,
    connection: F,
    address: SocketAddr,
}

impl<F, C> Server<F>
where
    F: Fn(Stream, SocketAddr, Activity) -> C + Send + Sync + 'static,
    C: GracefulConnection + Send + 'static,
    C::Error: Display + Send,
{
    async fn run(self: Arc<Self>, listener: Arc<Listener>, mut stopped: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        let slots = Arc::new(Semaphore::new(self.rules.connections_max));
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            match accepted {
                Ok((stream, peer, slot)) => {
                    // Small answers must not wait for more to send.
                    stream.set_nodelay();
                    let (server, stopped) = (self.clone(), stopped.clone());
                    tasks.spawn(async move {
                        server.one(stream, peer, stopped).await;
                        drop(slot);
                    });
                    while tasks.try_join_next().is_some() {}
                }
                Err(e) => {
                    tracing::warn!(address = %self.address, "accept failed: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, all).await.is_err() {
            let (address, drain) = (self.address, self.drain);
            tracing::warn!(%address, "connections still open after {drain:?}, closing them");
        }
    }

    async fn one(&self, stream: Socket, peer: SocketAddr, mut stopped: watch::Receiver<bool>) {
        let name = self.rules.name;
        let late = async {
            // An error means the server is gone, which is a stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
            tokio::time::sleep(LAST_CALL).await;
        };
        let secured = tokio::select! {
            biased;
            secured = self.secure(stream) => secured,
            () = late => return,
        };
        let stream = match secured {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%peer, "{name}: TLS handshake failed: {error}");
                return;
            }
        };
        let activity = Activity::new(stream.negotiated_h2());
        let stream = stream.noted_in(activity.clone());
        let connection = (self.connection)(stream, peer, activity.clone());
        if let Err(error) = drive(connection, &activity, &self.rules.life, stopped).await {
            tracing::debug!(%peer, "{name}: connection ended: {error}");
        }
    }

    async fn secure(&self, stream: Socket) -> io::Result<Stream> {
        let Some(tls) = &self.rules.tls else { return Ok(stream.into()) };
        let handshake = async {
            let _turn = self.handshakes.acquire().await.map_err(io::Error::other)?;
            if stream.speaks_http().await? {
                return refuse_plain_http(stream).await;
            }
            tls.accept(stream).await
        };
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "not complete in time");
        tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await.map_err(late)?
    }
}

async fn refuse_plain_http(mut stream: Socket) -> io::Result<Stream> {
    let answer = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n\
                  client sent plain text to a port that speaks TLS; use https\n";
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    Err(io::Error::new(io::ErrorKind::InvalidData, "client sent plain text"))
}

async fn accept(
    listener: &Listener,
    slots: &Arc<Semaphore>,
) -> io::Result<(Socket, SocketAddr, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}

/// Runs `connection` until it ends, its life is over, or the listener stops.
async fn drive<C>(
    connection: C,
    activity: &Activity,
    life: &Life,
    mut stopped: watch::Receiver<bool>,
) -> Result<(), C::Error>
where
    C: GracefulConnection,
{
    let mut connection = pin!(connection);
    let mut is_closing = false;
    let mut look = pin!(look_after(activity.judge(life)));
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = last_call(&mut stopped, activity), if !is_closing => {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
                look.set(look_after(Verdict::Live));
            }
            () = look.as_mut() => match activity.judge(life) {
                // The grace is over, or the client does not take part in the closing.
                _ if is_closing && (life.grace.is_some() || !activity.is_busy()) => return Ok(()),
                _ if is_closing => look.set(look_after(Verdict::Look(CLOSING_TIME))),
                Verdict::Close => return Ok(()),
                Verdict::Shutdown => {
                    is_closing = true;
                    connection.as_mut().graceful_shutdown();
                    look.set(look_after(Verdict::Look(life.grace.unwrap_or(CLOSING_TIME))));
                }
                verdict => look.set(look_after(verdict)),
            },
        }
    }
}

/// Resolves when the listener has stopped and no request is about to come: one that was sent while
/// the connection was fresh must not meet a closed door.
async fn last_call(stopped: &mut watch::Receiver<bool>, activity: &Activity) {
    // An error means the server is gone, which is a stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
    let until = tokio::time::Instant::now() + LAST_CALL;
    while activity.is_before_a_request() && tokio::time::Instant::now() < until {
        tokio::time::sleep(LAST_CALL_LOOK).await;
    }
}

async fn look_after(verdict: Verdict) {
    match verdict {
        Verdict::Look(after) => tokio::time::sleep(after).await,
        Verdict::Live => std::future::pending().await,
        Verdict::Shutdown | Verdict::Close => {}
    }
}
