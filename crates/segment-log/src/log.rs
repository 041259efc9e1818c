// SPDX-License-Identifier: Apache-2.0
//! The log itself: opening, appending, what is left at the bounds, closing.
//!
//! Appends take one lock for as long as a write to the page cache takes; syncing and dropping
//! happen on the syncer's thread. At opening only the last segment is read in full: whatever is
//! not a whole record at its end was never acknowledged, is quarantined and cut off.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use basics::files::{File, Files, Mode};
use basics::{Clock, Error, Kind, Result, UnixNano};
use parking_lot::Mutex;

use crate::commit::{Commit, Ticket};
use crate::consumer::{self, Consumer, Start};
use crate::cursor::{Cursor, Step};
use crate::hold::{Held, Hold};
use crate::home::{Home, io_error};
use crate::options::{Durability, Full, Options};
use crate::reader::Reader;
use crate::record::Record;
use crate::segments::{self, Segment, Segments};
use crate::stats::{Counters, Stats, add};
use crate::{Position, syncer};

/// A ring closes its open segment after this part of [`Options::age_max`], so that a slow stream
/// is dropped hour by hour as well.
const SEGMENTS_PER_AGE: u64 = 24;

/// What a ring let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Records in the dropped segment.
    pub records: u64,
    /// Bytes of the dropped segment.
    pub bytes: u64,
    /// Position of the oldest record still held.
    pub oldest: Position,
    /// Receive time of the oldest record still held.
    pub oldest_received: UnixNano,
}

type OnDrop = Arc<dyn Fn(&Dropped) + Send + Sync>;

/// An open log. One process writes; appending, reading and committing go on from any thread.
/// Dropping it syncs and closes.
pub struct Log {
    shared: Arc<Shared>,
    syncer: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    pub files: Arc<dyn Files>,
    pub clock: Clock,
    pub dir: PathBuf,
    pub options: Options,
    pub segments: Mutex<Segments>,
    /// End of what is written, readable without the lock.
    pub end: AtomicU64,
    pub commit: Arc<Commit>,
    pub counters: Counters,
    /// Offsets by consumer name.
    pub consumers: Mutex<BTreeMap<String, u64>>,
    /// Records on their way.
    pub held: Arc<Held>,
    on_drop: Mutex<Option<OnDrop>>,
    scratch: Mutex<Vec<u8>>,
    home: Mutex<Option<Home>>,
    writer_id: String,
}

impl Log {
    /// Opens the log in `dir`, made when missing.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when the directory cannot be used, is locked by another process
    /// or was written by a newer version. Damaged records are no error.
    pub fn open(
        dir: &Path,
        mut options: Options,
        files: Arc<dyn Files>,
        clock: Clock,
    ) -> Result<Log> {
        // The open segment is never dropped: it must be small against the cap.
        options.segment_bytes = options.segment_bytes.min(options.bytes_max / 4);
        let home = Home::enter(files.as_ref(), dir)?;
        let (list, file, torn) = recover(files.as_ref(), dir)?;
        let segments = Segments::new(list, file.clone());
        let end = segments.end();
        let shared = Arc::new(Shared {
            clock,
            dir: dir.to_owned(),
            options,
            end: AtomicU64::new(end),
            commit: Arc::new(Commit::starting_at(end)),
            counters: Counters::default(),
            consumers: Mutex::default(),
            held: Arc::default(),
            on_drop: Mutex::default(),
            scratch: Mutex::default(),
            writer_id: home.writer_id.clone(),
            home: Mutex::new(Some(home)),
            segments: Mutex::new(segments),
            files,
        });
        shared.cut_torn_tail(file.as_ref(), torn)?;
        shared.load_consumers()?;
        let syncer = syncer::spawn(shared.clone())?;
        Ok(Log { shared, syncer: Mutex::new(Some(syncer)) })
    }

    /// Appends `record`. It can be read at once; it is safe when the ticket resolves.
    ///
    /// # Errors
    /// [`basics::Kind::Overloaded`] at the cap of a log that refuses, or when the disk is full;
    /// [`basics::Kind::Rejected`] when a bound of the record is passed; [`basics::Kind::Closed`]
    /// when the log is poisoned or closed. Nothing was appended then.
    pub fn append(&self, record: &Record<'_>) -> Result<Ticket> {
        self.shared.append_as(record, |_| ()).map(|(ticket, ())| ticket)
    }

    /// As [`Log::append`], and the record counts as on its way until the hold is dropped.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub fn append_held(&self, record: &Record<'_>) -> Result<(Ticket, Hold)> {
        self.shared.append_as(record, |position| self.shared.held.hold(position))
    }

    /// What comes next stands at `position` or behind it. For an owner who has noted elsewhere how far
    /// the log had come: what was written and never synced may be gone after a power cut, and what
    /// damage took from the end is; a position must not be given twice.
    ///
    /// # Errors
    /// [`basics::Kind::Overloaded`] when no segment can be begun there.
    pub fn skip_to(&self, position: Position) -> Result<()> {
        let shared = &self.shared;
        let mut segments = shared.segments.lock();
        if segments.end() < position.0 {
            tracing::warn!(
                from = segments.end(),
                to = position.0,
                "the log ends early, going on behind"
            );
            shared.roll(&mut segments, position.0)?;
            shared.end.store(position.0, Ordering::Release);
            shared.commit.written(position.0);
        }
        Ok(())
    }

    /// The record at `position` is on its way again, after a restart.
    pub fn hold(&self, position: Position) -> Hold {
        self.shared.held.hold(position.0)
    }

    /// Up to where no record is on its way any more.
    pub fn settled(&self) -> Position {
        // Read first: what is appended meanwhile lies behind it.
        let end = self.end();
        self.shared.held.oldest().map_or(end, |oldest| end.min(oldest))
    }

    /// Reads from `from` on; [`Position::default`] is before the oldest record.
    pub fn reader(&self, from: Position) -> Reader {
        Reader::new(self.shared.clone(), from)
    }

    /// The consumer called `name`, at its saved offset or, when new, at `start`.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when a new offset cannot be saved.
    pub fn consumer(&self, name: &str, start: Start) -> Result<Consumer> {
        let consumer = Consumer::new(name, self.shared.clone());
        let known = self.shared.consumers.lock().contains_key(name);
        if !known {
            let at = match start {
                Start::Oldest => self.oldest(),
                Start::Newest => self.end(),
            };
            consumer.begin(at)?;
        }
        Ok(consumer)
    }

    /// Forgets all consumers but those named: a queue taken out of the configuration must not hold
    /// segments for ever. Returns the names forgotten.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when an offset file cannot be removed.
    pub fn retain_consumers(&self, keep: &[&str]) -> Result<Vec<String>> {
        let mut consumers = self.shared.consumers.lock();
        let gone: Vec<String> =
            consumers.keys().filter(|name| !keep.contains(&name.as_str())).cloned().collect();
        for name in &gone {
            consumer::remove(self.shared.files.as_ref(), &self.shared, name)?;
            consumers.remove(name);
        }
        Ok(gone)
    }

    /// Calls `callback` after each segment a ring drops, on the log's own thread.
    pub fn on_drop(&self, callback: impl Fn(&Dropped) + Send + Sync + 'static) {
        *self.shared.on_drop.lock() = Some(Arc::new(callback));
    }

    /// Where the next record goes.
    pub fn end(&self) -> Position {
        Position(self.shared.end.load(Ordering::Acquire))
    }

    /// Where the oldest segment begins.
    pub fn oldest(&self) -> Position {
        Position(self.shared.segments.lock().oldest().base)
    }

    /// Everything before it is durable.
    pub fn synced(&self) -> Position {
        Position(self.shared.commit.synced_position())
    }

    /// Why the log is poisoned, if it is.
    pub fn failure(&self) -> Option<Error> {
        self.shared.commit.failure()
    }

    /// Sixteen hex digits that name whoever writes this log, made once with the directory.
    pub fn writer_id(&self) -> &str {
        &self.shared.writer_id
    }

    /// Counters for metrics.
    pub fn stats(&self) -> Stats {
        let mut stats = self.shared.counters.snapshot();
        let segments = self.shared.segments.lock();
        stats.bytes = segments.bytes();
        stats.segments = segments.count() as u64;
        stats.oldest_received = segments.oldest().oldest.unwrap_or(0);
        stats.bytes_unsynced = segments.end() - self.shared.commit.synced_position();
        stats
    }

    /// True once [`Log::close`] has let the directory go.
    pub fn is_closed(&self) -> bool {
        self.shared.home.lock().is_none()
    }

    /// Refuses further appends, syncs, lets the directory go. Readers may go on.
    ///
    /// # Errors
    /// [`basics::Kind::Closed`] when the log was or became poisoned.
    pub fn close(&self) -> Result<()> {
        self.shared.commit.close();
        if let Some(syncer) = self.syncer.lock().take() {
            syncer.join().map_err(|_| Error::closed("the log's syncer panicked"))?;
        }
        self.shared.home.lock().take();
        self.failure().map_or(Ok(()), Err)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "log closed with an error");
        }
    }
}

impl Shared {
    fn append_as<T>(&self, record: &Record<'_>, at: impl FnOnce(u64) -> T) -> Result<(Ticket, T)> {
        let appended = self.append(record, at);
        if appended.is_err() {
            add(&self.counters.appends_refused, 1);
        }
        appended
    }

    /// Appends; calls `at` with the position before anybody can know of it.
    fn append<T>(&self, record: &Record<'_>, at: impl FnOnce(u64) -> T) -> Result<(Ticket, T)> {
        record.check()?;
        let mut segments = self.segments.lock();
        self.commit.usable()?;
        self.make_room(&mut segments, record.size() as u64)?;
        let position = segments.end();
        // Only locked under `segments`, so never contended; apart for the borrow's sake.
        let mut scratch = self.scratch.lock();
        record.encode(position, &mut scratch);
        let written = segments.write(&scratch, record.received);
        scratch.clear();
        scratch.shrink_to(1 << 20);
        if let Err(error) = written {
            if error.kind() == Kind::Closed {
                self.commit.fail(error.clone());
            }
            return Err(error);
        }
        let end = segments.end();
        let noted = at(position);
        self.end.store(end, Ordering::Release);
        self.commit.written(end);
        drop(segments);
        add(&self.counters.records_appended, 1);
        add(&self.counters.bytes_appended, end - position);
        let waits = self.options.durability == Durability::Sync;
        let ticket = Ticket {
            position: Position(position),
            next: Position(end),
            commit: waits.then(|| self.commit.clone()),
            polled: None,
        };
        Ok((ticket, noted))
    }

    /// Begins a new segment where needed; refuses at the cap.
    fn make_room(&self, segments: &mut Segments, size: u64) -> Result<()> {
        if self.options.full == Full::Refuse && segments.bytes() + size > self.options.bytes_max {
            return Err(Error::overloaded(format!(
                "log {} is at its cap of {} bytes",
                self.dir.display(),
                self.options.bytes_max
            )));
        }
        let open = segments.last();
        let full = open.len + size > self.options.segment_bytes;
        let age_max = self.options.age_max.as_nanos() as u64 / SEGMENTS_PER_AGE;
        let old = self.options.full == Full::Ring
            && open.oldest.is_some_and(|oldest| self.clock.now() > oldest.saturating_add(age_max));
        if open.len > 0 && (full || old) {
            let base = segments.end();
            self.roll(segments, base)?;
        }
        Ok(())
    }

    fn roll(&self, segments: &mut Segments, base: u64) -> Result<()> {
        segments
            .roll(self.files.as_ref(), &self.dir, base)
            .map_err(|error| Error::overloaded("cannot begin a new log segment").caused_by(error))
    }

    pub(crate) fn tell_dropped(&self, dropped: &Dropped) {
        let callback = self.on_drop.lock().clone();
        if let Some(callback) = callback {
            callback(dropped);
        }
    }

    /// Copies what stands behind the last valid record to quarantine and cuts it off.
    fn cut_torn_tail(&self, file: &dyn File, torn: u64) -> Result<()> {
        let end = self.segments.lock().end();
        if torn > 0 {
            let base = self.segments.lock().last().base;
            self.quarantine(file, base, end, end + torn);
            file.truncate(end - base).map_err(|e| io_error("truncate", &self.dir, e))?;
        }
        file.sync().map_err(|e| io_error("sync", &self.dir, e))?;
        self.files.sync_dir(&self.dir).map_err(|e| io_error("sync", &self.dir, e))
    }

    fn load_consumers(&self) -> Result<()> {
        let dir = self.dir.join("offsets");
        let names = self.files.list(&dir).map_err(|e| io_error("list", &dir, e))?;
        let end = self.end.load(Ordering::Acquire);
        let mut consumers = self.consumers.lock();
        for file in names.iter().filter(|name| !name.ends_with(".tmp")) {
            let name = consumer::name_of(file);
            if let Some(position) = consumer::load(self, &name)? {
                // An offset may be durable before the records it covers when the log is not synced.
                consumers.insert(name, position.min(end));
            }
        }
        Ok(())
    }
}

/// The segments found in `dir`, the open one, and how many bytes at its end are no record.
fn recover(files: &dyn Files, dir: &Path) -> Result<(VecDeque<Segment>, Arc<dyn File>, u64)> {
    let bases = segments::list(files, dir).map_err(|e| io_error("list", dir, e))?;
    let mut list = VecDeque::new();
    for &base in &bases {
        let path = segments::path(dir, base);
        let file = files.open(&path, Mode::Read).map_err(|e| io_error("open", &path, e))?;
        let len = file.size().map_err(|e| io_error("read", &path, e))?;
        let oldest = first_received(file, base, len);
        list.push_back(Segment { base, len, oldest, records: None });
    }
    let base = bases.last().copied().unwrap_or(0);
    let path = segments::path(dir, base);
    let file = files.open(&path, Mode::Append).map_err(|e| io_error("open", &path, e))?;
    let Some(open) = list.back_mut() else {
        list.push_back(Segment { base, len: 0, oldest: None, records: Some(0) });
        return Ok((list, file, 0));
    };
    let (valid, records) =
        valid_len(file.clone(), base, open.len).map_err(|e| io_error("read", &path, e))?;
    let torn = open.len - valid;
    open.len = valid;
    open.records = Some(records);
    Ok((list, file, torn))
}

/// Receive time of the first valid record; none without one, or if it cannot be read.
fn first_received(file: Arc<dyn File>, base: u64, len: u64) -> Option<UnixNano> {
    let mut cursor = Cursor::new(file, base, base, base + len);
    loop {
        match cursor.step() {
            Ok(Step::Record) => return Some(cursor.received()),
            Ok(Step::Damage(..)) => {}
            Ok(Step::End) | Err(_) => return None,
        }
    }
}

/// Bytes up to the end of the last valid record, and how many records there are.
fn valid_len(file: Arc<dyn File>, base: u64, len: u64) -> std::io::Result<(u64, u64)> {
    let mut cursor = Cursor::new(file, base, base, base + len);
    let (mut end, mut records) = (base, 0);
    loop {
        match cursor.step()? {
            Step::Record => (end, records) = (cursor.at(), records + 1),
            Step::Damage(..) => {}
            Step::End => return Ok((end - base, records)),
        }
    }
}
