// SPDX-License-Identifier: Apache-2.0
//! One attempt to send a batch over gRPC: a `PostSpans` call for each resource, one after the other.
//! When one fails, it and those behind it are what remains to be sent.

use async_trait::async_trait;
use basics::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use otlp_wire::{Payload, ResourceView};
use pipeline::{Batch, Encoding};

use super::proto;
use crate::delivery::{Push, Pushed, Unsent};
use crate::net::client::{Client, Parts};
use crate::net::{answer, compress};

/// The one call.
pub(super) const PATH: &str = "/jaeger.api_v2.CollectorService/PostSpans";

/// Where and how to send.
pub(super) struct Sender {
    pub client: Client,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub compression: Option<Encoding>,
}

impl Sender {
    fn request(&self, message: Bytes) -> Request<Parts> {
        let message = match self.compression {
            Some(encoding) => compress::compress(&message, encoding),
            None => message,
        };
        // A flag and the length; a payload is at most 2 GiB.
        let mut prefix = vec![u8::from(self.compression.is_some())];
        prefix.extend_from_slice(&(message.len() as u32).to_be_bytes());
        let mut request = Request::new(Parts::new([prefix.into(), message]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        request
    }
}

#[async_trait]
impl Push for Sender {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        self.push_part(batch).await.map_err(|unsent| unsent.error)
    }

    async fn push_part(&self, batch: &Batch) -> Result<Pushed, Unsent> {
        for (at, resource) in batch.payload.traces().enumerate() {
            let mut message = Vec::with_capacity(resource.group_raw().len() * 5 / 4);
            if !proto::request(&resource, &mut message) {
                continue;
            }
            let sent = self.client.send(self.request(message.into())).await;
            sent.and_then(|answer| answer::grpc(&answer))
                .map_err(|error| unsent(error, &batch.payload, at))?;
        }
        Ok(Pushed::default())
    }
}

/// What remains when the resources before the `at`-th have been sent.
pub(crate) fn unsent(error: basics::Error, payload: &Payload, at: usize) -> Unsent {
    let mut bytes = Vec::new();
    payload.traces().skip(at).for_each(|resource| push_group(&mut bytes, &resource));
    // Bytes of an admitted payload are admitted again; were they not, all of it remains.
    let remains = Payload::admit(payload.signal(), bytes.into()).ok().map(Box::new);
    Unsent { error, remains, rest: Pushed::default() }
}

/// Field 1 of an export request: one resource with its scopes.
pub(crate) fn push_group(bytes: &mut Vec<u8>, resource: &ResourceView<'_>) {
    bytes.push(0x0a);
    prost::encode_length_delimiter(resource.group_raw().len(), bytes)
        .expect("a vector grows as needed");
    bytes.extend_from_slice(resource.group_raw());
}
