// SPDX-License-Identifier: Apache-2.0
//! Exemplars of one series as one text: few, small, and read only when they are asked for.

use std::collections::BTreeMap;

use basics::labels::{Labels, Matcher};
use basics::{Error, Result};

use super::Blocks;
use super::deleted::{cuts, is_cut};
use super::select::Failed;
use crate::columns::Exemplar;

/// A measurement may be so much older or newer than the samples that it came with: exposed pages
/// show the last one there was.
pub(crate) const AROUND_MS: i64 = 300_000;

impl Blocks {
    /// Exemplars in `start..=end` of the series that satisfy all matchers, in no order; one that is in
    /// several blocks is there several times.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when a block cannot be read now. A damaged one is set aside.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        start: i64,
        end: i64,
    ) -> Result<BTreeMap<Labels, Vec<Exemplar>>> {
        let range = (start.saturating_sub(AROUND_MS), end.saturating_add(AROUND_MS));
        self.undamaged(|blocks| {
            let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
            for listed in blocks.iter().filter(|block| block.info.touches(range.0, range.1)) {
                let info = &listed.info;
                let failed = |error| Failed::at(info)(error);
                if !self.block(info).map_err(failed)?.footer.exemplars {
                    continue;
                }
                let mut wanted = Vec::new();
                self.matching(listed, matchers, range, |block, group, rows, selected| {
                    wanted.push((block.clone(), group, rows.clone(), selected));
                })
                .map_err(failed)?;
                for (block, group, rows, selected) in wanted {
                    let texts = block.optional(group, "exemplars", &selected).map_err(failed)?;
                    for (row, text) in selected.iter().zip(texts) {
                        let Some(text) = text else { continue };
                        let labels = rows.labels_of(*row);
                        let cuts = cuts(&listed.deleted, &labels, (i64::MIN, i64::MAX));
                        let wanted = |e: &Exemplar| {
                            (start..=end).contains(&e.time_ms) && !is_cut(&cuts, e.time_ms)
                        };
                        let own = decode(text.data()).map_err(failed)?;
                        let own: Vec<Exemplar> = own.into_iter().filter(wanted).collect();
                        if !own.is_empty() {
                            found.entry(labels).or_default().extend(own);
                        }
                    }
                }
            }
            Ok(found)
        })
    }
}

/// Time, bits of the value (JSON has no NaN), labels.
type Stored = (i64, u64, Vec<(String, String)>);

pub(super) fn encode(exemplars: &[Exemplar]) -> Vec<u8> {
    let stored: Vec<Stored> = exemplars
        .iter()
        .map(|exemplar| {
            let labels = exemplar.labels.iter();
            let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            (exemplar.time_ms, exemplar.value.to_bits(), labels)
        })
        .collect();
    // Numbers and texts: nothing that JSON could refuse.
    serde_json::to_vec(&stored).unwrap_or_default()
}

pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Exemplar>> {
    let stored: Vec<Stored> = serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt("exemplars cannot be read").caused_by(e))?;
    Ok(stored
        .into_iter()
        .map(|(time_ms, bits, labels)| Exemplar {
            labels: Labels::new(labels),
            value: f64::from_bits(bits),
            time_ms,
        })
        .collect())
}
