// SPDX-License-Identifier: Apache-2.0
//! The list of one writer's live blocks: a JSON object a commit, never changed.
//!
//! `{"crc32c":"89abcdef","manifest":{...}}`: the checksum is that of the manifest's bytes. The
//! highest sequence number that checks out counts. What a commit replaced is listed for an hour
//! more, then taken from the list by another commit, and only then deleted: so the manifest before
//! the last one never lists an object that is gone, and may always stand in for it.

use basics::{Error, Result};
use serde::{Deserialize, Serialize};

use super::BlockInfo;
use super::catalog::Deletion;

/// The layout that this version writes, and the newest that it reads.
pub(super) const VERSION: u32 = 1;

/// Manifests that are left where they are, the newest among them: one is enough, the others are
/// for damage and for people.
pub const MANIFESTS_KEPT: usize = 8;

const HEAD: &str = "{\"crc32c\":\"";
const MIDDLE: &str = "\",\"manifest\":";
const TAIL: &str = "}\n";

/// What one writer has at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout.
    pub version: u32,
    /// Counts commits.
    pub sequence: u64,
    /// Changes with each process, so that two of them with one writer id are told apart.
    pub session: String,
    /// When it was written, Unix milliseconds.
    pub written_ms: i64,
    /// The log's records before this position are in blocks.
    pub log_offset: u64,
    /// Blocks that count.
    pub live: Vec<BlockInfo>,
    /// Blocks that do not count any more; readers may still be at them.
    pub replaced: Vec<Replaced>,
    /// Blocks that could not be read.
    pub quarantined: Vec<Quarantined>,
    /// What was deleted and is still in blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<Deletion>,
}

/// A block that does not count any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replaced {
    /// The block.
    pub block: BlockInfo,
    /// Since when, Unix milliseconds.
    pub at_ms: i64,
}

/// A block that could not be read, left where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The block.
    pub block: BlockInfo,
    /// Why.
    pub reason: String,
    /// Since when, Unix milliseconds.
    pub at_ms: i64,
}

impl Manifest {
    /// As it is written.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>> {
        let body = serde_json::to_string(self)
            .map_err(|e| Error::invalid("a manifest cannot be written as JSON").caused_by(e))?;
        let crc = crc32c::crc32c(body.as_bytes());
        Ok(format!("{HEAD}{crc:08x}{MIDDLE}{body}{TAIL}").into_bytes())
    }

    /// Reads what [`Manifest::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`basics::Kind::Corrupt`] when it does not check out, `Invalid` when a newer version of
    /// this program wrote it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Manifest> {
        let damaged = || Error::corrupt("damaged manifest");
        let text = std::str::from_utf8(bytes).map_err(|_| damaged())?;
        let rest = text.strip_prefix(HEAD).ok_or_else(damaged)?;
        let (crc, rest) = rest.split_at_checked(8).ok_or_else(damaged)?;
        let rest = rest.strip_prefix(MIDDLE).ok_or_else(damaged)?;
        let body = rest.strip_suffix(TAIL).ok_or_else(damaged)?;
        if crc != format!("{:08x}", crc32c::crc32c(body.as_bytes())) {
            return Err(damaged());
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_str(body).map_err(|_| damaged())?;
        if version > VERSION {
            return Err(Error::invalid(format!(
                "a newer version of foreglow wrote these blocks (layout {version}, this one reads \
                 up to {VERSION}); start that version, or use another directory"
            )));
        }
        serde_json::from_str(body).map_err(|e| damaged().caused_by(e))
    }

    /// Oldest and newest time in live blocks.
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let oldest = self.live.iter().map(|block| block.tmin).min()?;
        Some((oldest, self.live.iter().map(|block| block.tmax).max()?))
    }
}
