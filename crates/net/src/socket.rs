// SPDX-License-Identifier: Apache-2.0
//! What a connection runs over: TCP, or a unix domain socket (`unix:PATH` as an endpoint).
//!
//! A socket's file that nobody listens on any more, as after a `kill -9`, is taken away before
//! binding; ours goes when the listener does. Peers of a unix socket have no address:
//! [`UNIX_PEER`] stands for them.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// How an endpoint begins that is the path of a unix domain socket.
pub const UNIX: &str = "unix:";

/// The address of peers that have none.
pub const UNIX_PEER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Listens for connections.
#[derive(Debug)]
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On a file.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// On the file `path`.
    ///
    /// # Errors
    /// When it is there and is no socket, when someone listens on it, or the system refuses.
    pub fn unix(path: &Path) -> io::Result<Self> {
        let is_socket = |path: &Path| {
            std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        };
        let is_dead = || match std::os::unix::net::UnixStream::connect(path) {
            Err(error) => error.kind() == ErrorKind::ConnectionRefused,
            Ok(_) => false,
        };
        if is_socket(path) && is_dead() {
            std::fs::remove_file(path)?;
        }
        Ok(Listener::Unix(UnixListener::bind(path)?, path.to_owned()))
    }

    /// The next connection and who it is from.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Listener::Tcp(listener) => {
                listener.accept().await.map(|(stream, peer)| (Socket::Tcp(stream), peer))
            }
            Listener::Unix(listener, _) => {
                listener.accept().await.map(|(stream, _)| (Socket::Unix(stream), UNIX_PEER))
            }
        }
    }

    /// Where it listens; [`UNIX_PEER`] for a file.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Tcp(listener) => listener.local_addr(),
            Listener::Unix(..) => Ok(UNIX_PEER),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Gone already is fine.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A connection's bytes.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A unix domain socket.
    Unix(UnixStream),
}

impl Socket {
    /// Small writes go at once.
    pub(crate) fn set_nodelay(&self) {
        if let Socket::Tcp(stream) = self {
            // Without it answers come later, nothing else.
            let _ = stream.set_nodelay(true);
        }
    }

    /// True if the peer begins with a letter, as HTTP does and TLS does not; not known over a unix
    /// domain socket.
    pub(crate) async fn speaks_http(&self) -> io::Result<bool> {
        let Socket::Tcp(stream) = self else { return Ok(false) };
        let mut first = [0];
        let length = stream.peek(&mut first).await?;
        Ok(length == 1 && first[0].is_ascii_uppercase())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
