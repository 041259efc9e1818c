// SPDX-License-Identifier: Apache-2.0
//! One attempt to send a batch over OTLP/gRPC.
//!
//! A unary call on hyper's HTTP/2: the message is the payload's bytes (or the body as received,
//! still compressed) behind a five byte prefix; nothing is encoded and nothing copied.

use async_trait::async_trait;
use basics::Result;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Uri};
use otlp_wire::Signal;
use pipeline::telemetry::Labels;
use pipeline::{Batch, Encoding};

use crate::delivery::{Push, Pushed};
use crate::net::client::{Client, Parts};
use crate::net::{answer, compress};

/// Bytes before each gRPC message: compressed or not, length.
const PREFIX: usize = 5;

/// Where and how to send.
pub(super) struct Sender {
    pub client: Client,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub compression: Option<Encoding>,
}

impl Sender {
    fn request(&self, batch: &Batch) -> Request<Parts> {
        let message = match self.compression {
            Some(encoding) => compress::batch(batch, encoding),
            None => batch.payload.bytes().clone(),
        };
        let mut request = Request::new(Parts::new([self.prefix(message.len()), message]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.headers.clone();
        request
    }

    fn prefix(&self, length: usize) -> Bytes {
        let mut prefix = BytesMut::with_capacity(PREFIX);
        prefix.put_u8(u8::from(self.compression.is_some()));
        // A payload is at most 2 GiB.
        prefix.put_u32(length as u32);
        prefix.freeze()
    }
}

#[async_trait]
impl Push for Sender {
    fn peer(&self) -> Labels {
        crate::settings::peer(&self.uri, false)
    }

    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        answer::grpc(&self.client.send(self.request(batch)).await?)
    }
}

/// The path of the Export call of `signal`.
pub(super) fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// `configured` headers with what every call carries.
pub(crate) fn call_headers(mut configured: HeaderMap, compression: Option<Encoding>) -> HeaderMap {
    configured.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    configured.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(encoding) = compression {
        configured.insert("grpc-encoding", HeaderValue::from_static(compress::grpc_name(encoding)));
    }
    let accepted = HeaderValue::from_static("gzip,zstd,snappy,deflate,identity");
    configured.insert("grpc-accept-encoding", accepted);
    let agent = HeaderValue::from_static(crate::net::client::USER_AGENT);
    configured.entry(http::header::USER_AGENT).or_insert(agent);
    configured
}
