// SPDX-License-Identifier: Apache-2.0
//! What a log may be told at opening.

use std::str::FromStr;
use std::time::Duration;

use basics::{Error, Result};

/// When a [`crate::Ticket`] resolves and how often the disk is made to keep what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the fsync that covers the record. Nothing acknowledged is lost in a power cut.
    Sync,
    /// After the write; fsync every so often. A power cut loses at most that much.
    Interval(Duration),
    /// After the write; the operating system decides. A power cut may lose half a minute.
    None,
}

impl FromStr for Durability {
    type Err = Error;

    /// `sync`, `interval` (each second) or `none`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "sync" => Ok(Durability::Sync),
            "interval" => Ok(Durability::Interval(Duration::from_secs(1))),
            "none" => Ok(Durability::None),
            _ => {
                Err(Error::invalid(format!("durability {text:?} is none of sync, interval, none")))
            }
        }
    }
}

/// What happens when the log reaches its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The oldest segment is dropped and counted; age counts too. For the store's ring.
    Ring,
    /// New records are refused as [`basics::Kind::Overloaded`]; a segment goes when every consumer
    /// has passed it. For queues, where nothing may be lost.
    Refuse,
}

/// Settings of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// A segment is closed when the next record would make it larger. 64 MiB: dropping the oldest
    /// takes a sixteenth of the default cap, and a damaged one can be scanned in 0.1 s. At most a
    /// quarter of [`Options::bytes_max`].
    pub segment_bytes: u64,
    /// Most bytes in all segments. 1 GiB: replay at start stays within seconds.
    pub bytes_max: u64,
    /// A ring drops a segment all of whose records are older. 24 h: what the page shows.
    pub age_max: Duration,
    /// What happens at the bounds.
    pub full: Full,
    /// Of what every consumer of a log that refuses has passed, so many bytes stay, no older than
    /// [`Options::age_max`]: for readers that rebuild a state from it. 0: a queue needs none.
    pub passed_bytes: u64,
    /// When a record counts as kept.
    pub durability: Durability,
    /// Shortest time between two group commits, unless [`Options::group_bytes`] are waiting. An
    /// idle log commits at once. 2 ms: a seventh of the time in fsync (0.3 ms), no wait to notice.
    pub group_interval: Duration,
    /// So many waiting bytes start a group commit early. 1 MiB: a few requests.
    pub group_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 64 << 20,
            bytes_max: 1 << 30,
            age_max: Duration::from_secs(24 * 3600),
            full: Full::Ring,
            passed_bytes: 0,
            durability: Durability::Sync,
            group_interval: Duration::from_millis(2),
            group_bytes: 1 << 20,
        }
    }
}
