// SPDX-License-Identifier: Apache-2.0
//! What is asked of the head: series as columns, labels, metadata.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use basics::labels::{Labels, Matcher};
use basics::{Error, Result};
use roaring::RoaringBitmap;

use super::read::Reader;
use super::registry::{Cardinality, Registry};
use super::{FamilyInfo, Head, SHARDS, place_of};
use crate::columns::{Exemplar, SeriesColumns};

/// Series read before samples may come in again: about a millisecond.
const SERIES_AT_ONCE: usize = 2048;

impl Head {
    /// Series that satisfy all matchers and have a sample in `start_ms..=end_ms`, in no order.
    ///
    /// # Errors
    /// [`basics::Kind::Invalid`] when more than `series_max` series match (0 = no bound).
    pub fn select(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
        series_max: usize,
    ) -> Result<Vec<SeriesColumns>> {
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            let found = self.matching(matchers, series_max)?;
            let all = self.read(found, start_ms, end_ms);
            // Ids may have changed hands in between; so seldom that asking again is the answer.
            if self.epoch.load(Ordering::Acquire) == epoch {
                return Ok(all);
            }
        }
    }

    fn read(&self, found: Vec<(u32, Labels)>, start_ms: i64, end_ms: i64) -> Vec<SeriesColumns> {
        let mut all = Vec::new();
        for (number, wanted) in by_shard(found) {
            let mut wanted = wanted.into_iter().peekable();
            while wanted.peek().is_some() {
                let shard = self.shards[number].read();
                let mut reader = Reader::new(&shard, start_ms, end_ms);
                for (id, labels) in wanted.by_ref().take(SERIES_AT_ONCE) {
                    let columns = reader.read(place_of(id).1);
                    if columns.is_empty() {
                        continue;
                    }
                    all.push(SeriesColumns {
                        labels,
                        times: columns.times,
                        values: columns.values,
                        histograms: columns.histograms,
                        ..SeriesColumns::default()
                    });
                }
            }
        }
        all
    }

    /// Labels of the series that satisfy all matchers and have a sample in `start_ms..=end_ms`,
    /// in no order.
    pub fn series(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) -> Vec<Labels> {
        let found = self.matching(matchers, 0).unwrap_or_default();
        let mut all = Vec::new();
        for (number, wanted) in by_shard(found) {
            let shard = self.shards[number].read();
            let touching = wanted.into_iter().filter(|(id, _)| {
                let slot = place_of(*id).1;
                let sealed = shard.series.get(slot as usize);
                sealed.is_some_and(|series| series.touches(start_ms, end_ms))
                    || shard.tail_touches(slot, start_ms, end_ms)
            });
            all.extend(touching.map(|(_, labels)| labels));
        }
        all
    }

    /// Names of the labels of the series that satisfy all matchers, ascending. Time plays no part:
    /// the head holds hours.
    pub fn label_names(&self, matchers: &[Matcher]) -> Vec<Arc<str>> {
        let registry = self.registry.read();
        let among = (!matchers.is_empty()).then(|| self.find(&registry, matchers));
        registry.label_names(among.as_ref())
    }

    /// Values of a label among the series that satisfy all matchers, ascending.
    pub fn label_values(&self, name: &str, matchers: &[Matcher]) -> Vec<Arc<str>> {
        let registry = self.registry.read();
        let among = (!matchers.is_empty()).then(|| self.find(&registry, matchers));
        registry.label_values(name, among.as_ref())
    }

    /// Type, unit and description by family name; all families, or the one named.
    pub fn metadata(&self, family: Option<&str>) -> Vec<(String, FamilyInfo)> {
        let families = self.families.read();
        match family {
            Some(name) => families
                .get_key_value(name)
                .map(|(n, i)| (n.clone(), (**i).clone()))
                .into_iter()
                .collect(),
            None => families.iter().map(|(name, info)| (name.clone(), (**info).clone())).collect(),
        }
    }

    /// Exemplars in `start_ms..=end_ms` of the series that satisfy all matchers, ascending by time;
    /// series without any are left out.
    pub fn exemplars(
        &self,
        matchers: &[Matcher],
        start_ms: i64,
        end_ms: i64,
    ) -> Vec<(Labels, Vec<Exemplar>)> {
        let found = self.matching(matchers, 0).unwrap_or_default();
        let exemplars = self.exemplars.lock();
        let of = |(id, labels): (u32, Labels)| {
            let mut own = exemplars.of(id);
            own.retain(|exemplar| (start_ms..=end_ms).contains(&exemplar.time_ms));
            (!own.is_empty()).then_some((labels, own))
        };
        found.into_iter().filter_map(of).collect()
    }

    /// Forgets exemplars in `start_ms..=end_ms` of the series that satisfy all matchers.
    pub fn forget_exemplars(&self, matchers: &[Matcher], start_ms: i64, end_ms: i64) {
        let found = self.matching(matchers, 0).unwrap_or_default();
        let mut exemplars = self.exemplars.lock();
        for (id, _) in found {
            exemplars.forget_range(id, start_ms, end_ms);
        }
    }

    /// All exemplars of a series.
    pub(super) fn exemplars_of(&self, id: u32) -> Vec<Exemplar> {
        self.exemplars.lock().of(id)
    }

    /// What makes the series many; at most `limit` of each.
    pub fn cardinality(&self, limit: usize) -> Cardinality {
        self.registry.read().cardinality(limit)
    }

    /// The series that satisfy all matchers, an old metric name among them taken for today's.
    fn find(&self, registry: &Registry, matchers: &[Matcher]) -> RoaringBitmap {
        let replaced = self.aliases.read().replace(matchers, |name| registry.has_name(name));
        registry.select(replaced.as_deref().unwrap_or(matchers))
    }

    /// Ids and labels of the series that satisfy all matchers.
    fn matching(&self, matchers: &[Matcher], series_max: usize) -> Result<Vec<(u32, Labels)>> {
        let registry = self.registry.read();
        let ids = self.find(&registry, matchers);
        if series_max > 0 && ids.len() > series_max as u64 {
            return Err(Error::invalid(format!(
                "selector matches {} series, at most {series_max} are allowed",
                ids.len()
            )));
        }
        Ok(ids.iter().filter_map(|id| Some((id, registry.labels(id)?))).collect())
    }
}

/// Groups series by the shard that holds their samples.
fn by_shard(found: Vec<(u32, Labels)>) -> impl Iterator<Item = (usize, Vec<(u32, Labels)>)> {
    let mut shards: [Vec<(u32, Labels)>; SHARDS] = Default::default();
    for (id, labels) in found {
        shards[place_of(id).0].push((id, labels));
    }
    shards.into_iter().enumerate().filter(|(_, wanted)| !wanted.is_empty())
}
