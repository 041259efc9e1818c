// SPDX-License-Identifier: Apache-2.0
//! Names of result metrics.
//!
//! Three ways: a name written in the configuration is used as it is (`exact`); a pattern with
//! placeholders is filled in; or a stem is made from the inputs' names and put before the output's
//! (`intelligent`, the rule of the published Go processor, reproduced with its golden cases).
//! Pure functions over text.

use super::config::NamingConfig;
use basics::{Error, Result};

/// First parts of metric names that say where a metric comes from, not what it is.
const COMMON_DOMAINS: [&str; 9] =
    ["system", "app", "service", "network", "container", "process", "host", "cloud", "k8s"];

/// Substrings that sort a stem into a category. The order decides; the published processor walks
/// a Go map here, so its own order changes from run to run.
const CATEGORIES: [&str; 6] = ["cpu", "mem", "net", "disk", "app", "db"];

/// Most stems joined in full below a common prefix; more are shortened to initials.
const PREFIXED_STEMS_MAX: usize = 5;

/// `<stem>.<output>` with the stem made from `inputs` (metric names), or from `model` without any.
pub fn intelligent(config: &NamingConfig, model: &str, inputs: &[&str], output: &str) -> String {
    let stem = match inputs {
        [] => model.to_owned(),
        [input] => stem(config, input),
        _ => common_stem(config, inputs),
    };
    format!("{stem}.{output}")
}

fn stem(config: &NamingConfig, name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let parts_max = if config.max_stem_parts == 0 { 2 } else { config.max_stem_parts };
    let mut kept = parts.as_slice();
    if kept.len() > 2 {
        if config.skip_common_domains && COMMON_DOMAINS.contains(&kept[0]) {
            kept = &kept[1..];
        }
        if kept.len() > 2 {
            kept = &kept[kept.len().saturating_sub(parts_max)..];
        }
    }
    kept.join("_")
}

fn common_stem(config: &NamingConfig, inputs: &[&str]) -> String {
    let names: Vec<Vec<&str>> = inputs.iter().map(|name| name.split('.').collect()).collect();
    let prefix = common_prefix(&names);
    let mut stems: Vec<String> = Vec::new();
    for parts in &names {
        let rest = parts[prefix.len()..].join(".");
        if !rest.is_empty() {
            push_new(&mut stems, stem(config, &rest));
        }
    }
    if stems.is_empty() {
        inputs.iter().for_each(|name| push_new(&mut stems, stem(config, name)));
    }
    if stems.len() <= config.abbreviation_threshold {
        return stems.join("_");
    }
    if !prefix.is_empty() {
        let rest = match stems.len() {
            0..=PREFIXED_STEMS_MAX => stems.join("_"),
            _ => stems.iter().filter_map(|stem| stem.chars().next()).collect(),
        };
        return format!("{}_{rest}", prefix.join("_"));
    }
    let grouped = config.enable_category_grouping.then(|| by_category(&stems)).flatten();
    grouped.unwrap_or_else(|| abbreviated(&stems))
}

fn push_new(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// The parts all names begin with.
fn common_prefix<'a>(names: &[Vec<&'a str>]) -> Vec<&'a str> {
    let Some((first, others)) = names.split_first() else { return vec![] };
    let shared = |at: usize| others.iter().all(|name| name.get(at) == first.get(at));
    first.iter().enumerate().take_while(|(at, _)| shared(*at)).map(|(_, part)| *part).collect()
}

/// One entry per category, sorted: its stem if it has one, else its name and count. `None` unless
/// there are two or three categories.
fn by_category(stems: &[String]) -> Option<String> {
    let category = |stem: &str| -> String {
        let known = CATEGORIES.iter().find(|category| stem.contains(**category));
        known.map_or_else(|| stem.chars().take(3).collect(), |known| (*known).to_owned())
    };
    let mut groups: Vec<(String, Vec<&String>)> = Vec::new();
    for stem in stems {
        let name = category(stem);
        match groups.iter_mut().find(|(have, _)| *have == name) {
            Some((_, members)) => members.push(stem),
            None => groups.push((name, vec![stem])),
        }
    }
    if !(2..=3).contains(&groups.len()) {
        return None;
    }
    let mut entries: Vec<String> = groups
        .into_iter()
        .map(|(name, members)| match members.as_slice() {
            [only] => (*only).clone(),
            _ => format!("{name}{}", members.len()),
        })
        .collect();
    entries.sort();
    Some(entries.join("_"))
}

/// Four letters of each of the first four stems, and how many more there are.
fn abbreviated(stems: &[String]) -> String {
    let mut parts: Vec<String> =
        stems.iter().take(4).map(|stem| stem.chars().take(4).collect()).collect();
    if stems.len() > 4 {
        parts.push(format!("plus{}", stems.len() - 4));
    }
    parts.join("_")
}

/// A name with placeholders: `{output}`, `{model}`, `{version}`, `{input}`, `{input[N]}`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Output,
    Model,
    Version,
    Input(usize),
}

impl Pattern {
    /// Reads a pattern for a rule with `inputs` inputs.
    ///
    /// # Errors
    /// `Invalid` for unbalanced braces, an unknown placeholder, or an input that is not there.
    pub fn parse(text: &str, inputs: usize) -> Result<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            if at > 0 {
                pieces.push(Piece::Text(rest[..at].to_owned()));
            }
            let unbalanced = || Error::invalid(format!("unbalanced braces in {text:?}"));
            let inner = rest[at..].strip_prefix('{').ok_or_else(unbalanced)?;
            let end = inner.find(['{', '}']).ok_or_else(unbalanced)?;
            if inner.as_bytes()[end] != b'}' {
                return Err(unbalanced());
            }
            pieces.push(Piece::parse(&inner[..end], inputs)?);
            rest = &inner[end + 1..];
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Pattern(pieces))
    }

    /// Fills the placeholders in.
    pub fn fill(&self, output: &str, model: &str, version: &str, inputs: &[&str]) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Output => output.to_owned(),
            Piece::Model => model.to_owned(),
            Piece::Version => version.to_owned(),
            Piece::Input(index) => inputs.get(*index).copied().unwrap_or_default().to_owned(),
        };
        self.0.iter().map(piece).collect()
    }
}

impl Piece {
    fn parse(name: &str, inputs: usize) -> Result<Self> {
        let index = || name.strip_prefix("input[")?.strip_suffix(']')?.parse::<usize>().ok();
        match (name, index()) {
            ("output", _) => Ok(Piece::Output),
            ("model", _) => Ok(Piece::Model),
            ("version", _) => Ok(Piece::Version),
            ("input", _) => Ok(Piece::Input(0)),
            (_, Some(index)) if index < inputs => Ok(Piece::Input(index)),
            (_, Some(index)) => Err(Error::invalid(format!(
                "no input {index}; the rule has {inputs}, counted from 0"
            ))),
            _ => Err(Error::invalid(format!(
                "unknown placeholder {{{name}}}; known are output, model, version, input, input[N]"
            ))),
        }
    }
}
