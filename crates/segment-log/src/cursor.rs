// SPDX-License-Identifier: Apache-2.0
//! Walks the bytes of one segment: valid records, and ranges that are none.
//!
//! After damage it looks for the next marker at which a whole valid record stands, so one bad
//! record never hides the ones behind it. Memory: the largest record met, at least one buffer.

use std::io;
use std::sync::Arc;

use basics::files::File;

use crate::record::{self, HEADER, MARKER, Stored};

/// One read: enough for a few requests, small against a segment.
const BUFFER_BYTES: usize = 256 << 10;

/// What stands at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A valid record; [`Cursor::record`] gives it.
    Record,
    /// Bytes from (position) to (position) are no record.
    Damage(u64, u64),
    /// The limit is reached.
    End,
}

#[derive(Debug)]
pub(crate) struct Cursor {
    file: Arc<dyn File>,
    /// Position of the file's first byte.
    base: u64,
    /// Position behind the last byte to read.
    limit: u64,
    /// Position of the next step.
    at: u64,
    /// The record of the last step, when it was one.
    current: (u64, usize),
    buffer: Vec<u8>,
    /// Position of the buffer's first byte.
    buffer_at: u64,
}

impl Cursor {
    pub(crate) fn new(file: Arc<dyn File>, base: u64, at: u64, limit: u64) -> Self {
        Cursor { file, base, limit, at, current: (at, 0), buffer: Vec::new(), buffer_at: at }
    }

    /// Position of the next step.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// The file and the position of its first byte.
    pub(crate) fn source(&self) -> (&dyn File, u64) {
        (self.file.as_ref(), self.base)
    }

    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// More of the file may be read.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Moves on by one step.
    ///
    /// # Errors
    /// When the file cannot be read; the cursor stays.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        if self.at >= self.limit {
            return Ok(Step::End);
        }
        let from = self.at;
        let found = match self.valid_at(from)? {
            Some(size) => {
                self.at = from + size as u64;
                self.current = (from, size);
                return Ok(Step::Record);
            }
            None => self.next_valid(from + 1)?,
        };
        self.at = found;
        Ok(Step::Damage(from, found))
    }

    /// The record of the last [`Step::Record`].
    pub(crate) fn record(&self) -> Stored {
        record::decode(self.current_bytes(), self.current.0)
    }

    /// Receive time of the last [`Step::Record`].
    pub(crate) fn received(&self) -> u64 {
        record::received(self.current_bytes())
    }

    fn current_bytes(&self) -> &[u8] {
        let start = (self.current.0 - self.buffer_at) as usize;
        &self.buffer[start..start + self.current.1]
    }

    /// Size of the valid record at `position`, if one stands there.
    fn valid_at(&mut self, position: u64) -> io::Result<Option<usize>> {
        let Some(size) = self.bytes(position, HEADER)?.and_then(record::size_of) else {
            return Ok(None);
        };
        let whole = self.bytes(position, size)?;
        Ok(whole.filter(|bytes| record::is_valid(bytes, position)).map(|_| size))
    }

    /// Position of the first valid record at or after `from`, or the limit.
    fn next_valid(&mut self, mut from: u64) -> io::Result<u64> {
        while from + HEADER as u64 <= self.limit {
            let window = (self.limit - from).min(BUFFER_BYTES as u64) as usize;
            let Some(bytes) = self.bytes(from, window)? else { break };
            match find(bytes, &MARKER) {
                None => from += (window - (MARKER.len() - 1)) as u64,
                Some(offset) => {
                    from += offset as u64;
                    if self.valid_at(from)?.is_some() {
                        return Ok(from);
                    }
                    from += 1;
                }
            }
        }
        Ok(self.limit)
    }

    /// `count` bytes at `position`, or none if the limit or the end of the file comes first.
    fn bytes(&mut self, position: u64, count: usize) -> io::Result<Option<&[u8]>> {
        if position + count as u64 > self.limit {
            return Ok(None);
        }
        let held = self.buffer_at..=self.buffer_at + self.buffer.len() as u64;
        if !held.contains(&position) || !held.contains(&(position + count as u64)) {
            self.fill(position, count)?;
        }
        let start = (position - self.buffer_at) as usize;
        Ok(self.buffer.get(start..start + count))
    }

    fn fill(&mut self, position: u64, count: usize) -> io::Result<()> {
        let wanted = count.max(BUFFER_BYTES).min((self.limit - position) as usize);
        if self.buffer.capacity() > 16 * BUFFER_BYTES && wanted <= BUFFER_BYTES {
            self.buffer = Vec::new();
        }
        self.buffer.clear();
        self.buffer.resize(wanted, 0);
        self.buffer_at = position;
        let mut filled = 0;
        while filled < wanted {
            let offset = position - self.base + filled as u64;
            match self.file.read_at(offset, &mut self.buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|b| *b == first) {
        if haystack[from + at..].starts_with(needle) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}
