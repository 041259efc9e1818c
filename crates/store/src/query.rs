// SPDX-License-Identifier: Apache-2.0
//! What is asked of metrics: memory and blocks as one.
//!
//! Memory is asked first: what a flush moves meanwhile is then found twice, which is put right, and
//! never missed. What memory knows of old names is replaced before blocks are asked.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use basics::Result;
use basics::labels::{Labels, Matcher};

use crate::metrics::{Opened, Windows};
use crate::{Exemplar, Store};

impl Store {
    /// Metric series that satisfy all matchers and may have a sample in `start_ms..=end_ms`, of
    /// blocks and memory together, each time once; they are decoded when they are read. With
    /// `windows` what lies in them whole need not be.
    ///
    /// # Errors
    /// As [`crate::metrics::Blocks::open`].
    pub fn select(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        series_max: usize,
        windows: Option<Windows>,
    ) -> Result<Opened> {
        let newest = self.head().select(matchers, start_ms, end_ms, series_max)?;
        let matchers = &*self.head().today(matchers);
        self.storage().metrics().open(matchers, start_ms, end_ms, series_max, newest, windows)
    }

    /// Exemplars in `start_ms..=end_ms` of these series, by their labels; those of a series ascend by
    /// time, each once.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when a block cannot be read now.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeMap<Labels, Vec<Exemplar>>> {
        let newest = self.head().exemplars(matchers, start_ms, end_ms);
        let matchers = &*self.head().today(matchers);
        let mut found = self.storage().metrics().exemplars(matchers, start_ms, end_ms)?;
        for (labels, own) in newest {
            found.entry(labels).or_default().extend(own);
        }
        for own in found.values_mut() {
            own.sort_by_key(|exemplar| exemplar.time_ms);
            // Of a time there are few: a block has what memory had.
            let mut kept: Vec<Exemplar> = Vec::with_capacity(own.len());
            for exemplar in own.drain(..) {
                let same = kept.iter().rev().take_while(|k| k.time_ms == exemplar.time_ms);
                if !same.into_iter().any(|known| *known == exemplar) {
                    kept.push(exemplar);
                }
            }
            *own = kept;
        }
        Ok(found)
    }

    /// Labels of these series, ascending.
    ///
    /// # Errors
    /// [`basics::Kind::Retry`] when a block cannot be read now.
    pub fn series(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeSet<Labels>> {
        let mut found: BTreeSet<Labels> =
            self.head().series(matchers, start_ms, end_ms).into_iter().collect();
        let matchers = &*self.head().today(matchers);
        found.extend(self.storage().metrics().series(matchers, start_ms, end_ms)?);
        Ok(found)
    }

    /// Names of their labels, ascending.
    ///
    /// # Errors
    /// As [`Store::series`].
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeSet<Arc<str>>> {
        let head = self.head();
        let mut found: BTreeSet<Arc<str>> = if self.whole_head(start_ms, end_ms) {
            head.label_names(matchers).into_iter().collect()
        } else {
            let series = head.series(matchers, start_ms, end_ms);
            series.iter().flat_map(|labels| labels.pairs()).map(|(name, _)| name.clone()).collect()
        };
        let matchers = &*self.head().today(matchers);
        found.extend(self.storage().metrics().label_names(matchers, start_ms, end_ms)?);
        Ok(found)
    }

    /// Values of the label `name` among them, ascending.
    ///
    /// # Errors
    /// As [`Store::series`].
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Result<BTreeSet<Arc<str>>> {
        let head = self.head();
        let mut found: BTreeSet<Arc<str>> = if self.whole_head(start_ms, end_ms) {
            head.label_values(name, matchers).into_iter().collect()
        } else {
            let series = head.series(matchers, start_ms, end_ms);
            let pairs = series.iter().flat_map(|labels| labels.pairs());
            pairs.filter(|(known, _)| **known == *name).map(|(_, value)| value.clone()).collect()
        };
        let matchers = &*self.head().today(matchers);
        found.extend(self.storage().metrics().label_values(name, matchers, start_ms, end_ms)?);
        Ok(found)
    }

    /// Times of the oldest and newest sample, Unix milliseconds.
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let blocks = self.storage().metrics().catalog().live();
        let oldest = blocks.iter().map(|block| block.tmin).min();
        let newest = blocks.iter().map(|block| block.tmax).max();
        let (first, last) = self.head().time_range().unzip();
        Some((oldest.into_iter().chain(first).min()?, newest.into_iter().chain(last).max()?))
    }

    /// True when a range holds all of memory, so that its index alone can answer.
    fn whole_head(&self, start_ms: i64, end_ms: i64) -> bool {
        let range = self.head().time_range();
        range.is_none_or(|(first, last)| start_ms <= first && end_ms >= last)
    }
}
