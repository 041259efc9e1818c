// SPDX-License-Identifier: Apache-2.0
//! OTLP/JSON both ways, by the same tables as the checker, without a document tree.
//!
//! Written: lowerCamelCase names, hex ids, 64-bit integers as strings, enums as numbers, NaN and
//! infinities as strings, defaults left out. Read: that, and snake_case names, integers as
//! numbers, enum names, ids in any case, `null` as absent; unknown names are skipped at any depth.
//! Errors name the byte where reading stopped. Bounds: nesting of [`NESTING_MAX`].
//! Source: opentelemetry-proto `docs/specification.md#json-protobuf-encoding`.

mod read;
mod write;

use crate::check::Malformed;
use crate::payload::{Payload, Signal};
use crate::schema::request;

/// Deepest nesting of JSON objects and arrays, those under unknown names included; twice what the
/// message depth needs, and small enough for any stack.
pub(crate) const NESTING_MAX: u32 = 2 * crate::DEPTH_MAX;

impl Payload {
    /// Reads an OTLP/JSON export request.
    ///
    /// # Errors
    /// [`Malformed`] when the text is not JSON, a value has the wrong type, an id the wrong
    /// length, or the message would not be admitted.
    pub fn from_json(signal: Signal, text: &[u8]) -> Result<Payload, Malformed> {
        let bytes = read::read(request(signal), text)?;
        Payload::admit(signal, bytes.into())
    }

    /// Appends the request as OTLP/JSON, one line without a line end.
    pub fn to_json(&self, out: &mut Vec<u8>) {
        write::write(request(self.signal()), self.bytes(), out);
    }
}

#[cfg(test)]
mod tests;
