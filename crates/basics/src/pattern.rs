// SPDX-License-Identifier: Apache-2.0
//! Regular expressions as Prometheus writes them (Go's RE2 syntax) for Rust's `regex`.
//!
//! The two agree but for a few spellings, which are rewritten: `\Q...\E` quotes, `\d \w \s` mean
//! ASCII, `\<` is a plain character, and inside a class `[`, `&&`, `--` and `~~` are plain. What
//! only one of the two knows (back references, `a**`) never means something else in the other.
//! Matching takes time linear in the text, as RE2's does.

/// Rewrites Go syntax to Rust's. Wrong patterns come out wrong: compiling finds the mistake.
pub(crate) fn from_go(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars().peekable();
    let mut class = false;
    let mut class_start = false;
    while let Some(c) = chars.next() {
        let first_in_class = std::mem::take(&mut class_start);
        match c {
            '\\' => match chars.next() {
                Some('Q') if !class => quote(&mut chars, &mut out),
                Some(c) => escape(c, class, &mut out),
                None => out.push('\\'),
            },
            '[' if class => match chars.peek() {
                // A named class such as [:alpha:].
                Some(':') => out.push('['),
                _ => out.push_str("\\["),
            },
            '[' => {
                (class, class_start) = (true, true);
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // As the first character it stands for itself.
            ']' if class && first_in_class => out.push_str("\\]"),
            ']' if class => {
                class = out.ends_with(':') && named_class_open(&out);
                out.push(']');
            }
            '&' | '~' if class => {
                out.push('\\');
                out.push(c);
            }
            '-' if class && chars.peek() == Some(&'-') => out.push_str("\\-"),
            _ => out.push(c),
        }
    }
    out
}

/// True inside `[:name`, whose bracket does not end the class.
fn named_class_open(out: &str) -> bool {
    out.rfind("[:").is_some_and(|at| !out[at + 2..].contains(']') && out.len() > at + 2)
}

/// Everything up to `\E` as plain text.
fn quote(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut text = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next_if_eq(&'E').is_some() {
            break;
        }
        text.push(c);
    }
    out.push_str(&regex::escape(&text));
}

fn escape(c: char, class: bool, out: &mut String) {
    let ascii = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\f\\r ",
        'D' => "^0-9",
        'W' => "^0-9A-Za-z_",
        'S' => "^\\t\\n\\f\\r ",
        'b' if !class => return out.push_str("(?-u:\\b)"),
        '<' | '>' => return out.push(c),
        _ => {
            out.push('\\');
            return out.push(c);
        }
    };
    match class && !ascii.starts_with('^') {
        true => out.push_str(ascii),
        false => {
            out.push('[');
            out.push_str(ascii);
            out.push(']');
        }
    }
}

#[cfg(test)]
mod tests;
