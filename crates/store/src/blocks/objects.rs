// SPDX-License-Identifier: Apache-2.0
//! Where blocks and manifests lie: named byte strings, written whole, read in ranges.
//!
//! [`Local`] keeps them as files (durable when a call returns), [`Memory`] in memory for tests,
//! `S3` (cargo feature `s3`) in a bucket. A path is `/`-separated, relative, without `.` and `..`.
//! Guarantees of all: an object is seen whole or not at all; of several [`Objects::put_if_absent`]
//! of one path one succeeds; after an error of a write nobody knows whether it took place.
//! Errors: [`basics::Kind::Retry`] when it may work later (disk full, time-out), `Corrupt` when
//! the object is not there or shorter than asked for.

mod cached;
mod local;
mod memory;
#[cfg(feature = "s3")]
mod s3;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Write;
use std::ops::Range;

use basics::Result;
use bytes::Bytes;

pub use cached::Cached;
pub use local::Local;
pub use memory::{Fault, Memory};
#[cfg(feature = "s3")]
pub use s3::{S3, S3Options};

/// What a listing tells of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Path of the object.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
}

/// An object store. Calls block; shared behind `Arc<dyn Objects>`.
pub trait Objects: Send + Sync + fmt::Debug {
    /// Begins an object at `path`, seen only after [`ObjectWriter::finish`].
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn create(&self, path: &str) -> Result<Box<dyn ObjectWriter>>;

    /// Writes an object, replacing what is at `path`.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut writer = self.create(path)?;
        writer.write_all(bytes).map_err(|e| retry("write", path, e))?;
        writer.finish().map(|_| ())
    }

    /// Writes an object unless there is one at `path`; false when there is.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`]; it may have been written all the same.
    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<bool>;

    /// A whole object, none when there is none.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn get(&self, path: &str) -> Result<Option<Bytes>>;

    /// A part of an object.
    ///
    /// # Errors
    /// [`basics::Kind::Corrupt`] when there are not so many bytes, [`basics::Kind::Retry`] else.
    fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes>;

    /// Parts of an object, in the order asked for; a remote store reads them side by side.
    ///
    /// # Errors
    /// As [`Objects::get_range`].
    fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        ranges.iter().map(|range| self.get_range(path, range.clone())).collect()
    }

    /// The objects below the folder `prefix`, ascending by path.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// Removes an object; none there is no error.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn delete(&self, path: &str) -> Result<()>;
}

/// An object being written. Dropped without [`ObjectWriter::finish`] it leaves nothing behind.
pub trait ObjectWriter: Write + Send {
    /// Makes the object durable and seen; returns its size in bytes.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`].
    fn finish(self: Box<Self>) -> Result<u64>;
}

fn retry(what: &str, path: &str, error: std::io::Error) -> basics::Error {
    basics::Error::retry(format!("cannot {what} object {path}")).caused_by(error)
}

fn gone(path: &str) -> basics::Error {
    basics::Error::corrupt(format!("object {path} is not there"))
}

fn short(path: &str, range: &Range<u64>) -> basics::Error {
    let Range { start, end } = range;
    basics::Error::corrupt(format!("object {path} ends before its bytes {start}..{end}"))
}
