// SPDX-License-Identifier: Apache-2.0
//! Native histograms: spans of buckets laid out as OTLP wants them.

/// A histogram with exponential buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Native {
    /// Resolution.
    pub scale: i32,
    /// Number of values.
    pub count: u64,
    /// Sum of values.
    pub sum: f64,
    /// Values near zero.
    pub zero_count: u64,
    /// How near.
    pub zero_threshold: f64,
    /// Index of the first positive bucket, and counts.
    pub positive: (i32, Vec<u64>),
    /// Index of the first negative bucket, and counts.
    pub negative: (i32, Vec<u64>),
}

/// The coarsest resolution there is.
const SCALE_MIN: i32 = -4;

impl Native {
    /// Makes it coarser until its scale is at most `scale_max` and no more than `limit` buckets
    /// hold something (0 = any number). False when it cannot be made coarse enough.
    pub fn coarsen(&mut self, scale_max: i32, limit: usize) -> bool {
        let filled = |side: &(i32, Vec<u64>)| side.1.iter().filter(|count| **count > 0).count();
        loop {
            let over = limit > 0 && filled(&self.positive) + filled(&self.negative) > limit;
            if self.scale <= scale_max && !over {
                return true;
            }
            if self.scale <= SCALE_MIN {
                return !over;
            }
            halve(&mut self.positive);
            halve(&mut self.negative);
            self.scale -= 1;
        }
    }
}

/// Two neighbouring buckets become one.
fn halve((offset, counts): &mut (i32, Vec<u64>)) {
    let (begin, old) = (*offset, std::mem::take(counts));
    *offset = begin >> 1;
    for (at, count) in old.into_iter().enumerate() {
        let index = ((begin + at as i32) >> 1) - *offset;
        let index = index as usize;
        if counts.len() <= index {
            counts.resize(index + 1, 0);
        }
        counts[index] = counts[index].saturating_add(count);
    }
}

/// The finest scale whose buckets grow by at least `factor`; the finest there is for 1 and less.
pub fn scale_of_factor(factor: f64) -> i32 {
    const SCALE_MAX: i32 = 8;
    if factor <= 1.0 || factor.is_nan() {
        return i32::MAX;
    }
    let scale = -(factor.log2().log2().floor());
    scale.clamp(f64::from(SCALE_MIN), f64::from(SCALE_MAX)) as i32
}

/// Most buckets one side may have once the gaps between its spans are filled: spans are a few
/// bytes on the page, and a gap of 2^31 in one must not become memory.
const BUCKETS_MAX: usize = 1 << 16;

/// Where buckets lie and what they hold.
pub enum Counts<'a> {
    /// Each less the one before it.
    Deltas(&'a [i64]),
    /// As they are.
    Absolute(&'a [f64]),
}

/// Lays out buckets: the offset as OTLP counts it (by lower bounds), gaps filled with zeros.
///
/// # Errors
/// When spans and counts do not fit together, or reach too far.
pub fn buckets(
    spans: impl Iterator<Item = (i32, u32)>,
    counts: &Counts<'_>,
) -> Result<(i32, Vec<u64>), &'static str> {
    let (mut first, mut out, mut next, mut running) = (0, Vec::new(), 0, 0i64);
    for (at, (offset, length)) in spans.enumerate() {
        if at == 0 {
            first = offset.saturating_sub(1);
        } else {
            let gap = usize::try_from(offset).map_err(|_| "a span of buckets goes back")?;
            if gap > BUCKETS_MAX - out.len() {
                return Err("a native histogram has too many buckets");
            }
            out.resize(out.len() + gap, 0);
        }
        if length as usize > BUCKETS_MAX - out.len() {
            return Err("a native histogram has too many buckets");
        }
        for _ in 0..length {
            let count = match counts {
                Counts::Deltas(deltas) => {
                    let delta = deltas.get(next).ok_or("a span has more buckets than counts")?;
                    running = running.wrapping_add(*delta);
                    u64::try_from(running).map_err(|_| "a bucket's count is negative")?
                }
                Counts::Absolute(counts) => {
                    *counts.get(next).ok_or("a span has more buckets than counts")? as u64
                }
            };
            out.push(count);
            next += 1;
        }
    }
    Ok((first, out))
}
