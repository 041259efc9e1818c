// SPDX-License-Identifier: Apache-2.0
//! What a list of sample times alone decides: which samples each step sees, and how far a change is
//! stretched to its window's edges. Series that share their times share the plan.

use std::sync::Arc;

use super::rate::Change;
use super::select::Shift;
use crate::engine::Grid;

/// Which samples a step sees.
#[derive(Clone, Copy, Debug)]
pub(super) enum View {
    /// Those of `(end - length, end]`.
    Window(i64),
    /// The newest of `(end - lookback, end]`.
    Newest(i64),
}

/// Where the windows of a selector lie, and what is wanted of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Geometry {
    pub grid: Grid,
    pub shift: Shift,
    pub view: View,
    /// Set when stretches are wanted.
    pub change: Option<Change>,
}

impl Geometry {
    /// The window's exclusive left and inclusive right edge at a step.
    pub(super) fn edges(&self, step: usize) -> (i64, i64) {
        let end = self.shift.apply(self.grid.at(step));
        let (View::Window(length) | View::Newest(length)) = self.view;
        (end - length, end)
    }
}

/// First index inside, one past the last.
pub(super) type Bounds = (u32, u32);

/// The plan for one list of times.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What each step sees.
    pub bounds: Vec<Bounds>,
    /// How each step's change is stretched, when wanted.
    pub stretches: Vec<Stretch>,
    /// Seconds from first to last sample, and from there to where the change is stretched to.
    pub spans: Vec<(f64, f64)>,
    /// Samples that all steps together see.
    pub seen: u64,
    /// What a change is divided by: 1, or the window's seconds.
    pub divisor: f64,
}

/// How the change in a window is extrapolated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    /// First and last sample inside; equal when there are not two.
    pub first: u32,
    pub last: u32,
    /// What the change is multiplied with.
    pub factor: f64,
    /// A counter whose first value is below this share of the change began inside the stretch.
    pub zero: f64,
}

impl Plan {
    fn new(geometry: &Geometry, times: &[i64]) -> Plan {
        let mut slide = Slide::default();
        let bounds = (0..geometry.grid.count).map(|step| {
            let (start, end) = geometry.edges(step);
            let (from, to) = slide.to(times.len(), start, end, |i| times[i]);
            let from = match geometry.view {
                View::Newest(_) if from < to => to - 1,
                _ => from,
            };
            // Longer lists do not fit in memory.
            (from as u32, to as u32)
        });
        let mut plan = Plan { bounds: bounds.collect(), ..Plan::default() };
        plan.seen = plan.bounds.iter().map(|(from, to)| u64::from(to - from)).sum();
        if let Some(change) = geometry.change {
            plan.stretch(geometry, times, change);
        }
        plan
    }

    fn stretch(&mut self, geometry: &Geometry, times: &[i64], change: Change) {
        let steps = self.bounds.len();
        let (start, end) = geometry.edges(0);
        self.divisor = if change.per_second { (end - start) as f64 / 1000.0 } else { 1.0 };
        (self.stretches, self.spans) = (Vec::with_capacity(steps), Vec::with_capacity(steps));
        for (step, (from, to)) in self.bounds.iter().copied().enumerate() {
            if to - from < 2 {
                self.stretches.push(Stretch { first: 0, last: 0, factor: 0.0, zero: 0.0 });
                self.spans.push((0.0, 0.0));
                continue;
            }
            let seconds = |ms: i64| ms as f64 / 1000.0;
            let (start, end) = geometry.edges(step);
            let (first, last) = (from, to - 1);
            let (began, ended) = (times[first as usize], times[last as usize]);
            let sampled = seconds(ended - began);
            let interval = sampled / f64::from(last - first);
            let near = |gap: f64| if gap >= interval * 1.1 { interval / 2.0 } else { gap };
            let to_start = near(seconds(began - start));
            let to_end = near(seconds(end - ended));
            let factor = (sampled + to_start + to_end) / sampled / self.divisor;
            self.stretches.push(Stretch { first, last, factor, zero: to_start / sampled });
            self.spans.push((sampled, to_end));
        }
    }
}

/// Steps of all plans that a worker keeps: 48 bytes each, so 6 MiB.
const PLANNED_STEPS_MAX: usize = 1 << 17;

/// Plans a worker keeps at most: looking through them must cost less than planning.
const PLANS_MAX: usize = 128;

/// The plans made so far, by their times.
#[derive(Debug, Default)]
pub(super) struct Plans {
    list: Vec<Planned>,
    recent: usize,
    /// The one that goes next when there are too many.
    oldest: usize,
    /// Samples seen at each step by plans that are gone.
    seen: Vec<u64>,
}

#[derive(Debug)]
struct Planned {
    times: Arc<[i64]>,
    plan: Plan,
    uses: u64,
}

impl Plans {
    /// The plan for these times.
    pub(super) fn of(&mut self, geometry: &Geometry, times: &Arc<[i64]>) -> &Plan {
        self.recent = self.find(times).unwrap_or_else(|| {
            let plan = Plan::new(geometry, times);
            self.keep(Planned { times: Arc::clone(times), plan, uses: 0 }, geometry.grid.count)
        });
        let planned = &mut self.list[self.recent];
        planned.uses += 1;
        &planned.plan
    }

    fn find(&self, times: &Arc<[i64]>) -> Option<usize> {
        let same = |at: &usize| Arc::ptr_eq(&self.list[*at].times, times);
        // Lists that are alike without being one: comparing costs far less than planning.
        let alike = |at: &usize| {
            let known = &self.list[*at].times;
            known.len() == times.len() && known.first() == times.first() && known == times
        };
        let recent = Some(self.recent).filter(|at| self.list.get(*at).is_some());
        recent
            .filter(same)
            .or_else(|| (0..self.list.len()).find(same))
            .or_else(|| (0..self.list.len()).find(alike))
    }

    fn keep(&mut self, planned: Planned, steps: usize) -> usize {
        if self.list.len() < (PLANNED_STEPS_MAX / steps.max(1)).clamp(1, PLANS_MAX) {
            self.list.push(planned);
            return self.list.len() - 1;
        }
        let at = self.oldest;
        self.oldest = (at + 1) % self.list.len();
        let gone = std::mem::replace(&mut self.list[at], planned);
        add_seen(&mut self.seen, &gone);
        at
    }

    /// Samples seen at each step since the last call.
    pub(super) fn take_seen(&mut self) -> Vec<u64> {
        for planned in &mut self.list {
            add_seen(&mut self.seen, planned);
            planned.uses = 0;
        }
        std::mem::take(&mut self.seen)
    }
}

fn add_seen(seen: &mut Vec<u64>, planned: &Planned) {
    if planned.uses == 0 {
        return;
    }
    seen.resize(planned.plan.bounds.len().max(seen.len()), 0);
    for (seen, (from, to)) in seen.iter_mut().zip(&planned.plan.bounds) {
        *seen += u64::from(to - from) * planned.uses;
    }
}

/// Two indexes that move forward over sorted times.
#[derive(Default)]
pub(super) struct Slide(usize, usize);

impl Slide {
    pub(super) fn to(
        &mut self,
        len: usize,
        start: i64,
        end: i64,
        time: impl Fn(usize) -> i64,
    ) -> (usize, usize) {
        while self.0 < len && time(self.0) <= start {
            self.0 += 1;
        }
        self.1 = self.1.max(self.0);
        while self.1 < len && time(self.1) <= end {
            self.1 += 1;
        }
        (self.0, self.1)
    }
}
