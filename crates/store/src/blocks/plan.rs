// SPDX-License-Identifier: Apache-2.0
//! What to merge next, and what to let go: decisions from a list of blocks alone.
//!
//! Flushed blocks (level 0) become one block of 2 h, those of a day one of 24 h. A block belongs
//! to the window that its oldest time lies in; it may reach beyond. Late blocks are merged into
//! what is there of their window.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use ulid::Ulid;

use super::BlockInfo;

const HOUR_MS: i64 = 3_600_000;

/// The window of level 1, as in Prometheus; flushes never need to cross it.
pub const WINDOW_MS: [i64; 3] = [0, 2 * HOUR_MS, 24 * HOUR_MS];

/// So long after its end a window is merged: what is a little late is in it then.
const SETTLE_MS: i64 = HOUR_MS / 4;

/// So long late blocks gather before a whole day is written again for them.
const LATE_MS: i64 = 2 * HOUR_MS;

/// Most blocks merged in one go, which bounds open files and memory; the rest comes after.
const INPUTS_MAX: usize = 64;

/// One merge: these become one of `level`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Level of the result.
    pub level: u8,
    /// What is merged, ascending by id.
    pub inputs: Vec<BlockInfo>,
}

/// The next merge of one writer's blocks at `now_ms`, the oldest window first; none when all is
/// as it should be.
pub fn next_merge(live: &[BlockInfo], now_ms: i64) -> Option<Merge> {
    merge_to(1, live, now_ms).or_else(|| merge_to(2, live, now_ms))
}

fn merge_to(level: u8, live: &[BlockInfo], now_ms: i64) -> Option<Merge> {
    let length = WINDOW_MS[usize::from(level)];
    let mut windows: BTreeMap<i64, Vec<&BlockInfo>> = BTreeMap::new();
    for block in live.iter().filter(|block| block.level <= level) {
        windows.entry(block.tmin.div_euclid(length)).or_default().push(block);
    }
    let due = |(window, blocks): &(i64, Vec<&BlockInfo>)| {
        let ended = (window + 1).saturating_mul(length).saturating_add(SETTLE_MS) <= now_ms;
        let lower: Vec<_> = blocks.iter().filter(|block| block.level < level).collect();
        let upper = lower.len() < blocks.len();
        // Level 0 goes to 2 h first; a day is not written again for each late sample.
        let ready = match level {
            1 => true,
            _ => {
                let gathered =
                    |block: &&&&BlockInfo| block.id.timestamp_ms() as i64 + LATE_MS <= now_ms;
                lower.iter().all(|block| block.level == level - 1)
                    && (!upper || lower.iter().any(|block| gathered(&block)))
            }
        };
        ended && !lower.is_empty() && ready
    };
    let (_, mut blocks) = windows.into_iter().find(due)?;
    // The largest first keeps the merged one among them when there are too many.
    blocks.sort_by_key(|block| (std::cmp::Reverse(block.level), block.id));
    blocks.truncate(INPUTS_MAX);
    blocks.sort_by_key(|block| block.id);
    Some(Merge { level, inputs: blocks.into_iter().cloned().collect() })
}

/// The blocks that go: all older than `age` at `now_ms`, then the oldest until the rest has no more
/// than `bytes_max`.
pub fn expired(
    live: &[BlockInfo],
    now_ms: i64,
    age: Option<Duration>,
    bytes_max: Option<u64>,
) -> Vec<Ulid> {
    let age_ms = age.map(|age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let cut = age_ms.map_or(i64::MIN, |age| now_ms.saturating_sub(age));
    let mut by_age: Vec<&BlockInfo> = live.iter().collect();
    by_age.sort_by_key(|block| (std::cmp::Reverse(block.tmax), std::cmp::Reverse(block.id)));
    let mut kept: u64 = 0;
    let mut gone = Vec::new();
    for block in by_age {
        kept = kept.saturating_add(block.bytes);
        if block.tmax < cut || bytes_max.is_some_and(|most| kept > most) {
            gone.push(block.id);
        }
    }
    gone
}
