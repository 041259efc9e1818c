// SPDX-License-Identifier: Apache-2.0
//! From the collector's shared keys to what delivery and clients take.

use basics::{BackoffSettings, Error, Result};
use http::Uri;
use pipeline::Encoding;
use pipeline::config::shared::{self, Compression, SendingQueue};
use pipeline::config::{Checker, Duration};

use crate::delivery::{DeliverySettings, QueueSettings, RetrySettings, Sizer};

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
    config.enabled.then(|| QueueSettings {
        sizer: match config.sizer {
            None | Some(shared::Sizer::Requests) => Sizer::Requests,
            Some(shared::Sizer::Items) => Sizer::Items,
            Some(shared::Sizer::Bytes) => Sizer::Bytes,
        },
        size: usize::try_from(config.queue_size).unwrap_or(usize::MAX),
        consumers: config.num_consumers,
        block_on_overflow: config.block_on_overflow,
    })
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

/// `compression`, gzip where nothing is said.
pub(crate) fn compression(config: Option<Compression>) -> Option<Encoding> {
    match config.unwrap_or(Compression::Gzip) {
        Compression::Gzip => Some(Encoding::Gzip),
        Compression::Zstd => Some(Encoding::Zstd),
        Compression::Deflate | Compression::Zlib => Some(Encoding::Deflate),
        Compression::Snappy => Some(Encoding::Snappy),
        Compression::None => None,
    }
}

/// Checks `sending_queue`, and that it asks for nothing this build does not have.
pub(crate) fn validate_queue(config: &SendingQueue, at: &mut Checker<'_>) {
    config.validate(at);
    if config.storage.as_deref().is_some_and(|id| !id.is_empty()) {
        at.error("storage", "a persistent queue is not supported yet; remove this key");
    }
    if config.batch.is_some() {
        at.error("batch", "sending_queue.batch is not supported yet; use the batch processor");
    }
    if config.wait_for_result {
        at.error("wait_for_result", "wait_for_result is not supported yet; use enabled: false");
    }
}

/// An `http://` URL with a host.
///
/// # Errors
/// `Invalid`, also for `https://` as long as there is no TLS.
pub(crate) fn plain_url(url: &str) -> Result<Uri> {
    let wrong = || Error::invalid(format!("\"{url}\" is not a URL such as http://host:4318"));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(host)) if !host.is_empty() => Ok(uri),
        (Some("https"), _) => Err(Error::invalid(format!(
            "\"{url}\": TLS is not supported yet; use an http:// endpoint"
        ))),
        _ => Err(wrong()),
    }
}
