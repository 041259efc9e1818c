// SPDX-License-Identifier: Apache-2.0
//! One file that whole records are appended to.
//!
//! ```text
//! json                   {"resourceSpans":[...]}\n
//! proto or compressed    length, 4 bytes big-endian | record
//! ```
//! A record is one write, and in the system's hands when [`Sink::append`] returns: a process that
//! is killed loses nothing it acknowledged. Only a full disk or a power cut can leave a part of a
//! record, and only at the end. After a failed write it is cut off at once; one that an earlier
//! process left is cut off when the file is opened, so a reader never meets half a record that
//! has something behind it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use basics::{Clock, Error, Kind, Result};
use jiff::tz::TimeZone;

use super::backups;
use super::config::Rotation;

/// How records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each ends in a line end.
    Lines,
    /// Each begins with its length.
    Lengths,
}

/// How a file is written.
#[derive(Clone)]
pub(super) struct Settings {
    pub framing: Framing,
    pub rotation: Option<Rotation>,
    pub zone: TimeZone,
    pub clock: Clock,
}

/// An open file.
pub(super) struct Sink {
    path: PathBuf,
    settings: Settings,
    file: File,
    /// End of the last whole record.
    size: u64,
    /// Something may lie behind `size`.
    torn: bool,
    /// Written since the last sync.
    dirty: bool,
}

impl Sink {
    /// Opens `path`, empty unless `keep`; with rotation what is there is always kept.
    ///
    /// # Errors
    /// `Invalid` when it cannot be opened for writing.
    pub fn open(path: &Path, keep: bool, settings: Settings) -> Result<Sink> {
        let failed = |e| Error::invalid(format!("cannot write to {}", path.display())).caused_by(e);
        let mut file = open(path).map_err(failed)?;
        let size = match keep || settings.rotation.is_some() {
            true => whole(&mut file, settings.framing).map_err(failed)?,
            false => 0,
        };
        file.set_len(size).map_err(failed)?;
        let sink = Sink { path: path.to_owned(), settings, file, size, torn: false, dirty: false };
        sink.clean();
        Ok(sink)
    }

    /// Appends one record, a line end or its length included; begins a new file first if it would
    /// not fit. A record larger than a whole file gets one of its own.
    ///
    /// # Errors
    /// `Retry` when it could not be written: nothing of it is in the file then.
    pub fn append(&mut self, record: &[u8]) -> Result<()> {
        let failed = |path: &Path, e: io::Error| {
            Error::new(Kind::Retry { after: None }, format!("cannot write to {}", path.display()))
                .caused_by(e)
        };
        if self.torn {
            self.file.set_len(self.size).map_err(|e| failed(&self.path, e))?;
            self.torn = false;
        }
        let limit = self.settings.rotation.map_or(u64::MAX, |rotation| rotation.bytes_max());
        if self.size > 0 && self.size + record.len() as u64 > limit {
            self.rotate().map_err(|e| failed(&self.path, e))?;
        }
        match self.file.write_all(record) {
            Ok(()) => {
                self.size += record.len() as u64;
                self.dirty = true;
                Ok(())
            }
            Err(error) => {
                self.torn = self.file.set_len(self.size).is_err();
                Err(failed(&self.path, error))
            }
        }
    }

    /// A handle to sync by, if something was written since the last time.
    pub fn unsynced(&mut self) -> Option<File> {
        let file = self.dirty.then(|| self.file.try_clone().ok()).flatten();
        self.dirty = false;
        file
    }

    fn rotate(&mut self) -> io::Result<()> {
        let name = backups::name(&self.path, self.settings.clock.now(), &self.settings.zone);
        self.file.sync_data()?;
        std::fs::rename(&self.path, name)?;
        self.file = open(&self.path)?;
        self.size = 0;
        self.clean();
        Ok(())
    }

    fn clean(&self) {
        let Some(rotation) = &self.settings.rotation else { return };
        let now = self.settings.clock.now();
        if let Err(error) = backups::clean(&self.path, rotation, now, &self.settings.zone) {
            tracing::warn!(path = %self.path.display(), "cannot look for old files: {error}");
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(file) = self.unsynced() {
            let _ = file.sync_data();
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).open(path)
}

/// Where the last whole record ends.
fn whole(file: &mut File, framing: Framing) -> io::Result<u64> {
    let length = file.metadata()?.len();
    match framing {
        Framing::Lines => last_line_end(file, length),
        Framing::Lengths => last_frame_end(file, length),
    }
}

/// Reads backwards to the last line end.
fn last_line_end(file: &mut File, length: u64) -> io::Result<u64> {
    const BLOCK: u64 = 64 << 10;
    let mut block = vec![0; BLOCK as usize];
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let block = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Walks over the lengths.
fn last_frame_end(file: &mut File, length: u64) -> io::Result<u64> {
    let mut end = 0;
    let mut prefix = [0; 4];
    while end + 4 <= length {
        file.seek(SeekFrom::Start(end))?;
        file.read_exact(&mut prefix)?;
        let next = end + 4 + u64::from(u32::from_be_bytes(prefix));
        if next > length {
            break;
        }
        end = next;
    }
    Ok(end)
}
