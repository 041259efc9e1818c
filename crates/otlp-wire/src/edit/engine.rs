// SPDX-License-Identifier: Apache-2.0
//! The scan: walks request, resources, scopes, elements and points, and writes what changed.

use super::cow::{Cow, REQUEST, RESOURCE, SCOPE};
use super::record::{Element, Record, State};
use super::{Context, Edited, Pass, Scratch, Verdict, Visits};
use crate::payload::{Payload, Signal};
use crate::split::{count_items, count_points};
use crate::view::{FromRaw, MetricView};
use crate::wire::{Field, Frame, Val, fields, put_len, varint_len};

/// Edits a payload; see [`Payload::edit`].
pub(super) fn edit(
    payload: &Payload,
    passes: &mut [Box<dyn Pass>],
    scratch: &mut Scratch,
) -> Edited {
    let Scratch { out, resource, scope, element, point, dropped } = scratch;
    dropped.clear();
    dropped.resize(passes.len(), 0);
    let visits = passes.iter().fold(Visits(0), |all, p| all.and(p.visits()));
    let mut scan = Scan {
        signal: payload.signal(),
        visits,
        passes,
        cow: Cow::new(out, payload.bytes()),
        element,
        point,
        dropped,
        recount: false,
    };
    let empty = scan.request(payload.bytes(), resource, scope);
    let (changed, recount) = (scan.cow.changed(), scan.recount);
    if empty {
        return Edited::Empty;
    }
    if !changed {
        return Edited::Unchanged;
    }
    let items = if recount {
        count_items(payload.signal(), out)
    } else {
        payload.items() - dropped.iter().sum::<u32>()
    };
    let bytes = if out.len() < out.capacity() / 2 {
        // Much was dropped: a copy of what is left, and the buffer stays for the next edit.
        bytes::Bytes::copy_from_slice(out)
    } else {
        std::mem::take(out).into()
    };
    Edited::Changed(Payload::trusted(payload.signal(), items, bytes))
}

struct Scan<'a, 's> {
    signal: Signal,
    visits: Visits,
    passes: &'s mut [Box<dyn Pass>],
    cow: Cow<'a, 's>,
    element: &'s mut State,
    point: &'s mut State,
    dropped: &'s mut [u32],
    recount: bool,
}

/// Children of one level: how many stay, how many went.
#[derive(Default)]
struct Tally {
    kept: usize,
    gone: usize,
}

impl Tally {
    fn count(&mut self, stays: bool) {
        if stays {
            self.kept += 1;
        } else {
            self.gone += 1;
        }
    }

    /// Everything it held was dropped.
    fn is_emptied(&self) -> bool {
        self.kept == 0 && self.gone > 0
    }
}

/// What stands above the children of a group, field 1 (the resource or scope itself), and where.
fn above(group: &[u8]) -> (&[u8], (usize, usize)) {
    match fields(group).find(|field| field.number == 1) {
        Some(Field { value: Val::Len(raw), start, end, .. }) => (raw, (start, end)),
        _ => (&[], (0, 0)),
    }
}

impl<'a> Scan<'a, '_> {
    /// True when nothing is left.
    fn request(&mut self, raw: &'a [u8], state: &mut State, scope: &mut State) -> bool {
        let mut tally = Tally::default();
        for field in fields(raw) {
            if let (1, Val::Len(group)) = (field.number, field.value) {
                self.cow.enter(RESOURCE, group, (field.start, field.end));
                tally.count(self.resource(group, state, scope));
            }
        }
        self.cow.leave(REQUEST, false);
        tally.is_emptied()
    }

    /// False when the resource is left without elements.
    fn resource(&mut self, group: &'a [u8], state: &mut State, scope: &mut State) -> bool {
        let (raw, place) = above(group);
        let mut record = Record::new(Element::Resource, raw, state);
        if self.visits.has(Visits::RESOURCES) {
            for pass in self.passes.iter_mut() {
                pass.resource(&mut record);
            }
        }
        let changed = record.changed();
        let resource = record.raw();
        if changed {
            self.cow.put_above(RESOURCE, resource, place);
        }
        if !self.visits.has(Visits::SCOPES.and(Visits::ITEMS).and(Visits::POINTS)) {
            self.cow.leave(RESOURCE, false);
            return true;
        }
        let mut tally = Tally::default();
        for field in fields(group) {
            if let (2, Val::Len(raw)) = (field.number, field.value) {
                self.cow.enter(SCOPE, raw, (field.start, field.end));
                tally.count(self.scope(raw, resource, group, scope));
            }
        }
        self.cow.leave(RESOURCE, tally.is_emptied());
        !tally.is_emptied()
    }

    /// False when the scope is left without elements.
    fn scope(
        &mut self,
        group: &'a [u8],
        resource: &[u8],
        resource_group: &[u8],
        state: &mut State,
    ) -> bool {
        let (raw, place) = above(group);
        let mut record = Record::new(Element::Scope, raw, state);
        if self.visits.has(Visits::SCOPES) {
            for pass in self.passes.iter_mut() {
                pass.scope(&mut record);
            }
        }
        let changed = record.changed();
        let scope = record.raw();
        if changed {
            self.cow.put_above(SCOPE, scope, place);
        }
        let mut tally = Tally::default();
        if self.visits.has(Visits::ITEMS.and(Visits::POINTS)) {
            let at = Context { resource, resource_group, scope, scope_group: group, metric: None };
            for field in fields(group) {
                if let (2, Val::Len(raw)) = (field.number, field.value) {
                    tally.count(match self.signal {
                        Signal::Metrics => self.metric(raw, &field, &at),
                        _ => self.item(raw, &field, &at),
                    });
                }
            }
        }
        self.cow.leave(SCOPE, tally.is_emptied());
        !tally.is_emptied()
    }

    /// A span or a log record.
    #[inline]
    fn item(&mut self, raw: &'a [u8], field: &Field<'_>, at: &Context<'_>) -> bool {
        let spans = self.signal == Signal::Traces;
        let element = if spans { Element::Span } else { Element::Log };
        let mut record = Record::new(element, raw, self.element);
        for (i, pass) in self.passes.iter_mut().enumerate() {
            let verdict =
                if spans { pass.span(&mut record, at) } else { pass.log(&mut record, at) };
            if verdict == Verdict::Drop {
                self.dropped[i] += 1;
                self.cow.replace(SCOPE, (field.start, field.end));
                return false;
            }
        }
        if record.changed() {
            self.cow.replace(SCOPE, (field.start, field.end));
            record.write(self.cow.out, 2);
        }
        true
    }

    /// A metric, then its points.
    fn metric(&mut self, raw: &'a [u8], field: &Field<'_>, at: &Context<'_>) -> bool {
        let place = (field.start, field.end);
        let mut record = Record::new(Element::Metric, raw, self.element);
        if self.visits.has(Visits::ITEMS) {
            for (i, pass) in self.passes.iter_mut().enumerate() {
                if pass.metric(&mut record, at) == Verdict::Drop {
                    self.dropped[i] += count_points(record.raw());
                    self.recount |= record.replaced();
                    self.cow.replace(SCOPE, place);
                    return false;
                }
            }
        }
        let changed = record.changed();
        self.recount |= record.replaced();
        let metric = record.raw();
        let outcome = match MetricView::from_raw(metric).data_raw() {
            Some((number, _)) if self.visits.has(Visits::POINTS) => {
                let mut points = Points {
                    passes: self.passes,
                    cow: &mut self.cow,
                    state: self.point,
                    dropped: self.dropped,
                    metric,
                    place,
                    number,
                    open: None,
                };
                points.scan(&Context { metric: Some(metric), ..*at })
            }
            _ => Outcome::Untouched,
        };
        if changed && outcome == Outcome::Untouched {
            self.cow.replace(SCOPE, place);
            put_len(self.cow.out, 2, metric);
        }
        outcome != Outcome::Empty
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// No point changed; nothing was written.
    Untouched,
    /// The metric was written with its new points.
    Written,
    /// No point is left; the metric goes.
    Empty,
}

/// The scan over the points of one metric, which writes the metric once a point changes.
struct Points<'p, 'a, 's> {
    passes: &'p mut [Box<dyn Pass>],
    cow: &'p mut Cow<'a, 's>,
    state: &'p mut State,
    dropped: &'p mut [u32],
    metric: &'p [u8],
    /// Where the metric lies in its scope.
    place: (usize, usize),
    /// Field number of the metric's data.
    number: u32,
    /// Frames of metric and data, and how much of the data's input is in the output.
    open: Option<(Frame, Frame, usize)>,
}

impl Points<'_, '_, '_> {
    fn scan(&mut self, at: &Context<'_>) -> Outcome {
        let Some(field) = fields(self.metric).find(|f| f.number == self.number) else {
            return Outcome::Untouched;
        };
        let Val::Len(data) = field.value else { return Outcome::Untouched };
        let mut tally = Tally::default();
        for child in fields(data) {
            if let (1, Val::Len(raw)) = (child.number, child.value) {
                tally.count(self.point(raw, &child, data, &field, at));
            }
        }
        let Some((metric, frame, copied)) = self.open else { return Outcome::Untouched };
        if tally.is_emptied() {
            metric.cancel(self.cow.out);
            return Outcome::Empty;
        }
        self.cow.out.extend_from_slice(&data[copied..]);
        frame.close(self.cow.out);
        self.cow.out.extend_from_slice(&self.metric[field.end..]);
        metric.close(self.cow.out);
        Outcome::Written
    }

    fn point(
        &mut self,
        raw: &[u8],
        child: &Field<'_>,
        data: &[u8],
        field: &Field<'_>,
        at: &Context<'_>,
    ) -> bool {
        // Taken out for the record, which borrows it while the output is written.
        let mut state = std::mem::take(self.state);
        let mut record = Record::new(Element::point_of(self.number), raw, &mut state);
        let mut stays = true;
        for (i, pass) in self.passes.iter_mut().enumerate() {
            if pass.point(&mut record, at) == Verdict::Drop {
                self.dropped[i] += 1;
                stays = false;
                break;
            }
        }
        if !stays || record.changed() {
            self.replace(child, data, field);
            if stays {
                record.write(self.cow.out, 1);
            }
        }
        *self.state = state;
        stays
    }

    /// Copies what is unchanged before `child` and leaves `child` out.
    fn replace(&mut self, child: &Field<'_>, data: &[u8], field: &Field<'_>) {
        let (metric, frame, copied) = self.open.unwrap_or_else(|| {
            self.cow.replace(SCOPE, self.place);
            let out = &mut *self.cow.out;
            let metric = Frame::open(out, 2, varint_len(self.metric.len() as u64));
            out.extend_from_slice(&self.metric[..field.start]);
            let frame = Frame::open(out, self.number, varint_len(data.len() as u64));
            (metric, frame, 0)
        });
        self.cow.out.extend_from_slice(&data[copied..child.start]);
        self.open = Some((metric, frame, child.end));
    }
}
