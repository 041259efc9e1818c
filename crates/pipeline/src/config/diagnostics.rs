// SPDX-License-Identifier: Apache-2.0
//! Mistakes and warnings, shown the way rustc shows them.
//!
//! Loading never stops at the first mistake: everything found is collected here with its place and
//! rendered at the end, ordered by place, with `file:line:column`, the line itself, and what would
//! be right where that is known.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

use super::node::Span;
use super::source::Sources;

/// Most mistakes shown in full; beyond it only the count. A file with more is the wrong file.
const SHOWN_MAX: usize = 100;

/// Mistakes and warnings found so far, with the texts they stand in.
#[derive(Debug, Default)]
pub struct Diagnostics {
    sources: Sources,
    found: Vec<Diagnostic>,
    /// What is being read, such as `receivers::otlp`; begins the messages.
    within: String,
    /// Extensions that settings name, to be looked up when all are known.
    authenticators: Vec<Named>,
}

/// An extension that some settings name as their authenticator.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub span: Span,
    /// What begins the message.
    pub place: String,
    pub id: String,
}

/// One mistake or warning.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    severity: Severity,
    topic: Topic,
    span: Option<Span>,
    message: String,
    label: String,
    secondary: Vec<(Span, String)>,
    help: Vec<String>,
}

/// What a mistake or warning is about, for those who list them by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Topic {
    /// A value.
    #[default]
    Value,
    /// A key that loads and changes nothing.
    NoEffect,
    /// An old spelling.
    Renamed,
    /// A key or component type that does not exist here.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    Warning,
    Error,
}

impl Diagnostics {
    pub(crate) fn add_source(
        &mut self,
        name: impl Into<String>,
        text: impl Into<std::sync::Arc<str>>,
    ) -> u32 {
        self.sources.add(name, text)
    }

    /// A mistake at `span`; the configuration cannot be used.
    pub(crate) fn error(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Severity::Error, span.into(), message.into())
    }

    /// Something that works but should be known.
    pub(crate) fn warning(
        &mut self,
        span: impl Into<Option<Span>>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.push(Severity::Warning, span.into(), message.into())
    }

    fn push(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Diagnostic {
        self.found.push(Diagnostic {
            severity,
            topic: Topic::Value,
            span,
            message,
            label: String::new(),
            secondary: Vec::new(),
            help: Vec::new(),
        });
        self.found.last_mut().expect("just pushed")
    }

    pub(crate) fn name_authenticator(&mut self, span: Span, path: &str, id: &str) {
        let place = self.prefixed(path, "").trim_end_matches(": ").to_owned();
        self.authenticators.push(Named { span, place, id: id.to_owned() });
    }

    /// What has been named since the last call.
    pub(crate) fn take_authenticators(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.authenticators)
    }

    /// True if there is a mistake, not only warnings.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(crate) fn error_count(&self) -> usize {
        self.found.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count()
    }

    pub(crate) fn has_error_at(&self, span: Span) -> bool {
        let mut errors = self.found.iter().filter(|d| d.severity == Severity::Error);
        errors.any(|diagnostic| diagnostic.span == Some(span))
    }

    /// Runs `inner`, whose messages begin with `place`.
    pub(crate) fn within<T>(&mut self, place: &str, inner: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.within, place.to_owned());
        let result = inner(self);
        self.within = outer;
        result
    }

    /// `message` with the path it is about: `receivers::otlp::protocols: message`.
    pub(crate) fn prefixed(&self, path: &str, message: &str) -> String {
        match (self.within.as_str(), path) {
            ("", "") => message.to_owned(),
            ("", place) | (place, "") => format!("{place}: {message}"),
            (within, path) => format!("{within}::{path}: {message}"),
        }
    }

    /// The files that were read.
    pub fn files(&self) -> Vec<std::path::PathBuf> {
        let named = self.sources.names().map(std::path::PathBuf::from);
        named.filter(|path| path.is_file()).collect()
    }

    /// True if there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Everything found as text for a person, ordered by place; `color` adds terminal colours.
    pub fn render(&self, color: bool) -> String {
        let mut ordered: Vec<&Diagnostic> = self.found.iter().collect();
        ordered.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.source, span.start)));
        let mut text = String::new();
        for diagnostic in ordered.iter().take(SHOWN_MAX) {
            text.push_str(&self.render_one(diagnostic, color));
            text.push_str("\n\n");
        }
        let errors = ordered.iter().filter(|d| d.severity == Severity::Error).count();
        if ordered.len() > SHOWN_MAX {
            text.push_str(&format!("... and {} more\n", ordered.len() - SHOWN_MAX));
        }
        if errors > 1 {
            text.push_str(&format!("{errors} errors in the configuration\n"));
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// Warnings only, one line each, for the log: `file:line:column: message`.
    pub fn warning_lines(&self) -> Vec<String> {
        let warnings = self.found.iter().filter(|d| d.severity == Severity::Warning);
        warnings.map(|diagnostic| self.line(diagnostic)).collect()
    }

    /// Mistakes only, one line each: `file:line:column: message`.
    pub fn error_lines(&self) -> Vec<String> {
        let errors = self.found.iter().filter(|d| d.severity == Severity::Error);
        errors.map(|diagnostic| self.line(diagnostic)).collect()
    }

    /// Everything found, one by one.
    pub(crate) fn found(&self) -> Vec<Found<'_>> {
        let found = |diagnostic| Found::new(self, diagnostic);
        self.found.iter().map(found).collect()
    }

    fn line(&self, diagnostic: &Diagnostic) -> String {
        let place = match self.place(diagnostic) {
            Some(place) => format!("{place}: "),
            None => String::new(),
        };
        let label = match diagnostic.label.as_str() {
            "" => String::new(),
            label => format!(" ({label})"),
        };
        format!("{place}{}{label}", diagnostic.message)
    }

    /// `file:line:column`.
    fn place(&self, diagnostic: &Diagnostic) -> Option<String> {
        let span = diagnostic.span?;
        let (line, column) = self.sources.line_column(span);
        Some(format!("{}:{line}:{column}", self.sources.get(span.source)?.name))
    }

    fn render_one(&self, diagnostic: &Diagnostic, color: bool) -> String {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(diagnostic.message.as_str());
        let mut report = title.elements(std::iter::empty::<annotate_snippets::Message<'_>>());
        let placed = diagnostic.span.and_then(|span| Some((span, self.sources.get(span.source)?)));
        if let Some((span, source)) = placed {
            let mut snippet = Snippet::source(&*source.text).path(source.name.as_str());
            let mut primary = AnnotationKind::Primary.span(range(span));
            if !diagnostic.label.is_empty() {
                primary = primary.label(diagnostic.label.as_str());
            }
            snippet = snippet.annotation(primary);
            for (place, label) in
                diagnostic.secondary.iter().filter(|(p, _)| p.source == span.source)
            {
                snippet = snippet
                    .annotation(AnnotationKind::Context.span(range(*place)).label(label.as_str()));
            }
            report = report.element(snippet);
        }
        for (place, label) in &diagnostic.secondary {
            let elsewhere = diagnostic.span.is_none_or(|span| span.source != place.source);
            if let Some(source) = self.sources.get(place.source).filter(|_| elsewhere) {
                let annotation = AnnotationKind::Context.span(range(*place)).label(label.as_str());
                let snippet = Snippet::source(&*source.text).path(source.name.as_str());
                report = report.element(snippet.annotation(annotation));
            }
        }
        for help in &diagnostic.help {
            report = report.element(Level::HELP.message(help.as_str()));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[report]).to_string()
    }
}

fn range(span: Span) -> std::ops::Range<usize> {
    span.start as usize..span.end as usize
}

/// One mistake or warning as others list it.
pub(crate) struct Found<'d> {
    pub is_error: bool,
    pub topic: Topic,
    all: &'d Diagnostics,
    diagnostic: &'d Diagnostic,
}

impl<'d> Found<'d> {
    fn new(all: &'d Diagnostics, diagnostic: &'d Diagnostic) -> Self {
        let is_error = diagnostic.severity == Severity::Error;
        Found { is_error, topic: diagnostic.topic, all, diagnostic }
    }

    /// True if it is shown at `span`.
    pub fn is_at(&self, span: Span) -> bool {
        self.diagnostic.span == Some(span)
    }

    /// `file:line:column`, or nothing.
    pub fn place(&self) -> String {
        self.all.place(self.diagnostic).unwrap_or_default()
    }

    /// With its place.
    pub fn line(&self) -> String {
        self.all.line(self.diagnostic)
    }

    /// Without the path it is about, with what helps: the nearest there is.
    pub fn note(&self) -> String {
        let Diagnostic { message, label, help, .. } = self.diagnostic;
        let message = message.split_once(": ").map_or(message.as_str(), |(_, rest)| rest);
        let mut parts = vec![message];
        if self.topic == Topic::Unknown && label.starts_with("this build") {
            parts = vec![label];
        } else if !label.is_empty() && !message.contains(label.as_str()) {
            parts.push(label);
        }
        parts
            .extend(help.iter().map(String::as_str).filter(|help| help.starts_with("the nearest")));
        parts.join(", ")
    }
}

impl Diagnostic {
    /// What it is about, unless a value.
    pub(crate) fn about(&mut self, topic: Topic) -> &mut Self {
        self.topic = topic;
        self
    }

    /// What is written at the place itself.
    pub(crate) fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    /// Another place that has to do with it.
    pub(crate) fn secondary(&mut self, span: Span, label: impl Into<String>) -> &mut Self {
        self.secondary.push((span, label.into()));
        self
    }

    /// What to do.
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(help.into());
        self
    }
}

/// The one of `known` that `text` was probably meant to be.
pub(crate) fn did_you_mean<'a>(
    text: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let flat = |text: &str| text.to_ascii_lowercase().replace(['_', '-', '.'], "");
    let wanted = flat(text);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &flat(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(text.len()) / 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
