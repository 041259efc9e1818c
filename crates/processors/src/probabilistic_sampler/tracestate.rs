// SPDX-License-Identifier: Apache-2.0
//! The W3C `tracestate` of a span, and OpenTelemetry's member of it: `ot=rv:...;th:...`.
//!
//! Read in place, without allocating; written with the `ot` member first and all others after it,
//! as they were. The limits and the alphabet are those of the Go collector's `pkg/sampling`.

use super::chance::{parse_randomness, parse_threshold, write_randomness, write_threshold};

/// Longest whole text, W3C's hard limit.
const LENGTH_MAX: usize = 1024;
/// Longest `ot` member, OpenTelemetry's.
const OT_LENGTH_MAX: usize = 256;
/// Members that are too many; the collector counts empty ones.
const MEMBERS: usize = 32;
const KEY_LENGTH_MAX: usize = 256;
const TENANT_LENGTH_MAX: usize = 241;
const SYSTEM_LENGTH_MAX: usize = 14;
const VALUE_LENGTH_MAX: usize = 256;

/// It is not a trace state, or its `ot` member makes no sense.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A trace state that makes sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TraceState<'a> {
    all: &'a str,
    /// The `ot` member.
    ot: &'a str,
    /// Text and value of `rv`.
    pub randomness: Option<(&'a str, u64)>,
    /// Text and value of `th`.
    pub threshold: Option<(&'a str, u64)>,
}

impl<'a> TraceState<'a> {
    /// Reads a trace state.
    pub fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut state = TraceState { all: text, ..TraceState::default() };
        if text.is_empty() {
            return Ok(state);
        }
        if text.len() > LENGTH_MAX
            || text.split(',').count() >= MEMBERS + usize::from(text.ends_with(','))
        {
            return Err(Malformed);
        }
        for member in members(text) {
            let (key, value) = member.split_once('=').ok_or(Malformed)?;
            if !is_key(key) || !is_value(value) {
                return Err(Malformed);
            }
            if key == "ot" {
                state.read_ot(value)?;
            }
        }
        Ok(state)
    }

    fn read_ot(&mut self, ot: &'a str) -> Result<(), Malformed> {
        if ot.len() > OT_LENGTH_MAX {
            return Err(Malformed);
        }
        (self.ot, self.randomness, self.threshold) = (ot, None, None);
        for field in ot.split(';') {
            let (key, value) = field.split_once(':').ok_or(Malformed)?;
            if !is_ot_key(key) || !value.bytes().all(is_ot_value_byte) {
                return Err(Malformed);
            }
            match key {
                "rv" => self.randomness = Some((value, parse_randomness(value).ok_or(Malformed)?)),
                "th" => self.threshold = Some((value, parse_threshold(value).ok_or(Malformed)?)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes it anew: with `randomness` if it had none, and `threshold` in place of its own.
    pub fn write(&self, randomness: Option<u64>, threshold: Option<u64>, out: &mut String) {
        out.clear();
        out.push_str("ot=");
        match (self.randomness, randomness) {
            (Some((text, _)), _) => field(out, "rv", |out| out.push_str(text)),
            (None, Some(value)) => field(out, "rv", |out| write_randomness(out, value)),
            (None, None) => {}
        }
        match (threshold, self.threshold) {
            (Some(value), _) => field(out, "th", |out| write_threshold(out, value)),
            (None, Some((text, _))) => field(out, "th", |out| out.push_str(text)),
            (None, None) => {}
        }
        for other in self.ot.split(';') {
            if let Some((key, value)) = other.split_once(':')
                && key != "rv"
                && key != "th"
            {
                field(out, key, |out| out.push_str(value));
            }
        }
        for member in members(self.all) {
            if !member.starts_with("ot=") {
                out.push(',');
                out.push_str(member);
            }
        }
    }
}

/// The value under `key`; none if the text is not a trace state. What is in `ot` does not matter.
pub(crate) fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut found = None;
    for member in members(text) {
        let (name, value) = member.split_once('=')?;
        if !is_key(name) || !is_value(value) {
            return None;
        }
        if name == key {
            found = found.or(Some(value));
        }
    }
    found
}

fn field(out: &mut String, key: &str, value: impl FnOnce(&mut String)) {
    if !out.ends_with('=') {
        out.push(';');
    }
    out.push_str(key);
    out.push(':');
    value(out);
}

/// The members that are not empty, without the blanks around them.
fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|it| !it.is_empty())
}

fn is_key(key: &str) -> bool {
    let is_part = |text: &str, starts: fn(u8) -> bool| {
        text.bytes().next().is_some_and(starts) && text.bytes().all(is_key_byte)
    };
    match key.split_once('@') {
        None => key.len() <= KEY_LENGTH_MAX && is_part(key, |b| b.is_ascii_lowercase()),
        Some((tenant, system)) => {
            tenant.len() <= TENANT_LENGTH_MAX
                && system.len() <= SYSTEM_LENGTH_MAX
                && is_part(tenant, |b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && is_part(system, |b| b.is_ascii_lowercase())
        }
    }
}

fn is_key_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-*/".contains(&b)
}

fn is_value(value: &str) -> bool {
    let is_allowed = |b: u8| (0x20..=0x7e).contains(&b) && b != b',' && b != b'=';
    !value.is_empty()
        && value.len() <= VALUE_LENGTH_MAX
        && !value.ends_with(' ')
        && value.bytes().all(is_allowed)
}

fn is_ot_key(key: &str) -> bool {
    key.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn is_ot_value_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"._-".contains(&b)
}
