// SPDX-License-Identifier: Apache-2.0
//! Exemplars of all series: the newest ones, with their series.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::columns::Exemplar;

/// Exemplars kept: as many as Prometheus' default, at about 300 bytes each.
const EXEMPLARS_MAX: usize = 100_000;

/// The ring.
#[derive(Debug, Default)]
pub(super) struct Exemplars {
    by_series: HashMap<u32, VecDeque<Exemplar>, foldhash::fast::RandomState>,
    /// Ids of their series, oldest first.
    order: VecDeque<u32>,
}

impl Exemplars {
    /// Takes an exemplar; one that is sent again with each request is kept once.
    pub(super) fn add(&mut self, id: u32, exemplar: Exemplar) {
        let own = self.by_series.entry(id).or_default();
        let newest_first = own.iter().rev();
        let at = own.len() - newest_first.take_while(|e| e.time_ms > exemplar.time_ms).count();
        if at > 0 && own[at - 1] == exemplar {
            return;
        }
        own.insert(at, exemplar);
        self.order.push_back(id);
        if self.order.len() > EXEMPLARS_MAX {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        // Ids of series that are gone have no exemplars.
        let Some(id) = self.order.pop_front() else { return };
        let Some(own) = self.by_series.get_mut(&id) else { return };
        own.pop_front();
        if own.is_empty() {
            self.by_series.remove(&id);
        }
    }

    /// The exemplars of a series, ascending by time.
    pub(super) fn of(&self, id: u32) -> Vec<Exemplar> {
        self.by_series.get(&id).map_or_else(Vec::new, |own| own.iter().cloned().collect())
    }

    /// Forgets the exemplars of a series in `start..=end`.
    pub(super) fn forget_range(&mut self, id: u32, start: i64, end: i64) {
        let Some(own) = self.by_series.get_mut(&id) else { return };
        let had = own.len();
        own.retain(|exemplar| !(start..=end).contains(&exemplar.time_ms));
        let mut gone = had - own.len();
        if own.is_empty() {
            self.by_series.remove(&id);
        }
        self.order.retain(|known| {
            let goes = gone > 0 && *known == id;
            gone -= usize::from(goes);
            !goes
        });
    }

    /// Forgets a series; its id may be given to another one.
    pub(super) fn forget(&mut self, id: u32) {
        if self.by_series.remove(&id).is_some() {
            self.order.retain(|known| *known != id);
        }
    }
}
