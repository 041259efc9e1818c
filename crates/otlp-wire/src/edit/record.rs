// SPDX-License-Identifier: Apache-2.0
//! One element under edit: raw bytes until touched.
//!
//! Attribute edits are kept as a list of slots, each a range of the original or of the arena;
//! other edits rewrite the element into the arena at once. Getters and views always show the
//! edits made so far.

use std::ops::Range;

use super::attrs::{AttrsMut, Slot};
use crate::check::{Malformed, check};
use crate::schema::{self, Message};
use crate::value::{AnyValue, Attrs};
use crate::view::{FromRaw, StatusCode, span_id, trace_id};
use crate::wire::{Val, fields, find_len, find_str, put_len, put_u64};
use crate::write::put_any;
use crate::{SpanId, TraceId};

/// Most bytes before the content of a field of an element: a tag below 16 and a 32 bit length.
const TAG_AND_LENGTH_MAX: usize = 1 + 5;

/// What a [`Record`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A `Resource`.
    Resource,
    /// An instrumentation scope.
    Scope,
    /// An event of a span.
    Event,
    /// A `Span`.
    Span,
    /// A `LogRecord`.
    Log,
    /// A `Metric`; its attributes are the metadata.
    Metric,
    /// A point of a gauge or sum.
    NumberPoint,
    /// A point of a histogram.
    HistogramPoint,
    /// A point of an exponential histogram.
    ExponentialHistogramPoint,
    /// A point of a summary.
    SummaryPoint,
}

impl Element {
    /// Field number of the attributes.
    #[inline]
    fn attributes(self) -> u32 {
        match self {
            Element::Resource | Element::ExponentialHistogramPoint => 1,
            Element::Scope | Element::Event => 3,
            Element::Span | Element::HistogramPoint => 9,
            Element::Log => 6,
            Element::Metric => 12,
            Element::NumberPoint | Element::SummaryPoint => 7,
        }
    }

    /// Field number of the name; 0 for what has none.
    fn name(self) -> u32 {
        match self {
            Element::Span => 5,
            Element::Metric | Element::Scope => 1,
            Element::Event => 2,
            Element::Log => 12,
            _ => 0,
        }
    }

    fn schema(self) -> &'static Message {
        match self {
            Element::Resource => &schema::RESOURCE,
            Element::Scope => &schema::SCOPE,
            Element::Event => &schema::EVENT,
            Element::Span => &schema::SPAN,
            Element::Log => &schema::LOG,
            Element::Metric => &schema::METRIC,
            Element::NumberPoint => &schema::NUMBER_POINT,
            Element::HistogramPoint => &schema::HISTOGRAM_POINT,
            Element::ExponentialHistogramPoint => &schema::EXPONENTIAL_POINT,
            Element::SummaryPoint => &schema::SUMMARY_POINT,
        }
    }

    /// The point type below a metric's data field.
    pub(super) fn point_of(data: u32) -> Element {
        match data {
            9 => Element::HistogramPoint,
            10 => Element::ExponentialHistogramPoint,
            11 => Element::SummaryPoint,
            _ => Element::NumberPoint,
        }
    }
}

/// The edits of one element; reused from element to element.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) arena: Vec<u8>,
    /// The element rewritten into the arena; `None` while it is the original.
    pub(super) base: Option<Range<usize>>,
    /// Attributes, once someone asked for them.
    pub(super) slots: Vec<Slot>,
    pub(super) loaded: bool,
    /// Where the attributes lie in the base, once loaded.
    pub(super) run: Range<usize>,
    /// The slots differ from the base.
    pub(super) edited: bool,
    /// The base has another number of points than the original, perhaps.
    pub(super) replaced: bool,
    /// For the elements inside this one, once someone asked for them.
    nested: Option<Box<State>>,
}

impl State {
    #[inline]
    fn reset(&mut self) {
        self.arena.clear();
        self.slots.clear();
        self.base = None;
        self.loaded = false;
        self.edited = false;
        self.replaced = false;
    }
}

/// One element under edit. See [`crate::Pass`].
#[derive(Debug)]
pub struct Record<'a> {
    element: Element,
    raw: &'a [u8],
    state: &'a mut State,
}

impl<'a> Record<'a> {
    #[inline]
    pub(super) fn new(element: Element, raw: &'a [u8], state: &'a mut State) -> Self {
        state.reset();
        Record { element, raw, state }
    }

    /// What it is.
    pub fn element(&self) -> Element {
        self.element
    }

    /// The element as it is but for pending attribute edits.
    #[inline]
    fn base(&self) -> &[u8] {
        match &self.state.base {
            None => self.raw,
            Some(range) => &self.state.arena[range.clone()],
        }
    }

    /// The attributes, to read and to edit (a metric's metadata).
    #[inline]
    pub fn attrs(&mut self) -> AttrsMut<'_> {
        AttrsMut::new(self.raw, self.state, self.element.attributes())
    }

    /// The first attribute under `key`. Quicker than `attrs().get` while nothing is edited.
    #[inline]
    pub fn attr(&self, key: &str) -> Option<AnyValue<'_>> {
        if self.state.loaded {
            return self.state.get(self.raw, key);
        }
        Attrs::new(self.base(), self.element.attributes()).get(key)
    }

    /// The trace of a span or log record; `None` for others.
    #[inline]
    pub fn trace_id(&self) -> Option<TraceId> {
        match self.element {
            Element::Span => trace_id(self.base(), 1),
            Element::Log => trace_id(self.base(), 9),
            _ => None,
        }
    }

    /// The id of a span, the span of a log record; `None` for others.
    pub fn span_id(&self) -> Option<SpanId> {
        match self.element {
            Element::Span => span_id(self.base(), 2),
            Element::Log => span_id(self.base(), 10),
            _ => None,
        }
    }

    /// Name of a span, event, scope or metric, event name of a log record; empty for others.
    pub fn name(&self) -> &str {
        match self.element.name() {
            0 => "",
            number => find_str(self.base(), number),
        }
    }

    /// Sets the name; nothing happens to elements that have none.
    pub fn set_name(&mut self, name: &str) {
        let number = self.element.name();
        if number != 0 {
            self.set_field(number, |out| put_len(out, number, name.as_bytes()));
        }
    }

    /// Unit of a metric; empty for others.
    pub fn unit(&self) -> &str {
        if self.element == Element::Metric { find_str(self.base(), 3) } else { "" }
    }

    /// Sets the unit of a metric.
    pub fn set_unit(&mut self, unit: &str) {
        if self.element == Element::Metric {
            self.set_field(3, |out| put_len(out, 3, unit.as_bytes()));
        }
    }

    /// Description of a metric; empty for others.
    pub fn description(&self) -> &str {
        if self.element == Element::Metric { find_str(self.base(), 2) } else { "" }
    }

    /// Sets the description of a metric.
    pub fn set_description(&mut self, description: &str) {
        if self.element == Element::Metric {
            self.set_field(2, |out| put_len(out, 2, description.as_bytes()));
        }
    }

    /// Sets the status of a span.
    pub fn set_status(&mut self, code: StatusCode, message: &str) {
        if self.element != Element::Span {
            return;
        }
        self.set_field(15, |out| {
            let frame = crate::wire::Frame::open(out, 15, 1);
            if !message.is_empty() {
                put_len(out, 2, message.as_bytes());
            }
            put_u64(out, 3, code as u64);
            frame.close(out);
        });
    }

    /// W3C trace state of a span; empty for others.
    #[inline]
    pub fn trace_state(&self) -> &str {
        if self.element == Element::Span { find_str(self.base(), 3) } else { "" }
    }

    /// Sets the trace state of a span.
    pub fn set_trace_state(&mut self, state: &str) {
        if self.element == Element::Span {
            self.set_field(3, |out| put_len(out, 3, state.as_bytes()));
        }
    }

    /// Body of a log record; empty for others.
    pub fn body(&self) -> AnyValue<'_> {
        match self.element {
            Element::Log => find_len(self.base(), 5).map_or(AnyValue::Empty, AnyValue::parse),
            _ => AnyValue::Empty,
        }
    }

    /// Sets the body of a log record.
    pub fn set_body(&mut self, body: AnyValue<'_>) {
        if self.element != Element::Log {
            return;
        }
        self.set_field(5, |out| {
            let frame = crate::wire::Frame::open(out, 5, 1);
            put_any(out, &body);
            frame.close(out);
        });
    }

    /// Shows every event of a span, to read and to edit; nothing happens to other elements.
    pub fn events(&mut self, mut edit: impl FnMut(&mut Record<'_>)) {
        const EVENTS: u32 = 11;
        if self.element != Element::Span || find_len(self.base(), EVENTS).is_none() {
            return;
        }
        self.settle();
        let mut state = self.state.nested.take().unwrap_or_default();
        let (mut rewritten, mut copied) = (Vec::new(), 0);
        let base = self.base();
        for field in fields(base) {
            let (EVENTS, Val::Len(raw)) = (field.number, field.value) else { continue };
            let mut event = Record::new(Element::Event, raw, &mut state);
            edit(&mut event);
            if event.changed() {
                rewritten.extend_from_slice(&base[copied..field.start]);
                event.write(&mut rewritten, EVENTS);
                copied = field.end;
            }
        }
        if copied > 0 {
            rewritten.extend_from_slice(&base[copied..]);
            let start = self.state.arena.len();
            self.state.arena.extend_from_slice(&rewritten);
            self.set_base(start);
        }
        self.state.nested = Some(state);
    }

    /// The encoded message with all edits made so far.
    pub fn raw(&mut self) -> &[u8] {
        self.settle();
        self.base()
    }

    /// A view (`SpanView`, `LogView`, `MetricView`, a point's) that shows all edits made so far.
    pub fn view<'r, V: FromRaw<'r>>(&'r mut self) -> V {
        V::from_raw(self.raw())
    }

    /// Decodes this one element into its prost struct, for work that edits do not cover.
    pub fn decode<M: prost::Message + Default>(&mut self) -> M {
        M::decode(self.raw()).unwrap_or_default()
    }

    /// Replaces this one element by a prost struct of its type.
    ///
    /// # Errors
    /// [`Malformed`], and nothing changes, when the message is not one of this type: ids of the
    /// wrong length, too deep, or another struct.
    pub fn replace(&mut self, message: &impl prost::Message) -> Result<(), Malformed> {
        let start = self.state.arena.len();
        // Writing into a `Vec` has no capacity to exceed.
        let _ = message.encode(&mut self.state.arena);
        if let Err(e) = check(self.element.schema(), &self.state.arena[start..]) {
            self.state.arena.truncate(start);
            return Err(e);
        }
        self.set_base(start);
        self.state.replaced = true;
        Ok(())
    }

    /// The arena from `start` on is the new base.
    fn set_base(&mut self, start: usize) {
        self.state.base = Some(start..self.state.arena.len());
        self.state.slots.clear();
        self.state.loaded = false;
        self.state.edited = false;
    }

    /// Rewrites the element with field `number` written anew, where it was or where it belongs.
    fn set_field(&mut self, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
        self.settle();
        let base = self.base();
        let at = match fields(base).find(|f| f.number == number) {
            Some(field) => field.start..field.end,
            None => {
                let later = fields(base).find(|f| f.number > number);
                let at = later.map_or(base.len(), |f| f.start);
                at..at
            }
        };
        let start = self.state.arena.len();
        self.append_base(0..at.start);
        write(&mut self.state.arena);
        self.append_base(at.end..self.base().len());
        self.set_base(start);
    }

    /// Copies a part of the base to the end of the arena.
    fn append_base(&mut self, part: Range<usize>) {
        match &self.state.base {
            None => self.state.arena.extend_from_slice(&self.raw[part]),
            Some(base) => {
                let part = base.start + part.start..base.start + part.end;
                self.state.arena.extend_from_within(part);
            }
        }
    }

    /// Writes pending attribute edits into a new base.
    fn settle(&mut self) {
        if !self.state.edited {
            return;
        }
        let run = self.state.run.clone();
        let start = self.state.arena.len();
        self.append_base(0..run.start);
        for i in 0..self.state.slots.len() {
            let slot = self.state.slots[i];
            if slot.in_arena {
                self.state.arena.extend_from_within(slot.range());
            } else {
                self.state.arena.extend_from_slice(&self.raw[slot.range()]);
            }
        }
        self.append_base(run.end..self.base().len());
        self.set_base(start);
    }

    /// True when it differs from the original.
    #[inline]
    pub(super) fn changed(&self) -> bool {
        self.state.edited || self.state.base.is_some()
    }

    /// True when [`Record::replace`] was used.
    pub(super) fn replaced(&self) -> bool {
        self.state.replaced
    }

    /// Appends the element with all its edits as field `number`.
    pub(super) fn write(&self, out: &mut Vec<u8>, number: u32) {
        let base = self.base();
        if !self.state.edited {
            put_len(out, number, base);
            return;
        }
        let run = self.state.run.clone();
        let slots: usize = self.state.slots.iter().map(|s| s.range().len()).sum();
        let len = base.len() - run.len() + slots;
        out.reserve(len + TAG_AND_LENGTH_MAX);
        crate::wire::put_tag(out, number, crate::wire::LEN);
        crate::wire::put_varint(out, len as u64);
        out.extend_from_slice(&base[..run.start]);
        self.state.write_slots(self.raw, out);
        out.extend_from_slice(&base[run.end..]);
    }
}
