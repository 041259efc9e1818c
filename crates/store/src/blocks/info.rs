// SPDX-License-Identifier: Apache-2.0
//! What a manifest tells of one block.

use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// One block, as manifests list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockInfo {
    /// Its name; of two blocks the later one has the greater id.
    pub id: Ulid,
    /// 0: flushed; 1: merged to about 2 h; 2: to about 24 h.
    pub level: u8,
    /// Path of the object.
    pub path: String,
    /// Oldest time in it, Unix milliseconds.
    pub tmin: i64,
    /// Newest time in it, Unix milliseconds.
    pub tmax: i64,
    /// Rows: series, spans or log records.
    pub rows: u64,
    /// Samples, spans or log records.
    pub items: u64,
    /// Size of the object.
    pub bytes: u64,
    /// Bytes of the footer, its length and magic included: one read fetches it.
    #[serde(default)]
    pub footer_bytes: u64,
    /// crc32c of these bytes.
    #[serde(default)]
    pub footer_crc: u32,
    /// Who wrote it.
    pub writer: String,
}

impl BlockInfo {
    /// Whether it may hold something of `start..=end`.
    pub fn touches(&self, start: i64, end: i64) -> bool {
        self.tmin <= end && self.tmax >= start
    }
}
