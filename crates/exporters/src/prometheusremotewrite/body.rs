// SPDX-License-Identifier: Apache-2.0
//! Requests while they are written: lanes by series, cut at a size, in snappy's block format.
//!
//! A lane is an ordered run of requests; a series always goes to the same lane of its batch, with
//! all series of its point, so lanes can be sent at the same time and each series stays in order.
//! Within a request samples of one series are put in order of time if the batch had them otherwise.

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;
use otlp_series::Stamp;

use super::block::Block;
use super::wire::{put_varint, top_level, varint};

/// Requests in the order in which they must arrive.
pub type Lane = VecDeque<Request>;

/// A request ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Packed with snappy's block format.
    pub body: Bytes,
    /// What is in it.
    pub holds: Holds,
}

/// What a request holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Holds {
    /// `TimeSeries` messages.
    pub series: u64,
    /// Samples.
    pub samples: u64,
    /// Native histograms.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Holds {
    /// Samples and histograms.
    pub fn values(&self) -> u64 {
        self.samples + self.histograms
    }
}

/// Where a series was last written, so that disorder is noticed.
#[derive(Debug, Default)]
pub(super) struct Place {
    hash: u32,
    batch: Cell<u32>,
    last_ms: Cell<i64>,
}

impl Place {
    /// For a label set: all series of a point get the same lane.
    pub fn of(labels: &[(&str, &str)]) -> Self {
        let own = |name: &str| name == "__name__" || name == "le" || name == "quantile";
        let text = labels.iter().filter(|(name, _)| !own(name)).flat_map(|(n, v)| [n, v]);
        // FNV-1a.
        let hash = text
            .flat_map(|text| text.bytes().chain([0xff]))
            .fold(0x811c_9dc5u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Place { hash, ..Place::default() }
    }
}

/// One request being written; its parts follow each other in this order.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// What is written as it will be sent (the series of 1.0).
    pub block: Block,
    /// What comes before the series (the symbols of 2.0).
    pub head: Vec<u8>,
    /// Fields that are compressed at the end (the series of 2.0, metadata of 1.0).
    pub body: Vec<u8>,
    pub holds: Holds,
    disordered: bool,
    done: Lane,
}

/// The requests of one batch being written, and what they need again for the next one.
pub(super) struct Bodies {
    pub lanes: Vec<Open>,
    /// Lanes in use; not more than there are points for.
    used: usize,
    batch: u32,
    bytes_max: usize,
    /// Field number of a series in a request.
    field: u8,
    packer: snap::raw::Encoder,
}

/// Below this a batch is not worth another request: the round trip costs more than the bytes.
const LANE_POINTS_MIN: u64 = 1000;

impl Bodies {
    pub fn new(lanes: usize, bytes_max: usize, field: u8) -> Self {
        Bodies {
            lanes: (0..lanes.max(1)).map(|_| Open::default()).collect(),
            used: 1,
            batch: 0,
            bytes_max,
            field,
            packer: snap::raw::Encoder::new(),
        }
    }

    /// Begins a batch of about `points`.
    pub fn begin(&mut self, points: u64) {
        self.batch = self.batch.wrapping_add(1);
        self.used = ((points / LANE_POINTS_MIN) as usize).clamp(1, self.lanes.len());
    }

    /// The lane of a series, with room for `length` more bytes; notes if its time goes back.
    #[inline]
    pub fn lane(&mut self, place: &Place, stamp: Stamp, length: usize) -> usize {
        let at = match self.used {
            1 => 0,
            used => place.hash as usize % used,
        };
        let lane = &self.lanes[at];
        if !lane.is_empty() && lane.len() + length > self.bytes_max {
            self.cut(at);
        }
        if place.batch.replace(self.batch) == self.batch && stamp.time_ms < place.last_ms.get() {
            self.lanes[at].disordered = true;
        }
        place.last_ms.set(stamp.time_ms);
        at
    }

    /// Appends one series, to be compressed.
    #[inline]
    pub fn put(&mut self, at: usize, series: &[u8]) {
        let lane = &mut self.lanes[at];
        lane.body.reserve(series.len() + 8);
        lane.body.push(self.field << 3 | 2);
        put_varint(&mut lane.body, series.len() as u64);
        lane.body.extend_from_slice(series);
        lane.holds.series += 1;
    }

    /// Closes the request of a lane; the next series begins another one.
    pub fn cut(&mut self, at: usize) {
        let lane = &mut self.lanes[at];
        if !lane.is_empty() {
            lane.block.compress(&lane.head, &mut self.packer);
            lane.block.compress(&lane.body, &mut self.packer);
            let mut body = lane.block.finish();
            if lane.disordered {
                body = in_order(&body, self.field, &mut self.packer);
            }
            lane.done.push_back(Request { body, holds: lane.holds });
        }
        lane.body.clear();
        lane.head.clear();
        (lane.holds, lane.disordered) = (Holds::default(), false);
    }

    /// Closes all and gives the lanes that have requests.
    pub fn finish(&mut self) -> Vec<Lane> {
        (0..self.lanes.len()).for_each(|at| self.cut(at));
        let done = self.lanes.iter_mut().map(|lane| std::mem::take(&mut lane.done));
        done.filter(|lane| !lane.is_empty()).collect()
    }
}

impl Open {
    /// Plain bytes so far.
    fn len(&self) -> usize {
        self.block.len() + self.head.len() + self.body.len()
    }

    /// Symbols alone are no request.
    fn is_empty(&self) -> bool {
        self.block.len() == 0 && self.body.is_empty()
    }
}

fn pack(packer: &mut snap::raw::Encoder, plain: &[u8]) -> Bytes {
    let mut block = Block::default();
    block.compress(plain, packer);
    block.finish()
}

/// The same request with its series stably sorted by the time of their sample; anything else in
/// front.
fn in_order(body: &Bytes, field: u8, packer: &mut snap::raw::Encoder) -> Bytes {
    let Ok(plain) = snap::raw::Decoder::new().decompress_vec(body) else { return body.clone() };
    let mut fields = top_level(&plain);
    fields.sort_by_key(
        |(number, whole)| {
            if *number == u32::from(field) { time_of(whole, field) } else { i64::MIN }
        },
    );
    let sorted: Vec<u8> = fields.into_iter().flat_map(|(_, whole)| whole.iter().copied()).collect();
    pack(packer, &sorted)
}

/// The time of the one sample (or histogram) in a series; both versions have samples in field 2
/// with the time in its field 2, and histograms with the time in field 15.
fn time_of(series: &[u8], field: u8) -> i64 {
    let histogram = if field == 1 { 4 } else { 3 };
    let content = varint(series, 0).and_then(|(_, at)| varint(series, at)).map_or(0, |(_, at)| at);
    let found = top_level(&series[content..]).into_iter().find_map(|(number, whole)| {
        let inner = varint(whole, 0).and_then(|(_, at)| varint(whole, at))?.1;
        match number {
            2 => scalar(&whole[inner..], 2),
            n if n == histogram => scalar(&whole[inner..], 15),
            _ => None,
        }
    });
    found.unwrap_or(i64::MIN)
}

/// The varint in field `wanted` of a message of ours.
fn scalar(message: &[u8], wanted: u64) -> Option<i64> {
    let mut at = 0;
    while at < message.len() {
        let (tag, begin) = varint(message, at)?;
        at = match tag & 7 {
            0 => {
                let (value, end) = varint(message, begin)?;
                if tag >> 3 == wanted {
                    return Some(value as i64);
                }
                end
            }
            1 => begin + 8,
            _ => varint(message, begin).and_then(|(n, at)| at.checked_add(n as usize))?,
        };
    }
    None
}

/// The two halves of a request with more than one series; what is not a series is in both. `None`
/// for one series, or for what is no request of ours.
pub(super) fn halves(request: &Request, field: u8) -> Option<(Request, Request)> {
    let plain = snap::raw::Decoder::new().decompress_vec(&request.body).ok()?;
    let fields = top_level(&plain);
    let series = fields.iter().filter(|(number, _)| *number == u32::from(field)).count();
    if series < 2 {
        return None;
    }
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut holds, mut seen) = ([Holds::default(); 2], 0);
    for (number, whole) in fields {
        if number != u32::from(field) {
            first.extend_from_slice(whole);
            second.extend_from_slice(whole);
            continue;
        }
        let half = usize::from(seen >= series / 2);
        seen += 1;
        if half == 0 { &mut first } else { &mut second }.extend_from_slice(whole);
        add(&mut holds[half], whole, field);
    }
    let mut packer = snap::raw::Encoder::new();
    let mut half = |plain: &[u8], holds| Request { body: pack(&mut packer, plain), holds };
    Some((half(&first, holds[0]), half(&second, holds[1])))
}

fn add(holds: &mut Holds, series: &[u8], field: u8) {
    holds.series += 1;
    let content = varint(series, 0).and_then(|(_, at)| varint(series, at)).map_or(0, |(_, at)| at);
    for (number, _) in top_level(&series[content..]) {
        match (field, number) {
            (_, 2) => holds.samples += 1,
            (1, 4) | (5, 3) => holds.histograms += 1,
            (1, 3) | (5, 4) => holds.exemplars += 1,
            _ => {}
        }
    }
}
