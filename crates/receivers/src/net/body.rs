// SPDX-License-Identifier: Apache-2.0
//! Reading request bodies within bounds.
//!
//! Memory is taken from the process's [`Budget`] before a body is read: while there is none, the
//! body is not polled, so HTTP/2 windows and TCP buffers fill and the client slows down; only
//! after some seconds it is refused. What could not be known in advance (a body without length,
//! the plain size of a compressed one) is refused at once when memory is short.

use std::time::Duration;

use basics::Error;
use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use pipeline::{Budget, Permit};

/// A body must be complete within this time: a client that stalls must not hold memory for ever.
pub const BODY_TIME_MAX: Duration = Duration::from_secs(60);

/// How long a request waits for memory before it is refused. Clients give up after 10 s (the
/// default of SDKs), so a refusal they can act on comes before that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Taken for a body of unknown length; most bodies are smaller, larger ones take more as they grow.
const UNKNOWN_LENGTH: u64 = 64 << 10;

/// Why a body was not read.
#[derive(Debug)]
pub enum BodyError {
    /// Longer than `limit` bytes.
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The client went away or broke the protocol.
    Broken(String),
    /// No memory for it now, or we are stopping.
    Refused(Error),
}

/// Reads all of `body`, at most `limit` bytes, with memory from `budget`, within `time_max` (a
/// minute if there is none).
///
/// # Errors
/// See [`BodyError`]; a declared length above the limit is refused before a byte is read.
pub async fn read<B>(
    body: B,
    limit: usize,
    time_max: Option<Duration>,
    budget: &Budget,
) -> Result<(Bytes, Permit), BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let declared = body.size_hint().exact().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    read_on(Bytes::new(), body, declared, limit, time_max, budget).await
}

/// Like [`read`] when the beginning has been read and told the length of the whole.
///
/// # Errors
/// As [`read`].
pub async fn read_on<B>(
    begun: Bytes,
    mut body: B,
    declared: Option<usize>,
    limit: usize,
    time_max: Option<Duration>,
    budget: &Budget,
) -> Result<(Bytes, Permit), BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if declared.is_some_and(|n| n > limit) {
        return Err(BodyError::TooLarge { limit });
    }
    let wanted = declared.map_or(UNKNOWN_LENGTH, |n| n as u64);
    let mut permit = budget.take_within(wanted, PATIENCE).await.map_err(BodyError::Refused)?;
    let read = async {
        let mut parts = Parts::default();
        parts.push(begun, declared);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|e| BodyError::Broken(e.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > limit.saturating_sub(parts.length) {
                return Err(BodyError::TooLarge { limit });
            }
            parts.push(data, declared);
            if parts.length as u64 > permit.bytes() {
                // Doubling keeps the number of takes small.
                let wanted = (2 * parts.length as u64).min(limit as u64);
                permit.resize(wanted).map_err(BodyError::Refused)?;
            }
        }
        Ok(parts.finish())
    };
    let time_max = time_max.unwrap_or(BODY_TIME_MAX);
    match tokio::time::timeout(time_max, read).await {
        Ok(bytes) => Ok((bytes?, permit)),
        Err(_) => Err(BodyError::Broken(format!("body not complete after {time_max:?}"))),
    }
}

/// The frames of a body; one frame stays as it is, more are copied together once.
#[derive(Default)]
struct Parts {
    first: Bytes,
    rest: BytesMut,
    length: usize,
}

impl Parts {
    fn push(&mut self, data: Bytes, declared: Option<usize>) {
        self.length += data.len();
        if self.first.is_empty() {
            self.first = data;
            return;
        }
        if self.rest.is_empty() {
            self.rest.reserve(declared.unwrap_or(0).max(self.length));
            self.rest.extend_from_slice(&self.first);
        }
        self.rest.extend_from_slice(&data);
    }

    fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { self.rest.freeze() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{Full, StreamBody};

    fn frames(parts: Vec<&'static [u8]>) -> impl Body<Data = Bytes, Error = String> + Unpin {
        let frames = parts.into_iter().map(|p| Ok(http_body::Frame::data(Bytes::from_static(p))));
        StreamBody::new(futures::stream::iter(frames))
    }

    #[tokio::test]
    async fn reads_whole_bodies_and_refuses_one_byte_more() {
        let budget = Budget::new(1 << 20);
        let (bytes, permit) =
            read(frames(vec![b"ab", b"", b"cde"]), 5, None, &budget).await.expect("fits");
        assert_eq!(&bytes[..], b"abcde");
        assert!(budget.used() > 0);
        drop(permit);
        assert_eq!(budget.used(), 0);
        let over = read(frames(vec![b"abc", b"def"]), 5, None, &budget).await;
        assert!(matches!(over, Err(BodyError::TooLarge { limit: 5 })));
        let over = read(Full::new(Bytes::from_static(b"abcdef")), 5, None, &budget).await;
        assert!(matches!(over, Err(BodyError::TooLarge { limit: 5 })));
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_the_body_waits_and_is_then_refused_as_overloaded() {
        let budget = Budget::new(64 << 10);
        let _held = budget.take(64 << 10).expect("free");
        let refused = read(frames(vec![b"a"]), 5, None, &budget).await;
        let Err(BodyError::Refused(error)) = refused else { panic!("{refused:?}") };
        assert_eq!(error.kind(), basics::Kind::Overloaded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stalls_is_given_up() {
        let endless = StreamBody::new(futures::stream::pending::<Result<_, String>>());
        let broken = read(endless, 5, None, &Budget::new(1 << 20)).await;
        assert!(matches!(broken, Err(BodyError::Broken(_))), "{broken:?}");
    }
}
