// SPDX-License-Identifier: Apache-2.0
//! The texts a configuration is made of, and where they come from.
//!
//! A source is a file, a `--set` argument, a `yaml:` or `env:` location, or the built-in default.
//! All of them stay in memory until the configuration is loaded, so that any mistake can show the
//! line it stands on.

use std::sync::Arc;

use super::node::Span;

/// The largest source that is read. The largest configurations met in the field are a few hundred
/// kilobytes; more is somebody's data file.
pub(crate) const SOURCE_BYTES_MAX: u64 = 16 << 20;

/// One text.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// As shown to the user: the path as given, `--set a.b=c`, `built-in default`.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
}

/// All texts read so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    pub(crate) fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> u32 {
        self.0.push(Source { name: name.into(), text: text.into() });
        (self.0.len() - 1) as u32
    }

    pub(crate) fn get(&self, source: u32) -> Option<&Source> {
        self.0.get(source as usize)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|source| source.name.as_str())
    }

    /// Line and column of the start of `span`, both from 1.
    pub(crate) fn line_column(&self, span: Span) -> (usize, usize) {
        let text = self.get(span.source).map_or("", |source| &source.text);
        let before = text.get(..span.start as usize).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}
