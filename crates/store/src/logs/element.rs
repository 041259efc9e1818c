// SPDX-License-Identifier: Apache-2.0
//! A log record in columns. The body's text has a column of its own also where the body is no text,
//! so that it is searched alike; the value itself then stands in `more`.

use otlp_wire::{AnyValue, TraceId};

use super::{LogMeta, view};
use crate::rows::element::{Cells, Element, Shape};
use crate::rows::pack::{field, field_fixed, field_int};

pub(super) const TIME: usize = 0;
pub(super) const SEVERITY: usize = 1;
const LEVEL: usize = 2;
pub(super) const BODY: usize = 3;
pub(super) const TRACE: usize = 4;
const SPAN: usize = 5;

impl Element for LogMeta {
    const COLUMNS: &'static [(&'static str, Shape)] = &[
        ("time", Shape::Time),
        ("severity", Shape::Enum),
        ("severity_text", Shape::Text),
        ("body", Shape::Bytes),
        ("trace_id", Shape::Id16),
        ("span_id", Shape::Id8),
    ];
    const ATTRIBUTES: u32 = 6;
    const WORDS: bool = true;

    fn put(&self, raw: &[u8], cells: &mut [Cells], more: &mut Vec<u8>) -> u32 {
        let log = view(raw);
        cells[TIME].push_i64(self.time as i64);
        cells[SEVERITY].push_i32(self.severity);
        cells[LEVEL].push(log.severity_text().as_bytes().to_vec());
        cells[BODY].push(log.body().text().as_bytes().to_vec());
        cells[TRACE].push(self.trace_id.to_vec());
        cells[SPAN].push(log.span_id().unwrap_or_default().to_vec());
        if log.time() != self.time {
            // The column holds a time that the record does not tell.
            field_fixed(more, 1, 0);
        }
        let mut held = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 9 | 1 << 10;
        if let AnyValue::Str(text) = log.body()
            && !text.is_empty()
        {
            held |= 1 << 5;
        }
        held
    }

    fn get(cells: &[Cells], at: usize, _more: u32) -> Self {
        LogMeta {
            time: cells[TIME].int(at) as u64,
            severity: cells[SEVERITY].int(at) as i32,
            trace_id: cells[TRACE].id(at),
        }
    }

    fn write(cells: &[Cells], _rows: &[usize], at: usize, more: u32, out: &mut Vec<u8>) {
        let has = |number: u32| more >> number & 1 == 1;
        let time = cells[TIME].int(at) as u64;
        if time != 0 && !has(1) {
            field_fixed(out, 1, time);
        }
        let severity = cells[SEVERITY].int(at);
        if severity != 0 {
            field_int(out, 2, severity as u64);
        }
        let level = cells[LEVEL].bytes(at);
        if !level.is_empty() {
            field(out, 3, level);
        }
        let body = cells[BODY].bytes(at);
        if !body.is_empty() && !has(5) {
            let mut value = Vec::with_capacity(body.len() + 4);
            field(&mut value, 1, body);
            field(out, 5, &value);
        }
        for (number, column) in [(9, TRACE), (10, SPAN)] {
            let id = cells[column].bytes(at);
            if id.iter().any(|byte| *byte != 0) {
                field(out, number, id);
            }
        }
    }

    fn words(raw: &[u8]) -> String {
        view(raw).body().text().into_owned()
    }

    fn trace(&self) -> TraceId {
        self.trace_id
    }
}
