// SPDX-License-Identifier: Apache-2.0
//! JSON to protobuf: a pull parser that writes each value as it meets it.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::NESTING_MAX;
use crate::check::Malformed;
use crate::schema::{Field, Kind, Message};
use crate::wire::{Frame, put_fixed32, put_fixed64, put_len, put_u64, put_varint, to_zigzag32};

type Result<T> = std::result::Result<T, Malformed>;

/// Reads one JSON object as a message of type `table`.
pub(super) fn read(table: &'static Message, text: &[u8]) -> Result<Vec<u8>> {
    if simdutf8::basic::from_utf8(text).is_err() {
        return Err(Malformed { what: "json that is not utf-8", at: 0 });
    }
    let mut reader = Reader { text, pos: 0 };
    let mut out = Vec::with_capacity(text.len() / 2);
    reader.space();
    reader.message(table, &mut out, 1)?;
    reader.space();
    if reader.pos < text.len() { Err(reader.bad("text after the json value")) } else { Ok(out) }
}

struct Reader<'t> {
    text: &'t [u8],
    pos: usize,
}

/// A number, or the content of a string that may hold one.
struct Scalar<'t> {
    text: Cow<'t, str>,
    at: usize,
}

impl<'t> Reader<'t> {
    fn bad(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.pos }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.pos) {
            self.pos += 1;
        }
    }

    /// The next byte that is not space.
    fn peek(&mut self) -> Option<u8> {
        self.space();
        self.text.get(self.pos).copied()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<()> {
        if self.peek() == Some(byte) {
            self.pos += 1;
            return Ok(());
        }
        Err(self.bad(what))
    }

    /// Moves past `word` if it is next.
    fn literal(&mut self, word: &str) -> bool {
        self.space();
        let found = self.text[self.pos..].starts_with(word.as_bytes());
        if found {
            self.pos += word.len();
        }
        found
    }

    /// Moves past a `,`; false at `end`, which it moves past too.
    fn more(&mut self, end: u8) -> Result<bool> {
        match self.peek() {
            Some(b',') => {
                self.pos += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.pos += 1;
                Ok(false)
            }
            _ => Err(self.bad("expected a comma or the end of an object or array")),
        }
    }

    /// Reads an object (or null) as the content of a message.
    fn message(&mut self, table: &'static Message, out: &mut Vec<u8>, depth: u32) -> Result<()> {
        if depth > NESTING_MAX {
            return Err(self.bad("json nested too deeply"));
        }
        if self.literal("null") {
            return Ok(());
        }
        self.expect(b'{', "expected an object")?;
        if self.peek() == Some(b'}') {
            self.pos += 1;
            return Ok(());
        }
        loop {
            self.space();
            let key = self.string()?;
            self.expect(b':', "expected a colon")?;
            match row(table, &key) {
                _ if self.literal("null") => {}
                Some((number, field)) if field.repeated => {
                    self.array(number, field, out, depth + 1)?;
                }
                Some((number, field)) => self.value(number, field, out, depth)?,
                None => self.skip(depth + 1)?,
            }
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn array(&mut self, number: u32, field: &Field, out: &mut Vec<u8>, depth: u32) -> Result<()> {
        self.expect(b'[', "expected an array")?;
        if self.peek() == Some(b']') {
            self.pos += 1;
            return Ok(());
        }
        let packed = matches!(field.kind, Kind::Fixed64s | Kind::Doubles | Kind::Uint64s)
            .then(|| Frame::open(out, number, 1));
        loop {
            match field.kind {
                Kind::Fixed64s => {
                    out.extend_from_slice(&self.scalar()?.unsigned()?.to_le_bytes());
                }
                Kind::Doubles => out.extend_from_slice(&self.scalar()?.double()?.to_le_bytes()),
                Kind::Uint64s => put_varint(out, self.scalar()?.unsigned()?),
                Kind::Str => {
                    self.space();
                    put_len(out, number, self.string()?.as_bytes());
                }
                _ => self.value(number, field, out, depth)?,
            }
            if !self.more(b']')? {
                break;
            }
        }
        if let Some(frame) = packed {
            frame.close(out);
        }
        Ok(())
    }

    /// Reads one value and writes it as field `number`, but for a default without presence.
    fn value(&mut self, number: u32, field: &Field, out: &mut Vec<u8>, depth: u32) -> Result<()> {
        self.space();
        let presence = field.presence;
        let mut varint = |v: u64| {
            if v != 0 || presence {
                put_u64(out, number, v);
            }
        };
        match field.kind {
            Kind::Bool => varint(u64::from(self.boolean()?)),
            Kind::Uint32 => varint(self.scalar()?.in_range(0, i64::from(u32::MAX))? as u64),
            Kind::Int32 => varint(self.int32()? as u64),
            Kind::Sint32 => varint(to_zigzag32(self.int32()? as i32)),
            Kind::Int64 => varint(self.scalar()?.signed()? as u64),
            Kind::Enum => varint(self.enumeration(field)? as u64),
            Kind::Double => fixed64(out, number, presence, self.scalar()?.double()?.to_bits()),
            Kind::Fixed64 => fixed64(out, number, presence, self.scalar()?.unsigned()?),
            Kind::Sfixed64 => fixed64(out, number, presence, self.scalar()?.signed()? as u64),
            Kind::Fixed32 => {
                let v = self.scalar()?.in_range(0, i64::from(u32::MAX))? as u32;
                if v != 0 || presence {
                    put_fixed32(out, number, v);
                }
            }
            Kind::Str => bytes(out, number, presence, self.string()?.as_bytes()),
            Kind::Bytes => bytes(out, number, presence, &self.base64()?),
            Kind::Id(len) => bytes(out, number, presence, &self.hex(usize::from(len))?),
            _ => {
                let Some(table) = field.message else { return self.skip(depth + 1) };
                let frame = Frame::open(out, number, width(table));
                self.message(table, out, depth + 1)?;
                frame.close(out);
            }
        }
        Ok(())
    }

    fn boolean(&mut self) -> Result<bool> {
        if self.literal("true") || self.literal("\"true\"") {
            return Ok(true);
        }
        if self.literal("false") || self.literal("\"false\"") {
            return Ok(false);
        }
        Err(self.bad("expected true or false"))
    }

    fn int32(&mut self) -> Result<i64> {
        self.scalar()?.in_range(i64::from(i32::MIN), i64::from(i32::MAX))
    }

    fn enumeration(&mut self, field: &Field) -> Result<i64> {
        let scalar = self.scalar()?;
        if scalar.text.starts_with(|c: char| c.is_ascii_uppercase()) {
            // A name that this version does not know is the unspecified one, as in the collector.
            let number = field.names.iter().position(|name| *name == scalar.text);
            return Ok(number.unwrap_or(0) as i64);
        }
        scalar.in_range(i64::from(i32::MIN), i64::from(i32::MAX))
    }

    /// A number as it stands, or the content of a string.
    fn scalar(&mut self) -> Result<Scalar<'t>> {
        self.space();
        let at = self.pos;
        if self.peek() == Some(b'"') {
            return Ok(Scalar { text: self.string()?, at });
        }
        Ok(Scalar { text: Cow::Borrowed(self.number()?), at })
    }

    /// A JSON number: `-? int frac? exp?`.
    fn number(&mut self) -> Result<&'t str> {
        let start = self.pos;
        let byte = |pos: usize| self.text.get(pos).copied().unwrap_or(0);
        let digits = |mut pos: usize| {
            while byte(pos).is_ascii_digit() {
                pos += 1;
            }
            pos
        };
        let mut pos = start + usize::from(byte(start) == b'-');
        let int = pos;
        pos = digits(pos);
        let mut good = pos > int && (byte(int) != b'0' || pos == int + 1);
        if byte(pos) == b'.' {
            let end = digits(pos + 1);
            good &= end > pos + 1;
            pos = end;
        }
        if matches!(byte(pos), b'e' | b'E') {
            let sign = pos + 1 + usize::from(matches!(byte(pos + 1), b'+' | b'-'));
            let end = digits(sign);
            good &= end > sign;
            pos = end;
        }
        if !good {
            return Err(self.bad("expected a number"));
        }
        self.pos = pos;
        Ok(crate::wire::text(&self.text[start..pos]))
    }

    fn base64(&mut self) -> Result<Vec<u8>> {
        const ANY_PADDING: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
        const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);
        let at = self.pos;
        let text = self.string()?;
        let engine = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
        engine
            .decode(text.as_bytes())
            .map_err(|_| Malformed { what: "bytes that are not base64", at })
    }

    fn hex(&mut self, len: usize) -> Result<Vec<u8>> {
        let at = self.pos;
        let text = self.string()?;
        if !text.is_empty() && text.len() != 2 * len {
            return Err(Malformed { what: "id of the wrong length", at });
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|d| d as u8);
        let pairs = text.as_bytes().chunks_exact(2);
        let id = pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect();
        let id: Option<Vec<u8>> = id;
        id.ok_or(Malformed { what: "id that is not hexadecimal", at })
    }

    /// Moves past any value.
    fn skip(&mut self, depth: u32) -> Result<()> {
        if depth > NESTING_MAX {
            return Err(self.bad("json nested too deeply"));
        }
        let (end, object) = match self.peek() {
            Some(b'{') => (b'}', true),
            Some(b'[') => (b']', false),
            Some(b'"') => return self.string().map(|_| ()),
            _ if ["true", "false", "null"].into_iter().any(|w| self.literal(w)) => return Ok(()),
            _ => return self.number().map(|_| ()),
        };
        self.pos += 1;
        if self.peek() == Some(end) {
            self.pos += 1;
            return Ok(());
        }
        loop {
            if object {
                self.space();
                self.string()?;
                self.expect(b':', "expected a colon")?;
            }
            self.skip(depth + 1)?;
            if !self.more(end)? {
                return Ok(());
            }
        }
    }

    /// Reads a string; borrowed when it has no escapes.
    fn string(&mut self) -> Result<Cow<'t, str>> {
        if self.text.get(self.pos) != Some(&b'"') {
            return Err(self.bad("expected a string"));
        }
        let start = self.pos + 1;
        self.pos = start;
        loop {
            match self.text.get(self.pos) {
                Some(b'"') => {
                    let text = &self.text[start..self.pos];
                    self.pos += 1;
                    return Ok(Cow::Borrowed(crate::wire::text(text)));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0x20..) => self.pos += 1,
                _ => return Err(self.bad("broken string")),
            }
        }
    }

    /// Reads the rest of a string that has escapes; `self.pos` is at the first.
    fn escaped(&mut self, start: usize) -> Result<String> {
        let mut out = crate::wire::text(&self.text[start..self.pos]).to_owned();
        loop {
            match self.text.get(self.pos) {
                Some(b'"') => {
                    self.pos += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(0x20..) => {
                    let from = self.pos;
                    while matches!(self.text.get(self.pos), Some(0x20..))
                        && !matches!(self.text[self.pos], b'"' | b'\\')
                    {
                        self.pos += 1;
                    }
                    out.push_str(crate::wire::text(&self.text[from..self.pos]));
                }
                _ => return Err(self.bad("broken string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char> {
        let c = match self.text.get(self.pos + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.bad("broken escape")),
        };
        self.pos += 2;
        Ok(c)
    }

    /// `\uHHHH`, or two of them that form a pair; half a pair becomes the replacement character.
    fn unicode(&mut self) -> Result<char> {
        let unit = |pos: usize| -> Option<u32> {
            let text = self.text.get(pos..pos + 6)?;
            if !text.starts_with(b"\\u") || !text[2..].iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            u32::from_str_radix(crate::wire::text(&text[2..]), 16).ok()
        };
        let Some(first) = unit(self.pos) else { return Err(self.bad("broken escape")) };
        let second = if (0xd800..0xdc00).contains(&first) { unit(self.pos + 6) } else { None };
        self.pos += 6;
        if let Some(second @ 0xdc00..0xe000) = second {
            self.pos += 6;
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }
}

impl Scalar<'_> {
    fn bad<T>(&self, what: &'static str) -> Result<T> {
        Err(Malformed { what, at: self.at })
    }

    /// The value of an integer written with a fraction or exponent (`1.0`, `1e3`).
    fn whole(&self) -> Option<f64> {
        let v: f64 = self.text.parse().ok()?;
        (v.fract() == 0.0 && v.is_finite()).then_some(v)
    }

    fn signed(&self) -> Result<i64> {
        // 2^63 is the first double that does not fit.
        const LIMIT: f64 = 9_223_372_036_854_775_808.0;
        match (self.text.parse(), self.whole()) {
            (Ok(v), _) => Ok(v),
            (_, Some(v)) if (-LIMIT..LIMIT).contains(&v) && self.text.contains(['.', 'e', 'E']) => {
                Ok(v as i64)
            }
            _ => self.bad("expected a 64-bit integer"),
        }
    }

    fn unsigned(&self) -> Result<u64> {
        const LIMIT: f64 = 18_446_744_073_709_551_616.0;
        match (self.text.parse(), self.whole()) {
            (Ok(v), _) => Ok(v),
            (_, Some(v)) if (0.0..LIMIT).contains(&v) && self.text.contains(['.', 'e', 'E']) => {
                Ok(v as u64)
            }
            _ => self.bad("expected an unsigned 64-bit integer"),
        }
    }

    fn in_range(&self, min: i64, max: i64) -> Result<i64> {
        let v = self.signed()?;
        if v < min || v > max { self.bad("integer out of range") } else { Ok(v) }
    }

    fn double(&self) -> Result<f64> {
        match &*self.text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            text if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => {
                text.parse().or_else(|_| self.bad("expected a number"))
            }
            _ => self.bad("expected a number"),
        }
    }
}

/// The field of that name, in lowerCamelCase or snake_case.
fn row(table: &'static Message, key: &str) -> Option<(u32, &'static Field)> {
    let named = |field: &Field| field.kind != Kind::Unknown && is_name(field.json, key);
    let number = table.fields.iter().position(named)?;
    Some((number as u32, &table.fields[number]))
}

fn is_name(camel: &str, key: &str) -> bool {
    if camel == key {
        return true;
    }
    if !key.contains('_') {
        return false;
    }
    let mut key = key.bytes();
    let matches = camel.bytes().all(|c| {
        if c.is_ascii_uppercase() {
            key.next() == Some(b'_') && key.next() == Some(c.to_ascii_lowercase())
        } else {
            key.next() == Some(c)
        }
    });
    matches && key.next().is_none()
}

/// Guess of a length's width: groups are large, values small.
fn width(table: &Message) -> usize {
    match (table.root, table.item) {
        (0, false) => 3,
        (0, true) => 2,
        _ => 1,
    }
}

fn fixed64(out: &mut Vec<u8>, number: u32, presence: bool, v: u64) {
    if v != 0 || presence {
        put_fixed64(out, number, v);
    }
}

fn bytes(out: &mut Vec<u8>, number: u32, presence: bool, v: &[u8]) {
    if !v.is_empty() || presence {
        put_len(out, number, v);
    }
}
