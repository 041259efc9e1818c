// SPDX-License-Identifier: Apache-2.0
//! Query text to tokens.
//!
//! In: any text. Out: tokens with byte offsets, or a [`ParseError`]. Keywords are not told from
//! names here: `sum` is a fine metric name, so the parser decides by position. A number directly
//! followed by a unit is a duration. Comments run from `#` to the end of the line.

use super::ParseError;
use crate::ast::{BinaryOp, Text};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tok {
    Number(f64),
    /// A duration literal, in seconds.
    Duration(f64),
    Str(Text),
    /// A metric name, label name, function, aggregator or keyword.
    Ident,
    Op(BinaryOp),
    /// `=`; `==` is an `Op`.
    Assign,
    /// `=~`
    MatchRegex,
    /// `!~`
    NotRegex,
    LParen,
    RParen,
    LBrace,
    RBrace,
    LBracket,
    RBracket,
    Comma,
    Colon,
    At,
    Eof,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub tok: Tok,
    pub start: u32,
    pub end: u32,
}

pub(super) fn lex(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer =
        Lexer { text, bytes: text.as_bytes(), at: 0, in_brackets: false, tokens: vec![] };
    lexer.run()?;
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    in_brackets: bool,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, tok: Tok, len: usize) {
        let start = self.at as u32;
        self.at += len;
        self.tokens.push(Token { tok, start, end: self.at as u32 });
    }

    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, at, message)
    }

    fn run(&mut self) -> Result<(), ParseError> {
        while self.at < self.bytes.len() {
            let c = self.peek(0);
            match c {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' => {
                    while self.at < self.bytes.len() && self.peek(0) != b'\n' {
                        self.at += 1;
                    }
                }
                b'0'..=b'9' => self.number()?,
                b'.' if self.peek(1).is_ascii_digit() => self.number()?,
                b'"' | b'\'' | b'`' => self.string(c)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.ident(),
                b':' if !self.in_brackets && is_name_byte(self.peek(1)) => self.ident(),
                _ => self.symbol(c)?,
            }
        }
        self.push(Tok::Eof, 0);
        Ok(())
    }

    fn symbol(&mut self, c: u8) -> Result<(), ParseError> {
        use BinaryOp::*;
        let (tok, len) = match (c, self.peek(1)) {
            (b'=', b'=') => (Tok::Op(Eq), 2),
            (b'=', b'~') => (Tok::MatchRegex, 2),
            (b'=', _) => (Tok::Assign, 1),
            (b'!', b'=') => (Tok::Op(Ne), 2),
            (b'!', b'~') => (Tok::NotRegex, 2),
            (b'<', b'=') => (Tok::Op(Le), 2),
            (b'<', b'/') => (Tok::Op(TrimUpper), 2),
            (b'<', _) => (Tok::Op(Lt), 1),
            (b'>', b'=') => (Tok::Op(Ge), 2),
            (b'>', b'/') => (Tok::Op(TrimLower), 2),
            (b'>', _) => (Tok::Op(Gt), 1),
            (b'+', _) => (Tok::Op(Add), 1),
            (b'-', _) => (Tok::Op(Sub), 1),
            (b'*', _) => (Tok::Op(Mul), 1),
            (b'/', _) => (Tok::Op(Div), 1),
            (b'%', _) => (Tok::Op(Mod), 1),
            (b'^', _) => (Tok::Op(Pow), 1),
            (b'(', _) => (Tok::LParen, 1),
            (b')', _) => (Tok::RParen, 1),
            (b'{', _) => (Tok::LBrace, 1),
            (b'}', _) => (Tok::RBrace, 1),
            (b'[', _) => (Tok::LBracket, 1),
            (b']', _) => (Tok::RBracket, 1),
            (b',', _) => (Tok::Comma, 1),
            (b':', _) => (Tok::Colon, 1),
            (b'@', _) => (Tok::At, 1),
            (b'!', _) => {
                let found = self.char_at(self.at + 1);
                return Err(self.error(self.at, format!("unexpected character after '!': {found}")));
            }
            _ => {
                let found = self.char_at(self.at);
                return Err(self.error(self.at, format!("unexpected character: {found}")));
            }
        };
        match tok {
            Tok::LBracket => self.in_brackets = true,
            Tok::RBracket => self.in_brackets = false,
            _ => {}
        }
        self.push(tok, len);
        Ok(())
    }

    fn char_at(&self, at: usize) -> String {
        match self.text.get(at..).and_then(|rest| rest.chars().next()) {
            Some(c) => format!("'{c}'"),
            None => "end of input".into(),
        }
    }

    fn ident(&mut self) {
        let mut end = self.at + 1;
        while end < self.bytes.len()
            && (is_name_byte(self.bytes[end]) || (self.bytes[end] == b':' && !self.in_brackets))
        {
            end += 1;
        }
        self.push(Tok::Ident, end - self.at);
    }

    /// A number (decimal, hexadecimal, with `_` between digits) or a duration.
    fn number(&mut self) -> Result<(), ParseError> {
        let start = self.at;
        if let Some((seconds, len)) = duration_at(&self.bytes[start..]) {
            let Some(seconds) = seconds else {
                return Err(self.error(start, "duration out of range"));
            };
            self.push(Tok::Duration(seconds), len);
            return Ok(());
        }
        let hex = self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X');
        let mut end = if hex { start + 2 } else { start };
        while end < self.bytes.len() {
            let c = self.bytes[end];
            let exponent_sign =
                !hex && matches!(c, b'+' | b'-') && matches!(self.bytes[end - 1], b'e' | b'E');
            let digit = if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
            let part = !hex && (c == b'.' || matches!(c, b'e' | b'E'));
            if !(digit || c == b'_' || part || exponent_sign) {
                break;
            }
            end += 1;
        }
        let text = &self.text[start..end];
        let value = parse_number(text);
        match value {
            Some(value) if !self.bytes.get(end).copied().is_some_and(is_name_byte) => {
                self.push(Tok::Number(value), end - start);
                Ok(())
            }
            _ => {
                while end < self.bytes.len() && is_name_byte(self.bytes[end]) {
                    end += 1;
                }
                let text = &self.text[start..end];
                Err(self.error(start, format!("bad number or duration syntax: {text:?}")))
            }
        }
    }

    fn string(&mut self, quote: u8) -> Result<(), ParseError> {
        let start = self.at;
        let mut out = Vec::new();
        let mut at = start + 1;
        loop {
            let Some(&c) = self.bytes.get(at) else {
                let kind = if quote == b'`' { "raw string" } else { "quoted string" };
                return Err(self.error(start, format!("unterminated {kind}")));
            };
            match c {
                _ if c == quote => break,
                b'\n' if quote != b'`' => {
                    return Err(self.error(start, "unterminated quoted string"));
                }
                b'\\' if quote != b'`' => {
                    at = unescape(self.bytes, at + 1, quote, &mut out)
                        .ok_or_else(|| self.error(at, "invalid escape sequence in string"))?;
                }
                _ => {
                    out.push(c);
                    at += 1;
                }
            }
        }
        let text = match String::from_utf8(out) {
            Ok(value) => Text { value, raw: None },
            Err(e) => Text {
                value: String::from_utf8_lossy(e.as_bytes()).into_owned(),
                raw: Some(e.into_bytes().into()),
            },
        };
        self.push(Tok::Str(text), at + 1 - start);
        Ok(())
    }
}

fn is_name_byte(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_'
}

/// Reads one escape after the backslash; gives the offset behind it.
fn unescape(bytes: &[u8], at: usize, quote: u8, out: &mut Vec<u8>) -> Option<usize> {
    let c = *bytes.get(at)?;
    let simple = match c {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        _ if c == quote => quote,
        _ => return unescape_code(bytes, at, out),
    };
    out.push(simple);
    Some(at + 1)
}

fn unescape_code(bytes: &[u8], at: usize, out: &mut Vec<u8>) -> Option<usize> {
    let (digits, radix, first) = match *bytes.get(at)? {
        b'x' => (2, 16, at + 1),
        b'u' => (4, 16, at + 1),
        b'U' => (8, 16, at + 1),
        b'0'..=b'7' => (3, 8, at),
        _ => return None,
    };
    let text = std::str::from_utf8(bytes.get(first..first + digits)?).ok()?;
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let code = u32::from_str_radix(text, radix).ok()?;
    if matches!(bytes[at], b'u' | b'U') {
        let mut buffer = [0; 4];
        out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
    } else {
        out.push(u8::try_from(code).ok()?);
    }
    Some(first + digits)
}

/// A Prometheus number: decimal with exponent, `0x` hexadecimal, `inf`, `nan`, `_` between digits.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let value = if let Some(hex) = hex {
        u64::from_str_radix(&hex.replace('_', ""), 16).ok()? as f64
    } else if digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity") {
        f64::INFINITY
    } else if digits.eq_ignore_ascii_case("nan") {
        f64::NAN
    } else if digits.contains("__") || digits.ends_with('_') || digits.contains("_.") {
        return None;
    } else if digits.contains('_') {
        digits.replace('_', "").parse().ok()?
    } else if digits.starts_with(['+', '-']) {
        return None;
    } else {
        digits.parse().ok()?
    };
    Some(if negative { -value } else { value })
}

/// Milliseconds of each duration unit, largest first.
pub(crate) const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A duration literal at the start of `bytes` with its length; `None` inside when out of range.
///
/// Units go from large to small, each at most once; the number must not run on into a name.
fn duration_at(bytes: &[u8]) -> Option<(Option<f64>, usize)> {
    let (mut at, mut next_unit, mut total) = (0, 0, Some(0i64));
    loop {
        let digits = bytes[at..].iter().take_while(|c| c.is_ascii_digit()).count();
        if digits == 0 {
            break;
        }
        let rest = &bytes[at + digits..];
        let name = rest.iter().take_while(|c| c.is_ascii_alphabetic()).count();
        let unit = std::str::from_utf8(&rest[..name]).ok()?;
        let index = UNITS.iter().position(|(u, _)| *u == unit)?;
        if index < next_unit {
            return None;
        }
        let count = std::str::from_utf8(&bytes[at..at + digits]).ok()?.parse::<i64>().ok();
        total = total
            .zip(count)
            .and_then(|(t, n)| n.checked_mul(UNITS[index].1).and_then(|ms| t.checked_add(ms)));
        next_unit = index + 1;
        at += digits + name;
    }
    if at == 0 || bytes.get(at).copied().is_some_and(is_name_byte) {
        return None;
    }
    // A duration beyond Go's 64-bit nanoseconds (292 years) is refused as upstream does.
    let seconds = total.filter(|ms| *ms < i64::MAX / 1_000_000).map(|ms| ms as f64 / 1000.0);
    Some((seconds, at))
}

/// Seconds of a whole duration text such as `1h30m` or `5s`.
#[cfg(feature = "testing")]
pub(crate) fn parse_duration(text: &str) -> Option<f64> {
    match duration_at(text.as_bytes())? {
        (seconds, len) if len == text.len() => seconds,
        _ => None,
    }
}
