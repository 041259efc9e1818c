// SPDX-License-Identifier: Apache-2.0
//! Fuzz harnesses that also run as tests: arbitrary and mutated OTLP against prost as the oracle.
//!
//! [`generate`] makes arbitrary messages of all signals from a seed, [`mutate`] breaks their
//! bytes with knowledge of their structure, [`rebuild`] reads a payload through the views into
//! prost structs, [`edits`] applies the same edits to bytes and to structs. [`chunks`] does the
//! store's chunks of samples. The checks are functions of a seed, so that a failing one is repeated
//! by its number. `FUZZ_ROUNDS` multiplies
//! how many seeds the tests try (default 1, a few seconds).

pub mod check;
pub mod chunks;
pub mod edits;
pub mod generate;
pub mod mutate;
pub mod random;
pub mod rebuild;
pub mod rewrite;
pub mod tidy;

/// How many seeds a test tries: `base` times the variable `FUZZ_ROUNDS`.
pub fn rounds(base: u64) -> u64 {
    let factor = std::env::var("FUZZ_ROUNDS").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    base * factor
}
