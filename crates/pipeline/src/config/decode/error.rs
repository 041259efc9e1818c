// SPDX-License-Identifier: Apache-2.0
//! What serde's complaints become: a place and words for the one who wrote the YAML.

use std::fmt;

use serde::de::{Expected, Unexpected};

use super::super::diagnostics::did_you_mean;
use super::super::node::{Node, NodeId, Span, Value};
use super::de::Context;

/// One complaint; its place is filled in by the innermost value it passes on its way out.
#[derive(Debug)]
pub(crate) struct DecodeError {
    what: What,
    place: Option<Place>,
}

#[derive(Debug)]
struct Place {
    node: NodeId,
    span: Span,
    found: String,
    kind: Found,
    silence: Option<Silence>,
}

/// Why there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Silence {
    /// Nothing is given: as if the key were absent.
    Absent,
    /// It follows from a mistake that has been told.
    Told,
}

/// What decides which hint helps.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Found {
    Scalar,
    Text,
    Other,
}

#[derive(Debug)]
enum What {
    Message(String),
    Expected(String),
    UnknownVariant { variant: String, known: &'static [&'static str] },
    Missing(&'static str),
}

impl DecodeError {
    pub(crate) fn expected(what: &str) -> Self {
        DecodeError { what: What::Expected(what.to_owned()), place: None }
    }

    /// Places the complaint at `node` unless it already has a place.
    pub(crate) fn at(mut self, node: &Node, context: &Context) -> Self {
        if self.place.is_none() {
            let is_told =
                |field| node.get(field).is_some_and(|value| context.is_left_out(value.id()));
            let silence = match &self.what {
                _ if node.is_null() => Some(Silence::Absent),
                What::Missing(field) if is_told(field) => Some(Silence::Told),
                _ => None,
            };
            let kind = match &node.value {
                Value::Bool(_) | Value::Int(_) | Value::Float(_) => Found::Scalar,
                Value::String(_) => Found::Text,
                _ => Found::Other,
            };
            let found = node.describe();
            let place = Place { node: node.id(), span: node.span, found, kind, silence };
            self.place = Some(place);
        }
        self
    }

    pub(crate) fn node(&self) -> Option<NodeId> {
        self.place.as_ref().map(|place| place.node)
    }

    pub(crate) fn span(&self) -> Option<Span> {
        self.place.as_ref().map(|place| place.span)
    }

    /// Set if there is nothing to tell.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.place.as_ref().and_then(|place| place.silence)
    }

    pub(crate) fn message(&self) -> String {
        match &self.what {
            What::Message(message) => message.clone(),
            What::Expected(expected) => match &self.place {
                Some(place) => format!("expected {expected}, found {}", place.found),
                None => format!("expected {expected}"),
            },
            What::UnknownVariant { variant, .. } => format!("unknown value \"{variant}\""),
            What::Missing(field) => format!("missing key \"{field}\""),
        }
    }

    pub(crate) fn label(&self) -> Option<String> {
        match &self.what {
            What::Expected(expected) => Some(format!("expected {expected}")),
            What::UnknownVariant { variant, known } => {
                let meant = did_you_mean(variant, known.iter().copied())?;
                Some(format!("did you mean \"{meant}\"?"))
            }
            _ => None,
        }
    }

    pub(crate) fn help(&self) -> Option<String> {
        let place = self.place.as_ref()?;
        match &self.what {
            What::Expected(expected) if expected == TEXT && place.kind == Found::Scalar => {
                Some("put the value in quotes to make it text".to_owned())
            }
            What::Expected(expected) if place.kind == Found::Text => {
                let looks_bool = ["yes", "no", "on", "off", "true", "false"]
                    .iter()
                    .any(|word| place.found.to_ascii_lowercase().contains(&format!("\"{word}\"")));
                if expected == BOOL && looks_bool {
                    Some("write true or false, without quotes".to_owned())
                } else {
                    None
                }
            }
            What::UnknownVariant { known, .. } => Some(format!("one of: {}", known.join(", "))),
            _ => None,
        }
    }
}

pub(crate) const TEXT: &str = "text";
pub(crate) const BOOL: &str = "true or false";

/// serde's and rustc's words to words for YAML.
fn in_plain_words(expected: &dyn Expected) -> String {
    let whole = |low: &str, high: &str| format!("a whole number from {low} to {high}");
    match expected.to_string().as_str() {
        "a string" | "string" | "str" => TEXT.to_owned(),
        "a boolean" => BOOL.to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a mapping".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "u8" => whole("0", "255"),
        "u16" => whole("0", "65535"),
        "u32" => whole("0", "4294967295"),
        "u64" | "usize" => "a whole number, 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".to_owned(),
        other if other.starts_with("struct ") => "a mapping".to_owned(),
        other => other.to_owned(),
    }
}

impl serde::de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError { what: What::Message(message.to_string()), place: None }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        DecodeError { what: What::Expected(in_plain_words(expected)), place: None }
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        DecodeError { what: What::Expected(in_plain_words(expected)), place: None }
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        DecodeError {
            what: What::UnknownVariant { variant: variant.to_owned(), known },
            place: None,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        DecodeError { what: What::Missing(field), place: None }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for DecodeError {}
