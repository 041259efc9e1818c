// SPDX-License-Identifier: Apache-2.0
//! Cutting a payload into parts of at most so many items.
//!
//! What fits a part whole is copied as it lies; what does not is opened, its head (all fields but
//! the children) repeated in each part, and its children dealt out. All parts share one
//! allocation. Order of items is kept, every part but the last holds exactly the maximum.

use bytes::Bytes;

use crate::payload::{Payload, Signal};
use crate::wire::{Frame, Val, fields};

/// Level of spans and log records, counted from the request.
const LEAF: usize = 2;
/// Level of data points: below the metric and its data.
const POINT_LEAF: usize = 4;

/// True when field `number` of a message at `level` holds its children: request, resource, scope,
/// metric, data.
pub(crate) fn is_child(level: usize, number: u32) -> bool {
    match level {
        0 | 4 => number == 1,
        1 | 2 => number == 2,
        _ => matches!(number, 5 | 7 | 9 | 10 | 11),
    }
}

fn leaf(signal: Signal) -> usize {
    if signal == Signal::Metrics { POINT_LEAF } else { LEAF }
}

/// Number of items below a message at `level`.
fn count(raw: &[u8], level: usize, leaf: usize) -> u32 {
    let mut items = 0;
    for field in fields(raw) {
        match field.value {
            Val::Len(body) if is_child(level, field.number) => {
                items += if level == leaf { 1 } else { count(body, level + 1, leaf) };
            }
            _ => {}
        }
    }
    items
}

/// Number of items in an encoded request.
pub(crate) fn count_items(signal: Signal, raw: &[u8]) -> u32 {
    count(raw, 0, leaf(signal))
}

/// Number of data points in an encoded `Metric`.
pub(crate) fn count_points(metric: &[u8]) -> u32 {
    count(metric, 3, POINT_LEAF)
}

impl Payload {
    /// Splits into parts of `max_items` items each, the last one smaller; resource and scope heads
    /// (and metric heads) are repeated where a cut goes through them. Zero means no limit.
    pub fn split(self, max_items: u32) -> Vec<Payload> {
        if max_items == 0 || self.items() <= max_items {
            return vec![self];
        }
        let parts = self.items().div_ceil(max_items) as usize;
        let mut cutter = Cutter {
            leaf: leaf(self.signal()),
            max: max_items,
            room: max_items,
            // Room for heads repeated at each cut, short of very long ones.
            out: Vec::with_capacity(self.len() + parts * 1024),
            open: Vec::with_capacity(POINT_LEAF),
            ends: Vec::with_capacity(parts),
        };
        cutter.deal(self.bytes(), 0);
        cutter.finish(self.signal())
    }
}

/// A message that is open in the current part.
struct Open<'a> {
    number: u32,
    level: usize,
    body: &'a [u8],
    frame: Frame,
}

struct Cutter<'a> {
    leaf: usize,
    max: u32,
    /// Items that the current part still takes.
    room: u32,
    out: Vec<u8>,
    open: Vec<Open<'a>>,
    /// Where each finished part ends in `out`, and its items.
    ends: Vec<(usize, u32)>,
}

impl<'a> Cutter<'a> {
    /// Deals the children of a message at `level`; its own frame is open (but for the request).
    fn deal(&mut self, raw: &'a [u8], level: usize) {
        for field in fields(raw) {
            let Val::Len(body) = field.value else {
                self.keep_unknown(level, &raw[field.start..field.end]);
                continue;
            };
            if !is_child(level, field.number) {
                self.keep_unknown(level, &raw[field.start..field.end]);
                continue;
            }
            let items = if level == self.leaf { 1 } else { count(body, level + 1, self.leaf) };
            if self.room == 0 && items > 0 {
                self.roll();
            }
            if items <= self.room {
                self.out.extend_from_slice(&raw[field.start..field.end]);
                self.room -= items;
            } else {
                self.enter(field.number, body, level + 1);
                self.deal(body, level + 1);
                if let Some(open) = self.open.pop() {
                    open.frame.close(&mut self.out);
                }
            }
        }
    }

    /// The request has no head to repeat: its unknown fields go where they stand.
    fn keep_unknown(&mut self, level: usize, raw: &[u8]) {
        if level == 0 {
            self.out.extend_from_slice(raw);
        }
    }

    fn enter(&mut self, number: u32, body: &'a [u8], level: usize) {
        let frame = Frame::open(&mut self.out, number, 3);
        put_head(&mut self.out, body, level);
        self.open.push(Open { number, level, body, frame });
    }

    /// Ends the current part and starts the next inside the same messages.
    fn roll(&mut self) {
        self.end_part();
        for open in &mut self.open {
            open.frame = Frame::open(&mut self.out, open.number, 3);
            put_head(&mut self.out, open.body, open.level);
        }
    }

    fn end_part(&mut self) {
        for open in self.open.iter().rev() {
            open.frame.close(&mut self.out);
        }
        self.ends.push((self.out.len(), self.max - self.room));
        self.room = self.max;
    }

    fn finish(mut self, signal: Signal) -> Vec<Payload> {
        self.end_part();
        let bytes = Bytes::from(self.out);
        let mut start = 0;
        let mut parts = Vec::with_capacity(self.ends.len());
        for (end, items) in self.ends {
            parts.push(Payload::trusted(signal, items, bytes.slice(start..end)));
            start = end;
        }
        parts
    }
}

/// Copies all fields of a message at `level` but its children.
pub(crate) fn put_head(out: &mut Vec<u8>, raw: &[u8], level: usize) {
    let (mut start, mut end) = (0, 0);
    for field in fields(raw) {
        if is_child(level, field.number) {
            out.extend_from_slice(&raw[start..end]);
            start = field.end;
        }
        end = field.end;
    }
    out.extend_from_slice(&raw[start..end]);
}
