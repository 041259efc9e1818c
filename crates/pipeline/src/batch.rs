// SPDX-License-Identifier: Apache-2.0
//! The one thing that flows: a validated OTLP request with what is known about it.

use std::net::SocketAddr;
use std::sync::Arc;

use basics::{Result, UnixNano};
use bytes::Bytes;
use otlp_wire::{Payload, Signal};

use crate::ack::Acks;
use crate::auth::AuthData;
use crate::budget::Permit;

/// One validated OTLP export request on its way. Clone = a few refcounts.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The telemetry itself, still encoded.
    pub payload: Payload,
    /// The same request as it came over the wire, still compressed, as long as no one has edited
    /// `payload`. An exporter may send it on as it is when its peer takes the encoding.
    pub encoded: Option<Encoded>,
    /// Where it came from.
    pub meta: Arc<Meta>,
    /// Who waits to hear what became of it.
    pub acks: Acks,
}

/// A body as received, with the encoding it is in.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// How `bytes` is compressed.
    pub encoding: Encoding,
    /// The compressed body.
    pub bytes: Bytes,
}

/// Content encodings of OTLP bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// Snappy block format: `snappy` over HTTP.
    Snappy,
    /// Snappy framing format: `x-snappy-framed` over HTTP, `snappy` over gRPC.
    SnappyFramed,
    /// LZ4 frames.
    Lz4,
    /// RFC 1950, what HTTP calls `deflate`.
    Deflate,
}

/// What is known about a request besides its content; shared by all batches made from it.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    /// When the request was complete at the receiver.
    pub received: UnixNano,
    /// Address of the client.
    pub client: Option<SocketAddr>,
    /// Request headers chosen by `include_metadata`, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Who the client is, as the receiver's authenticator says: `username` and the like.
    pub auth: AuthData,
    /// Tenant; empty for the single-tenant default.
    pub tenant: Arc<str>,
    /// True when the log gives this batch again after a restart: rebuild state, do not act on the
    /// outside world, do not generate what the log already holds.
    pub replay: bool,
}

impl Batch {
    /// A batch nobody waits for.
    pub fn new(payload: Payload, meta: Arc<Meta>) -> Self {
        Batch { payload, encoded: None, meta, acks: Acks::none() }
    }

    /// The signal it carries.
    pub fn signal(&self) -> Signal {
        self.payload.signal()
    }

    /// Spans, data points or log records in it.
    pub fn items(&self) -> u64 {
        u64::from(self.payload.items())
    }

    /// The same batch with other content: the body as received no longer stands for it.
    pub fn with_payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self.encoded = None;
        self
    }

    /// The same batch, keeping `permit` until its fate is known.
    pub fn holding(mut self, permit: Permit) -> Self {
        self.acks.hold(permit);
        self
    }

    /// Ends the batch here: everyone who waits hears `outcome`.
    pub fn settle(self, outcome: Result<()>) {
        self.acks.settle(outcome);
    }
}
