// SPDX-License-Identifier: Apache-2.0
//! Configuration: the OpenTelemetry Collector's YAML to a [`Plan`] that can be built.
//!
//! ```text
//! --config, --set -> read (spanned nodes) -> merge -> expand ${...} -> resolve (decode bodies,
//! check references) -> Plan
//! ```
//! In: [`Input`], the component table, the environment. Out: a [`Loaded`] plan with its warnings,
//! or [`Diagnostics`] with every mistake of all sources, each with file, line and column. Nothing
//! is bound, opened or connected here. Bounds: 16 MiB a source, 255 levels, a million values.
//! The contract is the collector's own confmap and its component schemas.

mod decode;
mod diagnostics;
mod expand;
mod merge;
mod no_effect;
mod node;
pub mod plan;
mod prometheus;
mod read;
mod renamed;
mod report;
mod resolve;
mod scalar;
pub mod shared;
mod source;
mod telemetry;
mod units;
mod write;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::path::Path;
use std::sync::Arc;

pub use decode::{Checker, ComponentConfig, decode, from_plain, from_yaml, from_yaml_told};
pub use diagnostics::Diagnostics;
pub use expand::{Environment, Variables};
pub use no_effect::NoEffect;
pub use node::{Node, Value};
pub use plan::{
    Instance, Level, LogSampling, LogsTelemetry, MetricsPage, MetricsTelemetry, OtlpTarget,
    PageStyle, PipelinePlan, Plan, Push, Telemetry,
};
pub use report::{ComponentRow, KeyRow, Report, Status, report};
pub use units::{ByteSize, Duration};

use crate::component::Components;
use node::Span;

/// A component's configuration after decoding and checking.
pub type Decoded = Arc<dyn Any + Send + Sync>;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// `--config`, in order: a path, `file:path`, `env:NAME`, `yaml:text`, or `prometheus:path` of a
    /// Prometheus configuration.
    pub configs: Vec<String>,
    /// Read if `configs` is empty: what it is called, and the text.
    pub default: Option<(&'static str, &'static str)>,
    /// `--set`, in order: `a.b.c=value`.
    pub sets: Vec<String>,
    /// Extensions that run unless the configuration lists one of that type: id and YAML body.
    pub extensions: Vec<(String, String)>,
}

/// A configuration that can be built, and what its writer should know.
pub struct Loaded {
    /// What to build.
    pub plan: Plan,
    /// Warnings; there are no errors among them.
    pub diagnostics: Diagnostics,
}

/// Reads and checks everything.
///
/// # Errors
/// Every mistake found, with the warnings.
pub fn load(
    input: &Input,
    components: &Components,
    environment: Environment<'_>,
) -> Result<Loaded, Diagnostics> {
    let (root, mut diagnostics) = merged(input, environment)?;
    let mut root = root;
    expand::expand(&mut root, environment, &mut diagnostics);
    let plan = resolve::resolve(&root, input, components, &mut diagnostics);
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(Loaded { plan, diagnostics }) }
}

/// The merged configuration as YAML, before `${...}` is expanded, so that no secret is shown.
///
/// # Errors
/// What kept the sources from being read.
pub fn print(input: &Input, environment: Environment<'_>) -> Result<String, Diagnostics> {
    if let (true, true, Some((_, text))) =
        (input.configs.is_empty(), input.sets.is_empty(), input.default)
    {
        return Ok(text.to_owned());
    }
    let (root, diagnostics) = merged(input, environment)?;
    if diagnostics.has_errors() { Err(diagnostics) } else { Ok(write::to_yaml(&root)) }
}

/// All sources as one tree. Fails on what leaves a source unread; other mistakes stay in the
/// diagnostics for later.
fn merged(input: &Input, environment: Environment<'_>) -> Result<(Node, Diagnostics), Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut roots: Vec<Option<Node>> = Vec::new();
    match (input.configs.as_slice(), input.default) {
        ([], Some((name, text))) => {
            let source = diagnostics.add_source(name, text);
            roots.push(read::read(text, source, 0, &mut diagnostics));
        }
        ([], None) => {
            diagnostics.error(None, "at least one config flag must be provided");
        }
        (configs, _) => {
            let read = |config: &String| read_location(config, environment, &mut diagnostics);
            roots.extend(configs.iter().map(read));
        }
    }
    roots.extend(input.sets.iter().map(|set| merge::set(set, &mut diagnostics)));
    let is_whole = !roots.is_empty() && roots.iter().all(Option::is_some);
    let mut roots = roots.into_iter().flatten();
    match roots.next() {
        Some(mut root) if is_whole => {
            roots.for_each(|over| merge::merge(&mut root, over));
            Ok((root, diagnostics))
        }
        _ => Err(diagnostics),
    }
}

/// Reads what one `--config` names.
fn read_location(
    location: &str,
    environment: Environment<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<Node> {
    let (scheme, rest) = match location.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("file", location),
    };
    let (name, text) = match scheme {
        "file" | "prometheus" => match expand::read_file(Path::new(rest)) {
            Ok(text) => (rest.to_owned(), text),
            Err(error) => {
                diagnostics.error(None, format!("cannot read the configuration {rest}: {error}"));
                return None;
            }
        },
        "yaml" => ("--config yaml".to_owned(), rest.to_owned()),
        "env" => match (environment.variables)(rest) {
            Some(text) => (format!("--config {location}"), text),
            None => {
                diagnostics.error(None, format!("environment variable \"{rest}\" is not set"));
                return None;
            }
        },
        scheme => {
            diagnostics
                .error(None, format!("scheme \"{scheme}\" is not supported in --config {location}"))
                .help("supported are a path, file:, env:, yaml: and prometheus:");
            return None;
        }
    };
    let source = diagnostics.add_source(name, text.as_str());
    let root = read::read(&text, source, 0, diagnostics)?;
    if scheme == "yaml" {
        return Some(merge::split_keys(root, diagnostics));
    }
    if root.is_null() {
        let span = Span { source, start: 0, end: 0 };
        diagnostics.error(span, "empty configuration file");
        return None;
    }
    if scheme == "prometheus" {
        let folder = Path::new(rest).parent().unwrap_or(Path::new(""));
        return Some(prometheus::translate(root, folder, diagnostics));
    }
    Some(root)
}

/// Two letters at least, so that `C:\path` is a path.
fn is_scheme(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"+.-".contains(&b);
    text.len() > 1 && text.as_bytes()[0].is_ascii_alphabetic() && text.bytes().all(is_allowed)
}
