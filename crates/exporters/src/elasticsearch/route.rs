// SPDX-License-Identifier: Apache-2.0
//! Where a document goes: its index, and the data stream it names.
//!
//! A static index wins; then the attribute `elasticsearch.index` (record, scope, resource); then
//! the data stream `type-dataset-namespace`, whose dataset is the attribute `data_stream.dataset`,
//! else what the scope tells, else `generic`. With `logstash_format` a date follows. What depends
//! on resource and scope only is computed once a scope; most records have no say in it.
//! Source: the collector's elasticsearchexporter, data_stream_router.go.

use otlp_wire::{AnyValue, Attrs, Signal};

use super::Mode;
use super::config::LogstashFormat;

/// Longest dataset or namespace.
const PART_BYTES_MAX: usize = 100;

/// Attributes that steer the exporter and are not part of a document.
pub(super) const CONTROL: [&[u8]; 8] = [
    b"data_stream.type",
    b"data_stream.dataset",
    b"data_stream.namespace",
    b"elasticsearch.index",
    b"elasticsearch.document_id",
    b"elasticsearch.ingest_pipeline",
    b"elasticsearch.mapping.hints",
    b"elastic.mapping.mode",
];

/// True for a key in [`CONTROL`].
#[inline]
pub(super) fn is_control(key: &[u8]) -> bool {
    matches!(key.first(), Some(b'd' | b'e')) && CONTROL.contains(&key)
}

/// What the attributes of one record, scope or resource say about its way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control<'a> {
    pub index: Option<AnyValue<'a>>,
    pub kind: Option<AnyValue<'a>>,
    pub dataset: Option<AnyValue<'a>>,
    pub namespace: Option<AnyValue<'a>>,
    pub document_id: Option<AnyValue<'a>>,
    pub ingest_pipeline: Option<AnyValue<'a>>,
    pub mode: Option<AnyValue<'a>>,
    pub hints: Hints,
}

/// The list `elasticsearch.mapping.hints`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hints {
    pub aggregate: bool,
    pub doc_count: bool,
    pub raw: bool,
    pub no_index: bool,
}

impl<'a> Control<'a> {
    /// Reads `attrs`.
    #[inline]
    pub fn read(attrs: &Attrs<'a>) -> Control<'a> {
        let mut control = Control::default();
        for attr in attrs.each().filter(|attr| is_control(attr.key_bytes())) {
            let value = Some(attr.value());
            match attr.key_bytes() {
                b"data_stream.type" => control.kind = value,
                b"data_stream.dataset" => control.dataset = value,
                b"data_stream.namespace" => control.namespace = value,
                b"elasticsearch.index" => control.index = value,
                b"elasticsearch.document_id" => control.document_id = value,
                b"elasticsearch.ingest_pipeline" => control.ingest_pipeline = value,
                b"elastic.mapping.mode" => control.mode = value,
                _ => control.hints = Hints::read(&attr.value()),
            }
        }
        control
    }

    /// True when it changes where a document goes.
    #[inline]
    pub fn routes(&self) -> bool {
        self.index.is_some()
            || self.kind.is_some()
            || self.dataset.is_some()
            || self.namespace.is_some()
    }
}

impl Hints {
    fn read(value: &AnyValue<'_>) -> Hints {
        let mut hints = Hints::default();
        let AnyValue::Array(values) = value else { return hints };
        for hint in values.iter() {
            match hint.as_str() {
                Some("aggregate_metric_double") => hints.aggregate = true,
                Some("_doc_count") => hints.doc_count = true,
                Some("histogram:raw") => hints.raw = true,
                Some("_noindex") => hints.no_index = true,
                _ => {}
            }
        }
        hints
    }
}

/// An index, and the parts of its name if it is a data stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Index {
    pub name: String,
    pub stream: Option<Stream>,
}

/// `type-dataset-namespace`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stream {
    pub kind: String,
    pub dataset: String,
    pub namespace: String,
}

impl Index {
    /// The data stream of these parts.
    pub fn stream(kind: &str, dataset: String, namespace: String) -> Index {
        let name = format!("{kind}-{dataset}-{namespace}");
        Index { name, stream: Some(Stream { kind: kind.to_owned(), dataset, namespace }) }
    }
}

/// The rules of one exporter.
pub(super) struct Router {
    /// One index for everything; empty = by attributes.
    pub fixed: String,
    pub logstash: Option<LogstashFormat>,
}

/// What decides beside the rules.
pub(super) struct Place<'a, 'c> {
    pub mode: Mode,
    pub signal: Signal,
    pub scope_name: &'a str,
    pub scope_attrs: Attrs<'a>,
    /// Of the record, the scope and the resource, in this order of precedence.
    pub controls: [&'c Control<'a>; 3],
}

impl Router {
    /// The index of a record.
    ///
    /// # Errors
    /// What is wrong with `data_stream.type`.
    pub fn route(
        &self,
        place: &Place<'_, '_>,
        now: jiff::Timestamp,
    ) -> Result<Index, &'static str> {
        let index = match self.fixed.as_str() {
            "" => dynamic(place)?,
            fixed => Index { name: fixed.to_owned(), stream: None },
        };
        let Some(format) = &self.logstash else { return Ok(index) };
        let date = now.strftime(&format.date_format);
        let name = format!("{}{}{date}", index.name, format.prefix_separator);
        Ok(Index { name, stream: None })
    }
}

fn dynamic(place: &Place<'_, '_>) -> Result<Index, &'static str> {
    fn first<'a>(
        place: &Place<'a, '_>,
        of: impl Fn(&Control<'a>) -> Option<AnyValue<'a>>,
    ) -> Option<String> {
        place.controls.iter().find_map(|control| of(control)).map(|v| v.text().into_owned())
    }
    if let Some(name) = first(place, |control| control.index) {
        return Ok(Index { name, stream: None });
    }
    let dataset = first(place, |control| control.dataset)
        .or_else(|| by_scope(place.scope_name, &place.scope_attrs))
        .unwrap_or_else(|| "generic".to_owned());
    let namespace = first(place, |control| control.namespace);
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let mut kind = place.signal.name().to_owned();
    if place.mode == Mode::BodyMap {
        kind = first(place, |control| control.kind).unwrap_or(kind);
        if kind != "logs" && kind != "metrics" {
            return Err("data_stream.type cannot be other than logs or metrics");
        }
    }
    let suffix = if place.mode == Mode::Otel { ".otel" } else { "" };
    Ok(Index::stream(&kind, dataset_name(&dataset, suffix), namespace_name(&namespace)))
}

/// The dataset that an instrumentation scope stands for.
fn by_scope(name: &str, attrs: &Attrs<'_>) -> Option<String> {
    const OWN: [&str; 5] = [
        "go.opentelemetry.io/collector/receiver/receiverhelper",
        "go.opentelemetry.io/collector/scraper/scraperhelper",
        "go.opentelemetry.io/collector/processor/processorhelper",
        "go.opentelemetry.io/collector/exporter/exporterhelper",
        "go.opentelemetry.io/collector/service",
    ];
    if OWN.contains(&name) {
        return Some("collectortelemetry".to_owned());
    }
    let format = attrs.get("encoding.format").and_then(|format| format.as_str());
    if let Some(format) = format.filter(|format| !format.is_empty()) {
        return Some(format.to_owned());
    }
    [("/receiver/", "receiver"), ("/connector/", "connector")].iter().find_map(
        |(folder, ending)| {
            let (_, rest) = name.split_once(folder)?;
            let word = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
            // The longest part that ends so, and is more than that.
            let end = word.rfind(ending).filter(|at| *at > 0)? + ending.len();
            Some(word[..end].to_owned())
        },
    )
}

/// A dataset as Elasticsearch takes it, with `suffix`.
pub(super) fn dataset_name(text: &str, suffix: &str) -> String {
    part(text, "-\\/*?\"<>| ,#:", suffix)
}

/// A namespace as Elasticsearch takes it.
pub(super) fn namespace_name(text: &str) -> String {
    part(text, "\\/*?\"<>| ,#:", "")
}

fn part(text: &str, disallowed: &str, suffix: &str) -> String {
    let mut out = String::with_capacity(text.len() + suffix.len());
    for c in text.chars() {
        match disallowed.contains(c) {
            true => out.push('_'),
            false => out.extend(c.to_lowercase()),
        }
    }
    let mut end = out.len().min(PART_BYTES_MAX - suffix.len());
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out.push_str(suffix);
    out
}
