// SPDX-License-Identifier: Apache-2.0
//! The list of segments, oldest first, and the file that is written.
//!
//! A segment's bytes are `base..base + len`; the last one is open for appending. Everything here
//! runs under the writer's lock; files that must be synced are handed to the syncer.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use basics::files::{File, Files, Mode};
use basics::{Error, Kind, Result, UnixNano};

/// One segment file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Position of its first byte.
    pub base: u64,
    /// Bytes in it.
    pub len: u64,
    /// Receive time of its first valid record; none before there is one.
    pub oldest: Option<UnixNano>,
    /// Records in it, when known without reading it.
    pub records: Option<u64>,
}

impl Segment {
    pub(crate) fn end(&self) -> u64 {
        self.base + self.len
    }
}

/// Path of the segment that begins at `base`.
pub(crate) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// Bases of the segments in `dir`, ascending.
pub(crate) fn list(files: &dyn Files, dir: &Path) -> io::Result<Vec<u64>> {
    let names = files.list(dir)?;
    let mut bases: Vec<u64> =
        names.iter().filter_map(|name| name.strip_suffix(".seg")?.parse().ok()).collect();
    bases.sort_unstable();
    Ok(bases)
}

/// What a sync has to cover.
pub(crate) struct Unsynced {
    pub files: Vec<Arc<dyn File>>,
    pub new_names: bool,
    pub end: u64,
}

/// All segments and the open file.
#[derive(Debug)]
pub(crate) struct Segments {
    list: VecDeque<Segment>,
    file: Arc<dyn File>,
    /// Written since the last sync and closed meanwhile.
    left_behind: Vec<Arc<dyn File>>,
    new_names: bool,
    written: bool,
}

impl Segments {
    /// Goes on behind `list`, whose last segment is `file`.
    pub(crate) fn new(list: VecDeque<Segment>, file: Arc<dyn File>) -> Self {
        Segments { list, file, left_behind: Vec::new(), new_names: false, written: false }
    }

    pub(crate) fn last(&self) -> &Segment {
        self.list.back().expect("a log always has its open segment")
    }

    pub(crate) fn end(&self) -> u64 {
        self.last().end()
    }

    pub(crate) fn oldest(&self) -> &Segment {
        &self.list[0]
    }

    pub(crate) fn second(&self) -> Option<&Segment> {
        self.list.get(1)
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.list.iter().map(|segment| segment.len).sum()
    }

    /// The segment that holds `position`, or the next one that has bytes behind it.
    pub(crate) fn at_or_after(&self, position: u64) -> Option<Segment> {
        let first = self.list.partition_point(|segment| segment.end() <= position);
        self.list.iter().skip(first).find(|segment| segment.len > 0).copied()
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<Segment> {
        if self.list.len() < 2 { None } else { self.list.pop_front() }
    }

    /// Closes the open segment and begins the next at `base`, its end or later.
    pub(crate) fn roll(&mut self, files: &dyn Files, dir: &Path, base: u64) -> io::Result<()> {
        let file = files.open(&path(dir, base), Mode::Append)?;
        let closed = std::mem::replace(&mut self.file, file);
        if self.written {
            self.left_behind.push(closed);
        }
        self.written = false;
        self.new_names = true;
        self.list.push_back(Segment { base, len: 0, oldest: None, records: Some(0) });
        Ok(())
    }

    /// Writes one encoded record at the end.
    ///
    /// # Errors
    /// [`Kind::Overloaded`] when the disk is full or the write failed and could be undone;
    /// [`Kind::Closed`] when it could not: the log must be poisoned.
    pub(crate) fn write(&mut self, bytes: &[u8], received: UnixNano) -> Result<()> {
        let before = self.last().len;
        self.written = true;
        if let Err(error) = self.file.append(bytes) {
            return Err(match self.file.truncate(before) {
                Ok(()) => Error::new(Kind::Overloaded, "cannot append to the log").caused_by(error),
                Err(_) => Error::closed("cannot undo a failed append to the log").caused_by(error),
            });
        }
        if let Some(open) = self.list.back_mut() {
            open.len += bytes.len() as u64;
            open.oldest.get_or_insert(received);
            open.records = open.records.map(|count| count + 1);
        }
        Ok(())
    }

    /// What was written since the last call; nothing if nothing was.
    pub(crate) fn take_unsynced(&mut self) -> Unsynced {
        let mut files = std::mem::take(&mut self.left_behind);
        if std::mem::take(&mut self.written) {
            files.push(self.file.clone());
        }
        Unsynced { files, new_names: std::mem::take(&mut self.new_names), end: self.end() }
    }
}
