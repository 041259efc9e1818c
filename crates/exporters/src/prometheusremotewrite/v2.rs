// SPDX-License-Identifier: Apache-2.0
//! Remote write 2.0: texts once a request, in its table of symbols.
//!
//! ```text
//! Request    { symbols = 4: text (the first is ""), timeseries = 5: TimeSeries }
//! TimeSeries { labels_refs = 1: name, value, name, ..., samples = 2: {value = 1 f64,
//!              timestamp = 2 ms, start_timestamp = 3 ms}, histograms = 3,
//!              exemplars = 4: {labels_refs = 1, value = 2 f64, timestamp = 3},
//!              metadata = 5: {type = 1, help_ref = 3, unit_ref = 4} }
//! ```
//! A series seen before holds numbers of texts in the exporter's own table; each request numbers
//! anew those that it has. Source: prometheus/prompb (io/prometheus/write/v2/types.proto), remote
//! write specification 2.0.

use std::collections::HashMap;

use otlp_series::{Family, NativeHistogram, Refusal, Sink, Stamp};
use otlp_wire::ExemplarView;

use super::body::{Bodies, Place};
use super::metadata::{GAUGE, type_number};
use super::wire::{self, exemplar_labels, put_bytes, put_double, put_uint, put_varint};

/// Field number of a series in a request.
pub(super) const FIELD: u8 = 5;

/// Texts of labels met so far, for as long as the translator remembers their series.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    texts: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    bytes: usize,
    /// By lane: number of each text in the request being written, and which request that was.
    local: Vec<Vec<(u32, u32)>>,
    /// By lane: which request is being written, and how many texts it has.
    request: Vec<(u32, u32)>,
}

impl Symbols {
    pub fn new(lanes: usize) -> Self {
        let lanes = lanes.max(1);
        let (local, request) = (vec![Vec::new(); lanes], vec![(0, 0); lanes]);
        let mut symbols = Symbols { local, request, ..Symbols::default() };
        // The empty text is 0 everywhere.
        symbols.number("");
        symbols
    }

    /// What the texts take, estimated.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Forgets all texts; series that hold their numbers must go with them.
    pub fn clear(&mut self) {
        *self = Symbols::new(self.local.len());
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.texts.len() as u32;
        self.texts.push(text.into());
        self.numbers.insert(text.into(), number);
        self.bytes += 2 * text.len() + 64;
        number
    }

    /// Writes the numbers that texts have in the request that lane `at` is writing; a text that it
    /// does not have yet gets the next one.
    #[inline]
    fn refer(&mut self, bodies: &mut Bodies, at: usize, numbers: &[u32], out: &mut Vec<u8>) {
        let head = &mut bodies.lanes[at].head;
        let (request, local) = (&mut self.request[at], &mut self.local[at]);
        if local.len() < self.texts.len() {
            local.resize(self.texts.len(), (0, 0));
        }
        if head.is_empty() {
            begin(head, request);
            local[0] = (request.0, 0);
        }
        for number in numbers {
            let known = &mut local[*number as usize];
            if known.0 != request.0 {
                *known = *request;
                request.1 += 1;
                put_bytes(head, 4, self.texts[*number as usize].as_bytes());
            }
            put_varint(out, known.1.into());
        }
    }

    /// The number of a text that will not come again, such as a trace id.
    fn add(&mut self, bodies: &mut Bodies, at: usize, text: &str) -> u32 {
        let head = &mut bodies.lanes[at].head;
        let request = &mut self.request[at];
        if head.is_empty() {
            begin(head, request);
        }
        put_bytes(head, 4, text.as_bytes());
        request.1 += 1;
        request.1 - 1
    }
}

/// The first symbol is the empty one.
fn begin(head: &mut Vec<u8>, request: &mut (u32, u32)) {
    put_bytes(head, 4, b"");
    *request = (request.0.wrapping_add(1).max(1), 1);
}

/// A series by the numbers of its texts.
#[derive(Debug)]
pub(super) struct Series {
    labels: Box<[u32]>,
    family: Told,
    place: Place,
}

/// What 2.0 says about a family in each of its series.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    kind: u8,
    help: u32,
    unit: u32,
}

/// An exemplar that waits for its value.
struct Example {
    labels: Vec<(String, String)>,
    value: f64,
    time_ms: u64,
}

/// Writes requests as the translator calls.
pub(super) struct Writer<'e> {
    pub bodies: &'e mut Bodies,
    pub symbols: &'e mut Symbols,
    /// Exemplars of the next value.
    exemplars: Vec<Example>,
    /// The series being written, reused.
    message: Vec<u8>,
    refs: Vec<u8>,
    sample: Vec<u8>,
}

impl<'e> Writer<'e> {
    pub fn new(bodies: &'e mut Bodies, symbols: &'e mut Symbols) -> Self {
        let (message, refs) = (Vec::with_capacity(256), Vec::with_capacity(128));
        Writer {
            bodies,
            symbols,
            exemplars: Vec::new(),
            message,
            refs,
            sample: Vec::with_capacity(32),
        }
    }

    /// Writes the series with `value` (its field, encoded) into its lane.
    fn put(&mut self, series: &Series, stamp: Stamp, value: &[u8]) -> usize {
        // Texts count when they are written; a request may pass its bound by those of one series.
        let length = series.labels.len() * 3 + value.len() + 16;
        let at = self.bodies.lane(&series.place, stamp, length);
        self.refs.clear();
        self.symbols.refer(self.bodies, at, &series.labels, &mut self.refs);
        self.message.clear();
        put_bytes(&mut self.message, 1, &self.refs);
        self.message.extend_from_slice(value);
        for example in std::mem::take(&mut self.exemplars) {
            self.put_exemplar(at, &example);
        }
        self.put_family(at, series.family);
        self.bodies.put(at, &self.message);
        at
    }

    fn put_exemplar(&mut self, at: usize, example: &Example) {
        let mut refs = Vec::new();
        for (name, value) in &example.labels {
            let name = self.symbols.number(name);
            self.symbols.refer(self.bodies, at, &[name], &mut refs);
            put_varint(&mut refs, self.symbols.add(self.bodies, at, value).into());
        }
        let mut out = Vec::new();
        put_bytes(&mut out, 1, &refs);
        put_double(&mut out, 2, example.value);
        put_uint(&mut out, 3, example.time_ms);
        put_bytes(&mut self.message, 4, &out);
        self.bodies.lanes[at].holds.exemplars += 1;
    }

    fn put_family(&mut self, at: usize, family: Told) {
        self.refs.clear();
        self.refs.extend_from_slice(&[0x08, family.kind, 0x18]);
        self.symbols.refer(self.bodies, at, &[family.help], &mut self.refs);
        self.refs.push(0x20);
        self.symbols.refer(self.bodies, at, &[family.unit], &mut self.refs);
        put_bytes(&mut self.message, 5, &self.refs);
    }
}

impl Sink for Writer<'_> {
    type Family = Told;
    type Series = Series;

    fn family(&mut self, family: Family<'_>) -> Told {
        let kind = type_number(family.kind);
        let (help, unit) = (self.symbols.number(family.help), self.symbols.number(family.unit));
        Told { kind, help, unit }
    }

    fn series(&mut self, family: &Told, labels: &[(&str, &str)]) -> Result<Series, Refusal> {
        let texts = labels.iter().flat_map(|(name, value)| [*name, *value]);
        let labels_refs = texts.map(|text| self.symbols.number(text)).collect();
        Ok(Series { labels: labels_refs, family: *family, place: Place::of(labels) })
    }

    fn sample(&mut self, series: &Series, stamp: Stamp, value: f64) {
        let mut field = std::mem::take(&mut self.sample);
        field.clear();
        field.extend_from_slice(&[0x12, 0]);
        put_double(&mut field, 1, value);
        put_uint(&mut field, 2, stamp.time_ms as u64);
        if stamp.start_ms != 0 && series.family.kind != GAUGE {
            put_uint(&mut field, 3, stamp.start_ms as u64);
        }
        // A sample is at most 31 bytes, so its length is one byte.
        field[1] = field.len() as u8 - 2;
        let at = self.put(series, stamp, &field);
        self.bodies.lanes[at].holds.samples += 1;
        self.sample = field;
    }

    fn histogram(&mut self, series: &Series, stamp: Stamp, histogram: NativeHistogram) {
        let mut message = Vec::with_capacity(128);
        wire::put_histogram(&mut message, &wire::V2, &histogram, stamp.time_ms, stamp.start_ms);
        let mut field = Vec::with_capacity(message.len() + 4);
        put_bytes(&mut field, 3, &message);
        let at = self.put(series, stamp, &field);
        self.bodies.lanes[at].holds.histograms += 1;
    }

    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let Some(value) = exemplar.value() else { return };
        let (labels, time_ms) = (exemplar_labels(exemplar), exemplar.time() / 1_000_000);
        self.exemplars.push(Example { labels, value: value.as_f64(), time_ms });
    }
}
