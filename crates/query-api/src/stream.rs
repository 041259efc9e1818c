// SPDX-License-Identifier: Apache-2.0
//! Answers that are worked out on a thread that may block, and leave it in pieces when they are
//! large: an answer of 28 MB never stands in memory as a whole.
//!
//! In: a function that writes into [`Out`]. Out: a response; an error before the first piece
//! becomes the error's response, and there is no later one: what is evaluated is only written then.
//! A client that goes away ends the writing. Bounds: [`PIECE_BYTES`] times [`PIECES_AHEAD`].
//! A client that takes gzip gets it whole: what is compressed is small.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Response, header};
use tokio::sync::{mpsc, oneshot};

use crate::answer::Failure;

/// Bytes of a piece: large enough that handing it over costs nothing, small enough for a cache.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces that wait for the client.
const PIECES_AHEAD: usize = 4;
/// Answers from this size on are compressed for clients that take it; below it does not pay.
const GZIP_BYTES_MIN: usize = 1 << 10;
/// Level of libdeflate at which it is as fast as the network.
const GZIP_LEVEL: i32 = 1;

/// Where an answer is written.
pub struct Out {
    text: String,
    pieces: Option<Pieces>,
}

struct Pieces {
    first: Option<oneshot::Sender<Result<Begun, Failure>>>,
    sender: mpsc::Sender<Bytes>,
    receiver: Option<mpsc::Receiver<Bytes>>,
}

enum Begun {
    Whole(String),
    Pieces(mpsc::Receiver<Bytes>),
}

impl Out {
    /// What is being written; append only.
    pub fn text(&mut self) -> &mut String {
        &mut self.text
    }

    /// A good place to send what is there. False when nobody wants the rest.
    pub fn pause(&mut self) -> bool {
        let Some(pieces) = &mut self.pieces else { return true };
        if self.text.len() < PIECE_BYTES {
            return true;
        }
        if let (Some(first), Some(receiver)) = (pieces.first.take(), pieces.receiver.take()) {
            // An error means that the client has gone, which the sender below tells as well.
            let _ = first.send(Ok(Begun::Pieces(receiver)));
        }
        let next = String::with_capacity(PIECE_BYTES + (PIECE_BYTES >> 2));
        let piece = std::mem::replace(&mut self.text, next);
        pieces.sender.blocking_send(Bytes::from(piece)).is_ok()
    }

    fn end(mut self) {
        let Some(pieces) = &mut self.pieces else { return };
        match pieces.first.take() {
            Some(first) => drop(first.send(Ok(Begun::Whole(self.text)))),
            None => drop(pieces.sender.blocking_send(Bytes::from(self.text))),
        }
    }
}

/// Whether the client takes gzip.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT_ENCODING).iter();
    accepted.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| weight.trim_start_matches("q=").parse() == Ok(0.0f32))
    })
}

/// The answer that `work` writes. Its error is given only if nothing has been sent.
///
/// # Errors
/// What `work` says before its first [`Out::pause`] that sends.
pub async fn json(
    gzip: bool,
    work: impl FnOnce(&mut Out) -> Result<(), Failure> + Send + 'static,
) -> Result<Response<Body>, Failure> {
    let (first, begun) = oneshot::channel();
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let pieces = Pieces { first: Some(first), sender, receiver: Some(receiver) };
        let mut out = Out { text: String::new(), pieces: Some(pieces) };
        let hold_back = gzip.then(|| out.pieces.take()).flatten();
        match work(&mut out) {
            Ok(()) => {
                out.pieces = out.pieces.or(hold_back);
                out.end();
            }
            Err(failure) => {
                let pieces = out.pieces.or(hold_back);
                if let Some(first) = pieces.and_then(|pieces| pieces.first) {
                    let _ = first.send(Err(failure));
                }
            }
        }
    });
    let mut response = match begun.await {
        Err(_) => return Err(Failure::internal("the query failed unexpectedly")),
        Ok(begun) => match begun? {
            Begun::Whole(text) if gzip && text.len() >= GZIP_BYTES_MIN => {
                let mut response = Response::new(Body::from(gzipped(text).await?));
                let value = HeaderValue::from_static("gzip");
                response.headers_mut().insert(header::CONTENT_ENCODING, value);
                response
            }
            Begun::Whole(text) => Response::new(Body::from(text)),
            Begun::Pieces(receiver) => {
                let pieces = futures::stream::unfold(receiver, |mut receiver| async {
                    let piece = receiver.recv().await?;
                    Some((Ok::<_, std::convert::Infallible>(piece), receiver))
                });
                Response::new(Body::from_stream(pieces))
            }
        },
    };
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

async fn gzipped(text: String) -> Result<Vec<u8>, Failure> {
    let packing =
        tokio::task::spawn_blocking(move || crate::encoding::gzip(text.as_bytes(), GZIP_LEVEL));
    packing.await.map_err(|_| Failure::internal("the answer could not be compressed"))
}
