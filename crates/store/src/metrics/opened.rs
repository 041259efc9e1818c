// SPDX-License-Identifier: Apache-2.0
//! A selection whose samples are still packed. Its series are decoded one at a time, by several
//! threads if need be, into buffers of whoever reads: an aggregation over a thousand series of a
//! month holds one of them.

use std::sync::Arc;

use basics::Result;
use basics::labels::Labels;
use otlp_series::NativeHistogram;
use parking_lot::Mutex;

use super::merge::{Lent, Numbers, Parts, Plans, Values, histograms, read_numbers};

/// Series that were found, numbered from 0, in no order, each label set once.
pub struct Opened {
    series: Vec<Parts>,
    plans: Mutex<Plans>,
}

impl Opened {
    pub(super) fn new(series: Vec<Parts>) -> Opened {
        Opened { series, plans: Mutex::default() }
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Labels of a series.
    pub fn labels(&self, at: usize) -> &Labels {
        &self.series[at].labels
    }

    /// Samples of a series to be decoded; those that several places have count in each.
    pub fn samples(&self, at: usize) -> usize {
        let parts = &self.series[at];
        let read = parts.numbers.iter().filter(|part| !matches!(part.values, Values::Summed(_)));
        read.map(|part| part.times.len()).sum::<usize>()
            + parts.histograms.iter().map(Vec::len).sum::<usize>()
    }

    /// Samples that are not packed: those of the head, and histograms.
    pub fn unpacked(&self) -> usize {
        let plain = |parts: &Parts| -> usize {
            let plain = |values: &Values| matches!(values, Values::Plain { .. });
            let numbers = parts.numbers.iter().filter(|part| plain(&part.values));
            let histograms = parts.histograms.iter().map(Vec::len);
            numbers.map(|part| part.times.len()).chain(histograms).sum()
        };
        self.series.iter().map(plain).sum()
    }

    /// The numbers of a series. What has to be decoded goes into the buffers, over what was there.
    ///
    /// # Errors
    /// [`basics::Kind::Corrupt`] when a chunk cannot be decoded.
    pub fn read<'a>(
        &'a self,
        at: usize,
        values: &'a mut Vec<f64>,
        start_times: &'a mut Vec<i64>,
    ) -> Result<Lent<'a>> {
        let plan = |parts: &[Numbers]| self.plans.lock().of(parts);
        read_numbers(&self.series[at].numbers, plan, values, start_times)
    }

    /// The native histograms of a series, ascending by time.
    pub fn histograms(&self, at: usize) -> Vec<(i64, Arc<NativeHistogram>)> {
        histograms(self.series[at].histograms.clone())
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("series", &self.len()).finish_non_exhaustive()
    }
}
