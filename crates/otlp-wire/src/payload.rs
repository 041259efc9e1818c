// SPDX-License-Identifier: Apache-2.0
//! One validated export request, held as the bytes it came as.
//!
//! In: bytes from a peer ([`Payload::admit`]), JSON, prost messages, or the writers. Out: views,
//! edits, concatenations, parts. Guarantee: the bytes passed [`crate::check`] and are not odd, so
//! nothing that reads them fails. Clone is a reference count.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
    trace::v1::ExportTraceServiceRequest,
};
use prost::Message;

use crate::check::{Malformed, check};
use crate::schema;
use crate::view::{Logs, Metrics, Resources, Traces};

/// Most messages an odd request may hold to be normalised: prost allocates some hundred bytes
/// for each, and two bytes on the wire can be a message. 262,144 of them stay near 100 MB.
pub const ODD_MESSAGES_MAX: u32 = 1 << 18;

/// The kind of telemetry in a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal.
    pub const ALL: [Signal; 3] = [Signal::Traces, Signal::Metrics, Signal::Logs];

    /// `traces`, `metrics` or `logs`, as pipelines are named in YAML.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
            Signal::Logs => "logs",
        }
    }

    /// The signal of that name.
    pub fn from_name(name: &str) -> Option<Signal> {
        Signal::ALL.into_iter().find(|s| s.name() == name)
    }

    /// Its number in records on disk, 1 to 3: never to be changed.
    pub fn number(self) -> u8 {
        match self {
            Signal::Traces => 1,
            Signal::Metrics => 2,
            Signal::Logs => 3,
        }
    }

    /// The signal of that number.
    pub fn from_number(number: u8) -> Option<Signal> {
        Signal::ALL.into_iter().find(|s| s.number() == number)
    }
}

impl std::fmt::Display for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One validated OTLP export request. Clone is a reference count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    signal: Signal,
    items: u32,
    bytes: Bytes,
}

impl Payload {
    /// Validates an encoded `Export{Trace,Metrics,Logs}ServiceRequest`.
    ///
    /// Legal but odd encodings (a singular field or oneof given twice, unpacked arrays, scattered
    /// attributes) are rewritten once through prost; only then are unknown fields lost.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not that message, hold text that is not UTF-8, ids of the
    /// wrong length, or nest deeper than [`crate::DEPTH_MAX`].
    pub fn admit(signal: Signal, bytes: Bytes) -> Result<Payload, Malformed> {
        let found = check(schema::request(signal), &bytes)?;
        if !found.odd {
            return Ok(Payload { signal, items: found.items, bytes });
        }
        if found.messages > ODD_MESSAGES_MAX {
            return Err(Malformed { what: "too large a request in an unusual encoding", at: 0 });
        }
        let bytes = Bytes::from(normalise(signal, &bytes)?);
        let found = check(schema::request(signal), &bytes)?;
        Ok(Payload { signal, items: found.items, bytes })
    }

    /// Bytes that this crate wrote or cut from a payload.
    pub(crate) fn trusted(signal: Signal, items: u32, bytes: Bytes) -> Payload {
        debug_assert_eq!(
            check(schema::request(signal), &bytes).map(|f| (f.items, f.odd)),
            Ok((items, false)),
            "this crate wrote a payload that it would not admit"
        );
        Payload { signal, items, bytes }
    }

    /// A payload with nothing in it.
    pub fn empty(signal: Signal) -> Payload {
        Payload { signal, items: 0, bytes: Bytes::new() }
    }

    /// What it holds.
    #[inline]
    pub fn signal(&self) -> Signal {
        self.signal
    }

    /// The encoded export request.
    #[inline]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Number of spans, data points or log records.
    #[inline]
    pub fn items(&self) -> u32 {
        self.items
    }

    /// Encoded size in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// True when it has no bytes. A payload may have bytes and yet no items.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The resources, whatever the signal.
    #[inline]
    pub fn resources(&self) -> Resources<'_> {
        Resources::new(&self.bytes, self.signal)
    }

    /// The resources of a traces payload; none for other signals.
    #[inline]
    pub fn traces(&self) -> Traces<'_> {
        self.resources_of(Signal::Traces)
    }

    /// The resources of a metrics payload; none for other signals.
    #[inline]
    pub fn metrics(&self) -> Metrics<'_> {
        self.resources_of(Signal::Metrics)
    }

    /// The resources of a logs payload; none for other signals.
    #[inline]
    pub fn logs(&self) -> Logs<'_> {
        self.resources_of(Signal::Logs)
    }

    fn resources_of(&self, signal: Signal) -> Resources<'_> {
        let bytes: &[u8] = if signal == self.signal { &self.bytes } else { &[] };
        Resources::new(bytes, signal)
    }

    /// Joins payloads of one signal: a valid request is the concatenation of valid requests, so
    /// this is one copy. A single part is returned as it is; no parts give an empty payload.
    ///
    /// # Panics
    /// When the parts are of different signals: a bug of the caller.
    pub fn concat(parts: &[Payload]) -> Payload {
        let Some(first) = parts.first() else { return Payload::empty(Signal::Traces) };
        if parts.len() == 1 {
            return first.clone();
        }
        let signal = first.signal;
        let mut out = Vec::with_capacity(parts.iter().map(Payload::len).sum());
        let mut items = 0u32;
        for part in parts {
            assert_eq!(part.signal, signal, "payloads of different signals cannot be joined");
            out.extend_from_slice(&part.bytes);
            items = items.saturating_add(part.items);
        }
        Payload { signal, items, bytes: Bytes::from(out) }
    }

    /// Decodes the request into prost structs, the plain way. `M` is the export request of the
    /// signal; any other message type gives whatever its fields find.
    pub fn decode<M: Message + Default>(&self) -> M {
        M::decode(self.bytes.clone()).unwrap_or_default()
    }

    /// Encodes a prost export request of `signal`.
    ///
    /// # Errors
    /// [`Malformed`] when the message holds ids of the wrong length, nests too deeply, or is not
    /// an export request of that signal.
    pub fn encode(signal: Signal, message: &impl Message) -> Result<Payload, Malformed> {
        Payload::admit(signal, Bytes::from(message.encode_to_vec()))
    }
}

fn normalise(signal: Signal, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    fn through<M: Message + Default>(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        let refused = |_| Malformed { what: "encoding that prost refuses", at: 0 };
        Ok(M::decode(bytes).map_err(refused)?.encode_to_vec())
    }
    match signal {
        Signal::Traces => through::<ExportTraceServiceRequest>(bytes),
        Signal::Metrics => through::<ExportMetricsServiceRequest>(bytes),
        Signal::Logs => through::<ExportLogsServiceRequest>(bytes),
    }
}
