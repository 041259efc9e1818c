// SPDX-License-Identifier: Apache-2.0
//! From the collector's shared keys to what delivery and clients take.

use basics::{BackoffSettings, Error, Result};
use http::Uri;
use pipeline::Encoding;
use pipeline::config::shared::{self, Compression, HttpClient, SendingQueue};
use pipeline::config::{Checker, Duration};
use pipeline::telemetry::Labels;

use crate::delivery::{BatchSettings, DeliverySettings, QueueSettings, RetrySettings, Sizer};
use crate::net::compress::Codec;

/// Where `uri` is, as labels of what is counted; with its path for a peer that has several.
pub(crate) fn peer(uri: &Uri, with_path: bool) -> Labels {
    let port = uri.port_u16().map(|port| ("server_port", port.to_string()));
    let path = with_path.then(|| ("url_path", uri.path().to_owned()));
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    [("server_address", host)].into_iter().chain(port).chain(path).collect()
}

/// The URL `endpoint` for people to see: without user and password.
pub(crate) fn without_user(endpoint: &str) -> String {
    match endpoint
        .split_once("://")
        .and_then(|(scheme, rest)| Some((scheme, rest.split_once('@')?)))
    {
        Some((scheme, (_, rest))) => format!("{scheme}://{rest}"),
        None => endpoint.to_owned(),
    }
}

/// `retry_on_failure`.
pub(crate) fn retry(config: &shared::Retry) -> Option<RetrySettings> {
    config.enabled.then(|| RetrySettings {
        backoff: BackoffSettings {
            initial: config.initial_interval.get(),
            max: config.max_interval.get(),
            multiplier: config.multiplier,
            randomization: config.randomization_factor,
        },
        max_elapsed: config.max_elapsed_time.get(),
    })
}

/// `sending_queue`.
pub(crate) fn queue(config: &SendingQueue) -> Option<QueueSettings> {
    let sizer = sizer(config.sizer);
    config.enabled.then(|| QueueSettings {
        sizer,
        size: usize::try_from(config.queue_size).unwrap_or(usize::MAX),
        consumers: config.num_consumers,
        block_on_overflow: config.block_on_overflow,
        wait_for_result: config.wait_for_result,
        storage: config.storage.as_deref().filter(|id| !id.is_empty()).map(Into::into),
        batch: config.batch.as_ref().map(|batch| BatchSettings {
            flush_timeout: batch.flush_timeout.get(),
            min_size: batch.min_size,
            max_size: batch.max_size,
            sizer: match (batch.sizer, sizer) {
                (Some(own), _) => self::sizer(Some(own)),
                (None, Sizer::Bytes) => Sizer::Bytes,
                (None, Sizer::Items | Sizer::Requests) => Sizer::Items,
            },
            metadata_keys: batch.partition.names(),
        }),
    })
}

fn sizer(config: Option<shared::Sizer>) -> Sizer {
    match config {
        None | Some(shared::Sizer::Requests) => Sizer::Requests,
        Some(shared::Sizer::Items) => Sizer::Items,
        Some(shared::Sizer::Bytes) => Sizer::Bytes,
    }
}

/// All three.
pub(crate) fn delivery(
    timeout: Duration,
    retry_on_failure: &shared::Retry,
    sending_queue: &SendingQueue,
) -> DeliverySettings {
    DeliverySettings {
        timeout: timeout.get(),
        retry: retry(retry_on_failure),
        queue: queue(sending_queue),
    }
}

/// `compression` of a gRPC client, gzip where nothing is said. There `snappy` is framed.
pub(crate) fn grpc_compression(config: Option<Compression>) -> Option<Encoding> {
    match compression(config) {
        Some(Encoding::Snappy) => Some(Encoding::SnappyFramed),
        encoding => encoding,
    }
}

/// `compression` and `compression_params` of an HTTP client, gzip where nothing is said.
pub(crate) fn codec(config: &HttpClient) -> Option<Codec> {
    let level = config.compression_params.level;
    compression(config.compression).map(|encoding| Codec { encoding, level })
}

/// `compression`, gzip where nothing is said.
pub(crate) fn compression(config: Option<Compression>) -> Option<Encoding> {
    match config.unwrap_or(Compression::Gzip) {
        Compression::Gzip => Some(Encoding::Gzip),
        Compression::Zstd => Some(Encoding::Zstd),
        Compression::Deflate | Compression::Zlib => Some(Encoding::Deflate),
        Compression::Snappy => Some(Encoding::Snappy),
        Compression::SnappyFramed => Some(Encoding::SnappyFramed),
        Compression::Lz4 => Some(Encoding::Lz4),
        Compression::None => None,
    }
}

/// Checks `sending_queue`.
pub(crate) fn validate_queue(config: &SendingQueue, at: &mut Checker<'_>) {
    config.validate(at);
}

/// An `http://` or `https://` URL with a host.
///
/// # Errors
/// `Invalid` when it is none.
pub(crate) fn url(url: &str) -> Result<Uri> {
    let wrong = || Error::invalid(format!("\"{url}\" is not a URL such as http://host:4318"));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(wrong()),
    }
}
