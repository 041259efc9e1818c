// SPDX-License-Identifier: Apache-2.0
//! Binding a TCP address and serving connections until told to stop.
//!
//! In: an endpoint as the collector writes it (`host:port`, `:port` = all addresses) and a function
//! that serves one connection. On stop: no new connections, those that are open finish what they
//! are at, within [`DRAIN_TIME_MAX`].

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use basics::{Error, Result};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Connections open at a time; beyond it new ones wait in the kernel's backlog. Each costs some
/// 10 KiB while idle.
pub const CONNECTIONS_MAX: usize = 8192;

/// Pending connections in the kernel, what Go and nginx ask for too (capped by `somaxconn`).
const BACKLOG: u32 = 4096;

/// How long open requests may take to finish after stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Pause after accept failed for lack of descriptors, so as not to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds `endpoint`.
///
/// # Errors
/// Kind `Invalid` with the address and what to do: port in use, no permission, unknown host.
pub async fn bind(endpoint: &str) -> Result<TcpListener> {
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

/// A listener that is being served.
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

    /// Takes no new connections and waits for the open ones, at most [`DRAIN_TIME_MAX`].
    pub async fn stop(self) {
        // No receiver left means the task has ended already.
        let _ = self.stop.send(true);
        if let Err(e) = self.task.await {
            tracing::error!(address = %self.address, "listener task failed: {e}");
        }
    }
}

/// Serves connections of `listener`; `connection` makes the future that serves one, registered
/// with the given tracker so that it ends gracefully.
pub fn serve<F, C>(listener: TcpListener, connection: F) -> io::Result<Serving>
where
    F: Fn(TcpStream, SocketAddr, &GracefulShutdown) -> C + Send + 'static,
    C: Future<Output = ()> + Send + 'static,
{
    let address = listener.local_addr()?;
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let open = GracefulShutdown::new();
        let mut tasks = JoinSet::new();
        let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            match accepted {
                Ok((stream, peer, slot)) => {
                    // Small answers must not wait for more to send.
                    let _ = stream.set_nodelay(true);
                    let serve = connection(stream, peer, &open);
                    tasks.spawn(async move {
                        serve.await;
                        drop(slot);
                    });
                    while tasks.try_join_next().is_some() {}
                }
                Err(e) => {
                    tracing::warn!(%address, "accept failed: {e}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN_TIME_MAX, open.shutdown()).await.is_err() {
            tracing::warn!(%address, "connections still open after {DRAIN_TIME_MAX:?}, closing them");
        }
    });
    Ok(Serving { address, stop, task })
}

async fn accept(
    listener: &TcpListener,
    slots: &std::sync::Arc<tokio::sync::Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, slot))
}
