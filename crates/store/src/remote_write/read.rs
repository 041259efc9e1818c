// SPDX-License-Identifier: Apache-2.0
//! Both versions of a request, read into one shape.
//!
//! ```text
//! 1.0  WriteRequest { timeseries = 1, metadata = 3: {type = 1, family = 2, help = 4, unit = 5} }
//!      TimeSeries   { labels = 1: {name = 1, value = 2}, samples = 2: {value = 1, timestamp = 2 ms},
//!                     exemplars = 3: {labels = 1, value = 2, timestamp = 3}, histograms = 4 }
//! 2.0  Request      { symbols = 4, timeseries = 5 }
//!      TimeSeries   { labels_refs = 1, samples = 2: {.., start_timestamp = 3}, histograms = 3,
//!                     exemplars = 4: {labels_refs = 1, value = 2, timestamp = 3},
//!                     metadata = 5: {type = 1, help = 3, unit = 4},
//!                     created_timestamp = 6 (before 2.0 was settled: of the first sample) }
//! ```
//! A series' labels keep the encoding they have in 1.0, as its key: known ones are never decoded.
//! Those of 2.0 are spelled out that way. Source: prompb/{remote,types}.proto,
//! prompb/io/prometheus/write/v2/types.proto.

use std::ops::Range;

use otlp_series::{MetricKind, NativeHistogram};
use otlp_wire::{put_varint, varint_len};

use super::wire::{Fields, Malformed, Value, repeated};
use super::{Problem, histogram};

/// Labels of all series of a request, spelled out: a few bytes of references may stand for much.
/// Four times the largest request, which spelled out would be one of 1.0.
const KEYS_BYTES_MAX: usize = 256 << 20;

/// Longest text of an exemplar's label, a help text or a unit: they are for people.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Most descriptions of a request: as many as a scrape of everything a cluster has.
const TOLD_MAX: usize = 20_000;

/// An exemplar of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// Its labels, as they came.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// When it was taken, Unix milliseconds.
    pub time_ms: i64,
}

/// What a request tells of a metric family.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub name: String,
    pub kind: MetricKind,
    pub help: String,
    pub unit: String,
}

/// One series: where its parts lie in the request's lists.
#[derive(Debug)]
pub(crate) struct Part {
    /// Its labels in [`Request::keys`].
    pub key: Range<usize>,
    pub samples: Range<usize>,
    pub histograms: Range<usize>,
    pub exemplars: Range<usize>,
}

/// A request taken apart.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// Labels of all series.
    pub keys: Vec<u8>,
    pub series: Vec<Part>,
    pub samples: Vec<(i64, f64)>,
    pub histograms: Vec<(i64, NativeHistogram)>,
    /// When samples started counting, 0 = unknown; may end before the samples do.
    pub starts: Vec<i64>,
    /// The same of histograms.
    pub histogram_starts: Vec<i64>,
    pub exemplars: Vec<Exemplar>,
    pub told: Vec<Told>,
}

impl Request {
    /// What begins here.
    fn begin(&self) -> Part {
        let (samples, histograms) = (self.samples.len(), self.histograms.len());
        let exemplars = self.exemplars.len();
        Part {
            key: self.keys.len()..self.keys.len(),
            samples: samples..samples,
            histograms: histograms..histograms,
            exemplars: exemplars..exemplars,
        }
    }

    fn end(&mut self, mut part: Part) {
        part.key.end = self.keys.len();
        part.samples.end = self.samples.len();
        part.histograms.end = self.histograms.len();
        part.exemplars.end = self.exemplars.len();
        self.series.push(part);
    }

    fn sample(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        let (mut number, mut time_ms, mut start) = (0.0, 0, 0);
        let mut fields = Fields::of(value.bytes()?);
        while let Some((field, value)) = fields.next()? {
            match field {
                1 => number = value.double()?,
                2 => time_ms = value.uint()? as i64,
                3 => start = value.uint()? as i64,
                _ => {}
            }
        }
        put_start(&mut self.starts, self.samples.len(), start);
        self.samples.push((time_ms, number));
        Ok(())
    }

    fn histogram(&mut self, value: Value<'_>) -> Result<(), Problem> {
        let histogram::Read { time_ms, start_ms, histogram } = histogram::read(value.bytes()?)?;
        put_start(&mut self.histogram_starts, self.histograms.len(), start_ms);
        self.histograms.push((time_ms, histogram));
        Ok(())
    }

    /// What a series tells at once of its first sample.
    fn created(&mut self, part: &Part, start: i64) {
        let first = |starts: &mut Vec<i64>, at: usize, count: usize| match starts.get_mut(at) {
            Some(known) if *known == 0 => *known = start,
            None if at < count => put_start(starts, at, start),
            _ => {}
        };
        first(&mut self.starts, part.samples.start, self.samples.len());
        first(&mut self.histogram_starts, part.histograms.start, self.histograms.len());
    }
}

fn put_start(starts: &mut Vec<i64>, at: usize, start: i64) {
    if start != 0 {
        starts.resize(at, 0);
        starts.push(start);
    }
}

/// Reads a request of version 1.0.
pub(crate) fn v1(body: &[u8]) -> Result<Request, Problem> {
    // A series of one sample takes about 150 bytes.
    let mut request = Request { keys: Vec::with_capacity(body.len()), ..Request::default() };
    request.samples.reserve(body.len() / 128);
    request.series.reserve(body.len() / 128);
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => series_v1(&mut request, value.bytes()?)?,
            3 => request.told.extend(told_v1(value.bytes()?)?),
            _ => {}
        }
    }
    Ok(request)
}

fn series_v1(request: &mut Request, message: &[u8]) -> Result<(), Problem> {
    let part = request.begin();
    let mut fields = Fields::of(message);
    let mut labels_from = 0;
    loop {
        let at = fields.position();
        let next = fields.next()?;
        if !matches!(next, Some((1, _))) {
            // Labels stand side by side: copied as one.
            request.keys.extend_from_slice(&message[labels_from..at]);
            labels_from = fields.position();
        }
        match next {
            None => break,
            Some((1, value)) => drop(value.bytes()?),
            Some((2, value)) => request.sample(value)?,
            Some((3, value)) => {
                let exemplar = exemplar(value.bytes()?, |value, labels| {
                    labels.push(label(value.bytes()?)?);
                    Ok(())
                })?;
                request.exemplars.push(exemplar);
            }
            Some((4, value)) => request.histogram(value)?,
            Some(_) => {}
        }
    }
    request.end(part);
    Ok(())
}

fn label(message: &[u8]) -> Result<(String, String), Malformed> {
    let (name, value) = label_text(message)?;
    Ok((name.to_owned(), value.to_owned()))
}

fn label_text(message: &[u8]) -> Result<(&str, &str), Malformed> {
    let (mut name, mut text) = ("", "");
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
    }
    Ok((name, text))
}

/// The labels of a key, in the order in which they came.
pub(crate) fn labels_of(key: &[u8]) -> Option<Vec<(&str, &str)>> {
    let mut labels = Vec::new();
    let mut fields = Fields::of(key);
    while let Some((_, value)) = fields.next().ok()? {
        labels.push(label_text(value.bytes().ok()?).ok()?);
    }
    Some(labels)
}

fn exemplar<'a>(
    message: &'a [u8],
    mut add: impl FnMut(Value<'a>, &mut Vec<(String, String)>) -> Result<(), Malformed>,
) -> Result<Exemplar, Malformed> {
    let mut exemplar = Exemplar { labels: Vec::new(), value: 0.0, time_ms: 0 };
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => add(value, &mut exemplar.labels)?,
            2 => exemplar.value = value.double()?,
            3 => exemplar.time_ms = value.uint()? as i64,
            _ => {}
        }
    }
    Ok(exemplar)
}

/// Numbers of the types: 0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary,
/// 6 info, 7 state set. Nothing is kept of the unknown.
fn kind(number: u64) -> Option<MetricKind> {
    match number {
        1 => Some(MetricKind::Counter),
        2 | 6 | 7 => Some(MetricKind::Gauge),
        3 | 4 => Some(MetricKind::Histogram),
        5 => Some(MetricKind::Summary),
        _ => None,
    }
}

fn told_v1(message: &[u8]) -> Result<Option<Told>, Malformed> {
    let (mut number, mut name, mut help, mut unit) = (0, "", "", "");
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => number = value.uint()?,
            2 => name = value.text()?,
            4 => help = value.text()?,
            5 => unit = value.text()?,
            _ => {}
        }
    }
    Ok(kind(number).filter(|_| !name.is_empty()).map(|kind| Told {
        name: name.to_owned(),
        kind,
        help: help.to_owned(),
        unit: unit.to_owned(),
    }))
}

/// Reads a request of version 2.0.
pub(crate) fn v2(body: &[u8]) -> Result<Request, Problem> {
    let mut symbols: Vec<&[u8]> = Vec::new();
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        if number == 4 {
            symbols.push(value.bytes()?);
        }
    }
    // The first symbol is the empty text, so that 0 is "none".
    if symbols.first().is_some_and(|first| !first.is_empty()) {
        return Err(Problem::Symbols);
    }
    let mut request = Request::default();
    request.samples.reserve(body.len() / 64);
    let mut fields = Fields::of(body);
    while let Some((number, value)) = fields.next()? {
        if number == 5 {
            series_v2(&mut request, &symbols, value.bytes()?)?;
        }
    }
    Ok(request)
}

fn series_v2(request: &mut Request, symbols: &[&[u8]], message: &[u8]) -> Result<(), Problem> {
    let part = request.begin();
    let (mut told, mut created) = (None, 0);
    let mut odd: Option<&[u8]> = None;
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => repeated(value, |at| {
                let symbol = symbol(symbols, at)?;
                match odd.take() {
                    None => odd = Some(symbol),
                    Some(name) => put_label(&mut request.keys, name, symbol),
                }
                if request.keys.len() > KEYS_BYTES_MAX { Err(Malformed) } else { Ok(()) }
            })?,
            2 => request.sample(value)?,
            3 => request.histogram(value)?,
            4 => {
                let mut name = None;
                let exemplar = exemplar(value.bytes()?, |value, labels| {
                    repeated(value, |at| {
                        let text = text(symbols, at)?;
                        match name.take() {
                            None => name = Some(text),
                            Some(name) => labels.push((name, text)),
                        }
                        Ok(())
                    })
                })?;
                request.exemplars.push(exemplar);
            }
            5 => told = Some(value.bytes()?),
            6 => created = value.uint()? as i64,
            _ => {}
        }
    }
    if odd.is_some() {
        return Err(Problem::Symbols);
    }
    request.created(&part, created);
    if let Some(told) = told {
        let key = &request.keys[part.key.start..];
        let told = told_v2(told, symbols, key)?;
        // Series of one family follow each other.
        let is_new = told.is_some() && request.told.last() != told.as_ref();
        if is_new && request.told.len() < TOLD_MAX {
            request.told.extend(told);
        }
    }
    request.end(part);
    Ok(())
}

fn symbol<'a>(symbols: &[&'a [u8]], at: u64) -> Result<&'a [u8], Malformed> {
    usize::try_from(at).ok().and_then(|at| symbols.get(at).copied()).ok_or(Malformed)
}

fn text(symbols: &[&[u8]], at: u64) -> Result<String, Malformed> {
    let symbol = symbol(symbols, at)?;
    if symbol.len() > TEXT_BYTES_MAX {
        return Err(Malformed);
    }
    std::str::from_utf8(symbol).map(str::to_owned).map_err(|_| Malformed)
}

/// Appends a label as 1.0 encodes it.
pub(crate) fn put_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let size = |text: &[u8]| varint_len(text.len() as u64) + text.len();
    let length = 2 + size(name) + size(value);
    out.push(0x0a);
    put_varint(out, length as u64);
    for (tag, text) in [(0x0a, name), (0x12, value)] {
        out.push(tag);
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text);
    }
}

fn told_v2(message: &[u8], symbols: &[&[u8]], key: &[u8]) -> Result<Option<Told>, Malformed> {
    let (mut number, mut help, mut unit) = (0, 0, 0);
    let mut fields = Fields::of(message);
    while let Some((field, value)) = fields.next()? {
        match field {
            1 => number = value.uint()?,
            3 => help = value.uint()?,
            4 => unit = value.uint()?,
            _ => {}
        }
    }
    let (Some(kind), Some(labels)) = (kind(number), labels_of(key)) else { return Ok(None) };
    let name = labels.iter().find(|(name, _)| *name == "__name__").map_or("", |(_, name)| name);
    let suffixes: &[&str] = match kind {
        MetricKind::Histogram => &["_bucket", "_count", "_sum"],
        MetricKind::Summary => &["_count", "_sum"],
        MetricKind::Gauge | MetricKind::Counter => &[],
    };
    let family = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    if family.is_empty() || number == 0 {
        return Ok(None);
    }
    let (help, unit) = (text(symbols, help)?, text(symbols, unit)?);
    Ok(Some(Told { name: family.to_owned(), kind, help, unit }))
}
