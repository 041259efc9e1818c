// SPDX-License-Identifier: Apache-2.0
//! Reads records in order, across segments, from any position to what is written now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use basics::files::{File, Files, Mode, write_atomic};

use crate::cursor::{Cursor, Step};
use crate::log::Shared;
use crate::record::Stored;
use crate::segments;
use crate::stats::add;
use crate::{Position, QUARANTINE_BYTES_MAX};

/// Reads a log. It sees what was appended after it was made; a segment that a ring drops
/// underneath is skipped.
pub struct Reader {
    shared: Arc<Shared>,
    at: u64,
    cursor: Option<Cursor>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Self {
        Reader { shared, at: from.0, cursor: None }
    }

    /// Where the next record is looked for.
    pub fn position(&self) -> Position {
        Position(self.at)
    }

    /// The next record, or none when all that is written now was read; a later call goes on.
    /// Damaged bytes are quarantined, counted and passed over; so is the rest of a segment that
    /// cannot be read.
    #[expect(clippy::should_implement_trait, reason = "not fused: goes on after none")]
    pub fn next(&mut self) -> Option<Stored> {
        loop {
            let cursor = match &mut self.cursor {
                Some(cursor) => cursor,
                None => self.cursor.insert(self.shared.cursor(self.at)?),
            };
            match cursor.step() {
                Ok(Step::Record) => {
                    self.at = cursor.at();
                    return Some(cursor.record());
                }
                Ok(Step::Damage(from, to)) => {
                    self.at = to;
                    let (file, base) = cursor.source();
                    self.shared.quarantine(file, base, from, to);
                }
                Ok(Step::End) => {
                    self.at = cursor.at();
                    let limit = cursor.limit();
                    // More may have been written to the same segment; else the next one begins.
                    match self.shared.limit_of(limit) {
                        Some(more) => cursor.extend(more),
                        None => self.cursor = None,
                    }
                    if self.cursor.is_none() && self.shared.end.load(Ordering::Acquire) <= self.at {
                        return None;
                    }
                }
                Err(error) => {
                    let limit = cursor.limit();
                    tracing::error!(%error, from = self.at, to = limit, "cannot read the log");
                    self.shared.count_damage(self.at, limit);
                    self.at = limit;
                    self.cursor = None;
                }
            }
        }
    }
}

impl Shared {
    /// A cursor at `position` or at the next one that exists; none behind the end.
    fn cursor(&self, position: u64) -> Option<Cursor> {
        let mut position = position;
        loop {
            let segment = self.segments.lock().at_or_after(position)?;
            position = position.max(segment.base);
            match self.files.open(&segments::path(&self.dir, segment.base), Mode::Read) {
                Ok(file) => return Some(Cursor::new(file, segment.base, position, segment.end())),
                Err(error) => {
                    // Dropped by the ring between the two lines above, or the disk is failing.
                    tracing::warn!(%error, segment = segment.base, "segment cannot be opened");
                    position = segment.end();
                }
            }
        }
    }

    /// The new end of the segment that ended at `end`, if it grew.
    fn limit_of(&self, end: u64) -> Option<u64> {
        let segment = self.segments.lock().at_or_after(end)?;
        (segment.base < end && segment.end() > end).then(|| segment.end())
    }

    pub(crate) fn count_damage(&self, from: u64, to: u64) {
        add(&self.counters.quarantined_ranges, 1);
        add(&self.counters.quarantined_bytes, to - from);
    }

    /// Counts a damaged range and keeps a copy. A range met in an earlier life was counted then.
    /// `file` is the segment that begins at `base`.
    pub(crate) fn quarantine(&self, file: &dyn File, base: u64, from: u64, to: u64) {
        let name = format!("{from:020}-{to:020}");
        let path = self.dir.join("quarantine").join(&name);
        if self.files.open(&path, Mode::Read).is_ok() {
            return;
        }
        self.count_damage(from, to);
        tracing::error!(from, to, "damaged bytes in the log, quarantined");
        let copied = self.quarantine_bytes().and_then(|held| {
            if held + (to - from) > QUARANTINE_BYTES_MAX {
                return Ok(());
            }
            let bytes = read_range(file, from - base, (to - from) as usize)?;
            write_atomic(self.files.as_ref(), &path, &bytes)
        });
        if let Err(error) = copied {
            tracing::warn!(%error, from, to, "cannot copy damaged bytes to quarantine");
        }
    }

    fn quarantine_bytes(&self) -> io::Result<u64> {
        let dir = self.dir.join("quarantine");
        let names = self.files.list(&dir)?;
        Ok(names.iter().map(|name| size(self.files.as_ref(), &dir.join(name))).sum())
    }
}

fn size(files: &dyn Files, path: &std::path::Path) -> u64 {
    files.open(path, Mode::Read).and_then(|file| file.size()).unwrap_or(0)
}

pub(crate) fn read_range(file: &dyn File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        match file.read_at(offset + filled as u64, &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Records in the segment at `base` with `len` bytes, as far as it can be read.
pub(crate) fn count_records(shared: &Shared, base: u64, len: u64) -> u64 {
    let Ok(file) = shared.files.open(&segments::path(&shared.dir, base), Mode::Read) else {
        return 0;
    };
    let mut cursor = Cursor::new(file, base, base, base + len);
    let mut count = 0;
    loop {
        match cursor.step() {
            Ok(Step::Record) => count += 1,
            Ok(Step::Damage(..)) => {}
            Ok(Step::End) | Err(_) => return count,
        }
    }
}
