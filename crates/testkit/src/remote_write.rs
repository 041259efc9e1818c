// SPDX-License-Identifier: Apache-2.0
//! Prometheus remote write 1.0 as a receiver sees it: decoded requests and a check of order.

use std::collections::HashMap;

use prost::Message;

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct WriteRequest {
    /// Series with samples.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What names mean.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<Metadata>,
}

/// `prometheus.TimeSeries`.
#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    /// Sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Ascending in time.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Examples with trace ids.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Native histograms, undecoded.
    #[prost(bytes = "vec", repeated, tag = "4")]
    pub histograms: Vec<Vec<u8>>,
}

/// `prometheus.Label`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Label {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `prometheus.Sample`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Sample {
    /// Value.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// `prometheus.Exemplar`.
#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    /// Labels.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Unix milliseconds.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// `prometheus.MetricMetadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Metadata {
    /// 1 counter, 2 gauge, 3 histogram, 5 summary.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// Name of the family.
    #[prost(string, tag = "2")]
    pub family: String,
    /// Help.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}

impl WriteRequest {
    /// Decodes an inflated body.
    ///
    /// # Panics
    /// When it is none, or labels are not sorted or not unique.
    pub fn read(body: &[u8]) -> WriteRequest {
        let request = WriteRequest::decode(body).expect("a write request");
        for series in &request.timeseries {
            let names: Vec<&str> = series.labels.iter().map(|l| l.name.as_str()).collect();
            assert!(names.is_sorted_by(|a, b| a < b), "labels not sorted or not unique: {names:?}");
        }
        request
    }

    /// Every sample as `name{a="b"}` with value and milliseconds, in order.
    pub fn samples(&self) -> Vec<(String, f64, i64)> {
        let mut out = Vec::new();
        for series in &self.timeseries {
            out.extend(series.samples.iter().map(|s| (series.key(), s.value, s.timestamp)));
        }
        out
    }
}

impl TimeSeries {
    /// `name{a="b"}`.
    pub fn key(&self) -> String {
        let name = self.labels.iter().find(|l| l.name == "__name__");
        let rest = self.labels.iter().filter(|l| l.name != "__name__");
        let rest: Vec<String> = rest.map(|l| format!("{}={:?}", l.name, l.value)).collect();
        format!("{}{{{}}}", name.map_or("", |l| l.value.as_str()), rest.join(","))
    }
}

/// Fails if a sample of some series is older than one that came before it, over all requests.
///
/// # Panics
/// In that case.
pub fn check_order<'a>(requests: impl IntoIterator<Item = &'a WriteRequest>) {
    let mut newest: HashMap<String, i64> = HashMap::new();
    for request in requests {
        for (series, _, time) in request.samples() {
            let last = newest.entry(series.clone()).or_insert(i64::MIN);
            assert!(time >= *last, "{series} at {time} came after {last}");
            *last = time;
        }
    }
}
