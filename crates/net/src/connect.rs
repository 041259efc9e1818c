// SPDX-License-Identifier: Apache-2.0
//! The connector under every HTTP client: TCP, and TLS where the URL says `https`; or always one
//! unix domain socket, whatever the URL's authority.
//!
//! Whether TLS is spoken is decided by the URL's scheme alone; configuration makes the URL. A
//! certificate that was renewed is seen by the next connection.

use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tower::Service;

use crate::socket::Socket;
use crate::stream::Stream;
use crate::tls::{ClientTls, HANDSHAKE_TIME_MAX};

/// A peer that does not even accept a connection in this time is down.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// Connects to the authority of a URL; clone = refcount.
#[derive(Clone, Debug)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Option<ClientTls>,
    unix: Option<Arc<Path>>,
}

impl Connector {
    /// A connector that takes `https` URLs if there is `tls`.
    pub fn new(tls: Option<ClientTls>) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
        tcp.enforce_http(false);
        Connector { tcp, tls, unix: None }
    }

    /// The same, to the unix domain socket `path` if there is one.
    pub fn over(self, path: Option<&Path>) -> Self {
        Connector { unix: path.map(Into::into), ..self }
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Link, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.tcp.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = match (uri.scheme_str(), &self.tls) {
            (Some("https"), Some(tls)) => Some(tls.clone()),
            (Some("https"), None) => {
                let error: Error = "no TLS settings for an https URL".into();
                return Box::pin(std::future::ready(Err(error)));
            }
            _ => None,
        };
        let host = uri.host().unwrap_or_default().to_owned();
        let unix = self.unix.clone();
        let tcp = self.tcp.clone();
        Box::pin(async move {
            let stream = match unix {
                Some(path) => over_unix(&path).await?,
                None => Socket::Tcp({ tcp }.call(uri).await?.into_inner()),
            };
            let stream = match tls {
                None => stream.into(),
                Some(tls) => {
                    let late =
                        |_| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake takes too long");
                    let handshake = tls.connect(&host, stream);
                    tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await.map_err(late)??
                }
            };
            Ok(Link(TokioIo::new(stream)))
        })
    }
}

async fn over_unix(path: &Path) -> io::Result<Socket> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "not accepted in time");
    let connected = tokio::time::timeout(CONNECT_TIME_MAX, UnixStream::connect(path));
    connected.await.map_err(late)?.map(Socket::Unix)
}

/// A connection as hyper's client takes it.
#[derive(Debug)]
pub struct Link(TokioIo<Stream>);

impl Connection for Link {
    fn connected(&self) -> Connected {
        match self.0.inner().negotiated_h2() {
            true => Connected::new().negotiated_h2(),
            false => Connected::new(),
        }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
