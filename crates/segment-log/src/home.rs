// SPDX-License-Identifier: Apache-2.0
//! The directory's own files: LOCK, VERSION, WRITER.

use std::io;
use std::path::Path;

use basics::files::{Files, Lock, read_all, write_atomic};
use basics::{Error, Random, Result};

/// The format this code writes. Older ones would be upgraded here; there are none yet.
const VERSION: u32 = 1;

/// So many equal lines does VERSION have, and WRITER: what one flipped bit says is outvoted.
const LINES: usize = 3;

/// A directory this process may write to.
#[derive(Debug)]
pub(crate) struct Home {
    _lock: Lock,
    pub writer_id: String,
}

pub(crate) fn io_error(what: &str, path: &Path, error: io::Error) -> Error {
    Error::invalid(format!("cannot {what} {}", path.display())).caused_by(error)
}

impl Home {
    /// Makes or enters `dir`.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when it cannot be written, is in use by another process, or was
    /// written by a newer version.
    pub(crate) fn enter(files: &dyn Files, dir: &Path) -> Result<Home> {
        for dir in [dir, &dir.join("offsets"), &dir.join("quarantine")] {
            files.create_dirs(dir).map_err(|e| io_error("create directory", dir, e))?;
        }
        let lock = files.lock(&dir.join("LOCK")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::invalid(format!(
                "log directory {} is in use by another process",
                dir.display()
            )),
            _ => io_error("lock", dir, error),
        })?;
        check_version(files, &dir.join("VERSION"))?;
        let writer_id = writer_id(files, &dir.join("WRITER"))?;
        Ok(Home { _lock: lock, writer_id })
    }
}

fn check_version(files: &dyn Files, path: &Path) -> Result<()> {
    let bytes = match read_all(files, path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(io_error("read", path, error)),
    };
    match most_told(&bytes, |line| line.parse::<u32>().ok().filter(|version| *version > 0)) {
        Some(VERSION) => Ok(()),
        Some(found) if found > VERSION => Err(Error::invalid(format!(
            "{} says {found}: written by a newer version, this one reads up to {VERSION}",
            path.display()
        ))),
        _ => {
            if !bytes.is_empty() {
                // A version that is newer would say so.
                tracing::error!(path = %path.display(), "damaged, written anew");
            }
            tell(files, path, &VERSION.to_string())
        }
    }
}

fn writer_id(files: &dyn Files, path: &Path) -> Result<String> {
    let bytes = read_all(files, path).unwrap_or_default();
    let is_id = |line: &str| line.len() == 16 && line.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(id) = most_told(&bytes, |line| is_id(line).then(|| line.to_owned())) {
        return Ok(id);
    }
    let id = format!("{:016x}", Random::from_os().next_u64());
    tell(files, path, &id)?;
    Ok(id)
}

/// What most of the lines say that make sense.
fn most_told<T: PartialEq>(bytes: &[u8], parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let lines =
        bytes.split(|byte| *byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    let told: Vec<T> = lines.filter_map(|line| parse(line.trim())).collect();
    let votes = |one: &T| told.iter().filter(|other| *other == one).count();
    let most = (0..told.len()).max_by_key(|at| votes(&told[*at]))?;
    told.into_iter().nth(most)
}

fn tell(files: &dyn Files, path: &Path, line: &str) -> Result<()> {
    let lines = format!("{line}\n").repeat(LINES);
    write_atomic(files, path, lines.as_bytes()).map_err(|e| io_error("write", path, e))
}
