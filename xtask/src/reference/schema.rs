// SPDX-License-Identifier: Apache-2.0
//! Keys as JSON Schema (2020-12), for editors.
//!
//! Looser than the decoder where YAML is: a text may stand for any scalar, since `${env:NAME}`
//! becomes what it expands to; null is the default everywhere.

use anyhow::Result;
use serde_json::{Map, Value as Json, json};

use super::defaults::Value;
use super::factories::Component;
use super::keys::{self, Key, Kind};
use super::types::Sources;

/// The schema of a whole configuration file.
pub fn collector(sources: &Sources, components: &[Component]) -> Result<String> {
    let (mut stages, mut definitions) = (Map::new(), Map::new());
    for component in components {
        let keys = keys::of(sources, &component.config, &component.file)?;
        let mut schema = object(&keys);
        schema["description"] = json!(component.summary);
        let name = format!("{}.{}", component.stage, component.kind);
        let reference = json!({"$ref": format!("#/$defs/{name}")});
        definitions.insert(name, schema);
        let section = stages.entry(component.stage).or_insert_with(|| {
            json!({"type": ["object", "null"], "patternProperties": {}, "additionalProperties": false})
        });
        let aliases = component.aliases.iter().map(|(name, _)| name.as_str());
        for name in std::iter::once(component.kind.as_str()).chain(aliases) {
            section["patternProperties"][format!("^{name}(/.+)?$")] = reference.clone();
        }
    }
    let ids = json!({"type": ["array", "null"], "items": {"type": "string"}});
    let pipeline = json!({
        "type": "object",
        "properties": {"receivers": ids, "processors": ids, "exporters": ids},
        "required": ["receivers", "exporters"],
        "additionalProperties": false,
    });
    stages.insert(
        "service".into(),
        json!({
            "type": "object",
            "properties": {
                "extensions": ids,
                "telemetry": {"type": ["object", "null"]},
                "pipelines": {
                    "type": "object",
                    "patternProperties": {"^(traces|metrics|logs)(/.+)?$": pipeline},
                    "additionalProperties": false,
                },
            },
            "required": ["pipelines"],
            "additionalProperties": false,
        }),
    );
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Foreglow collector configuration",
        "type": "object",
        "properties": stages,
        "required": ["receivers", "exporters", "service"],
        "$defs": definitions,
    });
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

fn object(keys: &[Key]) -> Json {
    let mut properties = Map::new();
    for key in keys {
        let mut schema = kind(&key.kind);
        if !key.doc.is_empty() {
            schema["description"] = json!(key.doc);
        }
        if let Some(default) = value(&key.default) {
            schema["default"] = default;
        }
        for name in std::iter::once(&key.name).chain(&key.aliases) {
            properties.insert(name.clone(), schema.clone());
        }
    }
    json!({"type": ["object", "null"], "properties": properties, "additionalProperties": false})
}

fn kind(kind: &Kind) -> Json {
    match kind {
        Kind::Bool => json!({"type": ["boolean", "string", "null"]}),
        Kind::Number { whole: true } => json!({"type": ["integer", "string", "null"]}),
        Kind::Number { whole: false } => json!({"type": ["number", "string", "null"]}),
        Kind::Text => json!({"type": ["string", "number", "boolean", "null"]}),
        Kind::Duration => {
            json!({"type": ["string", "integer", "null"], "examples": ["5s", "1m30s"]})
        }
        Kind::Choice(choices) => {
            let names: Vec<_> = choices.iter().map(|(name, _)| name).collect();
            json!({"anyOf": [{"enum": names}, {"type": "string", "pattern": r"\$\{"}, {"type": "null"}]})
        }
        Kind::List(inner) => json!({"type": ["array", "null"], "items": self::kind(inner)}),
        Kind::Map(inner) => {
            json!({"type": ["object", "null"], "additionalProperties": self::kind(inner)})
        }
        Kind::Keys(keys) => object(keys),
        Kind::NoEffect => json!({"deprecated": true}),
        Kind::Any => json!({}),
    }
}

fn value(value: &Value) -> Option<Json> {
    match value {
        Value::None | Value::Unknown | Value::Fields(_) => None,
        Value::Bool(value) => Some(json!(value)),
        Value::Number(number) if number.fract() == 0.0 => Some(json!(*number as i64)),
        Value::Number(number) => Some(json!(number)),
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(json!(text)),
        Value::List(values) if values.is_empty() => None,
        Value::List(values) => Some(Json::Array(values.iter().filter_map(self::value).collect())),
    }
}
