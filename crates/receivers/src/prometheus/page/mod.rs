// SPDX-License-Identifier: Apache-2.0
//! Reading a page: the three formats targets answer in, as one stream of entries.
//!
//! In: the bytes of a page and its [`Format`]. Out: metadata and samples in the order of the page,
//! borrowed, handed to a closure one by one; a series is named by its text (`name{a="b"}`), which
//! whoever has seen it before need not take apart again. The first mistake ends the page: half a
//! page is no page. Never panics; bounds are those of the page.
//! Source: Prometheus "Exposition formats" (text 0.0.4 and 1.0.0, protobuf), OpenMetrics 1.0.

pub mod names;
pub mod native;
mod proto;
#[cfg(test)]
mod tests;
mod text;

use std::borrow::Cow;

use basics::{Error, Result};

pub use native::Native;
pub use proto::float_text;

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format.
    Text,
    /// OpenMetrics' text format.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily` messages.
    Protobuf,
}

/// Types of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Buckets that go up and down.
    GaugeHistogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// Labels that tell about something; always 1.
    Info,
    /// One of several states.
    StateSet,
    /// Nothing is said.
    #[default]
    Unknown,
}

impl Kind {
    /// As written after `# TYPE`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::GaugeHistogram => "gaugehistogram",
            Kind::Summary => "summary",
            Kind::Info => "info",
            Kind::StateSet => "stateset",
            Kind::Unknown => "unknown",
        }
    }

    fn from_name(name: &str) -> Kind {
        match name {
            "counter" => Kind::Counter,
            "gauge" => Kind::Gauge,
            "histogram" => Kind::Histogram,
            "gaugehistogram" => Kind::GaugeHistogram,
            "summary" => Kind::Summary,
            "info" => Kind::Info,
            "stateset" => Kind::StateSet,
            _ => Kind::Unknown,
        }
    }
}

/// One thing a page says.
#[derive(Debug, PartialEq)]
pub enum Entry<'a> {
    /// `# HELP name text`
    Help(Cow<'a, str>, Cow<'a, str>),
    /// `# TYPE name kind`
    Type(Cow<'a, str>, Kind),
    /// `# UNIT name unit`
    Unit(Cow<'a, str>, &'a str),
    /// `name{labels} value timestamp # exemplar`
    Sample(Sample<'a>),
}

/// One sample.
#[derive(Debug, PartialEq)]
pub struct Sample<'a> {
    /// Name and labels, as text.
    pub series: &'a str,
    /// Value.
    pub value: Value,
    /// Unix milliseconds, if the page tells.
    pub time_ms: Option<i64>,
    /// Since when it counts, Unix milliseconds, if the page tells beside the value.
    pub created_ms: Option<i64>,
    /// Examples of what was measured.
    pub exemplars: Vec<Exemplar>,
}

/// Value of a sample.
#[derive(Debug, PartialEq)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A whole histogram.
    Native(Box<Native>),
}

/// An example of what was measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exemplar {
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Value.
    pub value: f64,
    /// Unix milliseconds, if told.
    pub time_ms: Option<i64>,
}

/// What decides how a page is read.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// How it is written.
    pub format: Format,
    /// Native histograms are taken.
    pub native: bool,
    /// The classic histogram beside a native one is taken too.
    pub classic_too: bool,
}

/// Reads a page; `each` may end it with an error.
///
/// # Errors
/// What is wrong with the page and where, or what `each` says.
pub fn read(
    bytes: &[u8],
    reading: Reading,
    each: &mut dyn FnMut(Entry<'_>) -> Result<()>,
) -> Result<()> {
    if reading.format == Format::Protobuf {
        return proto::read(bytes, reading, each);
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| Error::invalid("the page is not UTF-8").caused_by(e))?;
    text::read(text, reading.format == Format::OpenMetrics, each)
}
