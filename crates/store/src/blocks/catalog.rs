// SPDX-License-Identifier: Apache-2.0
//! The live blocks of one signal: what this writer has, and what others have in the same place.
//!
//! In: commits of this writer (flush, merge, retention, quarantine), manifests of others. Out:
//! [`Catalog::live`], a list that a query keeps as long as it needs: what it lists stays readable
//! for [`REPLACED_KEPT`].
//! A commit takes place whole or not at all. Whoever gets an error from one may do it again: what
//! is in the list already is not added twice.
//! The log may be cut at [`Catalog::log_kept_from`], one commit behind what is covered: should the
//! newest manifest be damaged, the one before and the log still make the whole.

mod deleted;
mod load;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use basics::{Clock, Error, Random, Result};
use parking_lot::Mutex;
use ulid::Ulid;

use super::manifest::{MANIFESTS_KEPT, Manifest, Quarantined, Replaced, VERSION};
use super::{BlockInfo, Objects, plan};

pub use deleted::{DELETIONS_MAX, Deleted, Deletion, Listed};
use load::{Found, Others};

/// A replaced block is readable for so long: longer than the longest query and than readers in
/// other processes take to look again.
pub const REPLACED_KEPT: Duration = Duration::from_secs(3600);

/// A block that could not be read is kept so long for someone to look at.
const QUARANTINE_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// An object that no manifest lists is what a crash left between a block and its commit. It goes
/// when it is so old: by then whoever was writing it has given up.
const ORPHAN_KEPT: Duration = Duration::from_secs(24 * 3600);

const DAY_MS: i64 = 24 * 3_600_000;

/// Which blocks, and who writes.
#[derive(Clone, Debug)]
pub struct CatalogOptions {
    /// First part of all paths, `default` unless told otherwise.
    pub tenant: String,
    /// `metrics`, `traces` or `logs`.
    pub signal: &'static str,
    /// Id of this writer; none = query only.
    pub writer: Option<String>,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// By age of a block's newest time.
    pub age: Option<Duration>,
    /// By size of all live blocks of this writer.
    pub bytes_max: Option<u64>,
}

/// Sizes and counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CatalogStats {
    /// Live blocks of all writers.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their items.
    pub items: u64,
    /// Blocks that could not be read.
    pub quarantined: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Manifests that did not check out when they were read.
    pub manifests_damaged: u64,
}

/// Where a new block goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub id: Ulid,
    /// Its level.
    pub level: u8,
    /// Path of the object.
    pub path: String,
    /// Who writes.
    pub writer: String,
}

/// The live blocks of one signal.
pub struct Catalog {
    objects: Arc<dyn Objects>,
    options: CatalogOptions,
    prefix: String,
    session: String,
    clock: Clock,
    /// Held for the length of a commit; the state is not.
    committing: Mutex<()>,
    state: Mutex<State>,
    commits: AtomicU64,
}

#[derive(Debug)]
struct State {
    own: Manifest,
    others: Others,
    /// Blocks that could not be read and whose writer's manifest does not say so (yet).
    unreadable: BTreeSet<Ulid>,
    /// The log's position that the manifest before the newest one covers.
    log_kept_from: u64,
    manifests_damaged: u64,
    random: Random,
    last_id: Ulid,
    /// What [`Catalog::live`] tells, ascending by oldest time.
    live: Arc<Vec<BlockInfo>>,
    /// What of these was deleted.
    deleted: Vec<Arc<Deleted>>,
}

impl State {
    fn tell(&mut self) {
        self.tell_deleted();
        let all = self.own.live.iter().chain(self.others.blocks());
        let readable = all.filter(|block| !self.unreadable.contains(&block.id));
        let mut live: Vec<BlockInfo> = readable.cloned().collect();
        live.sort_by_key(|block| (block.tmin, block.id));
        self.live = Arc::new(live);
    }
}

impl Catalog {
    /// Reads the manifests of the signal.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when a newer version wrote them or the writer's id is no name,
    /// [`basics::Kind::Retry`] when they cannot be read. Damage is no error.
    pub fn open(
        objects: Arc<dyn Objects>,
        options: CatalogOptions,
        clock: Clock,
        mut random: Random,
    ) -> Result<Catalog> {
        if let Some(writer) = &options.writer {
            check_name("writer", writer)?;
        }
        check_name("tenant", &options.tenant)?;
        let prefix = format!("{}/{}/v1", options.tenant, options.signal);
        let Found { own, others, log_kept_from, damaged } =
            load::all(&*objects, &prefix, options.writer.as_deref())?;
        let ids = own.live.iter().map(|block| block.id);
        let ids = ids.chain(own.deleted.iter().map(|deletion| deletion.id));
        let last_id = ids.max().unwrap_or_default();
        let session = format!("{:016x}", random.next_u64());
        let mut state = State {
            own,
            others,
            unreadable: BTreeSet::new(),
            log_kept_from,
            manifests_damaged: damaged,
            random,
            last_id,
            live: Arc::default(),
            deleted: Vec::new(),
        };
        state.tell();
        Ok(Catalog {
            objects,
            options,
            prefix,
            session,
            clock,
            committing: Mutex::new(()),
            state: Mutex::new(state),
            commits: AtomicU64::new(0),
        })
    }

    /// Live blocks of all writers, ascending by oldest time.
    pub fn live(&self) -> Arc<Vec<BlockInfo>> {
        self.state.lock().live.clone()
    }

    /// What this writer has.
    pub fn manifest(&self) -> Manifest {
        self.state.lock().own.clone()
    }

    /// Where the blocks lie.
    pub fn objects(&self) -> &Arc<dyn Objects> {
        &self.objects
    }

    /// The log's records before this position are in this writer's blocks.
    pub fn log_offset(&self) -> u64 {
        self.state.lock().own.log_offset
    }

    /// The log's records before this position are needed by nobody any more.
    pub fn log_kept_from(&self) -> u64 {
        self.state.lock().log_kept_from
    }

    /// A name for a new block of `level` whose oldest time is about `tmin`.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] without a writer.
    pub fn target(&self, level: u8, tmin: i64) -> Result<Target> {
        let writer = self.writer()?;
        let now_ms = self.clock.now() / 1_000_000;
        let mut state = self.state.lock();
        let random =
            u128::from(state.random.next_u64()) << 64 | u128::from(state.random.next_u64());
        let fresh = Ulid::from_parts(now_ms, random);
        // Later blocks have greater ids, also when the clock goes back or stands still.
        let next = Ulid(state.last_id.0.saturating_add(1));
        state.last_id = fresh.max(next);
        let (id, day) = (state.last_id, tmin.div_euclid(DAY_MS));
        let path = format!("{}/blocks/{writer}/{level}/{day}/{id}.parquet", self.prefix);
        Ok(Target { id, level, path, writer: writer.to_owned() })
    }

    /// Adds and removes blocks of this writer at once. `log_offset`: the log's records before it
    /// are in blocks now; none leaves it as it is. Blocks added must be durable.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when the manifest cannot be written, `Rejected` when another process
    /// writes under this writer's id, `Invalid` without a writer.
    pub fn commit(
        &self,
        add: Vec<BlockInfo>,
        remove: &[Ulid],
        log_offset: Option<u64>,
    ) -> Result<()> {
        self.commit_with(add, remove, log_offset, |_| ())
    }

    fn commit_with(
        &self,
        add: Vec<BlockInfo>,
        remove: &[Ulid],
        log_offset: Option<u64>,
        before: impl Fn(&mut Manifest),
    ) -> Result<()> {
        let now_ms = self.clock.now_ms();
        self.change(|manifest| {
            before(manifest);
            let (gone, live): (Vec<_>, Vec<_>) = std::mem::take(&mut manifest.live)
                .into_iter()
                .partition(|block| remove.contains(&block.id));
            manifest.live = live;
            let replaced = gone.into_iter().map(|block| Replaced { block, at_ms: now_ms });
            manifest.replaced.extend(replaced);
            for block in &add {
                if !manifest.live.iter().any(|known| known.id == block.id) {
                    manifest.live.push(block.clone());
                }
            }
            if let Some(offset) = log_offset {
                manifest.log_offset = offset;
            }
        })
    }

    /// Sets a block aside that could not be read: it does not count any more, its object stays.
    /// A block of another writer is set aside in this process only.
    ///
    /// # Errors
    /// As [`Catalog::commit`]; the block is set aside in this process all the same.
    pub fn quarantine(&self, id: Ulid, reason: &str) -> Result<()> {
        let Some(block) = self.live().iter().find(|block| block.id == id).cloned() else {
            return Ok(());
        };
        tracing::error!(path = block.path, reason, "a block cannot be read and is set aside");
        {
            let mut state = self.state.lock();
            state.unreadable.insert(id);
            state.tell();
        }
        if self.options.writer.as_ref() != Some(&block.writer) {
            return Ok(());
        }
        let at_ms = self.clock.now_ms();
        self.change(|manifest| {
            manifest.live.retain(|block| block.id != id);
            if !manifest.quarantined.iter().any(|known| known.block.id == id) {
                let (block, reason) = (block.clone(), reason.to_owned());
                manifest.quarantined.push(Quarantined { block, reason, at_ms });
            }
        })?;
        self.state.lock().unreadable.remove(&id);
        Ok(())
    }

    /// Lets go of what is older than `keep` allows; returns how many blocks went.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub fn retain(&self, keep: &Keep) -> Result<usize> {
        let own = self.state.lock().own.clone();
        let gone = plan::expired(&own.live, self.clock.now_ms(), keep.age, keep.bytes_max);
        if !gone.is_empty() {
            self.commit(Vec::new(), &gone, None)?;
        }
        Ok(gone.len())
    }

    /// Deletes what was replaced long enough ago; returns how many objects went.
    ///
    /// # Errors
    /// As [`Catalog::commit`]; objects that cannot be deleted are left to [`Catalog::sweep`].
    pub fn clean(&self) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let over = |at_ms: i64, kept: Duration| now_ms - at_ms >= kept.as_millis() as i64;
        let mut gone = Vec::new();
        {
            let state = self.state.lock();
            let replaced = state.own.replaced.iter().filter(|r| over(r.at_ms, REPLACED_KEPT));
            gone.extend(replaced.map(|r| r.block.clone()));
            let aside = state.own.quarantined.iter().filter(|q| over(q.at_ms, QUARANTINE_KEPT));
            gone.extend(aside.map(|q| q.block.clone()));
        }
        if gone.is_empty() {
            return Ok(0);
        }
        let ids: BTreeSet<Ulid> = gone.iter().map(|block| block.id).collect();
        self.change(|manifest| {
            manifest.replaced.retain(|r| !ids.contains(&r.block.id));
            manifest.quarantined.retain(|q| !ids.contains(&q.block.id));
        })?;
        for block in &gone {
            if let Err(error) = self.objects.delete(&block.path) {
                tracing::warn!(%error, "a replaced block is left to the next start");
            }
        }
        Ok(gone.len())
    }

    /// Deletes objects of this writer that no manifest lists and that are a day old; returns how
    /// many went. Does nothing while a manifest is damaged: it may have listed them.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when they cannot be listed, `Invalid` without a writer.
    pub fn sweep(&self) -> Result<usize> {
        let writer = self.writer()?;
        let own = {
            let state = self.state.lock();
            if state.manifests_damaged > 0 {
                return Ok(0);
            }
            state.own.clone()
        };
        let listed: BTreeSet<&str> = own
            .live
            .iter()
            .chain(own.replaced.iter().map(|r| &r.block))
            .chain(own.quarantined.iter().map(|q| &q.block))
            .map(|block| block.path.as_str())
            .collect();
        let cut_ms = self.clock.now_ms() - ORPHAN_KEPT.as_millis() as i64;
        let mut gone = 0;
        for object in self.objects.list(&format!("{}/blocks/{writer}", self.prefix))? {
            let written_ms = id_of(&object.path).map_or(0, |id| id.timestamp_ms() as i64);
            if !listed.contains(object.path.as_str()) && written_ms < cut_ms {
                self.objects.delete(&object.path)?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Reads the manifests of other writers anew.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`]; what was known stays.
    pub fn refresh(&self) -> Result<()> {
        let mut others = self.state.lock().others.clone();
        others.refresh(&*self.objects, &self.prefix, self.options.writer.as_deref())?;
        let mut state = self.state.lock();
        state.others = others;
        state.tell();
        Ok(())
    }

    /// Sizes and counters.
    pub fn stats(&self) -> CatalogStats {
        let state = self.state.lock();
        CatalogStats {
            blocks: state.live.len() as u64,
            bytes: state.live.iter().map(|block| block.bytes).sum(),
            items: state.live.iter().map(|block| block.items).sum(),
            quarantined: (state.own.quarantined.len() + state.unreadable.len()) as u64,
            commits: self.commits.load(Ordering::Relaxed),
            manifests_damaged: state.manifests_damaged,
        }
    }

    fn writer(&self) -> Result<&str> {
        self.options.writer.as_deref().ok_or_else(|| Error::invalid("this store is query-only"))
    }

    /// Writes the manifest that `change` makes of the newest one.
    fn change(&self, change: impl Fn(&mut Manifest)) -> Result<()> {
        let writer = self.writer()?;
        let _alone = self.committing.lock();
        loop {
            let before = self.state.lock().own.clone();
            let mut next = before.clone();
            change(&mut next);
            next.drop_undone(&self.others_blocks(|_| true));
            next.version = VERSION;
            next.sequence = before.sequence + 1;
            next.session.clone_from(&self.session);
            next.written_ms = self.clock.now_ms();
            let path = manifest_path(&self.prefix, writer, next.sequence);
            if self.objects.put_if_absent(&path, &next.to_bytes()?)? {
                self.adopt(before.log_offset, next);
                self.drop_old_manifests(writer);
                self.commits.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            self.adopt_unanswered(&path, before.log_offset)?;
        }
    }

    /// The sequence number is taken: by a commit of ours that took place although its answer was
    /// lost, which counts, or by another process.
    fn adopt_unanswered(&self, path: &str, log_offset_before: u64) -> Result<()> {
        let found = self.objects.get(path)?;
        let Some(taken) = found.and_then(|bytes| Manifest::parse(&bytes).ok()) else {
            // Damaged: its number is used up. The next one takes its place.
            self.state.lock().own.sequence += 1;
            return Ok(());
        };
        if taken.session != self.session {
            return Err(Error::rejected(format!(
                "another process writes {path}: two of them have the same writer id"
            )));
        }
        self.adopt(log_offset_before, taken);
        Ok(())
    }

    fn adopt(&self, log_kept_from: u64, manifest: Manifest) {
        let mut state = self.state.lock();
        state.own = manifest;
        state.log_kept_from = log_kept_from;
        state.tell();
    }

    fn drop_old_manifests(&self, writer: &str) {
        let sequence = self.state.lock().own.sequence;
        // One a commit: what an error leaves is dropped with the next start.
        if let Some(old) = sequence.checked_sub(MANIFESTS_KEPT as u64)
            && let Err(error) = self.objects.delete(&manifest_path(&self.prefix, writer, old))
        {
            tracing::debug!(%error, "an old manifest is left");
        }
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn manifest_path(prefix: &str, writer: &str, sequence: u64) -> String {
    // As wide as the largest number: names sort as numbers do.
    format!("{prefix}/manifest/{writer}/{sequence:020}.json")
}

fn id_of(path: &str) -> Option<Ulid> {
    let name = path.rsplit('/').next()?;
    Ulid::from_string(name.split('.').next()?).ok()
}

/// Names become parts of paths.
fn check_name(what: &str, name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(Error::invalid(format!(
            "{what} {name:?} is no name: 1 to 64 letters, digits, - and _"
        )));
    }
    Ok(())
}
