// SPDX-License-Identifier: Apache-2.0
//! Samples that were deleted and are still in a block: left out by whoever reads it.

use std::sync::Arc;

use basics::Result;
use basics::labels::Labels;

use super::merge::{Numbers, Values};
use crate::blocks::Deleted;

/// First and last millisecond, both left out.
pub(super) type Cut = (i64, i64);

/// What to leave out of a series whose samples lie in `tmin..=tmax`.
pub(super) fn cuts(
    deleted: &[Arc<Deleted>],
    labels: &Labels,
    (tmin, tmax): (i64, i64),
) -> Vec<Cut> {
    let own = deleted.iter().filter_map(|deleted| deleted.range_of(labels));
    own.filter(|(start, end)| *start <= tmax && *end >= tmin).collect()
}

/// True when nothing is left.
pub(super) fn is_all(cuts: &[Cut], (tmin, tmax): (i64, i64)) -> bool {
    cuts.iter().any(|(start, end)| *start <= tmin && *end >= tmax)
}

/// True when a time is left out.
pub(super) fn is_cut(cuts: &[Cut], time: i64) -> bool {
    cuts.iter().any(|(start, end)| (*start..=*end).contains(&time))
}

/// The numbers that are left, decoded; none when all are gone.
pub(super) fn without(numbers: Numbers, cuts: &[Cut]) -> Result<Option<Numbers>> {
    let (mut values, mut starts) = (Vec::new(), Vec::new());
    numbers.values.read(&numbers.times, &mut values)?;
    if numbers.values.has_starts() {
        numbers.values.read_starts(&numbers.times, &mut starts)?;
    }
    let kept = |at: &usize| !is_cut(cuts, numbers.times[*at]);
    let kept: Vec<usize> = (0..numbers.times.len()).filter(kept).collect();
    if kept.is_empty() {
        return Ok(None);
    }
    let times: Arc<[i64]> = kept.iter().map(|at| numbers.times[*at]).collect();
    let starts: Arc<[i64]> = kept.iter().filter_map(|at| starts.get(*at).copied()).collect();
    let values: Arc<[f64]> = kept.iter().filter_map(|at| values.get(*at).copied()).collect();
    Ok(Some(Numbers { times, values: Values::Plain { values, starts } }))
}
