// SPDX-License-Identifier: Apache-2.0
//! A sealed run of samples, packed without loss by cheap means. The seam where the chunk codec
//! goes: only [`Chunk::seal`] and [`Chunk::decode`] know the form.
//!
//! Times: one step when they are regular, else offsets of 4 bytes. Values: one when they are all
//! alike, 4 bytes each when all are exact as `f32` (small integers, most percentages in 1/2^n),
//! else 8. Equality is by bits, so NaN payloads (staleness markers) survive.

/// Samples of one series, ascending by time, never empty.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    first_ms: i64,
    last_ms: i64,
    times: Times,
    values: Values,
}

#[derive(Clone, Debug)]
enum Times {
    Regular { count: u32, step_ms: i64 },
    Offsets(Box<[u32]>),
    Wide(Box<[i64]>),
}

#[derive(Clone, Debug)]
enum Values {
    Constant(f64),
    Narrow(Box<[f32]>),
    Wide(Box<[f64]>),
}

impl Chunk {
    /// Packs samples, ascending by time, at least one.
    pub(crate) fn seal(samples: &[(i64, f64)]) -> Chunk {
        let (first_ms, last_ms) = (samples[0].0, samples[samples.len() - 1].0);
        Chunk { first_ms, last_ms, times: pack_times(samples), values: pack_values(samples) }
    }

    pub(crate) fn first_ms(&self) -> i64 {
        self.first_ms
    }

    pub(crate) fn last_ms(&self) -> i64 {
        self.last_ms
    }

    pub(crate) fn count(&self) -> usize {
        match &self.times {
            Times::Regular { count, .. } => *count as usize,
            Times::Offsets(offsets) => offsets.len(),
            Times::Wide(times) => times.len(),
        }
    }

    /// Bytes it takes, itself included.
    pub(crate) fn bytes(&self) -> usize {
        let times = match &self.times {
            Times::Regular { .. } => 0,
            Times::Offsets(offsets) => offsets.len() * 4,
            Times::Wide(times) => times.len() * 8,
        };
        let values = match &self.values {
            Values::Constant(_) => 0,
            Values::Narrow(values) => values.len() * 4,
            Values::Wide(values) => values.len() * 8,
        };
        size_of::<Chunk>() + times + values
    }

    /// Appends all samples to the two columns.
    pub(crate) fn decode(&self, times: &mut Vec<i64>, values: &mut Vec<f64>) {
        match &self.times {
            Times::Regular { count, step_ms } => {
                times.extend((0..i64::from(*count)).map(|i| self.first_ms + i * step_ms));
            }
            Times::Offsets(offsets) => {
                times.extend(offsets.iter().map(|offset| self.first_ms + i64::from(*offset)));
            }
            Times::Wide(wide) => times.extend_from_slice(wide),
        }
        match &self.values {
            Values::Constant(value) => values.resize(values.len() + self.count(), *value),
            Values::Narrow(narrow) => values.extend(narrow.iter().map(|v| f64::from(*v))),
            Values::Wide(wide) => values.extend_from_slice(wide),
        }
    }
}

fn pack_times(samples: &[(i64, f64)]) -> Times {
    let first_ms = samples[0].0;
    let step_ms = samples.get(1).map_or(1, |second| second.0 - first_ms);
    if samples.windows(2).all(|pair| pair[1].0 - pair[0].0 == step_ms) {
        return Times::Regular { count: samples.len() as u32, step_ms };
    }
    let offsets: Option<Box<[u32]>> =
        samples.iter().map(|(time, _)| u32::try_from(time - first_ms).ok()).collect();
    offsets.map_or_else(
        || Times::Wide(samples.iter().map(|(time, _)| *time).collect()),
        Times::Offsets,
    )
}

fn pack_values(samples: &[(i64, f64)]) -> Values {
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let first = samples[0].1;
    if samples.iter().all(|(_, value)| same(*value, first)) {
        return Values::Constant(first);
    }
    // A NaN's payload is not promised to survive a conversion, so NaNs are never narrowed.
    let exact = |value: f64| !value.is_nan() && same(f64::from(value as f32), value);
    if samples.iter().all(|(_, value)| exact(*value)) {
        return Values::Narrow(samples.iter().map(|(_, value)| *value as f32).collect());
    }
    Values::Wide(samples.iter().map(|(_, value)| *value).collect())
}
