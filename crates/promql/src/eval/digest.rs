// SPDX-License-Identifier: Apache-2.0
//! Range functions over series of which whole runs are told by their [`Digest`] alone.
//!
//! A run stands as two values in place of its samples, so that the kernels of `plain` do the rest:
//! its first and last for what looks at edges and falls, its extreme twice, its sum and 0. No window
//! has an edge inside a run, so a window of times is one of these, too. What counts samples or
//! extrapolates goes by the times, which are all there.
//!
//! The answers are those of the samples: to the bit, but for sums and the falls of counters, whose
//! additions are done in another order. [`Digests::OneSign`] keeps that to a few times 1e-16.

use std::sync::Arc;

use super::plain::{Plain, counts, differ, falls_in, plain, steady, sums, with_falls};
use super::plan::{Bounds, Plan, Stretch};
use super::rate::Change;
use super::scan::RangeSeries;
use crate::number::{Mean, Sum, is_stale, stale};
use crate::source::{Digest, Digests, Known, Samples};

/// What a source may leave out for a function.
pub(super) fn allowed(function: &str) -> Digests {
    if function == "absent_over_time" {
        return Digests::Any;
    }
    match plain(function) {
        Some(Plain::Sum | Plain::Avg | Plain::Change(Change { counter: true, .. })) => {
            Digests::OneSign
        }
        // The last two samples of a run are not told.
        None | Some(Plain::LastChange(_)) => Digests::Never,
        Some(_) => Digests::Any,
    }
}

/// Appends the function's value at each step, the staleness bits where there is none.
pub(super) fn run(function: Plain, series: &RangeSeries<'_>, plan: &Plan, out: &mut Vec<f64>) {
    let slots = Slots(series);
    let run = |values: Vec<f64>, out: &mut Vec<f64>| {
        let known = Known::default();
        let folded = RangeSeries { values: &values, known, digests: &[], ..*series };
        function.run(&folded, &slots.plan(plan), out);
    };
    let edges = || slots.fill(|digest| (digest.first, digest.last));
    match function {
        Plain::Count => out.extend(plan.bounds.iter().map(|(from, to)| match to - from {
            0 => stale(),
            count => f64::from(count),
        })),
        Plain::Present => {
            let value = |(from, to): &Bounds| if from == to { stale() } else { 1.0 };
            out.extend(plan.bounds.iter().map(value));
        }
        Plain::Min => run(slots.fill(|digest| (digest.min, digest.min)), out),
        Plain::Max => run(slots.fill(|digest| (digest.max, digest.max)), out),
        Plain::Sum => run(slots.fill(|digest| (digest.sum, 0.0)), out),
        Plain::Avg => slots.means(plan, out),
        Plain::Change(Change { counter: true, .. }) => {
            let values = edges();
            with_falls(&values, &slots.falls(&values), &slots.plan(plan), out);
        }
        Plain::Change(_) => steady(&edges(), &slots.plan(plan), false, out),
        Plain::Changes => {
            let (values, inside) = (edges(), slots.inside(|digest| digest.changes));
            let between = |at: usize, pair: &[f64]| inside.at(at).unwrap_or(differ(pair).into());
            let pairs = values.windows(2).enumerate();
            counts(pairs.map(|(at, pair)| between(at, pair)), &slots.plan(plan), out);
        }
        Plain::Resets => {
            let (values, inside) = (edges(), slots.inside(|digest| digest.resets));
            let between = |at: usize, pair: &[f64]| inside.at(at).unwrap_or(falls_in(pair).into());
            let pairs = values.windows(2).enumerate();
            counts(pairs.map(|(at, pair)| between(at, pair)), &slots.plan(plan), out);
        }
        // Without runs there is nothing else; `allowed` keeps them from `LastChange`.
        Plain::First | Plain::Last | Plain::LastChange(_) => run(edges(), out),
    }
}

/// A series' samples with two slots for each run.
struct Slots<'s>(&'s RangeSeries<'s>);

/// Numbers of the gaps inside runs, by the gap's first slot.
struct Inside(Vec<(usize, u32)>);

impl Inside {
    fn at(&self, slot: usize) -> Option<u32> {
        let found = self.0.binary_search_by_key(&slot, |(at, _)| *at).ok()?;
        Some(self.0[found].1)
    }
}

impl Slots<'_> {
    /// Each run with the slot of its first value.
    fn runs(&self) -> impl Iterator<Item = (usize, &Digest)> {
        // Samples that the runs before take, less their slots.
        let mut saved = 0i64;
        self.0.digests.iter().map(move |digest| {
            let at = i64::from(digest.at) - saved;
            saved += i64::from(digest.count) - 2;
            (at as usize, digest)
        })
    }

    fn fill(&self, of: impl Fn(&Digest) -> (f64, f64)) -> Vec<f64> {
        let values = self.0.values;
        let mut filled = Vec::with_capacity(values.len() + 2 * self.0.digests.len());
        let mut taken = 0;
        for (at, digest) in self.runs() {
            let upto = taken + (at - filled.len());
            filled.extend_from_slice(&values[taken..upto]);
            taken = upto;
            let (first, second) = of(digest);
            filled.extend([first, second]);
        }
        filled.extend_from_slice(&values[taken..]);
        filled
    }

    fn inside(&self, of: impl Fn(&Digest) -> u32) -> Inside {
        Inside(self.runs().map(|(at, digest)| (at, of(digest))).collect())
    }

    /// The plan for slots.
    fn plan(&self, plan: &Plan) -> Plan {
        // Where runs end among the times, and by how much slots are fewer there.
        let mut saved = 0;
        let ends: Vec<(u32, i64)> = self
            .0
            .digests
            .iter()
            .map(|digest| {
                saved += i64::from(digest.count) - 2;
                (digest.at + digest.count, saved)
            })
            .collect();
        let slot = |at: u32| {
            let before = ends.partition_point(|(end, _)| *end <= at);
            let saved = before.checked_sub(1).map_or(0, |last| ends[last].1);
            (i64::from(at) - saved) as u32
        };
        let bounds: Vec<Bounds> =
            plan.bounds.iter().map(|(from, to)| (slot(*from), slot(*to))).collect();
        let stretches =
            plan.stretches.iter().zip(&bounds).map(|(stretch, (from, to))| {
                match stretch.first == stretch.last {
                    true => *stretch,
                    false => Stretch { first: *from, last: to - 1, ..*stretch },
                }
            });
        Plan {
            stretches: stretches.collect(),
            spans: plan.spans.clone(),
            seen: bounds.iter().map(|(from, to)| u64::from(to - from)).sum(),
            divisor: plan.divisor,
            bounds,
        }
    }

    /// Where a counter fell, and from which value; a run's own falls stand at its second slot.
    fn falls(&self, values: &[f64]) -> Vec<(u32, f64)> {
        let mut runs = self.runs().peekable();
        let mut falls = Vec::new();
        for (at, pair) in values.windows(2).enumerate() {
            match runs.next_if(|(run, _)| *run == at) {
                Some((_, digest)) if digest.resets > 0 => {
                    falls.push((at as u32 + 1, digest.drops));
                }
                Some(_) => {}
                None if falls_in(pair) => falls.push((at as u32 + 1, pair[0])),
                None => {}
            }
        }
        falls
    }

    fn means(&self, plan: &Plan, out: &mut Vec<f64>) {
        let values = self.fill(|digest| (digest.sum, 0.0));
        let runs: Vec<(usize, u32)> = self.runs().map(|(at, digest)| (at, digest.count)).collect();
        let folded = self.plan(plan);
        sums(&values, &folded, out, |step, window, sum| {
            let (from, to) = plan.bounds[step];
            match sum.total.is_finite() {
                true => sum.value() / f64::from(to - from),
                false => {
                    let begin = folded.bounds[step].0 as usize;
                    let runs = runs.iter().map(|(at, count)| (at.wrapping_sub(begin), *count));
                    long_mean(window, runs.filter(|(at, _)| *at < window.len()))
                }
            }
        });
    }
}

/// The mean of numbers whose sum is beyond all numbers, or that are no numbers: a run's samples
/// are taken as alike.
fn long_mean(window: &[f64], runs: impl Iterator<Item = (usize, u32)>) -> f64 {
    let mut runs = runs.peekable();
    let mut mean: Option<Mean> = None;
    let mut add = |value: f64| match &mut mean {
        Some(mean) => mean.add(value),
        None => mean = Some(Mean::of(value)),
    };
    let mut slots = window.iter().enumerate();
    while let Some((at, value)) = slots.next() {
        match runs.next_if(|(run, _)| *run == at) {
            Some((_, count)) => {
                (0..count).for_each(|_| add(value / f64::from(count)));
                slots.next();
            }
            None => add(*value),
        }
    }
    mean.map_or(Sum::default().value(), Mean::value)
}

/// Takes staleness markers out: puts what is left into `values` and `digests`, gives its times.
pub(super) fn strip(
    samples: &Samples<'_>,
    values: &mut Vec<f64>,
    digests: &mut Vec<Digest>,
) -> Arc<[i64]> {
    values.clear();
    digests.clear();
    let mut times = Vec::with_capacity(samples.timestamps_ms.len());
    let (mut at, mut rest) = (0, samples.values.iter());
    let mut keep = |from: usize, to: usize, times: &mut Vec<i64>| {
        for (time, value) in samples.timestamps_ms[from..to].iter().zip(&mut rest) {
            if !is_stale(*value) {
                times.push(*time);
                values.push(*value);
            }
        }
    };
    for digest in samples.digests {
        let (from, to) = (digest.at as usize, (digest.at + digest.count) as usize);
        keep(at, from, &mut times);
        digests.push(Digest { at: times.len() as u32, ..*digest });
        times.extend_from_slice(&samples.timestamps_ms[from..to]);
        at = to;
    }
    keep(at, samples.timestamps_ms.len(), &mut times);
    times.into()
}
