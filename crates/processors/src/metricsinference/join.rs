// SPDX-License-Identifier: Apache-2.0
//! Rows for rules with several inputs: points of the same resource whose attributes agree and
//! whose times are close, whichever requests they came in.
//!
//! Attributes are compared on the keys that all inputs have, less those that a selector sets to one
//! value (`cpu{state="user"}` and `cpu{state="idle"}` do join, and the row has no `state`); an input with fewer attributes is
//! used for every row it fits. A row carries the attributes of the input that has the most; if
//! none has all the others' keys, it carries the common ones.
//!
//! Each point is used once. Points wait per series, at most [`PENDING_MAX`], for partners in
//! later batches; they are paired with the nearest in time, never further apart than the
//! tolerance, nor than half the time between two points of a series: a point that was lost must
//! not shift all that follow. What finds no partner is counted as unmatched, what could pair in several ways as
//! ambiguous. Resources are never mixed.

use std::collections::VecDeque;
use std::sync::Arc;

use basics::UnixNano;
use hashbrown::{HashMap, HashSet};
use otlp_wire::FromRaw;
use smallvec::{SmallVec, smallvec};

use super::selector::Selector;
use super::series::{Moment, Origin, Table, Target};

/// Points of a series that wait for partners: a batch of ten seconds of one-second points from
/// either side still pairs up completely.
pub const PENDING_MAX: usize = 16;

/// What a [`Join`] leaves out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Points that found no partner.
    pub unmatched: u64,
    /// Points that fitted in more than one way.
    pub ambiguous: u64,
}

/// The waiting points of one rule.
pub struct Join {
    tolerance_ns: u64,
    inputs: Vec<Input>,
    /// Resources with waiting points, by the address of their one copy, which `Waiting` keeps.
    waiting: HashMap<usize, Waiting>,
    touched: Vec<usize>,
    /// Counted since last asked.
    pub left: Left,
}

/// Key and whole of an encoded attribute.
type KeyedAttr = (Box<[u8]>, Box<[u8]>);

struct Input {
    table: Table,
    /// Attributes that the selector sets to one value.
    fixed: Vec<String>,
    /// By slot of the table.
    series: Vec<InputSeries>,
}

#[derive(Default)]
struct InputSeries {
    pending: VecDeque<(UnixNano, f64)>,
    /// How many of them rows have used or passed over.
    consumed: usize,
    /// Time of the point taken last.
    last: UnixNano,
    /// Times between the last three points, newest first; 0 while unknown.
    gaps: [u64; 2],
    /// Encoded attributes sorted by key.
    sorted: Vec<KeyedAttr>,
}

struct Waiting {
    _resource: Arc<[u8]>,
    /// Slots with waiting points, by input.
    slots: Vec<Vec<u32>>,
}

impl Join {
    /// A join of what `selectors` select, over points at most `tolerance_ns` apart; `table` makes
    /// the table of an input's series.
    pub fn new(selectors: &[Selector], tolerance_ns: u64, table: impl Fn() -> Table) -> Self {
        let input = |selector: &Selector| Input {
            table: table(),
            fixed: selector.fixed().map(str::to_owned).collect(),
            series: Vec::new(),
        };
        Join {
            tolerance_ns,
            inputs: selectors.iter().map(input).collect(),
            waiting: HashMap::new(),
            touched: Vec::new(),
            left: Left::default(),
        }
    }

    /// Takes one point of input `input`. False when there is no room for its series.
    pub fn push(
        &mut self,
        input: usize,
        origin: &Arc<Origin>,
        attrs: &[u8],
        (time, value): (UnixNano, f64),
        moment: Moment,
    ) -> bool {
        let mut gone = Vec::new();
        let side = &mut self.inputs[input];
        let slot = side.table.slot(origin, attrs, moment, &mut gone);
        self.forget(input, &gone);
        let Some(slot) = slot else { return false };
        let side = &mut self.inputs[input];
        if side.series.len() <= slot as usize {
            side.series.resize_with(slot as usize + 1, InputSeries::default);
        }
        let series = &mut side.series[slot as usize];
        if series.pending.is_empty() {
            if series.sorted.is_empty() {
                series.sorted = sorted(attrs, &side.fixed);
            }
            let key = origin.resource.as_ptr() as usize;
            let inputs = self.inputs.len();
            let waiting = self.waiting.entry(key).or_insert_with(|| Waiting {
                _resource: origin.resource.clone(),
                slots: vec![Vec::new(); inputs],
            });
            waiting.slots[input].push(slot);
        }
        let series = &mut self.inputs[input].series[slot as usize];
        if series.last != 0 && series.last != time {
            series.gaps = [series.last.abs_diff(time), series.gaps[0]];
        }
        series.last = time;
        let pending = &mut series.pending;
        let at = pending.partition_point(|(have, _)| *have <= time);
        pending.insert(at, (time, value));
        if pending.len() > PENDING_MAX {
            pending.pop_front();
            self.left.unmatched += 1;
        }
        let key = origin.resource.as_ptr() as usize;
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
        true
    }

    /// Gives every row that is complete to `emit`: whom it is about, one value per input, and the
    /// time of the newest; rows about the same in order of time.
    pub fn drain(&mut self, mut emit: impl FnMut(&Target, &[f64], UnixNano)) {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in touched.drain(..) {
            self.drain_resource(key, &mut emit);
        }
        self.touched = touched;
    }

    /// Forgets series unseen for too long; looks at `steps` of each input.
    pub fn expire(&mut self, now: UnixNano, steps: usize) {
        for input in 0..self.inputs.len() {
            let mut gone = Vec::new();
            self.inputs[input].table.expire(now, steps, &mut gone);
            self.forget(input, &gone);
        }
    }

    fn forget(&mut self, input: usize, gone: &[u32]) {
        for slot in gone {
            let Some(series) = self.inputs[input].series.get_mut(*slot as usize) else { continue };
            self.left.unmatched += series.pending.len() as u64;
            *series = InputSeries::default();
            for waiting in self.waiting.values_mut() {
                waiting.slots[input].retain(|have| have != slot);
            }
        }
    }

    fn drain_resource(&mut self, key: usize, emit: &mut impl FnMut(&Target, &[f64], UnixNano)) {
        let Some(waiting) = self.waiting.get(&key) else { return };
        if waiting.slots.iter().any(Vec::is_empty) {
            return;
        }
        let plan = Plan::new(&self.inputs, &waiting.slots);
        let mut row = RowSlots::new();
        for group in plan.groups(&self.inputs, &waiting.slots) {
            let Some(many) = plan.many(&group) else {
                self.left.ambiguous += give_up(&mut self.inputs, &group);
                continue;
            };
            for slot in &group[many] {
                row.clear();
                row.extend(group.iter().map(|slots| slots[0]));
                row[many] = *slot;
                let Some(target) = plan.target(&self.inputs, &row) else { continue };
                let emit = |values: &[f64], time| emit(&target, values, time);
                self.left.unmatched += pair(&mut self.inputs, &row, self.tolerance_ns, emit);
            }
        }
        self.take_out(key);
    }

    /// Removes used points, and series and resources that wait for nothing any more.
    fn take_out(&mut self, key: usize) {
        let Some(waiting) = self.waiting.get_mut(&key) else { return };
        for (input, slots) in self.inputs.iter_mut().zip(&mut waiting.slots) {
            slots.retain(|slot| {
                let series = &mut input.series[*slot as usize];
                series.pending.drain(..std::mem::take(&mut series.consumed));
                !series.pending.is_empty()
            });
        }
        if waiting.slots.iter().all(Vec::is_empty) {
            self.waiting.remove(&key);
        }
    }
}

/// Slots of one row, one per input; rules with up to four inputs need no allocation.
type RowSlots = SmallVec<[u32; 4]>;
/// Series that agree on the common keys: slots per input.
type Group = SmallVec<[SmallVec<[u32; 2]>; 2]>;

/// Uses up all points of a group; gives their number.
fn give_up(inputs: &mut [Input], group: &Group) -> u64 {
    let mut count = 0;
    for (input, slots) in inputs.iter_mut().zip(group) {
        for slot in slots {
            let series = &mut input.series[*slot as usize];
            series.consumed = series.pending.len();
            count += series.pending.len() as u64;
        }
    }
    count
}

/// Encoded attributes by key, without those called as one of `fixed`.
fn sorted(attrs: &[u8], fixed: &[String]) -> Vec<KeyedAttr> {
    let view = otlp_wire::PointView::attrs(&otlp_wire::NumberPoint::from_raw(attrs));
    let is_fixed = |key: &[u8]| fixed.iter().any(|fixed| fixed.as_bytes() == key);
    let mut list: Vec<KeyedAttr> = view
        .each()
        .filter(|attr| !is_fixed(attr.key_bytes()))
        .map(|attr| (attr.key_bytes().into(), attr.raw().into()))
        .collect();
    list.sort();
    list
}

fn same_keys(a: &[KeyedAttr], b: &[KeyedAttr]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0)
}

/// The attributes whose keys are in `on`; both ascend by key.
fn common<'a>(sorted: &'a [KeyedAttr], mut on: &'a [Box<[u8]>]) -> impl Iterator<Item = &'a [u8]> {
    sorted.iter().filter_map(move |(key, attr)| {
        while on.first().is_some_and(|first| first < key) {
            on = &on[1..];
        }
        (on.first() == Some(key)).then_some(&**attr)
    })
}

/// How the waiting series of one resource fit together.
struct Plan {
    /// Keys that all inputs have, ascending.
    on: Vec<Box<[u8]>>,
    /// The input that has every key of the others.
    widest: Option<usize>,
}

impl Plan {
    fn new(inputs: &[Input], slots: &[Vec<u32>]) -> Self {
        let keys: Vec<HashSet<&[u8]>> = inputs
            .iter()
            .zip(slots)
            .map(|(input, slots)| {
                let mut keys = HashSet::new();
                let mut last: &[KeyedAttr] = &[];
                for slot in slots {
                    let sorted = &input.series[*slot as usize].sorted;
                    // Series of an input nearly always have the same keys.
                    if !same_keys(sorted, last) {
                        keys.extend(sorted.iter().map(|(key, _)| &**key));
                        last = sorted;
                    }
                }
                keys
            })
            .collect();
        let in_all = |key: &&[u8]| keys.iter().all(|other| other.contains(key));
        let mut on: Vec<Box<[u8]>> =
            keys[0].iter().copied().filter(in_all).map(Into::into).collect();
        on.sort();
        let widest =
            (0..keys.len()).find(|at| keys.iter().all(|other| other.is_subset(&keys[*at])));
        Plan { on, widest }
    }

    /// Series that agree on the common keys; every group has some of each input.
    fn groups(&self, inputs: &[Input], slots: &[Vec<u32>]) -> Vec<Group> {
        let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut key = Vec::new();
        for (at, (input, slots)) in inputs.iter().zip(slots).enumerate() {
            for slot in slots {
                key.clear();
                for attr in common(&input.series[*slot as usize].sorted, &self.on) {
                    key.extend((attr.len() as u64).to_le_bytes());
                    key.extend(attr);
                }
                let place = match places.get(&key) {
                    Some(place) => *place,
                    None => {
                        places.insert(key.clone(), groups.len());
                        groups.push(smallvec![SmallVec::new(); inputs.len()]);
                        groups.len() - 1
                    }
                };
                groups[place][at].push(*slot);
            }
        }
        groups.retain(|group| group.iter().all(|slots| !slots.is_empty()));
        groups
    }

    /// The input whose series make the rows of a group, those of the others being used for each;
    /// `None` when the series could be combined in several ways.
    fn many(&self, group: &Group) -> Option<usize> {
        let mut several = (0..group.len()).filter(|input| group[*input].len() > 1);
        match (several.next(), several.next()) {
            (None, _) => Some(0),
            (Some(many), None) if self.widest == Some(many) => Some(many),
            _ => None,
        }
    }

    /// Whom a row is about: the first input's origin, the widest one's attributes.
    fn target(&self, inputs: &[Input], slots: &[u32]) -> Option<Target> {
        let origin = inputs[0].table.get(slots[0])?.origin.clone();
        let nothing_fixed = inputs.iter().all(|input| input.fixed.is_empty());
        let attrs = match self.widest {
            Some(widest) if nothing_fixed => inputs[widest].table.get(slots[widest])?.attrs.clone(),
            widest => {
                let sorted = &inputs[widest.unwrap_or(0)];
                let sorted = &sorted.series[slots[widest.unwrap_or(0)] as usize].sorted;
                let mut run = Vec::new();
                match widest {
                    Some(_) => sorted.iter().for_each(|(_, attr)| put_attr(&mut run, attr)),
                    None => common(sorted, &self.on).for_each(|attr| put_attr(&mut run, attr)),
                }
                run.into()
            }
        };
        Some(Target { origin, attrs })
    }
}

/// Appends an encoded attribute as field 7, where a number point has its attributes.
fn put_attr(run: &mut Vec<u8>, attr: &[u8]) {
    run.push(7 << 3 | 2);
    let mut len = attr.len();
    while len >= 0x80 {
        run.push(len as u8 | 0x80);
        len >>= 7;
    }
    run.push(len as u8);
    run.extend(attr);
}

/// Pairs the waiting points of a row by time and notes which are used or passed over. Gives how
/// many found no partner.
fn pair(
    inputs: &mut [Input],
    row: &[u32],
    tolerance_ns: u64,
    mut emit: impl FnMut(&[f64], UnixNano),
) -> u64 {
    let series = |i: usize| &inputs[i].series[row[i] as usize];
    // The longer of two gaps, so that a flush in between does not count; the least of all inputs,
    // so that a lost point does not either.
    let gap = (0..row.len()).map(|i| series(i).gaps[0].max(series(i).gaps[1]));
    let apart_max = gap.filter(|gap| *gap > 0).map(|gap| gap / 2).fold(tolerance_ns, u64::min);
    let mut at: SmallVec<[usize; 4]> = smallvec![0; row.len()];
    let mut values: SmallVec<[f64; 4]> = SmallVec::new();
    let mut unmatched = 0;
    while (0..row.len()).all(|i| at[i] < series(i).pending.len()) {
        let time = |at: &[usize], i: usize| series(i).pending[at[i]].0;
        let newest = (0..row.len()).map(|i| time(&at, i)).max().unwrap_or(0);
        for i in 0..row.len() {
            let queue = &series(i).pending;
            let nearer = |at: usize| {
                let next = queue.get(at + 1)?.0;
                Some(next.abs_diff(newest) <= queue[at].0.abs_diff(newest))
            };
            while nearer(at[i]) == Some(true) {
                at[i] += 1;
                unmatched += 1;
            }
        }
        let times = || (0..row.len()).map(|i| time(&at, i));
        let (oldest, newest) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        if newest - oldest <= apart_max {
            values.clear();
            values.extend((0..row.len()).map(|i| series(i).pending[at[i]].1));
            emit(&values, newest);
            at.iter_mut().for_each(|at| *at += 1);
        } else if let Some(i) = (0..row.len()).find(|i| time(&at, *i) == oldest) {
            at[i] += 1;
            unmatched += 1;
        }
    }
    for (i, slot) in row.iter().enumerate() {
        let series = &mut inputs[i].series[*slot as usize];
        series.consumed = series.consumed.max(at[i]);
    }
    unmatched
}
