// SPDX-License-Identifier: Apache-2.0
//! Durations as people write them.
//!
//! Two grammars, both closed: Go's (`1h30m`, `1.5s`, `300ms`, `-2s`, bare `0`), which the
//! collector's YAML uses, and Prometheus' (`1d`, `2w`, `1h30m`; whole numbers, units in falling
//! order), which scrape configurations and PromQL use. [`format`] writes what Go's
//! `Duration.String` writes, and [`parse`] reads it back exactly.
//! Source: Go `time.ParseDuration`, Prometheus `model.ParseDuration`.

use std::time::Duration;

use crate::{Error, Result};

/// Nanoseconds of each unit of Go's grammar, the longer name first where one begins another.
const GO_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Milliseconds of each unit of Prometheus' grammar, in the order they may follow each other.
const PROMETHEUS_UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration of Go's grammar that is not negative.
///
/// # Errors
/// `Invalid`, saying what is wrong and what would be right.
pub fn parse(text: &str) -> Result<Duration> {
    let nanos = parse_signed(text)?;
    u64::try_from(nanos)
        .map(Duration::from_nanos)
        .map_err(|_| Error::invalid(format!("duration \"{text}\" must not be negative")))
}

/// Reads a duration of Go's grammar in nanoseconds.
///
/// # Errors
/// `Invalid`, saying what is wrong and what would be right.
pub fn parse_signed(text: &str) -> Result<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid(text));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanos, after) = go_term(text, rest)?;
        total = total.checked_add(nanos).ok_or_else(|| too_long(text))?;
        rest = after;
    }
    let total = i64::try_from(total).map_err(|_| too_long(text))?;
    Ok(if negative { -total } else { total })
}

/// One `number unit` at the start of `rest`, in nanoseconds, and what follows it.
fn go_term<'a>(text: &str, rest: &'a str) -> Result<(u64, &'a str)> {
    let (whole, after_whole) = digits(rest);
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after_dot) => digits(after_dot),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid(text));
    }
    let unit_length =
        after_number.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after_number.len());
    let (unit, after) = after_number.split_at(unit_length);
    let Some((_, scale)) = GO_UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(if unit.is_empty() {
            Error::invalid(format!(
                "missing unit in duration \"{text}\"; write for example \"{text}s\""
            ))
        } else {
            Error::invalid(format!(
                "unknown unit \"{unit}\" in duration \"{text}\"; units are ns, us, ms, s, m, h"
            ))
        });
    };
    let whole: u64 =
        if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long(text))? };
    let nanos = whole.checked_mul(*scale).ok_or_else(|| too_long(text))?;
    Ok((nanos.checked_add(fraction_of(fraction, *scale)).ok_or_else(|| too_long(text))?, after))
}

/// `0.fraction` of `scale`; digits beyond what a u64 holds do not count, as in Go.
fn fraction_of(fraction: &str, scale: u64) -> u64 {
    let mut value: u64 = 0;
    let mut divisor: f64 = 1.0;
    for digit in fraction.bytes() {
        match value.checked_mul(10).and_then(|v| v.checked_add(u64::from(digit - b'0'))) {
            Some(more) => value = more,
            None => break,
        }
        divisor *= 10.0;
    }
    (value as f64 * (scale as f64 / divisor)) as u64
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

fn invalid(text: &str) -> Error {
    Error::invalid(format!(
        "invalid duration \"{text}\"; write for example \"500ms\", \"10s\" or \"1h30m\""
    ))
}

fn too_long(text: &str) -> Error {
    Error::invalid(format!("duration \"{text}\" is too long; the longest is about 292 years"))
}

/// Reads a duration of Prometheus' grammar: `15s`, `1h30m`, `1d`, bare `0`.
///
/// # Errors
/// `Invalid`, saying what is wrong and what would be right.
pub fn parse_prometheus(text: &str) -> Result<Duration> {
    let wrong = || {
        Error::invalid(format!(
            "invalid duration \"{text}\"; write for example \"15s\", \"1h30m\" or \"1d\""
        ))
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut millis: u64 = 0;
    let mut units = PROMETHEUS_UNITS.as_slice();
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = digits(rest);
        let unit_length = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(unit_length);
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let term = number.checked_mul(units[at].1).ok_or_else(|| too_long(text))?;
        millis = millis.checked_add(term).ok_or_else(|| too_long(text))?;
        units = &units[at + 1..];
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes `duration` as Go does: `1h30m0s`, `1.5s`, `300ms`, `0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let with_fraction = |scale: u128, unit: &str| {
        let digits = scale.ilog10() as usize;
        let fraction = format!("{:0digits$}", nanos % scale);
        let fraction = if digits == 0 { "" } else { fraction.trim_end_matches('0') };
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{}{dot}{fraction}{unit}", nanos / scale)
    };
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => with_fraction(1, "ns"),
        1_000..1_000_000 => with_fraction(1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => with_fraction(1_000_000, "ms"),
        _ => {
            let seconds = duration.as_secs();
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            let nanos_in_minute = Duration::new(seconds % 60, duration.subsec_nanos());
            let fraction = format!("{:09}", nanos_in_minute.subsec_nanos());
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            let tail = format!("{}{dot}{fraction}s", nanos_in_minute.as_secs());
            match (hours, minutes) {
                (0, 0) => tail,
                (0, _) => format!("{minutes}m{tail}"),
                _ => format!("{hours}h{minutes}m{tail}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_parse_as_in_go() {
        let cases: [(&str, i64); 16] = [
            ("0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("300ms", 300_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("+5s", 5_000_000_000),
            ("12us", 12_000),
            ("12\u{b5}s", 12_000),
            ("1h15m30.918s", 4_530_918_000_000),
            ("9007199254.740993s", 9_007_199_254_740_993_000),
            ("0.3333333333333333333h", 1_200_000_000_000),
            ("100ns", 100),
        ];
        for (text, nanos) in cases {
            assert_eq!(parse_signed(text).ok(), Some(nanos), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_a_hint() {
        for text in
            ["", "3", "-", "s", ".", "-.", ".s", "1d", "1 s", "10 seconds", "abc", "3000000h"]
        {
            assert!(parse_signed(text).is_err(), "{text}");
        }
        let message = |text| parse(text).expect_err("refused").to_string();
        assert_eq!(message("10"), "missing unit in duration \"10\"; write for example \"10s\"");
        assert_eq!(
            message("1d"),
            "unknown unit \"d\" in duration \"1d\"; units are ns, us, ms, s, m, h"
        );
        assert_eq!(message("-1s"), "duration \"-1s\" must not be negative");
    }

    #[test]
    fn prometheus_durations_parse_as_in_prometheus() {
        let day = 24 * 3600;
        for (text, seconds) in
            [("0", 0), ("15s", 15), ("1h30m", 5400), ("1d", day), ("1w2d", 9 * day)]
        {
            assert_eq!(parse_prometheus(text).ok(), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "1", "1s1h", "1.5s", "-1s", "1x", "s"] {
            assert!(parse_prometheus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn formatting_matches_go_and_reads_back() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1\u{b5}s"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (10_000_000_000, "10s"),
            (245_000_000_000, "4m5s"),
            (245_001_000_000, "4m5.001s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (5_400_000_000_000, "1h30m0s"),
            (8_000_000_001, "8.000000001s"),
        ];
        for (nanos, text) in cases {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(format(duration), text);
            assert_eq!(parse(text).ok(), Some(duration), "{text}");
        }
    }
}
