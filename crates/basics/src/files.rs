// SPDX-License-Identifier: Apache-2.0
//! The file layer is passed in: [`RealFiles`] in the product, [`TestFiles`] in tests.
//!
//! Only what a durable log and a store need: append, positioned read, truncate, sync, rename,
//! remove, list, sync of a directory, and a lock. Errors are plain [`io::Error`]; the caller adds
//! what it was doing. Durability is as in POSIX and no better: bytes survive a power cut after
//! [`File::sync`], a name (create, rename, remove) after [`Files::sync_dir`] of its directory.
//! [`TestFiles`] keeps exactly to that and forgets everything else at
//! [`TestFiles::crash`]; it also fails writes and syncs and flips bits on demand.

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod real;
mod testing;
#[cfg(test)]
mod tests;

pub use real::RealFiles;
pub use testing::{Fault, TestFiles};

/// How [`Files::open`] opens a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The file must exist; appending fails.
    Read,
    /// Created empty when missing; writes go to the end.
    Append,
}

/// A file system, as much of one as durable logs need. Shared behind `Arc<dyn Files>`.
pub trait Files: Send + Sync + fmt::Debug {
    /// Makes `dir` and its missing parents.
    ///
    /// # Errors
    /// As the operating system's.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound` in [`Mode::Read`] when it does not exist, else as the operating system's.
    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>>;
    /// Renames a file over `to`, atomically; durable after [`Files::sync_dir`].
    ///
    /// # Errors
    /// As the operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name; durable after [`Files::sync_dir`].
    ///
    /// # Errors
    /// `AlreadyExists` when `to` is there: of several who try, one succeeds. Else as the operating
    /// system's.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; durable after [`Files::sync_dir`]. Open handles stay readable.
    ///
    /// # Errors
    /// As the operating system's.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files directly in `dir`, ascending; no directories.
    ///
    /// # Errors
    /// As the operating system's.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Names of the directories directly in `dir`, ascending.
    ///
    /// # Errors
    /// As the operating system's.
    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// As the operating system's.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on `path` (created when missing) until the guard is dropped or
    /// the process ends.
    ///
    /// # Errors
    /// `WouldBlock` when someone else holds it, else as the operating system's.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// One open file. All methods take `&self`: one writer, any number of positioned readers.
pub trait File: Send + Sync + fmt::Debug {
    /// Writes all of `bytes` at the end.
    ///
    /// # Errors
    /// After an error any prefix of `bytes` may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Reads at most `into.len()` bytes from `offset`; 0 only at the end of the file.
    ///
    /// # Errors
    /// As the operating system's.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Cuts the file to `len` bytes.
    ///
    /// # Errors
    /// As the operating system's.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Makes what was written durable (fdatasync).
    ///
    /// # Errors
    /// After an error nobody knows what is on the disk, and a second call may claim success
    /// all the same: the file must not be written any more.
    fn sync(&self) -> io::Result<()>;
    /// Length in bytes.
    ///
    /// # Errors
    /// As the operating system's.
    fn size(&self) -> io::Result<u64>;
}

/// Holds a lock taken by [`Files::lock`] until dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Any + Send + Sync>);

impl Lock {
    /// A lock that ends when `guard` is dropped.
    pub fn holding(guard: impl Send + Sync + 'static) -> Self {
        Lock(Box::new(guard))
    }
}

/// All bytes of the file at `path`.
///
/// # Errors
/// As [`Files::open`] and [`File::read_at`].
pub fn read_all(files: &dyn Files, path: &Path) -> io::Result<Vec<u8>> {
    let file = files.open(path, Mode::Read)?;
    let mut bytes = vec![0; file.size()? as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(filled as u64, &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Replaces the file at `path` by `bytes`: after a crash it holds the old or the new bytes, whole.
/// Durable when it returns.
///
/// # Errors
/// As the operating system's; the old file is then still there.
pub fn write_atomic(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let file = files.open(temporary, Mode::Append)?;
    file.truncate(0)?;
    file.append(bytes)?;
    file.sync()?;
    files.rename(temporary, path)?;
    match path.parent() {
        Some(dir) => files.sync_dir(dir),
        None => Ok(()),
    }
}
