// SPDX-License-Identifier: Apache-2.0
//! From a request body to the pipeline: inflate, admit, hand over. The same for all transports.

use std::net::SocketAddr;
use std::sync::Arc;

use ::net::socket::UNIX_PEER;
use basics::{Clock, Error, Result};
use bytes::Bytes;
use http::HeaderMap;
use otlp_wire::{Payload, Signal};
use pipeline::auth::AuthData;
use pipeline::telemetry::ReceiverMeter;
use pipeline::{
    Acks, Batch, Budget, Context, Delivered, Encoded, Encoding, Inlets, Meta, Permit, Token,
};

use crate::jaeger::model;
use crate::net::inflate::{self, InflateError, inflate};

/// What both transports share.
pub(crate) struct Door {
    pub inlets: Inlets,
    pub clock: Clock,
    pub budget: Budget,
}

impl Door {
    /// The door to `inlets`.
    pub fn new(inlets: Inlets, context: &Context) -> Door {
        let budget = context.host.budget().clone();
        Door { inlets, clock: context.clock.clone(), budget }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// OTLP in protobuf.
    Protobuf,
    /// OTLP in JSON.
    Json,
    /// A `PostSpansRequest` of Jaeger.
    Jaeger,
}

/// One request as read from the connection.
pub(crate) struct Request<'a> {
    pub signal: Signal,
    pub form: Form,
    pub encoding: Option<Encoding>,
    pub bytes: Bytes,
    /// Largest plain body.
    pub limit: usize,
    pub peer: SocketAddr,
    /// Request headers if they are to be kept as metadata.
    pub headers: Option<&'a HeaderMap>,
    /// Who the client is.
    pub auth: AuthData,
}

/// Why a request was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Larger than the limit, compressed or plain.
    TooLarge(String),
    /// Said by us or the pipeline.
    Error(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Error(error)
    }
}

impl Door {
    /// Takes one request to its pipeline; an empty one succeeds without the pipeline seeing it.
    /// What is known by then to be rejected for good comes back.
    pub async fn take(
        &self,
        request: Request<'_>,
        mut permit: Permit,
        meter: &ReceiverMeter,
    ) -> Result<Delivered, Refusal> {
        let Some(inlet) = self.inlets.of(request.signal) else {
            return Err(Error::invalid("no pipeline receives this signal").into());
        };
        let (payload, encoded) = decode(&request, &mut permit)?;
        if payload.items() == 0 {
            return Ok(Delivered::default());
        }
        let meta = Meta {
            received: self.clock.now(),
            client: Some(request.peer).filter(|peer| *peer != UNIX_PEER),
            headers: request.headers.map(kept_headers).unwrap_or_default(),
            auth: request.auth,
            ..Meta::default()
        };
        let (token, mut verdict) = Token::pair();
        let batch = Batch { payload, encoded, meta: Arc::new(meta), acks: Acks::one(token) };
        let items = batch.items();
        let outcome = inlet.consume(batch.holding(permit)).await;
        meter.outcome(request.signal, items, &outcome);
        outcome?;
        // Not there yet: it lies in a queue, and what becomes of it is for the exporter to tell.
        match verdict.try_recv() {
            Ok(Ok(delivered)) => Ok(delivered.of(items)),
            _ => Ok(Delivered::default()),
        }
    }
}

/// The validated payload, and the body as received where another OTLP peer could take it.
fn decode(
    request: &Request<'_>,
    permit: &mut Permit,
) -> Result<(Payload, Option<Encoded>), Refusal> {
    let (plain, encoded) = match request.encoding {
        None => (request.bytes.clone(), None),
        Some(encoding) => {
            let plain = inflate(encoding, &request.bytes, request.limit).map_err(|e| match e {
                InflateError::TooLarge { .. } => Refusal::TooLarge(e.to_string()),
                InflateError::Malformed(_) => Refusal::Error(Error::invalid(e.to_string())),
            })?;
            // Both the compressed and the plain body are held until the pipeline has answered.
            permit.resize((request.bytes.len() + plain.len()) as u64)?;
            let encoding = inflate::actual(encoding, &request.bytes);
            let encoded = Encoded { encoding, bytes: request.bytes.clone() };
            (Bytes::from(plain), Some(encoded))
        }
    };
    let payload = match request.form {
        Form::Json => {
            return Ok((Payload::from_json(request.signal, &plain).map_err(Error::from)?, None));
        }
        Form::Jaeger => return Ok((model::payload(plain)?, None)),
        Form::Protobuf => Payload::admit(request.signal, plain.clone()).map_err(Error::from)?,
    };
    // Odd encodings were normalised: the body as received would say something else.
    let same = payload.bytes().as_ptr() == plain.as_ptr();
    Ok((payload, encoded.filter(|_| same)))
}

/// Headers that are no one's business but the connection's.
const NOT_METADATA: [&str; 6] = [
    "content-length",
    "content-encoding",
    "grpc-encoding",
    "te",
    "connection",
    "transfer-encoding",
];

/// A bound on what one request's metadata may take: as many as HTTP servers commonly allow.
const METADATA_HEADERS_MAX: usize = 100;

fn kept_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter(|(name, _)| !NOT_METADATA.contains(&name.as_str()))
        .filter_map(|(name, value)| {
            Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
        })
        .take(METADATA_HEADERS_MAX)
        .collect()
}
