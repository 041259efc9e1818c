// SPDX-License-Identifier: Apache-2.0
//! Files in memory that promise no more than POSIX does and break on demand.
//!
//! A file is an inode (bytes as written, bytes as durable); names point to inodes. `sync` copies
//! written to durable, `sync_dir` makes the names of one directory durable. `crash` makes the
//! durable state the only one, optionally keeping a part of what was written after the last sync
//! (a kernel may have written it back), and cuts off all handles and locks of before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{File, Files, Lock, Mode};
use crate::Random;

/// What goes wrong at the next operation of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next append writes this many bytes and then fails.
    ShortWrite(usize),
    /// The next append fails for want of space, nothing written.
    DiskFull,
    /// The next sync fails; what it should have made durable is lost at the next crash.
    FailedSync,
    /// The next truncate fails.
    FailedTruncate,
}

/// Files in memory; clones share one state.
#[derive(Clone, Debug, Default)]
pub struct TestFiles {
    disk: Arc<Mutex<Disk>>,
    /// The life a layer was passed on in: a crash ends it. The test's own handle has none.
    life: Option<u64>,
}

#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    locks: Vec<PathBuf>,
    faults: VecDeque<Fault>,
    /// Counts crashes: a handle of an earlier life is dead.
    life: u64,
    syncs: u64,
}

#[derive(Debug, Default)]
struct Inode {
    written: Vec<u8>,
    durable: Vec<u8>,
    /// So many first bytes of both are the same.
    clean: usize,
}

impl Inode {
    fn sync(&mut self) {
        self.durable.truncate(self.clean);
        self.durable.extend_from_slice(&self.written[self.clean..]);
        self.clean = self.written.len();
    }

    /// Forgets what is not durable but for `kept` bytes behind it.
    fn crash(&mut self, kept: impl FnOnce(usize) -> usize) {
        if self.clean == self.durable.len() {
            let kept = self.clean + kept(self.written.len() - self.clean);
            self.written.truncate(kept);
            self.sync();
        } else {
            self.written.clone_from(&self.durable);
            self.clean = self.durable.len();
        }
    }
}

impl Disk {
    fn take_fault(&mut self, wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let at = self.faults.iter().position(wanted)?;
        self.faults.remove(at)
    }

    fn inode(&mut self, path: &Path) -> io::Result<&mut Inode> {
        let id = *self.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.inodes[id])
    }
}

impl TestFiles {
    /// An empty disk.
    pub fn new() -> Self {
        TestFiles::default()
    }

    /// The layer as it is passed on. It dies with the next crash, as a process would.
    pub fn shared(&self) -> Arc<dyn Files> {
        let life = Some(self.disk.lock().life);
        Arc::new(TestFiles { disk: self.disk.clone(), life })
    }

    /// Runs `work` on the disk unless it crashed since this layer was passed on.
    fn alive<T>(&self, work: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        alive(&self.disk, self.life, work)
    }

    /// The power goes: only what was synced is left. Handles and locks from before are dead.
    pub fn crash(&self) {
        self.crash_keeping(|_| 0);
    }

    /// As [`TestFiles::crash`], but of each file a random part of the unsynced end survives, as
    /// when the kernel had begun to write it back.
    pub fn crash_torn(&self, random: &mut Random) {
        self.crash_keeping(|unsynced| random.below(unsynced as u64 + 1) as usize);
    }

    fn crash_keeping(&self, mut kept: impl FnMut(usize) -> usize) {
        let mut disk = self.disk.lock();
        for inode in &mut disk.inodes {
            inode.crash(&mut kept);
        }
        disk.names = disk.durable_names.clone();
        disk.locks.clear();
        disk.faults.clear();
        disk.life += 1;
    }

    /// Lets the next operation of the fault's kind fail; several queue up.
    pub fn inject(&self, fault: Fault) {
        self.disk.lock().faults.push_back(fault);
    }

    /// Inverts one bit of a file, on the disk and in memory.
    ///
    /// # Errors
    /// `NotFound` without such a file; `InvalidInput` beyond its end.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u8) -> io::Result<()> {
        let mut disk = self.disk.lock();
        let inode = disk.inode(path)?;
        let target = inode.written.get_mut(byte).ok_or(io::ErrorKind::InvalidInput)?;
        *target ^= 1 << (bit % 8);
        if let Some(target) = inode.durable.get_mut(byte) {
            *target ^= 1 << (bit % 8);
        }
        Ok(())
    }

    /// How many syncs of files succeeded.
    pub fn syncs(&self) -> u64 {
        self.disk.lock().syncs
    }
}

impl Files for TestFiles {
    fn create_dirs(&self, _dir: &Path) -> io::Result<()> {
        self.alive(|_| Ok(()))
    }

    fn open(&self, path: &Path, mode: Mode) -> io::Result<Arc<dyn File>> {
        self.alive(|disk| {
            let inode = match (disk.names.get(path), mode) {
                (Some(&inode), _) => inode,
                (None, Mode::Read) => return Err(io::ErrorKind::NotFound.into()),
                (None, Mode::Append) => {
                    disk.inodes.push(Inode::default());
                    let inode = disk.inodes.len() - 1;
                    disk.names.insert(path.to_owned(), inode);
                    inode
                }
            };
            let writable = mode == Mode::Append;
            let life = disk.life;
            Ok(Arc::new(TestFile { disk: self.disk.clone(), inode, life, writable }) as _)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive(|disk| {
            let inode = disk.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            disk.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.alive(|disk| {
            let inode = *disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
            if disk.names.contains_key(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            disk.names.insert(to.to_owned(), inode);
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.alive(|disk| match disk.names.remove(path) {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::NotFound.into()),
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.alive(|disk| {
            let here = disk.names.keys().filter(|path| path.parent() == Some(dir));
            Ok(here.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
        })
    }

    fn list_dirs(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.alive(|disk| {
            let below = disk.names.keys().filter_map(|path| path.strip_prefix(dir).ok());
            let dirs = below.filter(|rest| rest.components().count() > 1);
            let first = |rest: &Path| Some(rest.iter().next()?.to_str()?.to_owned());
            let names: BTreeSet<String> = dirs.filter_map(first).collect();
            Ok(names.into_iter().collect())
        })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.alive(|disk| {
            disk.durable_names.retain(|path, _| path.parent() != Some(dir));
            let here = disk.names.iter().filter(|(path, _)| path.parent() == Some(dir));
            disk.durable_names.extend(here.map(|(path, inode)| (path.clone(), *inode)));
            Ok(())
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        self.alive(|disk| {
            if disk.locks.iter().any(|held| held == path) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            disk.locks.push(path.to_owned());
            let (life, path) = (disk.life, path.to_owned());
            Ok(Lock::holding(TestLock { disk: self.disk.clone(), path, life }))
        })
    }
}

fn alive<T>(
    disk: &Mutex<Disk>,
    life: Option<u64>,
    work: impl FnOnce(&mut Disk) -> io::Result<T>,
) -> io::Result<T> {
    let mut disk = disk.lock();
    if life.is_some_and(|life| life != disk.life) {
        return Err(io::Error::other("handle from before the crash"));
    }
    work(&mut disk)
}

#[derive(Debug)]
struct TestLock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
    life: u64,
}

impl Drop for TestLock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        if disk.life == self.life {
            disk.locks.retain(|held| held != &self.path);
        }
    }
}

#[derive(Debug)]
struct TestFile {
    disk: Arc<Mutex<Disk>>,
    inode: usize,
    life: u64,
    writable: bool,
}

impl TestFile {
    /// Runs `work` on the disk unless it crashed since the file was opened.
    fn alive<T>(&self, work: impl FnOnce(&mut Disk) -> io::Result<T>) -> io::Result<T> {
        alive(&self.disk, Some(self.life), work)
    }
}

impl File for TestFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.alive(|disk| {
            let fault = disk.take_fault(|f| matches!(f, Fault::ShortWrite(_) | Fault::DiskFull));
            let written = &mut disk.inodes[self.inode].written;
            match fault {
                Some(Fault::ShortWrite(count)) => {
                    written.extend_from_slice(&bytes[..count.min(bytes.len())]);
                    Err(io::Error::other("injected short write"))
                }
                Some(_) => Err(io::ErrorKind::StorageFull.into()),
                None => {
                    written.extend_from_slice(bytes);
                    Ok(())
                }
            }
        })
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.alive(|disk| {
            let bytes = &disk.inodes[self.inode].written;
            let start = (offset as usize).min(bytes.len());
            let count = into.len().min(bytes.len() - start);
            into[..count].copy_from_slice(&bytes[start..start + count]);
            Ok(count)
        })
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.alive(|disk| {
            if disk.take_fault(|f| *f == Fault::FailedTruncate).is_some() {
                return Err(io::Error::other("injected truncate failure"));
            }
            let inode = &mut disk.inodes[self.inode];
            inode.written.resize(len as usize, 0);
            inode.clean = inode.clean.min(len as usize);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.alive(|disk| {
            if disk.take_fault(|f| *f == Fault::FailedSync).is_some() {
                return Err(io::Error::other("injected sync failure"));
            }
            disk.inodes[self.inode].sync();
            disk.syncs += 1;
            Ok(())
        })
    }

    fn size(&self) -> io::Result<u64> {
        self.alive(|disk| Ok(disk.inodes[self.inode].written.len() as u64))
    }
}
