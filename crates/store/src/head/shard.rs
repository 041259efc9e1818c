// SPDX-License-Identifier: Apache-2.0
//! A sixteenth of the series: timestamp groups with their rows, and what is sealed.
//!
//! Series of one resource whose samples come at the same times are members of one group: a sample
//! is a cell in the group's newest row. After [`RUN_MAX`] rows the group is sealed: its times once,
//! each member's values as a chunk. Members that have had no sample since leave the group and join
//! anew with their next one; when the cells are mostly absent, the group is taken apart by the rows
//! that its members have, so that what is sent at times of its own ends in a group of its own.
//!
//! What cannot be a cell (older than the newest row) is among the series' late samples.

use hashbrown::HashMap;

use super::chunk::{self, Chunk, Mask, RUN_MAX, Segment};
use super::rows::{COLUMNS, Rows, is_absent};
use super::series::{Appended, Series, begins};

const NONE: u32 = u32::MAX;

/// Groups of a resource that are looked at for one that a series can join: clients of a resource
/// with clocks of their own are few, and a group too many costs no more than memory.
const GROUPS_LOOKED_AT: usize = 16;

/// Series of a shard from which on tails are kept short: a quarter of a million in the head, where a
/// full tail of each is 250 MB.
const MANY_SERIES: usize = 16_384;

/// So many samples that a group has no time for, and a series gets a group of its own.
const STRAYS_MAX: u32 = 8;

/// Where a series' tail is.
#[derive(Clone, Copy, Debug)]
struct Place {
    group: u32,
    member: u32,
}

impl Default for Place {
    fn default() -> Self {
        Place { group: NONE, member: 0 }
    }
}

/// Series that are sampled at the same times.
#[derive(Debug, Default)]
struct Group {
    /// Hash of the resource it belongs to.
    resource: u64,
    /// Time of the newest row there ever was.
    newest: i64,
    /// Of the rows there are.
    times: Vec<i64>,
    rows: Rows,
    /// Slots of the series; [`NONE`] where one has left.
    members: Vec<u32>,
    /// Rows until it is sealed: fewer the first time, differently many for each group, so that not
    /// all of a process are sealed at once.
    rows_max: usize,
}

/// Series by slot.
#[derive(Debug, Default)]
pub(super) struct Shard {
    /// Beside `series`, since a sample looks at nothing else of it.
    places: Vec<Place>,
    pub(super) series: Vec<Series>,
    groups: Vec<Group>,
    free_groups: Vec<u32>,
    by_resource: HashMap<u64, Vec<u32>, foldhash::fast::RandomState>,
}

impl Shard {
    /// Makes room for a slot.
    fn reach(&mut self, slot: usize) {
        if slot >= self.places.len() {
            self.places.resize(slot + 1, Place::default());
            self.series.resize_with(slot + 1, Series::default);
        }
    }

    /// What a series has beside its cells.
    pub(super) fn of(&mut self, slot: u32) -> &mut Series {
        self.reach(slot as usize);
        &mut self.series[slot as usize]
    }

    /// Samples and histograms of a series; of a tail alone when nothing is sealed.
    pub(super) fn count(&self, slot: u32) -> usize {
        let sealed = self.series.get(slot as usize).map_or(0, Series::count);
        if sealed > 0 { sealed } else { self.tail_count(slot) }
    }

    /// Takes one sample of a series that `resource` (a hash) sends. `window_ms`: how far behind the
    /// series' newest one it may be.
    #[inline]
    pub(super) fn append(
        &mut self,
        slot: u32,
        resource: u64,
        time: i64,
        value: f64,
        window_ms: i64,
    ) -> Appended {
        if let Some(place) = self.places.get(slot as usize).copied()
            && let Some(group) = self.groups.get_mut(place.group as usize)
            && group.newest == time
            && !group.times.is_empty()
            && let Some(cell) = group.rows.newest_mut(place.member as usize)
            && is_absent(*cell)
            && !is_absent(value)
        {
            *cell = value;
            return Appended::InOrder;
        }
        self.append_elsewhere(slot, resource, time, value, window_ms)
    }

    /// As [`Shard::append`] for what counts since `start`: it was 0 then, unless the series has a
    /// sample since, or that is longer ago than the window. A zero stands among the late samples,
    /// where it takes no row of the group; told is whether there is one more.
    pub(super) fn append_since(
        &mut self,
        slot: u32,
        resource: u64,
        (start, time): (i64, i64),
        value: f64,
        window_ms: i64,
    ) -> (Appended, bool) {
        let is_new = begins((start, time), self.newest(slot), window_ms);
        let appended = self.append(slot, resource, time, value, window_ms);
        let has_zero = is_new && appended == Appended::InOrder;
        if has_zero {
            self.series[slot as usize].insert_late(start, 0.0);
        }
        (appended, has_zero)
    }

    /// Takes a sample that is not a cell of the newest row.
    fn append_elsewhere(
        &mut self,
        slot: u32,
        resource: u64,
        time: i64,
        value: f64,
        window_ms: i64,
    ) -> Appended {
        self.reach(slot as usize);
        let place = self.places[slot as usize];
        let is_newer = self.groups.get(place.group as usize).is_some_and(|g| time > g.newest);
        if is_newer && !is_absent(value) {
            self.open_row(place.group, time);
            // Sealing the rows before may have taken the series out of its group.
            if self.places[slot as usize].group != NONE {
                return self.append(slot, resource, time, value, window_ms);
            }
        }
        match self.newest(slot) {
            Some(newest) if time <= newest => self.insert(slot, time, value, newest - window_ms),
            newest => {
                self.add(slot, resource, time, value, newest.is_none());
                Appended::InOrder
            }
        }
    }

    /// Takes a sample newer than all of its series.
    fn add(&mut self, slot: u32, resource: u64, time: i64, value: f64, is_first: bool) {
        let place = self.places[slot as usize];
        if is_absent(value) {
            self.series[slot as usize].insert_late(time, value);
        } else if place.group == NONE {
            self.join(slot, resource, time, value, is_first);
        } else if !self.fill(place, time, value) {
            let series = &mut self.series[slot as usize];
            series.insert_late(time, value);
            if series.strayed() > STRAYS_MAX {
                self.leave(slot);
            }
        }
    }

    /// Puts a sample into the row of its time, if there is one.
    fn fill(&mut self, place: Place, time: i64, value: f64) -> bool {
        let group = &mut self.groups[place.group as usize];
        let Ok(row) = group.times.binary_search(&time) else { return false };
        match group.rows.cell_mut(row, place.member as usize) {
            Some(cell) => {
                *cell = value;
                true
            }
            None => false,
        }
    }

    /// Takes a sample that is not newer than all of its series.
    fn insert(&mut self, slot: u32, time: i64, value: f64, oldest_allowed: i64) -> Appended {
        match self.value_at(slot, time) {
            Some(known) if known.to_bits() == value.to_bits() => Appended::Duplicate,
            Some(_) => Appended::Conflict,
            None if time < oldest_allowed => Appended::TooOld,
            None => {
                self.series[slot as usize].insert_late(time, value);
                Appended::OutOfOrder
            }
        }
    }

    fn value_at(&mut self, slot: u32, time: i64) -> Option<f64> {
        let place = self.places[slot as usize];
        if let Some(group) = self.groups.get_mut(place.group as usize)
            && let Ok(row) = group.times.binary_search(&time)
            && let Some(cell) = group.rows.cell_mut(row, place.member as usize)
            && !is_absent(*cell)
        {
            return Some(*cell);
        }
        self.series[slot as usize].value_at(time)
    }

    /// Time of a series' newest sample.
    pub(super) fn newest(&self, slot: u32) -> Option<i64> {
        let place = self.places.get(slot as usize)?;
        let group = self.groups.get(place.group as usize);
        let row = group.and_then(|group| {
            let row = group.rows.newest_row_of(place.member as usize)?;
            group.times.get(row).copied()
        });
        row.into_iter().chain(self.series[slot as usize].newest()).max()
    }

    /// Adds a row for `time`, newer than all of its group; seals those before when they are many.
    fn open_row(&mut self, number: u32, time: i64) {
        let group = &self.groups[number as usize];
        if group.times.len() >= group.rows_max {
            self.seal(number, RUN_MAX);
        }
        let group = &mut self.groups[number as usize];
        if group.times.len() == group.times.capacity() {
            group.times.reserve_exact(24);
        }
        group.times.push(time);
        group.newest = time;
        group.rows.push(group.members.len());
    }

    /// Makes a series a member of a group that is at `time`, or can be, with its first sample there.
    fn join(&mut self, slot: u32, resource: u64, time: i64, value: f64, is_first: bool) {
        let known = self.by_resource.get(&resource).map_or(&[][..], Vec::as_slice);
        let at_time = |number: &&u32| {
            let group = &self.groups[**number as usize];
            group.newest == time && !group.times.is_empty()
        };
        let mut looked_at = known.iter().take(GROUPS_LOOKED_AT);
        // A new series is sampled with the others; one that has left a group was not.
        let main =
            known.first().filter(|number| is_first && self.groups[**number as usize].newest < time);
        let number = match looked_at.find(at_time).or(main) {
            Some(number) => *number,
            None => self.new_group(resource, i64::MIN),
        };
        if self.groups[number as usize].newest != time
            || self.groups[number as usize].times.is_empty()
        {
            self.open_row(number, time);
        }
        let group = &mut self.groups[number as usize];
        let member = group.members.len();
        if group.members.len() == group.members.capacity() {
            group.members.reserve_exact(1 + group.members.len() / 4);
        }
        group.members.push(slot);
        if let Some(cell) = group.rows.newest_mut(member) {
            *cell = value;
        }
        self.places[slot as usize] = Place { group: number, member: member as u32 };
    }

    /// Rows until a group is sealed: half as many where there are many series, whose tails are most
    /// of the memory.
    fn rows_max(&self) -> usize {
        if self.places.len() > MANY_SERIES { RUN_MAX / 2 } else { RUN_MAX }
    }

    fn new_group(&mut self, resource: u64, newest: i64) -> u32 {
        let number = self.free_groups.pop().unwrap_or_else(|| {
            self.groups.push(Group::default());
            self.groups.len() as u32 - 1
        });
        // Three rows in four at least: the shortest runs pack nearly as well.
        let rows_max = RUN_MAX - number as usize * 7 % (RUN_MAX / 4);
        let rows_max = rows_max.min(self.rows_max());
        self.groups[number as usize] = Group { resource, newest, rows_max, ..Group::default() };
        self.by_resource.entry(resource).or_default().push(number);
        number
    }

    /// Takes a series out of its group, its cells as a chunk.
    fn leave(&mut self, slot: u32) {
        let place = std::mem::take(&mut self.places[slot as usize]);
        let Some(group) = self.groups.get_mut(place.group as usize) else { return };
        let mut values = Vec::new();
        let member = place.member as usize;
        let mask = group.rows.column(member, 0, group.times.len(), &mut values);
        group.members[member] = NONE;
        group.rows.clear_member(member);
        if let Some(rare) = &mut self.series[slot as usize].rare {
            rare.strays = 0;
        }
        if !values.is_empty() {
            let own: Vec<i64> = group
                .times
                .iter()
                .enumerate()
                .filter(|(at, _)| chunk::is_in(&mask, *at))
                .map(|(_, time)| *time)
                .collect();
            let all = chunk::first(own.len());
            let chunk = Chunk::pack(&Segment::pack(&own), all, &values);
            self.series[slot as usize].push(chunk, own[own.len() - 1]);
        }
    }

    /// Forgets a series.
    pub(super) fn remove(&mut self, slot: u32) {
        let place = std::mem::take(&mut self.places[slot as usize]);
        if let Some(group) = self.groups.get_mut(place.group as usize) {
            group.members[place.member as usize] = NONE;
            group.rows.clear_member(place.member as usize);
        }
        self.series[slot as usize] = Series::default();
    }

    /// Seals the first rows of a group, at most `count`.
    fn seal(&mut self, number: u32, count: usize) {
        let Shard { groups, series, .. } = self;
        let group = &mut groups[number as usize];
        let count = count.min(group.times.len());
        if count == 0 {
            return;
        }
        let segment = Segment::pack(&group.times[..count]);
        let mut columns = [[0.0; RUN_MAX]; COLUMNS];
        let mut masks = Vec::with_capacity(group.members.len());
        let mut values = Vec::with_capacity(count);
        for (at, slot) in group.members.iter().enumerate() {
            if at % COLUMNS == 0 {
                group.rows.columns(at, count, &mut columns);
            }
            let column = &columns[at % COLUMNS][..count];
            let mask = present(column, &mut values);
            masks.push(mask);
            if *slot != NONE && !values.is_empty() {
                let series = &mut series[*slot as usize];
                let newest = newest_of(&mask).map_or(group.newest, |row| group.times[row]);
                series.push(Chunk::pack(&segment, mask, &values), newest);
            }
        }
        group.times.drain(..count);
        group.rows.drop_first(count);
        if group.times.is_empty() {
            group.times = Vec::new();
            self.groups[number as usize].rows_max = self.rows_max();
            self.regroup(number, &masks, count);
        }
    }

    /// After all rows are sealed: members without a sample leave, and a group of mostly absent cells
    /// is taken apart.
    fn regroup(&mut self, number: u32, masks: &[Mask], rows: usize) {
        let members = std::mem::take(&mut self.groups[number as usize].members);
        let alive = masks.iter().filter(|mask| chunk::count_of(mask) > 0).count();
        let cells: usize = masks.iter().map(chunk::count_of).sum();
        let is_sparse = alive > 1 && cells * 4 < alive * rows * 3;
        let mut apart: HashMap<Mask, Vec<u32>, foldhash::fast::RandomState> = HashMap::default();
        let mut stay = Vec::with_capacity(alive);
        for (slot, mask) in members.into_iter().zip(masks) {
            if slot == NONE {
                continue;
            }
            // One alone goes as well: its next sample finds the group that it belongs to.
            let leaves = chunk::count_of(mask) == 0 || alive == 1;
            if leaves {
                self.places[slot as usize] = Place::default();
            } else if is_sparse {
                apart.entry(*mask).or_default().push(slot);
            } else {
                stay.push(slot);
            }
        }
        let (resource, newest) = {
            let group = &self.groups[number as usize];
            (group.resource, group.newest)
        };
        if is_sparse {
            let largest = apart.iter().max_by_key(|(mask, slots)| (slots.len(), **mask));
            let largest = largest.map(|(mask, _)| *mask);
            stay = largest.and_then(|mask| apart.remove(&mask)).unwrap_or_default();
        }
        self.settle(number, stay);
        for (_, slots) in apart {
            let number = self.new_group(resource, newest);
            self.settle(number, slots);
        }
    }

    fn settle(&mut self, number: u32, members: Vec<u32>) {
        for (member, slot) in members.iter().enumerate() {
            self.places[*slot as usize] = Place { group: number, member: member as u32 };
        }
        self.groups[number as usize].members = members;
    }

    /// Seals all rows before `cut`, and lets go of groups without members.
    pub(super) fn seal_before(&mut self, cut: i64) {
        for number in 0..self.groups.len() as u32 {
            let count = self.groups[number as usize].times.partition_point(|time| *time < cut);
            self.seal(number, count);
            let group = &self.groups[number as usize];
            if group.members.is_empty() && group.times.is_empty() {
                self.free(number);
            }
        }
    }

    fn free(&mut self, number: u32) {
        let resource = self.groups[number as usize].resource;
        let Some(known) = self.by_resource.get_mut(&resource) else { return };
        let before = known.len();
        known.retain(|other| *other != number);
        if known.len() < before {
            if known.is_empty() {
                self.by_resource.remove(&resource);
            }
            self.groups[number as usize] = Group::default();
            self.free_groups.push(number);
        }
    }

    /// What a series has in rows: the group, its times, and which of them, values appended.
    pub(super) fn tail(&self, slot: u32, values: &mut Vec<f64>) -> Option<(u32, &[i64], Mask)> {
        let place = self.places.get(slot as usize)?;
        let group = self.groups.get(place.group as usize)?;
        let mask = group.rows.column(place.member as usize, 0, group.times.len(), values);
        Some((place.group, &group.times, mask))
    }

    /// Samples of a series in rows.
    pub(super) fn tail_count(&self, slot: u32) -> usize {
        self.tail(slot, &mut Vec::new()).map_or(0, |(_, _, mask)| chunk::count_of(&mask))
    }

    /// Whether a series has a sample in rows within `start..=end`.
    pub(super) fn tail_touches(&self, slot: u32, start: i64, end: i64) -> bool {
        let Some(place) = self.places.get(slot as usize) else { return false };
        let Some(group) = self.groups.get(place.group as usize) else { return false };
        let from = group.times.partition_point(|time| *time < start);
        let to = group.times.partition_point(|time| *time <= end);
        let mask = group.rows.column(place.member as usize, from, to, &mut Vec::new());
        chunk::count_of(&mask) > 0
    }

    /// Times of the oldest and newest row of all groups.
    pub(super) fn tail_range(&self) -> Option<(i64, i64)> {
        let oldest = self.groups.iter().filter_map(|group| group.times.first()).min()?;
        let newest = self.groups.iter().filter_map(|group| group.times.last()).max()?;
        Some((*oldest, *newest))
    }

    /// Bytes of groups and places.
    pub(super) fn tail_bytes(&self) -> usize {
        let of = |group: &Group| {
            let times = group.times.capacity() * 8 + group.members.capacity() * 4;
            size_of::<Group>() + times + group.rows.bytes()
        };
        let groups: usize = self.groups.iter().map(of).sum();
        groups + self.places.capacity() * size_of::<Place>()
    }
}

/// The values of a column that are there, and which they are.
fn present(column: &[f64], values: &mut Vec<f64>) -> Mask {
    values.clear();
    if !column.iter().any(|value| is_absent(*value)) {
        values.extend_from_slice(column);
        return chunk::first(column.len());
    }
    let mut mask = [0; 2];
    for (at, value) in column.iter().enumerate() {
        if !is_absent(*value) {
            values.push(*value);
            mask[at / 64] |= 1 << (at % 64);
        }
    }
    mask
}

/// The last row of a mask.
fn newest_of(mask: &Mask) -> Option<usize> {
    match mask {
        [0, 0] => None,
        [low, 0] => Some(63 - low.leading_zeros() as usize),
        [_, high] => Some(127 - high.leading_zeros() as usize),
    }
}
