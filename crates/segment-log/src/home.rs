// SPDX-License-Identifier: Apache-2.0
//! The directory's own files: LOCK, VERSION, WRITER.

use std::io;
use std::path::Path;

use basics::files::{Files, Lock, read_all, write_atomic};
use basics::{Error, Random, Result};

/// The format this code writes. Older ones would be upgraded here; there are none yet.
const VERSION: u32 = 1;

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
    /// written by a newer version; [`basics::Kind::Corrupt`] when VERSION is no number.
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
    let text = match read_all(files, path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write_atomic(files, path, format!("{VERSION}\n").as_bytes())
                .map_err(|e| io_error("write", path, e));
        }
        Err(error) => return Err(io_error("read", path, error)),
    };
    match text.trim().parse::<u32>() {
        Ok(VERSION) => Ok(()),
        Ok(found) if found > VERSION => Err(Error::invalid(format!(
            "{} says {found}: written by a newer version, this one reads up to {VERSION}",
            path.display()
        ))),
        _ => Err(Error::corrupt(format!("{} holds no known version: {text:?}", path.display()))),
    }
}

fn writer_id(files: &dyn Files, path: &Path) -> Result<String> {
    if let Ok(bytes) = read_all(files, path)
        && bytes.len() == 17
        && bytes[..16].iter().all(u8::is_ascii_hexdigit)
    {
        return Ok(String::from_utf8_lossy(&bytes[..16]).into_owned());
    }
    let id = format!("{:016x}", Random::from_os().next_u64());
    write_atomic(files, path, format!("{id}\n").as_bytes())
        .map_err(|e| io_error("write", path, e))?;
    Ok(id)
}
