// SPDX-License-Identifier: Apache-2.0
//! One attempt to send a batch over gRPC: a `PostSpans` call for each resource, one after the other.

use async_trait::async_trait;
use basics::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use pipeline::{Batch, Encoding};

use super::proto;
use crate::delivery::{Push, Pushed};
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
        for resource in batch.payload.traces() {
            let mut message = Vec::with_capacity(resource.group_raw().len() * 5 / 4);
            if proto::request(&resource, &mut message) {
                answer::grpc(&self.client.send(self.request(message.into())).await?)?;
            }
        }
        Ok(Pushed::default())
    }
}
