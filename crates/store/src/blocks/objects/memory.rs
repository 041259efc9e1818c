// SPDX-License-Identifier: Apache-2.0
//! Objects in memory, which fail on demand the way object stores do.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use basics::{Error, Result};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Listed, ObjectWriter, Objects, gone, short};

/// What goes wrong at the next call of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next write fails, nothing is written: a 503.
    Refused,
    /// The next write takes place and its answer is lost: a time-out.
    AnswerLost,
    /// The next read fails; the object is as it was.
    Unread,
    /// From now on [`Objects::put_if_absent`] overwrites, as in stores that ignore the condition.
    Unconditional,
}

/// Objects in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Bytes>,
    faults: VecDeque<Fault>,
    unconditional: bool,
    reads: u64,
}

impl State {
    fn take(&mut self, wanted: &[Fault]) -> Option<Fault> {
        let at = self.faults.iter().position(|fault| wanted.contains(fault))?;
        self.faults.remove(at)
    }

    fn write(&mut self, path: &str, bytes: Bytes) -> Result<()> {
        match self.take(&[Fault::Refused, Fault::AnswerLost]) {
            Some(Fault::Refused) => Err(Error::retry(format!("{path}: slow down"))),
            fault => {
                self.objects.insert(path.to_owned(), bytes);
                match fault {
                    Some(_) => Err(Error::retry(format!("{path}: no answer in time"))),
                    None => Ok(()),
                }
            }
        }
    }

    fn read(&mut self, path: &str) -> Result<Option<Bytes>> {
        self.reads += 1;
        match self.take(&[Fault::Unread]) {
            Some(_) => Err(Error::retry(format!("{path}: no answer in time"))),
            None => Ok(self.objects.get(path).cloned()),
        }
    }
}

impl Memory {
    /// No objects.
    pub fn new() -> Memory {
        Memory::default()
    }

    /// Lets the next call of the fault's kind fail; several queue up.
    pub fn inject(&self, fault: Fault) {
        let mut state = self.0.lock();
        match fault {
            Fault::Unconditional => state.unconditional = true,
            _ => state.faults.push_back(fault),
        }
    }

    /// Inverts one bit of an object; false when it has no such byte.
    pub fn flip_bit(&self, path: &str, byte: usize, bit: u8) -> bool {
        let mut state = self.0.lock();
        let Some(object) = state.objects.get_mut(path) else { return false };
        let mut bytes = object.to_vec();
        let Some(target) = bytes.get_mut(byte) else { return false };
        *target ^= 1 << (bit % 8);
        *object = bytes.into();
        true
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.0.lock().reads
    }
}

impl Objects for Memory {
    fn create(&self, path: &str) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(MemoryWriter {
            memory: self.clone(),
            path: path.to_owned(),
            bytes: Vec::new(),
        }))
    }

    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let mut state = self.0.lock();
        if !state.unconditional && state.objects.contains_key(path) {
            return Ok(false);
        }
        state.write(path, Bytes::copy_from_slice(bytes)).map(|()| true)
    }

    fn get(&self, path: &str) -> Result<Option<Bytes>> {
        self.0.lock().read(path)
    }

    fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.0.lock().read(path)?.ok_or_else(|| gone(path))?;
        if range.start > range.end || range.end > bytes.len() as u64 {
            return Err(short(path, &range));
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let prefix = format!("{}/", prefix.trim_end_matches('/'));
        let state = self.0.lock();
        let below = state.objects.iter().filter(|(path, _)| path.starts_with(&prefix));
        let listed = |(path, bytes): (&String, &Bytes)| Listed {
            path: path.clone(),
            bytes: bytes.len() as u64,
        };
        Ok(below.map(listed).collect())
    }

    fn delete(&self, path: &str) -> Result<()> {
        self.0.lock().objects.remove(path);
        Ok(())
    }
}

struct MemoryWriter {
    memory: Memory,
    path: String,
    bytes: Vec<u8>,
}

impl Write for MemoryWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl ObjectWriter for MemoryWriter {
    fn finish(self: Box<Self>) -> Result<u64> {
        let size = self.bytes.len() as u64;
        self.memory.0.lock().write(&self.path, self.bytes.into())?;
        Ok(size)
    }
}
