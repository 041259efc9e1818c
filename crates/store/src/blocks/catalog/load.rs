// SPDX-License-Identifier: Apache-2.0
//! Manifests as they are found: of each writer the newest that checks out.

use std::collections::BTreeMap;

use basics::{Kind, Result};

use super::super::manifest::{MANIFESTS_KEPT, Manifest};
use super::super::{BlockInfo, Objects};
use super::Deletion;

/// What the manifests of a signal tell.
pub(super) struct Found {
    pub own: Manifest,
    pub others: Others,
    pub log_kept_from: u64,
    pub damaged: u64,
}

/// Other writers and their newest manifest.
#[derive(Clone, Debug, Default)]
pub(super) struct Others(BTreeMap<String, Manifest>);

impl Others {
    /// Their live blocks.
    pub fn blocks(&self) -> impl Iterator<Item = &BlockInfo> {
        self.0.values().flat_map(|manifest| &manifest.live)
    }

    /// What they deleted.
    pub fn deleted(&self) -> impl Iterator<Item = &Deletion> {
        self.0.values().flat_map(|manifest| &manifest.deleted)
    }

    /// Reads what is newer than what is known; a writer without manifests is gone.
    pub fn refresh(
        &mut self,
        objects: &dyn Objects,
        prefix: &str,
        own: Option<&str>,
    ) -> Result<()> {
        let listed = sequences(objects, prefix)?;
        self.0.retain(|writer, _| listed.contains_key(writer));
        for (writer, sequences) in &listed {
            let known = self.0.get(writer).map(|manifest| manifest.sequence);
            if own != Some(writer) && known != sequences.last().map(|(sequence, _)| *sequence) {
                let (newest, _) = newest(objects, sequences)?;
                self.0.extend(newest.map(|manifest| (writer.clone(), manifest)));
            }
        }
        Ok(())
    }
}

/// Sequence numbers and paths of manifests by writer, ascending.
type Sequences = BTreeMap<String, Vec<(u64, String)>>;

fn sequences(objects: &dyn Objects, prefix: &str) -> Result<Sequences> {
    let folder = format!("{prefix}/manifest");
    let mut found = Sequences::new();
    for object in objects.list(&folder)? {
        let name = object.path.strip_prefix(&folder).unwrap_or_default().trim_start_matches('/');
        let Some((writer, file)) = name.split_once('/') else { continue };
        let Some(sequence) = file.strip_suffix(".json").and_then(|text| text.parse().ok()) else {
            continue;
        };
        found.entry(writer.to_owned()).or_default().push((sequence, object.path.clone()));
    }
    found.values_mut().for_each(|sequences| sequences.sort());
    Ok(found)
}

/// The newest manifest that checks out, and how many newer ones do not.
fn newest(objects: &dyn Objects, sequences: &[(u64, String)]) -> Result<(Option<Manifest>, u64)> {
    let mut damaged = 0;
    for (sequence, path) in sequences.iter().rev() {
        // Gone since it was listed: an old one, or its writer.
        let Some(bytes) = objects.get(path)? else { continue };
        match Manifest::parse(&bytes) {
            Ok(manifest) if manifest.sequence == *sequence => return Ok((Some(manifest), damaged)),
            Err(error) if error.kind() == Kind::Invalid => return Err(error),
            other => {
                let reason =
                    other.err().map_or("another one's number".to_owned(), |e| e.to_string());
                tracing::error!(path, reason, "a manifest is passed over for the one before");
                damaged += 1;
            }
        }
    }
    Ok((None, damaged))
}

pub(super) fn all(objects: &dyn Objects, prefix: &str, own: Option<&str>) -> Result<Found> {
    let listed = sequences(objects, prefix)?;
    let mut others = Others::default();
    others.refresh(objects, prefix, own)?;
    let sequences = own.and_then(|writer| listed.get(writer)).map_or(&[][..], Vec::as_slice);
    let (manifest, damaged) = newest(objects, sequences)?;
    let mut manifest = manifest.unwrap_or_default();
    let before: Vec<_> =
        sequences.iter().filter(|(sequence, _)| *sequence < manifest.sequence).cloned().collect();
    let log_kept_from = newest(objects, &before)?.0.map_or(0, |before| before.log_offset);
    // A damaged one's number is not given again.
    let highest = sequences.last().map_or(0, |(sequence, _)| *sequence);
    manifest.sequence = manifest.sequence.max(highest);
    drop_surplus(objects, sequences);
    Ok(Found { own: manifest, others, log_kept_from, damaged })
}

/// Old manifests that a commit could not delete.
fn drop_surplus(objects: &dyn Objects, sequences: &[(u64, String)]) {
    let surplus = sequences.len().saturating_sub(MANIFESTS_KEPT);
    for (_, path) in &sequences[..surplus] {
        if let Err(error) = objects.delete(path) {
            tracing::debug!(%error, "an old manifest is left");
        }
    }
}
