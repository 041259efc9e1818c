// SPDX-License-Identifier: Apache-2.0
//! Named consumers: how far each has come survives a restart.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use basics::files::{Files, read_all, write_atomic};
use basics::{Error, Result};

use crate::Position;
use crate::home::io_error;
use crate::log::Shared;

/// Where a consumer the log does not know yet begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record held.
    Oldest,
    /// With the next record appended.
    Newest,
}

/// One consumer of a log. While it exists in a log that refuses at its cap, no segment it has not
/// passed is removed.
pub struct Consumer {
    name: String,
    shared: Arc<Shared>,
}

impl Consumer {
    pub(crate) fn new(name: &str, shared: Arc<Shared>) -> Self {
        Consumer { name: name.to_owned(), shared }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything before it is done with.
    pub fn position(&self) -> Position {
        Position(self.shared.consumers.lock().get(&self.name).copied().unwrap_or_default())
    }

    /// Is done with everything before `position`; durable when it returns. Two fsyncs: for once a
    /// second, not for each record. Never goes back.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when the offset cannot be written; the old one stays.
    pub fn commit(&self, position: Position) -> Result<()> {
        // Held while writing: two commits must not overtake each other on the disk.
        let mut consumers = self.shared.consumers.lock();
        let known = consumers.entry(self.name.clone()).or_default();
        if position.0 <= *known {
            return Ok(());
        }
        self.save(position.0)?;
        *known = position.0;
        Ok(())
    }

    /// Makes a new consumer known for good.
    pub(crate) fn begin(&self, position: Position) -> Result<()> {
        let mut consumers = self.shared.consumers.lock();
        self.save(position.0)?;
        consumers.insert(self.name.clone(), position.0);
        Ok(())
    }

    fn save(&self, position: u64) -> Result<()> {
        let path = path(&self.shared, &self.name);
        write_atomic(self.shared.files.as_ref(), &path, &encode(position)).map_err(|e| {
            Error::retry(format!("cannot write offset {}", path.display())).caused_by(e)
        })
    }
}

/// A consumer's name becomes a file name: letters, digits, `-`, `_`, `.`; anything else as `%xx`.
pub(crate) fn file_name(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(byte.into()),
            b'.' if !out.is_empty() => out.push('.'),
            _ => out.push_str(&format!("%{byte:02x}")),
        }
    }
    out
}

/// The name that [`file_name`] made `file` from.
pub(crate) fn name_of(file: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = file.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn path(shared: &Shared, name: &str) -> PathBuf {
    shared.dir.join("offsets").join(file_name(name))
}

fn encode(position: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&position.to_le_bytes());
    bytes[8..].copy_from_slice(&crc32c::crc32c(&position.to_le_bytes()).to_le_bytes());
    bytes
}

/// The position saved in `bytes`; a damaged file counts as none.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    let position = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes == encode(position)).then_some(position)
}

/// The offset of a consumer as saved, if it was and is whole.
pub(crate) fn load(shared: &Shared, name: &str) -> Result<Option<u64>> {
    let path = path(shared, name);
    match read_all(shared.files.as_ref(), &path) {
        Ok(bytes) => {
            let position = decode(&bytes);
            if position.is_none() {
                tracing::warn!(
                    consumer = name,
                    "damaged offset file, starting at the oldest record"
                );
            }
            Ok(Some(position.unwrap_or(0)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", &path, error)),
    }
}

/// Forgets a consumer for good.
pub(crate) fn remove(files: &dyn Files, shared: &Shared, name: &str) -> Result<()> {
    let path = path(shared, name);
    match files.remove(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &path, error))
        }
        _ => files
            .sync_dir(&shared.dir.join("offsets"))
            .map_err(|e| io_error("sync", &shared.dir, e)),
    }
}
