// SPDX-License-Identifier: Apache-2.0
//! A component's body to its `Config`, with every mistake told.
//!
//! serde stops at the first mistake, so decoding is repeated: what failed is told, then treated as
//! if it were not there, until the rest decodes. Unknown keys are found on the way and do not stop
//! anything. A null where a mapping or list is expected is an empty one, anywhere else it is as if
//! the key were absent: this is how the collector reads `batch:` and `protocols: {grpc:}`.

mod check;
mod de;
mod error;

use std::sync::Arc;

use hashbrown::HashSet;

pub use check::{Checker, ComponentConfig};

use super::Decoded;
use super::diagnostics::{Diagnostics, Topic, did_you_mean};
use super::node::{Node, NodeId};
use de::{Context, De, Finding};
use error::{DecodeError, Silence};

/// Most wrong values told for one body. Each costs a pass over it.
const MISTAKES_MAX: usize = 50;

/// What has been told to be wrong, so that validation does not tell it again.
#[derive(Default)]
struct Wrong {
    values: HashSet<NodeId>,
    /// In these an absent key is probably a misspelt one.
    with_unknown_keys: HashSet<NodeId>,
}

/// The usual [`Factory::decode`](crate::component::Factory::decode): `decode: config::decode::<Config>`.
pub fn decode<C: ComponentConfig>(node: &Node, diagnostics: &mut Diagnostics) -> Option<Decoded> {
    Some(Arc::new(decode_checked::<C>(node, diagnostics)?))
}

/// Decodes and validates; `None` after any mistake.
pub(crate) fn decode_checked<C: ComponentConfig>(
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<C> {
    let errors_before = diagnostics.error_count();
    let (value, wrong) = decode_value::<C>(node, diagnostics);
    let config = value?;
    config.validate(&mut Checker::new(node, &wrong, diagnostics));
    (diagnostics.error_count() == errors_before).then_some(config)
}

/// What could be decoded, and the nodes that were told to be wrong.
fn decode_value<T: serde::de::DeserializeOwned>(
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> (Option<T>, Wrong) {
    let context = Context::default();
    let mut wrong = Wrong::default();
    for _ in 0..MISTAKES_MAX {
        context.forget_findings();
        let error = match T::deserialize(De::root(node, &context)) {
            Ok(value) => {
                tell_findings(node, &context, &mut wrong, diagnostics);
                return (Some(value), wrong);
            }
            Err(error) => error.at(node, &context),
        };
        let at = error.node().unwrap_or(node.id());
        if error.silence() != Some(Silence::Absent) {
            wrong.values.insert(at);
        }
        if error.silence().is_none() {
            tell(node, &error, diagnostics);
        }
        context.leave_out(at);
        if at == node.id() {
            break;
        }
    }
    tell_findings(node, &context, &mut wrong, diagnostics);
    (None, wrong)
}

fn tell(root: &Node, error: &DecodeError, diagnostics: &mut Diagnostics) {
    let path = root.path_to(error.node().unwrap_or(root.id()));
    let message = diagnostics.prefixed(&path, &error.message());
    let diagnostic = diagnostics.error(error.span().unwrap_or(root.span), message);
    if let Some(label) = error.label() {
        diagnostic.label(label);
    }
    if let Some(help) = error.help() {
        diagnostic.help(help);
    }
}

fn tell_findings(root: &Node, context: &Context, wrong: &mut Wrong, diagnostics: &mut Diagnostics) {
    for finding in context.findings() {
        match finding {
            Finding::UnknownKey { mapping, span, key, known } => {
                let path = root.path_to(mapping);
                let message = diagnostics.prefixed(&path, &format!("unknown key \"{key}\""));
                let diagnostic = diagnostics.error(span, message).about(Topic::Unknown);
                unknown_key_advice(diagnostic, &key, &known);
                wrong.with_unknown_keys.insert(mapping);
            }
            Finding::BareDuration { node, span, nanos } => {
                let path = root.path_to(node);
                let message = format!("{nanos} without a unit means {nanos} nanoseconds");
                let message = diagnostics.prefixed(&path, &message);
                diagnostics.warning(span, message).help(format!("for seconds write {nanos}s"));
            }
            Finding::NoEffect { node, span } => {
                let path = root.path_to(node);
                let message = diagnostics.prefixed(&path, "has no effect here");
                diagnostics.warning(span, message).about(Topic::NoEffect);
            }
        }
    }
}

/// Says what a key was probably meant to be and which there are.
pub(crate) fn unknown_key_advice(
    diagnostic: &mut super::diagnostics::Diagnostic,
    key: &str,
    known: &[&str],
) {
    if let Some(meant) = did_you_mean(key, known.iter().copied()) {
        diagnostic.label(format!("did you mean \"{meant}\"?"));
    }
    if !known.is_empty() {
        diagnostic.help(format!("known keys: {}", known.join(", ")));
    }
}

/// Decodes and validates one component body from YAML text; for tests of components.
///
/// # Errors
/// All mistakes, one line each: `yaml:line:column: path: what is wrong (hint)`.
pub fn from_yaml<C: ComponentConfig>(yaml: &str) -> Result<C, String> {
    from_yaml_told(yaml).map(|(config, _)| config)
}

/// Decodes and validates a file called `name` that stands beside the configuration, such as a file
/// of rules: `$` has no meaning in it.
///
/// # Errors
/// As [`from_yaml`].
pub fn from_plain<C: ComponentConfig>(name: &str, yaml: &str) -> Result<C, String> {
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source(name, yaml);
    let node = super::read::read(yaml, source, 0, &mut diagnostics);
    match node.and_then(|node| decode_checked::<C>(&node, &mut diagnostics)) {
        Some(config) if !diagnostics.has_errors() => Ok(config),
        _ => Err(diagnostics.error_lines().join("\n")),
    }
}

/// As [`from_yaml`], with the warnings, one line each.
///
/// # Errors
/// As [`from_yaml`].
pub fn from_yaml_told<C: ComponentConfig>(yaml: &str) -> Result<(C, Vec<String>), String> {
    let mut diagnostics = Diagnostics::default();
    let source = diagnostics.add_source("yaml", yaml);
    let node = super::read::read(yaml, source, 0, &mut diagnostics);
    let config = node.and_then(|mut node| {
        super::expand::expand(&mut node, super::Environment::process(), &mut diagnostics);
        decode_checked::<C>(&node, &mut diagnostics)
    });
    match config {
        Some(config) if !diagnostics.has_errors() => Ok((config, diagnostics.warning_lines())),
        _ => Err(diagnostics.error_lines().join("\n")),
    }
}
