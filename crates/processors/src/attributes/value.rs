// SPDX-License-Identifier: Apache-2.0
//! Values written in YAML as attribute values, types kept.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

/// A value from the configuration.
pub(crate) struct Value(Option<Any>);

impl Value {
    /// As a message.
    pub(crate) fn into_any(self) -> AnyValue {
        AnyValue { value: self.0 }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Self {
        Value(match value {
            serde_json::Value::Null => None,
            serde_json::Value::Bool(value) => Some(Any::BoolValue(*value)),
            serde_json::Value::Number(number) => Some(match number.as_i64() {
                Some(value) => Any::IntValue(value),
                // Whole numbers beyond 64 bits signed become doubles, as in YAML.
                None => Any::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
            }),
            serde_json::Value::String(text) => Some(Any::StringValue(text.clone())),
            serde_json::Value::Array(items) => {
                let values = items.iter().map(|item| Value::from(item).into_any()).collect();
                Some(Any::ArrayValue(ArrayValue { values }))
            }
            serde_json::Value::Object(map) => {
                let pair = |(key, value): (&String, &serde_json::Value)| KeyValue {
                    key: key.clone(),
                    value: Some(Value::from(value).into_any()),
                    ..KeyValue::default()
                };
                Some(Any::KvlistValue(KeyValueList { values: map.iter().map(pair).collect() }))
            }
        })
    }
}
