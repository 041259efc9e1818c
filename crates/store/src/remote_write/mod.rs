// SPDX-License-Identifier: Apache-2.0
//! Prometheus remote write, 1.0 and 2.0, into the store.
//!
//! In: the body of a request, snappy-compressed as it came. Out: a [`Ticket`] that resolves when
//! the log has the body, and what became of its samples. A series is exactly the labels that were
//! written: nothing is translated, renamed or added, and no pipeline's processors see it. The log
//! keeps the compressed body (a third of what OTLP would take) under an encoding of its own;
//! [`Store::write_again`] takes it back at start.
//!
//! A request that cannot be read is refused whole, before the log. Single samples that are not
//! taken (too old, another value at the same time) do not keep the others out.
//! Bounds: [`BODY_BYTES_MAX`] and those of `read.rs` and the head. Source: remote write
//! specifications 1.0 and 2.0.

mod encode;
mod histogram;
mod onward;
mod read;
#[cfg(test)]
mod tests;
pub(crate) mod wire;

use std::fmt;

use basics::{Error, Result, UnixNano};
use otlp_wire::Signal;
use segment_log::{Record, Stored, Ticket};

pub use encode::Encoder;
pub use read::Exemplar;
pub(crate) use read::{Request, labels_of};

use crate::Store;
use crate::head::IngestReport;

/// Largest request, plain. 64 MiB as for OTLP; Prometheus sends 2,000 samples at a time.
pub const BODY_BYTES_MAX: usize = 64 << 20;

/// Pipeline of the log's records: none of the configuration has this name.
pub(crate) const PIPELINE: &str = "remote_write";

/// Entry of a log record: behind every processor.
pub(crate) const BEHIND_ALL: u8 = u8::MAX;

/// Which message a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `prometheus.WriteRequest`.
    V1,
    /// `io.prometheus.write.v2.Request`.
    V2,
}

impl Version {
    /// The encoding of a record in the log.
    fn encoding(self) -> u8 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
        }
    }

    fn of(encoding: u8) -> Option<Self> {
        match encoding {
            1 => Some(Version::V1),
            2 => Some(Version::V2),
            _ => None,
        }
    }

    fn read(self, body: &[u8]) -> std::result::Result<Request, Problem> {
        match self {
            Version::V1 => read::v1(body),
            Version::V2 => read::v2(body),
        }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Samples that are in the store now.
    pub samples: u64,
    /// Native histograms that are.
    pub histograms: u64,
    /// Exemplars that are.
    pub exemplars: u64,
    /// As for OTLP; what was not taken by reason.
    pub report: IngestReport,
}

/// Why a request cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Malformed,
    Symbols,
    Schema(i64),
    Bounds,
    Buckets { wanted: usize, given: usize },
}

impl From<wire::Malformed> for Problem {
    fn from(_: wire::Malformed) -> Self {
        Problem::Malformed
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Malformed => f.write_str("the message is malformed or cut short"),
            Problem::Symbols => f.write_str(
                "the symbols do not fit: the first must be empty and names and values come in pairs",
            ),
            Problem::Schema(schema) => write!(
                f,
                "native histogram of schema {schema}: only -4 to 8 and -53 are known"
            ),
            Problem::Bounds => f.write_str(
                "native histogram with custom buckets: bounds must ascend and be finite, and all \
                 buckets lie between them",
            ),
            Problem::Buckets { wanted, given } => {
                write!(f, "native histogram: spans need {wanted} buckets, have {given} buckets")
            }
        }
    }
}

impl Store {
    /// Takes a remote write request that was received at `received`. The data is durable when the
    /// ticket resolves; it can be queried at once.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`]: the body is not such a request. Else as [`segment_log::Log::append`].
    pub fn write(
        &self,
        version: Version,
        body: &[u8],
        received: UnixNano,
    ) -> Result<(Written, Ticket)> {
        let plain = inflate(body)?;
        let invalid = |problem| Error::invalid(format!("remote write: {problem}"));
        let request = version.read(&plain).map_err(invalid)?;
        drop(plain);
        self.begin();
        let (ticket, _on_its_way) = self.log().append_held(&Record {
            signal: Signal::Metrics.number(),
            entry: BEHIND_ALL,
            encoding: version.encoding(),
            tenant: "",
            pipeline: PIPELINE,
            received,
            body,
        })?;
        let written = self.head().take_written(&request, received);
        self.tell_written(|| onward::payload(&request));
        Ok((written, ticket))
    }

    /// Takes back what [`Store::write`] appended to the log; the number of samples in it, none if
    /// the record is not one of these or makes no sense.
    pub fn write_again(&self, record: &Stored) -> Option<u64> {
        let version = Version::of(record.encoding)?;
        if record.position < self.flushed(otlp_wire::Signal::Metrics) {
            return Some(0);
        }
        let plain = inflate(&record.body).ok()?;
        let request = version.read(&plain).ok()?;
        self.begin();
        self.head().take_written(&request, record.received);
        Some((request.samples.len() + request.histograms.len()) as u64)
    }
}

fn inflate(body: &[u8]) -> Result<Vec<u8>> {
    let invalid = |e: snap::Error| Error::invalid(format!("remote write: {e}"));
    let length = snap::raw::decompress_len(body).map_err(invalid)?;
    if length > BODY_BYTES_MAX {
        return Err(Error::rejected(format!(
            "remote write: {length} bytes when inflated, at most {BODY_BYTES_MAX} are taken"
        )));
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(invalid)
}
