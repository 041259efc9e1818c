// SPDX-License-Identifier: Apache-2.0
//! A series as text: taken apart into labels, and put together from them.

use std::borrow::Cow;

/// The label that holds the metric name.
pub const NAME: &str = "__name__";

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The labels of a series, the metric name among them as `__name__`.
///
/// # Errors
/// What was expected instead.
pub fn labels(series: &str) -> Result<Pairs<'_>, &'static str> {
    let (name, rest) = plain_name(series, true);
    let mut labels = Vec::new();
    if !name.is_empty() {
        labels.push((Cow::Borrowed(NAME), Cow::Borrowed(name)));
    }
    match rest.trim_start_matches([' ', '\t']).strip_prefix('{') {
        Some(rest) => in_braces(rest, &mut labels)?,
        None if name.is_empty() => return Err("a metric name was expected"),
        None => return Ok(labels),
    };
    match labels.iter().any(|(key, _)| key == NAME) {
        true => Ok(labels),
        false => Err("a metric name was expected"),
    }
}

/// Where the name and labels of a line end.
///
/// # Errors
/// What was expected instead.
pub fn series_end(line: &str) -> Result<usize, &'static str> {
    let bytes = line.as_bytes();
    let name = bytes.iter().position(|b| matches!(b, b'{' | b' ' | b'\t')).unwrap_or(bytes.len());
    let open = name + bytes[name..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    if bytes.get(open) != Some(&b'{') {
        return match plain_name(line, true).0.len() == name && name > 0 {
            true => Ok(name),
            false => Err("a metric name was expected"),
        };
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in bytes.iter().enumerate().skip(open + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Ok(at + 1),
            _ => {}
        }
    }
    Err(if quoted { "a label value is not closed" } else { "a closing brace was expected" })
}

/// Labels up to the closing brace; gives what follows it.
///
/// # Errors
/// What was expected instead.
pub fn in_braces<'a>(mut rest: &'a str, labels: &mut Pairs<'a>) -> Result<&'a str, &'static str> {
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok(rest);
        }
        let (key, quoted, after) = match rest.strip_prefix('"') {
            Some(rest) => {
                let (key, after) = quoted_text(rest)?;
                (key, true, after)
            }
            None => {
                let (key, after) = plain_name(rest, false);
                (Cow::Borrowed(key), false, after)
            }
        };
        let after = after.trim_start_matches([' ', '\t']);
        rest = match after.strip_prefix('=') {
            Some(_) if key.is_empty() => return Err("a label name was expected"),
            Some(after) => {
                let after = after.trim_start_matches([' ', '\t']);
                let after = after.strip_prefix('"').ok_or("a quoted label value was expected")?;
                let (value, after) = quoted_text(after)?;
                labels.push((key, value));
                after
            }
            // A name alone in quotes is the metric's.
            None if quoted => {
                labels.push((Cow::Borrowed(NAME), key));
                after
            }
            None if key.is_empty() => return Err("a label name was expected"),
            None => return Err("an equals sign was expected"),
        };
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("a comma or a closing brace was expected"),
        }
    }
}

/// A name at the start of `text`; colons are for metrics only.
fn plain_name(text: &str, colons: bool) -> (&str, &str) {
    let valid = |at: usize, byte: u8| {
        byte.is_ascii_alphabetic()
            || byte == b'_'
            || (byte == b':' && colons)
            || (byte.is_ascii_digit() && at > 0)
    };
    let end = text.bytes().enumerate().position(|(at, byte)| !valid(at, byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// The text up to the closing quote, and what follows it.
pub(super) fn quoted_text(text: &str) -> Result<(Cow<'_, str>, &str), &'static str> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    let end = end.ok_or("a label value is not closed")?;
    Ok((unescape(&text[..end]), &text[end + 1..]))
}

/// Takes `\n`, `\\` and `\"` for what they stand for.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    Cow::Owned(out)
}

/// Writes a series as text, so that every format names it alike.
pub(super) fn write<'a>(
    out: &mut String,
    name: &str,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) {
    out.clear();
    let plain = plain_name(name, true).1.is_empty() && !name.is_empty();
    if plain {
        out.push_str(name);
    }
    out.push('{');
    if !plain {
        quote(out, name);
        out.push(',');
    }
    for (key, value) in labels {
        match plain_name(key, false).1.is_empty() {
            true => out.push_str(key),
            false => quote(out, key),
        }
        out.push('=');
        quote(out, value);
        out.push(',');
    }
    out.push('}');
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\\' | '"' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push('"');
}
