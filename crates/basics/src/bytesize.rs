// SPDX-License-Identifier: Apache-2.0
//! Sizes in bytes as people write them: `512`, `64MiB`, `1.5 GB`.
//!
//! Units: B, KB/MB/GB/TB (powers of 1000), KiB/MiB/GiB/TiB (powers of 1024), upper or lower case,
//! with or without a space. [`format`] writes the largest binary unit that divides evenly.

use crate::{Error, Result};

const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Reads a size in bytes; no unit means bytes.
///
/// # Errors
/// `Invalid`, saying what would be right.
pub fn parse(text: &str) -> Result<u64> {
    let wrong = || {
        Error::invalid(format!(
            "invalid size \"{text}\"; write for example \"512\", \"64MiB\" or \"1GB\""
        ))
    };
    let trimmed = text.trim();
    let number_length = trimmed.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = trimmed.split_at(number_length);
    let unit = unit.trim_start().to_ascii_lowercase();
    let scale = match unit.as_str() {
        "" => 1,
        unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(scale).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * scale as f64;
    if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

/// Writes `bytes` in the largest binary unit that divides it evenly: `64MiB`, `1000B`.
pub fn format(bytes: u64) -> String {
    let fitting =
        UNITS[5..].iter().rev().find(|(_, scale)| bytes >= *scale && bytes.is_multiple_of(*scale));
    match fitting {
        Some((unit, scale)) => {
            let unit = unit.to_ascii_uppercase().replace('I', "i");
            format!("{}{unit}", bytes / scale)
        }
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("1GB", 1_000_000_000),
            ("1.5KiB", 1536),
            ("7b", 7),
        ] {
            assert_eq!(parse(text).ok(), Some(bytes), "{text}");
        }
        for text in ["", "MiB", "1X", "-1", "1.2.3MB", "99999999999TiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_format_and_read_back() {
        for (bytes, text) in
            [(0, "0B"), (1000, "1000B"), (1024, "1KiB"), (64 << 20, "64MiB"), (3 << 40, "3TiB")]
        {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text).ok(), Some(bytes));
        }
    }
}
