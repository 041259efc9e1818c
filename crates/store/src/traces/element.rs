// SPDX-License-Identifier: Apache-2.0
//! A span in columns. Its parent is the distance to the parent's row where that is in the same row
//! group: a span id is eight random bytes, a distance hardly one.

use hashbrown::HashMap;
use otlp_wire::{FromRaw, SpanId, SpanView, TraceId};

use super::SpanMeta;
use crate::remote_write::wire::Value;
use crate::rows::element::{Cells, Element, Shape};
use crate::rows::pack::{field, field_fixed, field_int, fields};

pub(super) const TRACE: usize = 0;
const SPAN: usize = 1;
const PARENT: usize = 2;
pub(super) const NAME: usize = 3;
pub(super) const KIND: usize = 4;
pub(super) const STATUS: usize = 5;
pub(super) const START: usize = 6;
pub(super) const DURATION: usize = 7;

impl Element for SpanMeta {
    const COLUMNS: &'static [(&'static str, Shape)] = &[
        ("trace_id", Shape::Id16),
        ("span_id", Shape::Id8),
        ("parent", Shape::Near),
        ("name", Shape::Text),
        ("kind", Shape::Enum),
        ("status", Shape::Enum),
        ("start", Shape::Time),
        ("duration", Shape::Time),
    ];
    const ATTRIBUTES: u32 = 9;
    const WORDS: bool = false;

    fn put(&self, raw: &[u8], cells: &mut [Cells], more: &mut Vec<u8>) -> u32 {
        let span = SpanView::from_raw(raw);
        cells[TRACE].push(self.trace_id.to_vec());
        cells[SPAN].push(self.span_id.to_vec());
        cells[PARENT].push_i32(0);
        cells[NAME].push(span.name().as_bytes().to_vec());
        cells[KIND].push_i32(self.kind);
        cells[STATUS].push_i32(self.status);
        cells[START].push_i64(self.start as i64);
        cells[DURATION].push_i64(self.duration as i64);
        let mut held = 1 << 1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 7;
        if span.end() >= self.start {
            held |= 1 << 8;
        } else if span.end() == 0 {
            field_fixed(more, 8, 0);
        }
        let status = fields(raw).find(|(number, ..)| *number == 15);
        if let Some((_, Value::Bytes(status), _)) = status {
            // Nothing but a code that this version knows.
            let mut plain = Vec::new();
            if self.status != 0 {
                field_int(&mut plain, 3, self.status as u64);
            }
            if plain == status {
                held |= 1 << 15;
            }
        }
        held
    }

    fn seal(cells: &mut [Cells], more: &mut [Vec<u8>]) {
        let count = more.len();
        let mut rows: HashMap<(TraceId, SpanId), usize, foldhash::fast::RandomState> =
            HashMap::with_capacity_and_hasher(count, Default::default());
        for at in 0..count {
            rows.insert((cells[TRACE].id(at), cells[SPAN].id(at)), at);
        }
        for (at, more) in more.iter_mut().enumerate() {
            let parent = fields(more).find(|(number, ..)| *number == 4);
            let Some((_, Value::Bytes(id), bytes)) = parent else { continue };
            let id: SpanId = id.try_into().unwrap_or_default();
            let Some(row) = rows.get(&(cells[TRACE].id(at), id)) else { continue };
            let distance = at as i64 - *row as i64;
            if distance != 0 {
                let start = bytes.as_ptr() as usize - more.as_ptr() as usize;
                let end = start + bytes.len();
                cells[PARENT].set_i32(at, distance as i32);
                more.drain(start..end);
            }
        }
    }

    fn get(cells: &[Cells], at: usize, _more: u32) -> Self {
        SpanMeta {
            trace_id: cells[TRACE].id(at),
            span_id: cells[SPAN].id(at),
            start: cells[START].int(at) as u64,
            duration: cells[DURATION].int(at) as u64,
            kind: cells[KIND].int(at) as i32,
            status: cells[STATUS].int(at) as i32,
        }
    }

    fn write(cells: &[Cells], rows: &[usize], at: usize, more: u32, out: &mut Vec<u8>) {
        let has = |number: u32| more >> number & 1 == 1;
        for (number, column) in [(1, TRACE), (2, SPAN)] {
            let id = cells[column].bytes(at);
            if id.iter().any(|byte| *byte != 0) {
                field(out, number, id);
            }
        }
        let distance = cells[PARENT].int(at);
        if distance != 0 {
            let row = rows[at] as i64 - distance;
            // A span's parent is of its trace, so it is among the rows that were read with it.
            let found = usize::try_from(row).ok().and_then(|row| rows.binary_search(&row).ok());
            if let Some(parent) = found {
                field(out, 4, cells[SPAN].bytes(parent));
            }
        }
        let name = cells[NAME].bytes(at);
        if !name.is_empty() {
            field(out, 5, name);
        }
        let kind = cells[KIND].int(at);
        if kind != 0 {
            field_int(out, 6, kind as u64);
        }
        let start = cells[START].int(at) as u64;
        if start != 0 {
            field_fixed(out, 7, start);
        }
        let end = start.wrapping_add(cells[DURATION].int(at) as u64);
        if end != 0 && !has(8) {
            field_fixed(out, 8, end);
        }
        let status = cells[STATUS].int(at);
        if status != 0 && !has(15) {
            let mut plain = Vec::new();
            field_int(&mut plain, 3, status as u64);
            field(out, 15, &plain);
        }
    }

    fn notes<'a>(raw: &'a [u8], keys: &mut dyn FnMut(&'a str)) -> Option<(&'a str, i32)> {
        let span = SpanView::from_raw(raw);
        for event in span.events() {
            event.attrs().iter().for_each(|(key, _)| keys(key));
        }
        Some((span.name(), span.kind_number()))
    }

    fn trace(&self) -> TraceId {
        self.trace_id
    }
}
