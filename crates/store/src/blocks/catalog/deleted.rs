// SPDX-License-Identifier: Apache-2.0
//! What was deleted and is still in blocks.
//!
//! A deletion names the blocks that it concerns: those that were live when it was made. Readers leave
//! out what it covers, and so does a merge; the merged block then is not named any more, and a
//! deletion that names no live block is gone. A merge that had begun before the deletion was made
//! hands its name on to the result. So what is written after a deletion is never touched by it.
//! Blocks of another writer stay named until that one has merged them; its memory is its own.
//! Bound: [`DELETIONS_MAX`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use basics::labels::{Labels, MatchOp, Matcher};
use basics::{Error, Result};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{BlockInfo, Catalog, Manifest, State};

/// Deletions that wait for merges at most: each is asked about every series that is read.
pub const DELETIONS_MAX: usize = 1000;

/// A deletion, as manifests list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// Its name.
    pub id: Ulid,
    /// Operator, label and value of each matcher; all must hold.
    pub matchers: Vec<(String, String, String)>,
    /// First millisecond that is deleted.
    pub start_ms: i64,
    /// Last millisecond that is.
    pub end_ms: i64,
    /// Blocks that still hold it.
    pub blocks: BTreeSet<Ulid>,
}

/// A deletion, ready to be asked.
#[derive(Clone, Debug)]
pub struct Deleted {
    id: Ulid,
    matchers: Arc<[Matcher]>,
    range: (i64, i64),
    blocks: BTreeSet<Ulid>,
}

const OPS: [(MatchOp, &str); 4] = [
    (MatchOp::Equal, "="),
    (MatchOp::NotEqual, "!="),
    (MatchOp::Regex, "=~"),
    (MatchOp::NotRegex, "!~"),
];

/// Operator, label and value.
fn texts(matcher: &Matcher) -> (String, String, String) {
    let op = OPS.iter().find(|(known, _)| *known == matcher.op).map_or("=", |(_, text)| text);
    (op.to_owned(), matcher.name.to_string(), matcher.value.to_string())
}

impl Deleted {
    fn of(deletion: &Deletion, known: &[Arc<Deleted>]) -> Option<Arc<Deleted>> {
        let known = known.iter().find(|known| known.id == deletion.id);
        let compiled = || {
            let all: Option<Vec<Matcher>> = deletion
                .matchers
                .iter()
                .map(|(op, name, value)| {
                    let (op, _) = OPS.iter().find(|(_, text)| text == op)?;
                    Matcher::new(*op, name, value).ok()
                })
                .collect();
            all.map(Arc::from)
        };
        let matchers = known.map(|known| known.matchers.clone()).or_else(compiled)?;
        Some(Arc::new(Deleted {
            id: deletion.id,
            matchers,
            range: (deletion.start_ms, deletion.end_ms),
            blocks: deletion.blocks.clone(),
        }))
    }

    /// As manifests list it, of no block yet.
    fn deletion(&self) -> Deletion {
        let matchers = self.matchers.iter().map(texts).collect();
        let (start_ms, end_ms) = self.range;
        Deletion { id: self.id, matchers, start_ms, end_ms, blocks: BTreeSet::new() }
    }

    /// First and last millisecond, if a block and a series of it are concerned.
    pub fn range_of(&self, labels: &Labels) -> Option<(i64, i64)> {
        let holds = |matcher: &Matcher| matcher.matches(labels.get(&matcher.name));
        self.matchers.iter().all(holds).then_some(self.range)
    }
}

/// Blocks, and what of each was deleted.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The block.
    pub info: BlockInfo,
    /// Deletions that name it.
    pub deleted: Vec<Arc<Deleted>>,
}

impl State {
    pub(super) fn tell_deleted(&mut self) {
        let all = self.own.deleted.iter().chain(self.others.deleted());
        let known = std::mem::take(&mut self.deleted);
        self.deleted = all.filter_map(|deletion| Deleted::of(deletion, &known)).collect();
    }
}

impl Manifest {
    /// Takes the names of blocks that are not live any more from deletions.
    pub(super) fn drop_undone(&mut self, others: &BTreeSet<Ulid>) {
        if self.deleted.is_empty() {
            return;
        }
        let own: BTreeSet<Ulid> = self.live.iter().map(|block| block.id).collect();
        for deletion in &mut self.deleted {
            deletion.blocks.retain(|id| own.contains(id) || others.contains(id));
        }
        self.deleted.retain(|deletion| !deletion.blocks.is_empty());
    }
}

impl Catalog {
    /// Live blocks, ascending by id, with what was deleted of each.
    pub fn listed(&self) -> Vec<Listed> {
        let state = self.state.lock();
        let with = |info: &BlockInfo| {
            let of = |deleted: &&Arc<Deleted>| deleted.blocks.contains(&info.id);
            let deleted = state.deleted.iter().filter(of).cloned().collect();
            Listed { info: info.clone(), deleted }
        };
        let mut all: Vec<Listed> = state.live.iter().map(with).collect();
        all.sort_by_key(|listed| listed.info.id);
        all
    }

    /// What was deleted of a block.
    pub fn deleted_of(&self, id: Ulid) -> Vec<Arc<Deleted>> {
        let state = self.state.lock();
        state.deleted.iter().filter(|deleted| deleted.blocks.contains(&id)).cloned().collect()
    }

    /// Deletes what blocks that are live now hold of the series that satisfy all matchers.
    ///
    /// # Errors
    /// As [`Catalog::commit`]; [`basics::Kind::Overloaded`] beyond [`DELETIONS_MAX`].
    pub fn delete(&self, matchers: &[Matcher], (start_ms, end_ms): (i64, i64)) -> Result<()> {
        let id = self.target(0, 0)?.id;
        let matchers: Vec<_> = matchers.iter().map(texts).collect();
        if self.manifest().deleted.len() >= DELETIONS_MAX {
            return Err(Error::overloaded(format!(
                "{DELETIONS_MAX} deletions wait for their blocks to be merged: clean tombstones first"
            )));
        }
        let others = self.others_blocks(|block| block.touches(start_ms, end_ms));
        self.change(|manifest| {
            let own = manifest.live.iter().filter(|block| block.touches(start_ms, end_ms));
            let blocks: BTreeSet<Ulid> =
                own.map(|block| block.id).chain(others.iter().copied()).collect();
            if manifest.deleted.iter().all(|known| known.id != id) {
                let matchers = matchers.clone();
                manifest.deleted.push(Deletion { id, matchers, start_ms, end_ms, blocks });
            }
        })
    }

    /// As [`Catalog::commit`], of a merge that left out what `applied` says. What was deleted
    /// meanwhile is deleted of the new block.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub fn replace(
        &self,
        add: Option<BlockInfo>,
        gone: &[Ulid],
        applied: &[Arc<Deleted>],
    ) -> Result<()> {
        let is_applied = |id: Ulid| applied.iter().any(|deleted| deleted.id == id);
        let new: Option<Ulid> = add.as_ref().map(|block| block.id);
        self.commit_with(add.into_iter().collect(), gone, None, |manifest| {
            for deletion in manifest.deleted.iter_mut().filter(|d| !is_applied(d.id)) {
                if gone.iter().any(|id| deletion.blocks.contains(id)) {
                    deletion.blocks.extend(new);
                }
            }
        })
    }

    /// Lists what was deleted of blocks that this catalog has copies of, under these names.
    ///
    /// # Errors
    /// As [`Catalog::commit`].
    pub fn adopt_deleted(&self, copies: &[(Listed, Ulid)]) -> Result<()> {
        let mut all: BTreeMap<Ulid, Deletion> = BTreeMap::new();
        for (listed, copy) in copies {
            for deleted in &listed.deleted {
                let known = all.entry(deleted.id).or_insert_with(|| deleted.deletion());
                known.blocks.insert(*copy);
            }
        }
        match all.is_empty() {
            true => Ok(()),
            false => self.change(|manifest| manifest.deleted = all.values().cloned().collect()),
        }
    }

    pub(super) fn others_blocks(&self, wanted: impl Fn(&BlockInfo) -> bool) -> BTreeSet<Ulid> {
        let state = self.state.lock();
        state.others.blocks().filter(|block| wanted(block)).map(|block| block.id).collect()
    }
}
