// SPDX-License-Identifier: Apache-2.0
//! Objects as files below one directory.
//!
//! An object is written to `tmp/`, synced, then renamed or linked to its name, and the name synced:
//! after a crash it is whole or not there. What a crash leaves in `tmp/` goes with [`Local::sweep`].

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use basics::Result;
use basics::files::{File, Files, Mode, read_all};
use bytes::Bytes;
use parking_lot::Mutex;

use super::{Listed, ObjectWriter, Objects, gone, retry, short};

/// Written in pieces of this size, so that a Parquet writer's small writes are few calls.
const BUFFER_BYTES: usize = 256 << 10;

/// Objects as files.
#[derive(Clone, Debug)]
pub struct Local {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    files: Arc<dyn Files>,
    root: PathBuf,
    temporaries: AtomicU64,
    /// Folders known to be there, durably.
    folders: Mutex<BTreeSet<PathBuf>>,
}

impl Local {
    /// Objects below `root`, which is made when first written to.
    pub fn new(files: Arc<dyn Files>, root: &Path) -> Local {
        let shared = Shared {
            files,
            root: root.to_owned(),
            temporaries: AtomicU64::new(0),
            folders: Mutex::default(),
        };
        Local { shared: Arc::new(shared) }
    }

    /// Removes what writers of before left unfinished. Only for the one process that writes.
    pub fn sweep(&self) {
        let folder = self.shared.temporary_folder();
        for name in self.shared.files.list(&folder).unwrap_or_default() {
            if let Err(error) = self.shared.files.remove(&folder.join(&name)) {
                tracing::warn!(%error, name, "cannot remove an unfinished object");
            }
        }
    }

    fn begin(&self, path: &str) -> Result<LocalWriter> {
        self.shared.begin(path).map_err(|e| retry("begin", path, e))
    }
}

impl Shared {
    fn temporary_folder(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn begin(self: &Arc<Self>, path: &str) -> io::Result<LocalWriter> {
        let folder = self.temporary_folder();
        self.make_folder(&folder)?;
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{}-{number}", std::process::id()));
        let file = self.files.open(&temporary, Mode::Append)?;
        file.truncate(0)?;
        Ok(LocalWriter {
            shared: self.clone(),
            file,
            temporary: Some(temporary),
            path: path.to_owned(),
            buffer: Vec::new(),
            bytes: 0,
        })
    }

    /// Makes a folder and syncs the names that lead to it, once a process.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut known = self.folders.lock();
        if known.contains(folder) {
            return Ok(());
        }
        self.files.create_dirs(folder)?;
        let above = folder.ancestors().skip(1).take_while(|dir| dir.starts_with(&self.root));
        for dir in above {
            self.files.sync_dir(dir)?;
        }
        known.insert(folder.to_owned());
        Ok(())
    }

    fn target(&self, path: &str) -> io::Result<(PathBuf, PathBuf)> {
        let target = self.root.join(path);
        let folder = target.parent().unwrap_or(&self.root).to_owned();
        self.make_folder(&folder)?;
        Ok((target, folder))
    }

    fn walk(&self, folder: &Path, name: &str, into: &mut Vec<Listed>) -> io::Result<()> {
        for file in self.none_if_gone(self.files.list(folder))? {
            let path = format!("{name}/{file}");
            match self.files.open(&folder.join(&file), Mode::Read) {
                Ok(file) => into.push(Listed { path, bytes: file.size()? }),
                // Removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        for dir in self.none_if_gone(self.files.list_dirs(folder))? {
            self.walk(&folder.join(&dir), &format!("{name}/{dir}"), into)?;
        }
        Ok(())
    }

    fn none_if_gone(&self, names: io::Result<Vec<String>>) -> io::Result<Vec<String>> {
        match names {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }
}

impl Objects for Local {
    fn create(&self, path: &str) -> Result<Box<dyn ObjectWriter>> {
        Ok(Box::new(self.begin(path)?))
    }

    fn put_if_absent(&self, path: &str, bytes: &[u8]) -> Result<bool> {
        let mut writer = self.begin(path)?;
        let written = writer.write_all(bytes).and_then(|()| writer.link());
        written.map_err(|e| retry("write", path, e))
    }

    fn get(&self, path: &str) -> Result<Option<Bytes>> {
        match read_all(&*self.shared.files, &self.shared.root.join(path)) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(retry("read", path, error)),
        }
    }

    fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let mut ranges = self.get_ranges(path, std::slice::from_ref(&range))?;
        ranges.pop().ok_or_else(|| short(path, &range))
    }

    fn get_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let file = match self.shared.files.open(&self.shared.root.join(path), Mode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone(path)),
            Err(error) => return Err(retry("open", path, error)),
        };
        let size = file.size().map_err(|e| retry("read", path, e))?;
        let read = |range: &Range<u64>| {
            // Checked before memory is taken for it: the range may come from damaged bytes.
            if range.start > range.end || range.end > size {
                return Err(short(path, range));
            }
            read_range(&*file, range)
                .map_err(|e| retry("read", path, e))?
                .ok_or_else(|| short(path, range))
        };
        ranges.iter().map(read).collect()
    }

    fn list(&self, prefix: &str) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        let prefix = prefix.trim_end_matches('/');
        let walked = self.shared.walk(&self.shared.root.join(prefix), prefix, &mut found);
        walked.map_err(|e| retry("list", prefix, e))?;
        found.sort();
        Ok(found)
    }

    fn delete(&self, path: &str) -> Result<()> {
        match self.shared.files.remove(&self.shared.root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(retry("delete", path, error))
            }
            // A name that comes back after a crash is an orphan, removed again later.
            _ => Ok(()),
        }
    }
}

/// The bytes of `range`, none when the file is shorter.
fn read_range(file: &dyn File, range: &Range<u64>) -> io::Result<Option<Bytes>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(range.start + filled as u64, &mut bytes[filled..])? {
            0 => return Ok(None),
            count => filled += count,
        }
    }
    Ok(Some(bytes.into()))
}

struct LocalWriter {
    shared: Arc<Shared>,
    file: Arc<dyn File>,
    /// None once it has its name.
    temporary: Option<PathBuf>,
    path: String,
    buffer: Vec<u8>,
    bytes: u64,
}

impl LocalWriter {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }

    fn rename(&mut self) -> io::Result<()> {
        self.sync()?;
        let (target, folder) = self.shared.target(&self.path)?;
        if let Some(temporary) = &self.temporary {
            self.shared.files.rename(temporary, &target)?;
        }
        self.temporary = None;
        self.shared.files.sync_dir(&folder)
    }

    /// Gives the object its name unless it is taken.
    fn link(&mut self) -> io::Result<bool> {
        self.sync()?;
        let (target, folder) = self.shared.target(&self.path)?;
        let Some(temporary) = &self.temporary else { return Ok(false) };
        match self.shared.files.link(temporary, &target) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            Err(error) if cannot_link(&error) => return self.rename_if_absent(&target),
            Err(error) => return Err(error),
        }
        self.shared.files.sync_dir(&folder)?;
        Ok(true)
    }

    /// For file systems without hard links: the directory's lock keeps other writers away.
    fn rename_if_absent(&mut self, target: &Path) -> io::Result<bool> {
        match self.shared.files.open(target, Mode::Read) {
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.rename().map(|()| true),
            Err(error) => Err(error),
        }
    }
}

fn cannot_link(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied)
}

impl Write for LocalWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        self.bytes += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.append(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl ObjectWriter for LocalWriter {
    fn finish(mut self: Box<Self>) -> Result<u64> {
        self.rename().map_err(|e| retry("write", &self.path, e))?;
        Ok(self.bytes)
    }
}

impl Drop for LocalWriter {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary
            && let Err(error) = self.shared.files.remove(temporary)
        {
            tracing::debug!(%error, "cannot remove an unfinished object, left to the next start");
        }
    }
}
