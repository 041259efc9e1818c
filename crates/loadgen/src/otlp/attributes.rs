// SPDX-License-Identifier: Apache-2.0
//! Attributes as telemetrygen takes them: `key="text"`, `key=true`, `key=1`, `key=[1,2]`.

use std::str::FromStr;

use anyhow::Result;
use otlp_wire::write::{AttrWriter, EncodedAttrs};
use otlp_wire::{Payload, Signal};
use serde_json::json;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text, in double quotes or not.
    Text(String),
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Values of one type.
    List(Vec<Value>),
}

/// An attribute of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Value,
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Attribute, String> {
        let usage = "expected key=\"value\", key=true, key=1, or key=[\"a\", \"b\"]";
        let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?}: {usage}"))?;
        if key.is_empty() {
            return Err(format!("{text:?}: {usage}"));
        }
        let list = value.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let value = match list {
            None => scalar(value),
            Some(items) => {
                let items: Vec<Value> = split(items).iter().map(|item| scalar(item)).collect();
                let kind = items.first().map(std::mem::discriminant);
                if kind.is_none() {
                    return Err(format!("{text:?}: a list must not be empty"));
                }
                if items.iter().any(|item| Some(std::mem::discriminant(item)) != kind) {
                    return Err(format!("{text:?}: all items of a list must be of one type"));
                }
                Value::List(items)
            }
        };
        Ok(Attribute { key: key.to_owned(), value })
    }
}

fn scalar(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match text.parse() {
            Ok(number) => Value::Int(number),
            Err(_) => {
                let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                Value::Text(quoted.unwrap_or(text).to_owned())
            }
        },
    }
}

/// Items between commas that are not in quotes.
fn split(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut is_quoted = false;
    for c in text.chars() {
        is_quoted ^= c == '"';
        match (c, items.last_mut()) {
            (',', _) if !is_quoted => items.push(String::new()),
            (_, Some(item)) => item.push(c),
            _ => {}
        }
    }
    items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

impl Value {
    /// As OTLP/JSON has it.
    fn json(&self) -> serde_json::Value {
        match self {
            Value::Text(text) => json!({ "stringValue": text }),
            Value::Bool(value) => json!({ "boolValue": value }),
            Value::Int(number) => json!({ "intValue": number }),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(Value::json).collect();
                json!({ "arrayValue": { "values": items } })
            }
        }
    }
}

/// Encodes attributes once, to be copied into every item: through OTLP/JSON, which has all types.
///
/// # Errors
/// When they are no attributes, which what was parsed always is.
pub(super) fn encode(attributes: &[Attribute]) -> Result<EncodedAttrs> {
    let all: Vec<_> =
        attributes.iter().map(|a| json!({ "key": a.key, "value": a.value.json() })).collect();
    let request = json!({ "resourceLogs": [{ "resource": { "attributes": all } }] });
    let payload = Payload::from_json(Signal::Logs, request.to_string().as_bytes())?;
    let copy = |out: &mut AttrWriter<'_>| {
        payload.logs().for_each(|resource| out.copy(resource.attrs()));
    };
    Ok(EncodedAttrs::new(copy))
}
