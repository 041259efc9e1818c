// SPDX-License-Identifier: Apache-2.0
//! One request and its answer over HTTP/1.1.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// The body of the answer to a GET; fails unless it is a 2xx.
pub async fn get_body(port: u16, path: &str) -> Result<Bytes> {
    ask("GET", port, path).await
}

/// As [`get_body`], with a POST of nothing.
pub async fn post_nothing(port: u16, path: &str) -> Result<Bytes> {
    ask("POST", port, path).await
}

async fn ask(method: &str, port: u16, path: &str) -> Result<Bytes> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "127.0.0.1")
        .body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await.with_context(|| path.to_owned())?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&body));
    Ok(body)
}
