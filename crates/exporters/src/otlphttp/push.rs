// SPDX-License-Identifier: Apache-2.0
//! One attempt to send a batch over OTLP/HTTP.

use async_trait::async_trait;
use basics::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use pipeline::Batch;
use pipeline::telemetry::Labels;

use crate::delivery::{Push, Pushed};
use crate::net::client::{Client, Parts};
use crate::net::compress::Codec;
use crate::net::{answer, compress};

/// Where and how to send.
pub(super) struct Sender {
    pub client: Client,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub compression: Option<Codec>,
    pub json: bool,
}

impl Sender {
    fn body(&self, batch: &Batch) -> Bytes {
        if self.json {
            let mut json = Vec::new();
            batch.payload.to_json(&mut json);
            let json = Bytes::from(json);
            return match self.compression {
                Some(encoding) => compress::compress(&json, encoding),
                None => json,
            };
        }
        match self.compression {
            Some(encoding) => compress::batch(batch, encoding),
            None => batch.payload.bytes().clone(),
        }
    }
}

#[async_trait]
impl Push for Sender {
    fn peer(&self) -> Labels {
        crate::settings::peer(&self.uri, true)
    }

    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        let mut request = Request::new(Parts::new([self.body(batch)]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        answer::otlp_http(&self.client.send(request).await?, self.json)
    }
}
