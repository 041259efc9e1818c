// SPDX-License-Identifier: Apache-2.0
//! Configuration: YAML with spans to decoded component settings.

pub mod plan;

pub use plan::{Instance, Level, LogsTelemetry, MetricsTelemetry, PipelinePlan, Plan, Telemetry};

use std::any::Any;
use std::sync::Arc;

/// A spanned YAML node.
pub struct Node;

/// Mistakes and warnings found so far.
pub struct Diagnostics;

/// A component's configuration after decoding and checking.
pub type Decoded = Arc<dyn Any + Send + Sync>;

/// What a component's settings do beyond being decoded. Implement it for each `Config`, which
/// also derives `serde::Deserialize` with `#[serde(default)]` (and no `flatten`: a field renamed to
/// `..name` takes its keys from the same mapping, as in `#[serde(rename = "..client")]`).
pub trait ComponentConfig: serde::de::DeserializeOwned + Default + Send + Sync + 'static {
    /// Checks what the types cannot say; every mistake goes to `at`, none stops the others.
    fn validate(&self, at: &mut Checker<'_>) {
        let _ = at;
    }
}

/// Where `validate` reports to; knows the place in the file.
pub struct Checker<'a> {
    node: Option<&'a Node>,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Checker<'a> {
    /// The settings under `key`.
    pub fn key(&mut self, key: &str) -> Checker<'_> {
        let _ = key;
        Checker { node: self.node, diagnostics: self.diagnostics }
    }

    /// The `index`-th item of a list.
    pub fn item(&mut self, index: usize) -> Checker<'_> {
        let _ = index;
        Checker { node: self.node, diagnostics: self.diagnostics }
    }

    /// A mistake in the value of `key` (empty: in this value itself).
    pub fn error(&mut self, key: &str, message: impl Into<String>) {
        let _ = (key, message.into());
    }

    /// Something that works but is probably not meant.
    pub fn warn(&mut self, key: &str, message: impl Into<String>) {
        let _ = (key, message.into());
    }
}

/// The usual [`Factory::decode`](crate::component::Factory::decode): `decode: config::decode::<Config>`.
pub fn decode<C: ComponentConfig>(node: &Node, diagnostics: &mut Diagnostics) -> Option<Decoded> {
    let _ = node;
    let config = C::default();
    config.validate(&mut Checker { node: None, diagnostics });
    Some(Arc::new(config))
}
