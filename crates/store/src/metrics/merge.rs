// SPDX-License-Identifier: Apache-2.0
//! Parts of one series become one: each time once, of several values at one time the newest part's.
//!
//! How parts fit together depends on their times only, so it is worked out once for all series
//! that share them ([`Plans`]), and the result shares its times as well.

use std::collections::BTreeMap;
use std::sync::Arc;

use basics::labels::Labels;
use basics::{Error, Result};
use chunk_codec::{Corrupt, Stats};
use hashbrown::HashMap;
use otlp_series::NativeHistogram;
use parquet::data_type::ByteArray;

use crate::columns::{Exemplar, SeriesColumns};
use crate::head::FamilyInfo;

/// Bytes of plans kept at most; beyond it they are worked out anew.
const PLANS_BYTES_MAX: usize = 32 << 20;

/// Numbers of a series from one place.
pub(super) struct Numbers {
    /// Those of the range wanted; never empty.
    pub times: Arc<[i64]>,
    pub values: Values,
}

/// Where the values are.
pub(super) enum Values {
    /// As the block has them; so many before the range wanted, and in all.
    Packed { chunk: ByteArray, starts: Option<ByteArray>, before: usize, count: usize },
    /// As the head has them.
    Plain { values: Arc<[f64]>, starts: Arc<[i64]> },
    /// Nowhere: this is all that is wanted of them.
    Summed(Stats),
}

/// All parts of one series, the oldest place first.
#[derive(Default)]
pub(super) struct Parts {
    pub labels: Labels,
    pub info: Option<Arc<FamilyInfo>>,
    pub numbers: Vec<Numbers>,
    pub histograms: Vec<Vec<(i64, Arc<NativeHistogram>)>>,
    pub exemplars: Vec<Exemplar>,
}

impl Parts {
    /// Adds what the head has of the series.
    pub fn add(&mut self, columns: SeriesColumns) {
        let SeriesColumns { labels: _, info, times, values, start_times, histograms, exemplars } =
            columns;
        self.info = info.or(self.info.take());
        if !times.is_empty() {
            let values = Values::Plain { values, starts: start_times };
            self.numbers.push(Numbers { times, values });
        }
        if !histograms.is_empty() {
            self.histograms.push(histograms);
        }
        self.exemplars.extend(exemplars);
    }

    /// One series of all parts.
    pub fn merge(self, plans: &mut Plans, scratch: &mut Scratch) -> Result<SeriesColumns> {
        let Scratch { values, starts } = scratch;
        let read = read_numbers(&self.numbers, |parts| plans.of(parts), values, starts)?;
        let (times, values) = (read.times, read.values.into());
        let start_times = read.start_times.into();
        let mut exemplars = self.exemplars;
        exemplars.sort_by_key(|exemplar| exemplar.time_ms);
        exemplars.dedup();
        Ok(SeriesColumns {
            labels: self.labels,
            info: self.info,
            times,
            values,
            start_times,
            histograms: histograms(self.histograms),
            exemplars,
        })
    }
}

/// Buffers that are used for one series after the other.
#[derive(Default)]
pub(super) struct Scratch {
    values: Vec<f64>,
    starts: Vec<i64>,
}

/// Numbers of one series, lent by what has them or by the buffers they were decoded into.
#[derive(Debug, Default)]
pub struct Lent<'a> {
    /// Sample times, Unix milliseconds, ascending, each once; shared within a timestamp group.
    pub times: Arc<[i64]>,
    /// Sample values, aligned with `times`.
    pub values: &'a [f64],
    /// When each value started counting, 0 = unknown; empty when none is known.
    pub start_times: &'a [i64],
    /// Runs of samples whose values are left out, and the places of their first ones in `times`.
    pub summed: Vec<(u32, Stats)>,
}

impl Values {
    /// Appends the values at `times` to `out`.
    pub fn read(&self, times: &[i64], out: &mut Vec<f64>) -> Result<()> {
        match self {
            Values::Plain { values, .. } => out.extend_from_slice(values),
            Values::Packed { chunk, before, count, .. } => {
                let at = out.len();
                chunk_codec::decode_values(chunk.data(), out).map_err(corrupt)?;
                cut(out, at, *before, times.len(), *count)?;
            }
            Values::Summed(_) => return Err(Error::invalid("values that were not read")),
        }
        Ok(())
    }

    /// Appends the start times at `times`, 0 where none is known.
    pub fn read_starts(&self, times: &[i64], out: &mut Vec<i64>) -> Result<()> {
        match self {
            Values::Plain { starts, .. } if starts.len() == times.len() => {
                out.extend_from_slice(starts);
            }
            Values::Packed { starts: Some(starts), before, count, .. } => {
                let at = out.len();
                chunk_codec::decode_times(starts.data(), out).map_err(corrupt)?;
                cut(out, at, *before, times.len(), *count)?;
            }
            _ => out.resize(out.len() + times.len(), 0),
        }
        Ok(())
    }

    pub fn has_starts(&self) -> bool {
        match self {
            Values::Plain { starts, .. } => !starts.is_empty(),
            Values::Packed { starts, .. } => starts.is_some(),
            Values::Summed(_) => false,
        }
    }
}

/// Leaves of what was appended from `at` on the `wanted` items behind the first `before`.
fn cut<T: Copy>(
    out: &mut Vec<T>,
    at: usize,
    before: usize,
    wanted: usize,
    count: usize,
) -> Result<()> {
    if out.len() - at != count || before + wanted > count {
        return Err(Error::corrupt("a chunk does not hold as many samples as it has times"));
    }
    out.truncate(at + before + wanted);
    if before > 0 {
        out.copy_within(at + before.., at);
        out.truncate(at + wanted);
    }
    Ok(())
}

pub(super) fn corrupt(error: Corrupt) -> Error {
    Error::corrupt("a chunk cannot be read").caused_by(error)
}

/// The numbers of all parts, each time once.
pub(super) fn read_numbers<'a>(
    parts: &'a [Numbers],
    plan: impl FnOnce(&[Numbers]) -> Arc<Plan>,
    values: &'a mut Vec<f64>,
    starts: &'a mut Vec<i64>,
) -> Result<Lent<'a>> {
    values.clear();
    starts.clear();
    let has_starts = parts.iter().any(|part| part.values.has_starts());
    let (mut place, mut summed) = (0, Vec::new());
    let mut read = |part: &Numbers| -> Result<()> {
        if let Values::Summed(stats) = &part.values {
            summed.push((place, *stats));
        }
        place += part.times.len() as u32;
        if matches!(part.values, Values::Summed(_)) {
            return Ok(());
        }
        part.values.read(&part.times, values)?;
        match has_starts {
            true => part.values.read_starts(&part.times, starts),
            false => Ok(()),
        }
    };
    let plan = match parts {
        [] => return Ok(Lent::default()),
        [Numbers { times, values: Values::Plain { values, starts } }] => {
            let times = times.clone();
            return Ok(Lent { times, values, start_times: starts, summed });
        }
        [one] => {
            read(one)?;
            let times = one.times.clone();
            return Ok(Lent { times, values, start_times: starts, summed });
        }
        _ => plan(parts),
    };
    plan.order.iter().try_for_each(|part| read(&parts[*part]))?;
    if let Some(picks) = &plan.picks {
        if !summed.is_empty() {
            return Err(Error::corrupt("rows of a series lie at other times than they tell"));
        }
        *values = picks.iter().map(|at| values[*at as usize]).collect();
        if has_starts {
            *starts = picks.iter().map(|at| starts[*at as usize]).collect();
        }
    }
    Ok(Lent { times: plan.times.clone(), values, start_times: starts, summed })
}

pub(super) fn histograms(
    mut parts: Vec<Vec<(i64, Arc<NativeHistogram>)>>,
) -> Vec<(i64, Arc<NativeHistogram>)> {
    match parts.len() {
        0 | 1 => parts.pop().unwrap_or_default(),
        _ => parts.into_iter().flatten().collect::<BTreeMap<_, _>>().into_iter().collect(),
    }
}

/// How parts of the same times fit together, by their times.
#[derive(Default)]
pub(super) struct Plans {
    /// The pointers stand for the times: those in the plan keep them from being used again.
    known: HashMap<Vec<usize>, Arc<Plan>>,
    bytes: usize,
}

pub(super) struct Plan {
    /// Parts in the order in which they are read, one behind the other.
    order: Vec<usize>,
    /// Of all that is read, in order of time; none when that is the order already.
    picks: Option<Vec<u32>>,
    times: Arc<[i64]>,
    _kept: Vec<Arc<[i64]>>,
}

impl Plans {
    pub(super) fn of(&mut self, parts: &[Numbers]) -> Arc<Plan> {
        let key: Vec<usize> = parts.iter().map(|part| part.times.as_ptr() as usize).collect();
        if self.bytes > PLANS_BYTES_MAX {
            self.known.clear();
            self.bytes = 0;
        }
        let bytes = &mut self.bytes;
        let plan = self.known.entry(key).or_insert_with(|| {
            let plan = Plan::new(parts);
            *bytes += plan.times.len() * 12;
            Arc::new(plan)
        });
        Arc::clone(plan)
    }
}

impl Plan {
    fn new(parts: &[Numbers]) -> Plan {
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|part| parts[*part].times.first().copied());
        let ends = |pair: &[usize]| {
            parts[pair[0]].times.last().copied() < parts[pair[1]].times.first().copied()
        };
        let kept = parts.iter().map(|part| part.times.clone()).collect();
        if order.windows(2).all(ends) {
            let times = order.iter().flat_map(|part| parts[*part].times.iter().copied()).collect();
            return Plan { order, picks: None, times, _kept: kept };
        }
        // Time, then place: of equal times the last one is the newest place's.
        let mut all: Vec<(i64, usize, u32)> = Vec::new();
        for part in &order {
            let times = parts[*part].times.iter();
            let at = all.len() as u32;
            all.extend((at..).zip(times).map(|(at, time)| (*time, *part, at)));
        }
        all.sort_unstable();
        let mut picks: Vec<u32> = Vec::with_capacity(all.len());
        let mut times: Vec<i64> = Vec::with_capacity(all.len());
        for (time, _, at) in all {
            if times.last() == Some(&time) {
                picks.pop();
                times.pop();
            }
            picks.push(at);
            times.push(time);
        }
        Plan { order, picks: Some(picks), times: times.into(), _kept: kept }
    }
}
