// SPDX-License-Identifier: Apache-2.0
//! Detector `env`: what `OTEL_RESOURCE_ATTRIBUTES` says, `key=value,key=value` with the values
//! percent-encoded. `OTEL_RESOURCE` is its old name.

use basics::{Error, Result};

use super::Found;
use super::machine::Machine;

/// Longest key and value.
const LENGTH_MAX: usize = 256;

pub(super) fn detect(machine: &Machine) -> Result<Found> {
    let text =
        machine.variable("OTEL_RESOURCE_ATTRIBUTES").or_else(|| machine.variable("OTEL_RESOURCE"));
    let mut found = Found::default();
    let Some(text) = text else { return Ok(found) };
    for pair in text.strip_suffix(',').unwrap_or(&text).split(',') {
        let wrong = || Error::invalid(format!("invalid resource format: \"{pair}\""));
        let (key, value) = pair.split_once('=').ok_or_else(wrong)?;
        let (key, value) = (key.trim(), value.trim());
        let fits = |text: &str| text.is_ascii() && text.len() <= LENGTH_MAX;
        if key.is_empty() || !fits(key) || !fits(value) {
            return Err(wrong());
        }
        let value = decode(value).ok_or_else(wrong)?;
        // Of a key given twice the last counts.
        found.0.retain(|(known, _)| known != key);
        found.text(key, value);
    }
    Ok(found)
}

/// Percent-encoded text with `+` for a space; `None` when it is not such.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let high = digit(rest.next())?;
                let low = digit(rest.next())?;
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}
