// SPDX-License-Identifier: Apache-2.0
//! The protobuf format: one `io.prometheus.client.MetricFamily` after the other, each behind its
//! length. A family becomes the entries its text would have, so that all that follows is the same;
//! a native histogram is one sample.

use basics::{Error, Result};
use prost::Message;

use super::native::{Counts, Native, buckets};
use super::{Entry, Exemplar, Kind, Reading, Sample, Value, names};

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(int32, tag = "3")]
    kind: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Plain>,
    #[prost(message, optional, tag = "3")]
    counter: Option<CounterValue>,
    #[prost(message, optional, tag = "4")]
    summary: Option<SummaryValue>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Plain>,
    #[prost(int64, optional, tag = "6")]
    timestamp_ms: Option<i64>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<HistogramValue>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Plain {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct CounterValue {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(message, optional, tag = "2")]
    exemplar: Option<ExemplarValue>,
    #[prost(message, optional, tag = "3")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct SummaryValue {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    quantile: Vec<Quantile>,
    #[prost(message, optional, tag = "4")]
    created: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Quantile {
    #[prost(double, tag = "1")]
    quantile: f64,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramValue {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(double, tag = "4")]
    count_float: f64,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(double, tag = "8")]
    zero_count_float: f64,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(double, repeated, tag = "11")]
    negative_count: Vec<f64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(double, repeated, tag = "14")]
    positive_count: Vec<f64>,
    #[prost(message, optional, tag = "15")]
    created: Option<Timestamp>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<ExemplarValue>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<ExemplarValue>,
    #[prost(double, tag = "4")]
    count_float: f64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct ExemplarValue {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Timestamp {
    fn millis(self) -> i64 {
        self.seconds.saturating_mul(1000).saturating_add(i64::from(self.nanos) / 1_000_000)
    }
}

impl ExemplarValue {
    fn exemplar(&self) -> Exemplar {
        Exemplar {
            labels: self.label.iter().map(|l| (l.name.clone(), l.value.clone())).collect(),
            value: self.value,
            time_ms: self.timestamp.map(Timestamp::millis),
        }
    }
}

/// Hands over what families say, one at a time.
type Each<'e> = &'e mut dyn FnMut(Entry<'_>) -> Result<()>;

/// Reads all families of a page.
pub fn read(mut bytes: &[u8], reading: Reading, each: Each<'_>) -> Result<()> {
    let mut text = String::new();
    while !bytes.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut bytes)
            .map_err(|e| Error::invalid("the page is not in its format").caused_by(e))?;
        let kind = match family.kind {
            0 => Kind::Counter,
            1 => Kind::Gauge,
            2 => Kind::Summary,
            4 => Kind::Histogram,
            5 => Kind::GaugeHistogram,
            _ => Kind::Unknown,
        };
        each(Entry::Help(family.name.as_str().into(), family.help.as_str().into()))?;
        each(Entry::Type(family.name.as_str().into(), kind))?;
        if !family.unit.is_empty() {
            each(Entry::Unit(family.name.as_str().into(), &family.unit))?;
        }
        for metric in &family.metric {
            Writer { name: &family.name, metric, reading, text: &mut text, each: &mut *each }
                .write()?;
        }
    }
    Ok(())
}

/// Writes the samples of one metric.
struct Writer<'w> {
    name: &'w str,
    metric: &'w Metric,
    reading: Reading,
    text: &'w mut String,
    each: Each<'w>,
}

impl Writer<'_> {
    fn write(&mut self) -> Result<()> {
        let metric = self.metric;
        if let Some(counter) = &metric.counter {
            let created = counter.created.map(Timestamp::millis);
            let exemplars = counter.exemplar.iter().map(ExemplarValue::exemplar).collect();
            return self.sample("", None, Value::Float(counter.value), created, exemplars);
        }
        if let Some(plain) = metric.gauge.as_ref().or(metric.untyped.as_ref()) {
            return self.float("", None, plain.value, None);
        }
        if let Some(summary) = &metric.summary {
            let created = summary.created.map(Timestamp::millis);
            self.float("_count", None, summary.count as f64, created)?;
            self.float("_sum", None, summary.sum, created)?;
            for at in &summary.quantile {
                self.float("", Some(("quantile", at.quantile)), at.value, created)?;
            }
            return Ok(());
        }
        match &metric.histogram {
            Some(histogram) => self.histogram(histogram),
            None => Ok(()),
        }
    }

    fn histogram(&mut self, histogram: &HistogramValue) -> Result<()> {
        let native = histogram.zero_threshold > 0.0
            || histogram.zero_count > 0
            || histogram.zero_count_float > 0.0
            || !histogram.positive_span.is_empty()
            || !histogram.negative_span.is_empty();
        let created = histogram.created.map(Timestamp::millis);
        if native && self.reading.native {
            let value = native_of(histogram).map_err(|what| {
                Error::invalid(format!("the page is not in its format: {}: {what}", self.name))
            })?;
            // Without a time the same example could not be told from a new one.
            let timed = histogram.exemplars.iter().filter(|e| e.timestamp.is_some());
            let exemplars = timed.map(ExemplarValue::exemplar).collect();
            self.sample("", None, Value::Native(Box::new(value)), created, exemplars)?;
            if !self.reading.classic_too || histogram.bucket.is_empty() {
                return Ok(());
            }
        }
        let or = |float: f64, whole: u64| if float > 0.0 { float } else { whole as f64 };
        let count = or(histogram.count_float, histogram.count);
        self.float("_count", None, count, created)?;
        self.float("_sum", None, histogram.sum, created)?;
        let mut infinite = false;
        for bucket in &histogram.bucket {
            infinite |= bucket.upper_bound == f64::INFINITY;
            let value = Value::Float(or(bucket.count_float, bucket.count));
            let exemplars = bucket.exemplar.iter().map(ExemplarValue::exemplar).collect();
            let le = Some(("le", bucket.upper_bound));
            self.sample("_bucket", le, value, created, exemplars)?;
        }
        match infinite {
            true => Ok(()),
            false => self.float("_bucket", Some(("le", f64::INFINITY)), count, created),
        }
    }

    fn float(
        &mut self,
        suffix: &str,
        step: Option<(&str, f64)>,
        value: f64,
        created_ms: Option<i64>,
    ) -> Result<()> {
        self.sample(suffix, step, Value::Float(value), created_ms, Vec::new())
    }

    fn sample(
        &mut self,
        suffix: &str,
        step: Option<(&str, f64)>,
        value: Value,
        created_ms: Option<i64>,
        exemplars: Vec<Exemplar>,
    ) -> Result<()> {
        let step = step.map(|(key, bound)| (key, float_text(bound)));
        let own = self.metric.label.iter().map(|l| (l.name.as_str(), l.value.as_str()));
        let labels = own.chain(step.iter().map(|(key, text)| (*key, text.as_str())));
        let name = format!("{}{suffix}", self.name);
        names::write(self.text, &name, labels);
        let time_ms = self.metric.timestamp_ms;
        let sample = Sample { series: self.text, value, time_ms, created_ms, exemplars };
        (self.each)(Entry::Sample(sample))
    }
}

/// A bound as OpenMetrics writes it: `1.0`, `0.5`, `+Inf`.
pub fn float_text(bound: f64) -> String {
    match bound {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        _ => format!("{bound:?}"),
    }
}

fn native_of(h: &HistogramValue) -> Result<Native, &'static str> {
    let float = h.count_float > 0.0 || h.zero_count_float > 0.0;
    let side = |spans: &[BucketSpan], deltas: &[i64], counts: &[f64]| {
        let spans = spans.iter().map(|span| (span.offset, span.length));
        let counts = if float { Counts::Absolute(counts) } else { Counts::Deltas(deltas) };
        buckets(spans, &counts)
    };
    Ok(Native {
        scale: h.schema,
        count: if float { h.count_float as u64 } else { h.count },
        sum: h.sum,
        zero_count: if float { h.zero_count_float as u64 } else { h.zero_count },
        zero_threshold: h.zero_threshold,
        positive: side(&h.positive_span, &h.positive_delta, &h.positive_count)?,
        negative: side(&h.negative_span, &h.negative_delta, &h.negative_count)?,
    })
}
