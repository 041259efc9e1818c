// SPDX-License-Identifier: Apache-2.0
//! Which files there are, which of them are known, and where to read on.
//!
//! A file is known by its first bytes and by those before the place it was read up to: so it is
//! found again under another name (moved) and its copy is not read twice (copied, then truncated),
//! while files that merely begin alike, as those of one exporter do, are told apart. A file that is
//! shorter than it was has been truncated.
//! Bounds: `max_concurrent_files` a look; 10,000 known files, the oldest go.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use globset::GlobSet;
use hashbrown::HashMap;

use super::config::{Config, OnTruncate, StartAt, globs};
use super::offsets::Known;

/// Bytes before an offset that must be the same for a file to be the same.
const TAIL: usize = 256;

/// Rotated files are remembered so long that they are not read again.
const KNOWN_MAX: usize = 10_000;

/// A file to read.
#[derive(Debug)]
pub struct File {
    /// Its name now.
    pub path: PathBuf,
    /// It, open.
    pub handle: fs::File,
    /// Where to read on.
    pub offset: u64,
    /// Which of the known ones it is.
    id: u64,
    stamp: Stamp,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

/// All files.
#[derive(Debug)]
pub struct Watch {
    config: Arc<Config>,
    include: GlobSet,
    exclude: GlobSet,
    known: Vec<(u64, Known)>,
    /// What was read to its end, as it was then.
    finished: HashMap<PathBuf, (Stamp, u64)>,
    /// Which file was seen where, to tell a truncated one.
    places: HashMap<(u64, u64), u64>,
    next: u64,
    first_look: bool,
}

impl Watch {
    /// A watch that knows these files.
    pub fn new(config: Arc<Config>, known: Vec<Known>) -> Self {
        // Checked when the configuration was.
        let set = |patterns: &[String]| globs(patterns).unwrap_or_default();
        Watch {
            include: set(&config.include),
            exclude: set(&config.exclude),
            next: known.len() as u64,
            known: (0..).zip(known).collect(),
            config,
            finished: HashMap::new(),
            places: HashMap::new(),
            first_look: true,
        }
    }

    /// How far files were read.
    pub fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().map(|(_, known)| known)
    }

    /// The files with something new.
    pub fn changed(&mut self) -> Vec<File> {
        let mut paths = Vec::new();
        for pattern in &self.config.include {
            walk(Path::new(base(pattern)), &self.include, &self.exclude, &mut paths);
        }
        paths.sort();
        paths.dedup();
        let more = paths.len().saturating_sub(self.config.max_concurrent_files);
        if more > 0 {
            tracing::debug!("{more} more files than max_concurrent_files wait");
            // Those with news first: they are all looked at in turn.
            paths.sort_by_key(|path| self.finished.contains_key(path));
            paths.truncate(self.config.max_concurrent_files);
        }
        self.finished.retain(|path, _| paths.binary_search(path).is_ok() || more > 0);
        let files = paths.into_iter().filter_map(|path| self.open(path)).collect();
        self.first_look = false;
        files
    }

    /// Opens a file unless nothing has changed since it was read to its end.
    fn open(&mut self, path: PathBuf) -> Option<File> {
        let stamp = Stamp::of(&fs::metadata(&path).ok()?);
        if !self.config.replay_file && self.finished.get(&path).is_some_and(|(s, _)| *s == stamp) {
            return None;
        }
        let mut handle = fs::File::open(&path).ok()?;
        let stamp = Stamp::of(&handle.metadata().ok()?);
        if stamp.length == 0 && !self.first_look {
            return None;
        }
        let head = read_at(&mut handle, 0, self.config.fingerprint_size.0 as usize)?;
        if self.config.replay_file {
            let id = self.remember(Known { head, ..Known::default() });
            return Some(File { path, handle, offset: 0, id, stamp });
        }
        let id = match self.find(&mut handle, &head, stamp) {
            Some(id) => id,
            None => {
                let all = self.config.start_at == StartAt::Beginning || !self.first_look;
                let offset = if all { 0 } else { stamp.length };
                let tail = tail(&mut handle, offset)?;
                self.remember(Known { head, tail, offset })
            }
        };
        self.places.insert((stamp.device, stamp.inode), id);
        let offset = self.of(id)?.offset;
        (offset < stamp.length || self.first_look).then_some(File {
            path,
            handle,
            offset,
            id,
            stamp,
        })
    }

    /// The known file that this one is.
    fn find(&mut self, handle: &mut fs::File, head: &[u8], stamp: Stamp) -> Option<u64> {
        let begins_alike = |known: &Known| !known.head.is_empty() && head.starts_with(&known.head);
        let candidates = self.known.iter().filter(|(_, known)| begins_alike(known));
        let mut candidates: Vec<(u64, u64)> = candidates.map(|(id, k)| (k.offset, *id)).collect();
        // The one read furthest first.
        candidates.sort_unstable_by(|a, b| b.cmp(a));
        for (offset, id) in candidates {
            let known = self.of(id)?;
            if offset <= stamp.length && tail(handle, offset).as_ref() == Some(&known.tail) {
                return Some(id);
            }
        }
        // Shorter than what was read of it here: truncated.
        let id = *self.places.get(&(stamp.device, stamp.inode))?;
        let shrunk = self.of(id)?.offset > stamp.length;
        let alike = begins_alike(self.of(id)?);
        if !shrunk || !alike {
            return None;
        }
        match self.config.on_truncate {
            OnTruncate::Ignore => Some(id),
            OnTruncate::ReadWholeFile => None,
            OnTruncate::ReadNew => {
                let tail = tail(handle, stamp.length)?;
                let head = head.to_vec();
                Some(self.remember(Known { head, tail, offset: stamp.length }))
            }
        }
    }

    fn of(&self, id: u64) -> Option<&Known> {
        let at = self.known.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        Some(&self.known[at].1)
    }

    fn remember(&mut self, known: Known) -> u64 {
        if self.known.len() >= KNOWN_MAX {
            self.known.remove(0);
        }
        self.known.push((self.next, known));
        self.next += 1;
        self.next - 1
    }

    /// False when the file is no longer the known one: it was truncated or written anew between a
    /// look at it and the reading of `chunk` from `file.offset` on. `before` is what [`tail`] gave
    /// after that. The next look tells what it is now.
    pub fn is_same(&self, file: &File, chunk: &[u8], before: Option<&[u8]>) -> bool {
        let Some(known) = self.of(file.id) else { return false };
        let head = known.head.get(file.offset as usize..).unwrap_or_default();
        let common = head.len().min(chunk.len());
        before == Some(&known.tail) && head[..common] == chunk[..common]
    }

    /// `bytes`, which lie before `file.offset`, were handed over. They are not read again: by now
    /// the file may have others there.
    pub fn read_up_to(&mut self, file: &File, bytes: &[u8]) {
        let Ok(at) = self.known.binary_search_by_key(&file.id, |(id, _)| *id) else { return };
        let wanted = self.config.fingerprint_size.0 as usize;
        let known = &mut self.known[at].1;
        let from = known.offset as usize;
        let missing = wanted.saturating_sub(known.head.len());
        let more = known.head.len().checked_sub(from).and_then(|seen| bytes.get(seen..));
        known.head.extend(more.unwrap_or_default().iter().take(missing));
        known.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(TAIL)..]);
        known.tail.drain(..known.tail.len().saturating_sub(TAIL));
        known.offset = file.offset;
    }

    /// The file has nothing more for now.
    pub fn finished(&mut self, file: &File) {
        self.finished.insert(file.path.clone(), (file.stamp, file.id));
        if self.config.replay_file {
            self.known.clear();
        }
    }
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        let modified = meta.modified().ok();
        Stamp { device: meta.dev(), inode: meta.ino(), length: meta.len(), modified }
    }
}

/// Up to `count` bytes from `offset` on.
fn read_at(file: &mut fs::File, offset: u64, count: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(count);
    file.seek(SeekFrom::Start(offset)).ok()?;
    file.by_ref().take(count as u64).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The bytes before `offset`.
pub fn tail(file: &mut fs::File, offset: u64) -> Option<Vec<u8>> {
    let begin = offset.saturating_sub(TAIL as u64);
    read_at(file, begin, (offset - begin) as usize)
}

/// The folder before the first part of a pattern that is one.
fn base(pattern: &str) -> &str {
    let special = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    match (special == pattern.len(), pattern[..special].rfind('/')) {
        (true, _) => pattern,
        (false, Some(0)) => "/",
        (false, Some(at)) => &pattern[..at],
        (false, None) => ".",
    }
}

/// Collects the files below `at` that are wanted.
fn walk(at: &Path, include: &GlobSet, exclude: &GlobSet, out: &mut Vec<PathBuf>) {
    let plain = at.strip_prefix("./").unwrap_or(at);
    let Ok(meta) = fs::metadata(at) else { return };
    if meta.is_file() {
        if include.is_match(plain) && !exclude.is_match(plain) {
            out.push(plain.to_owned());
        }
        return;
    }
    let Ok(entries) = fs::read_dir(at) else { return };
    for entry in entries.flatten() {
        // Folders that are links may lead in circles.
        let linked_folder =
            entry.file_type().is_ok_and(|kind| kind.is_symlink()) && entry.path().is_dir();
        if !linked_folder {
            walk(&entry.path(), include, exclude, out);
        }
    }
}
