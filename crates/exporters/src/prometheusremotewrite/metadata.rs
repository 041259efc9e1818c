// SPDX-License-Identifier: Apache-2.0
//! What 1.0 tells about metric families (`send_metadata`): type, unit, help.
//!
//! A family is told when it is first met and again every [`INTERVAL`], as Prometheus does, since a
//! receiver keeps it in memory only. Bound: [`FAMILIES_MAX`]; further ones are told once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use otlp_series::{Family, MetricKind};

use super::wire::put_bytes;

/// As Prometheus' `metadata_config.send_interval`.
const INTERVAL: Duration = Duration::from_secs(60);

/// Families told again; a large installation has some thousands.
const FAMILIES_MAX: usize = 20_000;

/// Families to tell.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    enabled: bool,
    known: BTreeMap<String, Vec<u8>>,
    /// To be told with the next request.
    fresh: Vec<u8>,
    told: Option<Instant>,
}

impl Metadata {
    pub fn new(enabled: bool) -> Self {
        Metadata { enabled, ..Metadata::default() }
    }

    pub fn tell(&mut self, family: Family<'_>) {
        if !self.enabled {
            return;
        }
        let mut metadata = vec![0x08, type_number(family.kind)];
        put_bytes(&mut metadata, 2, family.name.as_bytes());
        put_bytes(&mut metadata, 4, family.help.as_bytes());
        put_bytes(&mut metadata, 5, family.unit.as_bytes());
        if self.known.get(family.name) != Some(&metadata) {
            put_bytes(&mut self.fresh, 3, &metadata);
            if self.known.len() < FAMILIES_MAX {
                self.known.insert(family.name.to_owned(), metadata);
            }
        }
    }

    /// What is to be told now, as fields of a `WriteRequest`.
    pub fn due(&mut self, now: Instant) -> Vec<u8> {
        if self.told.is_none_or(|told| now.duration_since(told) >= INTERVAL) {
            self.told = Some(now);
            self.fresh.clear();
            for metadata in self.known.values() {
                put_bytes(&mut self.fresh, 3, metadata);
            }
        }
        std::mem::take(&mut self.fresh)
    }
}

/// Has no time at which it began to count.
pub(super) const GAUGE: u8 = 2;

/// Number of `MetricMetadata.MetricType`, the same in both versions.
pub(super) fn type_number(kind: MetricKind) -> u8 {
    match kind {
        MetricKind::Counter => 1,
        MetricKind::Gauge => GAUGE,
        MetricKind::Histogram => 3,
        MetricKind::Summary => 5,
    }
}
