// SPDX-License-Identifier: Apache-2.0
//! One file per scraper: text of `/proc` in, metrics out.
//!
//! Parsing never fails as a whole: lines that are not understood are skipped, since kernels add
//! fields and containers hide files. Names, units and attributes are those of the collector's
//! receiver (OpenTelemetry semantic conventions, system metrics).

pub mod cpu;
pub mod disk;
pub mod filesystem;
pub mod load;
pub mod memory;
pub mod network;
pub mod nfs;
pub mod paging;
pub mod process;
pub mod processes;

/// The numbers of a line, skipping words that are none.
fn numbers(line: &str) -> impl Iterator<Item = u64> + '_ {
    line.split_ascii_whitespace().filter_map(|word| word.parse().ok())
}

/// The value of `key` in lines of `key value`.
fn value_of(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next()?.trim_end_matches(':') == key).then(|| words.next()?.parse().ok())?
    })
}
