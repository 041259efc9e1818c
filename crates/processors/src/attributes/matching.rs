// SPDX-License-Identifier: Apache-2.0
//! Which elements a processor is for: `include` and `exclude`.
//!
//! Within a list of names one match is enough; entries of `attributes`, `resources` and
//! `libraries` must all match; all fields that are given must match. Patterns are searched for
//! anywhere in the text. Source: the Go collector's `internal/filter`, reference section 5.3.

use otlp_wire::{AnyValue, Attrs, Context, LogView, Record, Resource, Signal, SpanKind, SpanView};
use pipeline::config::Checker;
use prost::Message;
use regex::Regex;
use serde::Deserialize;

use super::action::pattern;
use super::value::Value;

/// `include` or `exclude` as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MatchConfig {
    /// `strict` or `regexp`; required.
    pub match_type: String,
    /// Accepted for compatibility; patterns are compiled once and need no cache.
    pub regexp: Option<serde_json::Value>,
    /// Values of `service.name`.
    pub services: Vec<String>,
    /// Names of spans.
    pub span_names: Vec<String>,
    /// `SPAN_KIND_SERVER` and so on.
    pub span_kinds: Vec<String>,
    /// Text bodies of log records.
    pub log_bodies: Vec<String>,
    /// Severity texts of log records.
    pub log_severity_texts: Vec<String>,
    /// Lowest severity of log records.
    pub log_severity_number: Option<SeverityConfig>,
    /// Names of metrics.
    pub metric_names: Vec<String>,
    /// Attributes of the span or log record.
    pub attributes: Vec<EntryConfig>,
    /// Attributes of the resource.
    pub resources: Vec<EntryConfig>,
    /// Instrumentation libraries.
    pub libraries: Vec<LibraryConfig>,
}

/// A key, and its value if that matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EntryConfig {
    /// The key.
    pub key: String,
    /// What it must hold; absent = the key must be there.
    pub value: Option<serde_json::Value>,
}

/// A library, and its version if that matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LibraryConfig {
    /// Name of the library.
    pub name: String,
    /// Its version; absent = any.
    pub version: Option<String>,
}

/// The lowest severity that matches.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SeverityConfig {
    /// A number (1 to 24).
    pub min: i32,
    /// Whether records without a severity match.
    pub match_undefined: bool,
}

/// Conditions on an element, ready to be asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    services: Option<Names>,
    span_names: Option<Names>,
    span_kinds: Option<Names>,
    log_bodies: Option<Names>,
    log_severity_texts: Option<Names>,
    log_severity: Option<SeverityConfig>,
    metric_names: Option<Names>,
    attributes: Vec<Entry>,
    resources: Vec<Entry>,
    libraries: Vec<Library>,
}

#[derive(Clone, Debug)]
enum Names {
    Strict(Vec<String>),
    Patterns(Vec<Regex>),
}

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    value: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Anything,
    /// An encoded `AnyValue`.
    Exactly(Vec<u8>),
    Pattern(Regex),
}

#[derive(Clone, Debug)]
struct Library {
    name: Names,
    version: Option<Names>,
}

impl MatchConfig {
    /// The conditions; mistakes go to `at`.
    pub(crate) fn prepare(&self, at: &mut Checker<'_>) -> Option<Matcher> {
        let regexp = match self.match_type.as_str() {
            "strict" => false,
            "regexp" => true,
            other => {
                let text =
                    format!("unrecognized match_type: \"{other}\", valid are strict, regexp");
                at.error("match_type", text);
                return None;
            }
        };
        if self.is_empty() {
            at.error("", "no condition is given: nothing would be selected by it");
            return None;
        }
        let mut names = |key: &str, list: &[String]| -> Option<Option<Names>> {
            match list {
                [] => Some(None),
                list => at.check(key, Names::new(list, regexp)).map(Some),
            }
        };
        let matcher = Matcher {
            services: names("services", &self.services)?,
            span_names: names("span_names", &self.span_names)?,
            span_kinds: names("span_kinds", &self.span_kinds)?,
            log_bodies: names("log_bodies", &self.log_bodies)?,
            log_severity_texts: names("log_severity_texts", &self.log_severity_texts)?,
            log_severity: self.log_severity_number,
            metric_names: names("metric_names", &self.metric_names)?,
            attributes: entries("attributes", &self.attributes, regexp, at)?,
            resources: entries("resources", &self.resources, regexp, at)?,
            libraries: self
                .libraries
                .iter()
                .map(|it| at.check("libraries", it.prepare(regexp)))
                .collect::<Option<_>>()?,
        };
        self.check_kinds(regexp, at);
        Some(matcher)
    }

    fn is_empty(&self) -> bool {
        self.used().is_empty()
    }

    fn check_kinds(&self, regexp: bool, at: &mut Checker<'_>) {
        let known: Vec<&str> = (0..=5).map(|n| kind_name(SpanKind::from_number(n))).collect();
        for kind in &self.span_kinds {
            if !regexp && !known.contains(&kind.as_str()) {
                let text = format!("\"{kind}\" is no span kind, they are {}", known.join(", "));
                at.error("span_kinds", text);
            }
        }
    }

    /// The fields that are given.
    pub(crate) fn used(&self) -> Vec<&'static str> {
        let fields = [
            ("services", !self.services.is_empty()),
            ("span_names", !self.span_names.is_empty()),
            ("span_kinds", !self.span_kinds.is_empty()),
            ("log_bodies", !self.log_bodies.is_empty()),
            ("log_severity_texts", !self.log_severity_texts.is_empty()),
            ("log_severity_number", self.log_severity_number.is_some()),
            ("metric_names", !self.metric_names.is_empty()),
            ("attributes", !self.attributes.is_empty()),
            ("resources", !self.resources.is_empty()),
            ("libraries", !self.libraries.is_empty()),
        ];
        fields.into_iter().filter(|(_, used)| *used).map(|(name, _)| name).collect()
    }

    /// The first field that has no meaning for `signal`.
    pub(crate) fn foreign_to(&self, signal: Signal) -> Option<&'static str> {
        let known: &[&str] = match signal {
            Signal::Traces => {
                &["services", "span_names", "span_kinds", "attributes", "resources", "libraries"]
            }
            Signal::Logs => &[
                "log_bodies",
                "log_severity_texts",
                "log_severity_number",
                "attributes",
                "resources",
                "libraries",
            ],
            Signal::Metrics => &["metric_names", "resources"],
        };
        self.used().into_iter().find(|field| !known.contains(field))
    }
}

impl LibraryConfig {
    fn prepare(&self, regexp: bool) -> Result<Library, String> {
        let one = |text: &String| Names::new(std::slice::from_ref(text), regexp);
        let version = self.version.as_ref().map(one).transpose()?;
        Ok(Library { name: one(&self.name)?, version })
    }
}

fn entries(
    field: &str,
    list: &[EntryConfig],
    regexp: bool,
    at: &mut Checker<'_>,
) -> Option<Vec<Entry>> {
    let mut at = at.key(field);
    let prepared = list.iter().enumerate().map(|(index, it)| {
        let mut at = at.item(index);
        if it.key.is_empty() {
            at.error("key", "missing required field \"key\"");
            return None;
        }
        let value = match &it.value {
            None => Wanted::Anything,
            Some(serde_json::Value::String(text)) if regexp => {
                Wanted::Pattern(at.check("value", pattern(text))?)
            }
            Some(_) if regexp => {
                at.error("value", "match_type regexp needs a string here");
                return None;
            }
            Some(value) => Wanted::Exactly(Value::from(value).into_any().encode_to_vec()),
        };
        Some(Entry { key: it.key.clone(), value })
    });
    // All entries are looked at, so that all mistakes are told.
    prepared.collect::<Vec<_>>().into_iter().collect()
}

impl Names {
    fn new(list: &[String], regexp: bool) -> Result<Names, String> {
        if regexp {
            let patterns = list.iter().map(|text| pattern(text));
            return Ok(Names::Patterns(patterns.collect::<Result<_, _>>()?));
        }
        Ok(Names::Strict(list.to_vec()))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Names::Strict(list) => list.iter().any(|it| it == text),
            Names::Patterns(list) => list.iter().any(|it| it.is_match(text)),
        }
    }
}

impl Entry {
    fn matches(&self, value: Option<AnyValue<'_>>) -> bool {
        let Some(value) = value else { return false };
        match &self.value {
            Wanted::Anything => true,
            Wanted::Exactly(wanted) => value == AnyValue::parse(wanted),
            Wanted::Pattern(pattern) => match value {
                AnyValue::Str(text) => pattern.is_match(text),
                AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) => {
                    pattern.is_match(&value.text())
                }
                _ => false,
            },
        }
    }
}

impl Library {
    fn matches(&self, name: &str, version: &str) -> bool {
        self.name.matches(name) && self.version.as_ref().is_none_or(|it| it.matches(version))
    }
}

/// True when there is no condition or it holds.
fn holds<T>(condition: Option<&T>, test: impl FnOnce(&T) -> bool) -> bool {
    condition.is_none_or(test)
}

impl Matcher {
    /// True when it asks for something above the element.
    pub(crate) fn reads_context(&self) -> bool {
        self.services.is_some()
            || self.metric_names.is_some()
            || !self.resources.is_empty()
            || !self.libraries.is_empty()
    }

    /// Do the conditions hold for this span?
    pub(crate) fn span(&self, span: &mut Record<'_>, at: &Context<'_>) -> bool {
        self.above(at)
            && holds(self.span_names.as_ref(), |it| it.matches(span.name()))
            && holds(self.span_kinds.as_ref(), |it| {
                it.matches(kind_name(span.view::<SpanView<'_>>().kind()))
            })
            && self.attributes.iter().all(|it| it.matches(span.attr(&it.key)))
    }

    /// Do the conditions hold for this log record?
    pub(crate) fn log(&self, log: &mut Record<'_>, at: &Context<'_>) -> bool {
        self.above(at)
            && holds(self.log_bodies.as_ref(), |it| {
                log.body().as_str().is_some_and(|body| it.matches(body))
            })
            && holds(self.log_severity_texts.as_ref(), |it| {
                it.matches(log.view::<LogView<'_>>().severity_text())
            })
            && holds(self.log_severity.as_ref(), |it| {
                it.matches(log.view::<LogView<'_>>().severity_number())
            })
            && self.attributes.iter().all(|it| it.matches(log.attr(&it.key)))
    }

    /// Do the conditions hold for this data point?
    pub(crate) fn point(&self, at: &Context<'_>) -> bool {
        self.above(at)
            && holds(self.metric_names.as_ref(), |it| {
                at.metric().is_some_and(|metric| it.matches(metric.name()))
            })
    }

    fn above(&self, at: &Context<'_>) -> bool {
        holds(self.services.as_ref(), |it| service(&at.resource()).is_some_and(|s| it.matches(s)))
            && self.resources_match(at.resource().attrs())
            && self.libraries.iter().all(|it| it.matches(at.scope().name(), at.scope().version()))
    }

    fn resources_match(&self, attrs: Attrs<'_>) -> bool {
        self.resources.iter().all(|it| it.matches(attrs.get(&it.key)))
    }
}

fn service<'a>(resource: &Resource<'a>) -> Option<&'a str> {
    resource.attr("service.name")?.as_str()
}

impl SeverityConfig {
    fn matches(&self, number: i32) -> bool {
        if number == 0 { self.match_undefined } else { number >= self.min }
    }
}

/// The protocol's name of a span kind, which is what configurations use.
fn kind_name(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}
