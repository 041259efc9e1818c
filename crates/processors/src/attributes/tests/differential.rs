// SPDX-License-Identifier: Apache-2.0
//! Against the plain way: decode with prost, act on the list of attributes, encode.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue as AnyMessage, KeyValue};
use proptest::prelude::*;

use super::*;

/// An action as generated: what, which key, from which value or attribute.
#[derive(Clone, Debug)]
enum Step {
    Set(&'static str, &'static str, i64),
    Copy(&'static str, &'static str, &'static str),
    Delete(&'static str),
    DeletePrefix(&'static str),
    Convert(&'static str, &'static str),
}

const KEYS: [&str; 4] = ["a", "ab", "b", "c"];

fn key() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&KEYS[..])
}

fn how() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&["insert", "update", "upsert"][..])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (how(), key(), -3..3i64).prop_map(|(how, key, value)| Step::Set(how, key, value)),
        (how(), key(), key()).prop_map(|(how, key, from)| Step::Copy(how, key, from)),
        key().prop_map(Step::Delete),
        key().prop_map(Step::DeletePrefix),
        (key(), proptest::sample::select(&["int", "double", "string"][..]))
            .prop_map(|(key, to)| Step::Convert(key, to)),
    ]
}

fn value() -> impl Strategy<Value = Any> {
    prop_oneof![
        any::<i64>().prop_map(Any::IntValue),
        (-1e6..1e6f64).prop_map(Any::DoubleValue),
        any::<bool>().prop_map(Any::BoolValue),
        "[0-9a-z.]{0,6}".prop_map(Any::StringValue),
    ]
}

fn yaml(steps: &[Step]) -> String {
    let action = |step: &Step| match step {
        Step::Set(how, key, value) => format!("{{key: {key}, value: {value}, action: {how}}}"),
        Step::Copy(how, key, from) => {
            format!("{{key: {key}, from_attribute: {from}, action: {how}}}")
        }
        Step::Delete(key) => format!("{{key: {key}, action: delete}}"),
        Step::DeletePrefix(key) => format!("{{pattern: '^{key}', action: delete}}"),
        Step::Convert(key, to) => format!("{{key: {key}, converted_type: {to}, action: convert}}"),
    };
    format!("actions: [{}]", steps.iter().map(action).collect::<Vec<_>>().join(", "))
}

/// The same by hand, on prost structs.
fn naive(steps: &[Step], attrs: &mut Vec<KeyValue>) {
    for step in steps {
        match step {
            Step::Set(how, key, value) => set(attrs, how, key, Some(Any::IntValue(*value))),
            Step::Copy(how, key, from) => {
                let found = attrs.iter().find(|kv| kv.key == *from).cloned();
                if let Some(found) = found {
                    set(attrs, how, key, found.value.and_then(|v| v.value));
                }
            }
            Step::Delete(key) => attrs.retain(|kv| kv.key != *key),
            Step::DeletePrefix(key) => attrs.retain(|kv| !kv.key.starts_with(key)),
            Step::Convert(key, to) => {
                for kv in attrs.iter_mut().filter(|kv| kv.key == *key) {
                    let value = kv.value.take().and_then(|v| v.value).map(|v| converted(v, to));
                    kv.value = Some(AnyMessage { value });
                }
            }
        }
    }
}

fn set(attrs: &mut Vec<KeyValue>, how: &str, key: &str, value: Option<Any>) {
    let value = Some(AnyMessage { value });
    let at = attrs.iter().position(|kv| kv.key == key);
    match (how, at) {
        ("insert", None) | ("upsert", None) => {
            attrs.push(KeyValue { key: key.to_owned(), value, ..<_>::default() });
        }
        ("update", Some(at)) | ("upsert", Some(at)) => attrs[at].value = value,
        _ => {}
    }
}

fn converted(value: Any, to: &str) -> Any {
    match (to, value) {
        ("string", Any::IntValue(v)) => Any::StringValue(v.to_string()),
        ("string", Any::BoolValue(v)) => Any::StringValue(v.to_string()),
        ("string", Any::DoubleValue(v)) => {
            let mut text = String::new();
            AnyValue::Double(v).write_text(&mut text);
            Any::StringValue(text)
        }
        ("int", Any::DoubleValue(v)) => Any::IntValue(v as i64),
        ("int", Any::BoolValue(v)) => Any::IntValue(i64::from(v)),
        ("int", Any::StringValue(v)) => v.parse().map_or(Any::StringValue(v), Any::IntValue),
        ("double", Any::IntValue(v)) => Any::DoubleValue(v as f64),
        ("double", Any::BoolValue(v)) => Any::DoubleValue(f64::from(u8::from(v))),
        ("double", Any::StringValue(v)) => match v.parse::<f64>() {
            Ok(number) if number.is_finite() => Any::DoubleValue(number),
            Ok(number) if v.contains("inf") || v.contains("nan") => Any::DoubleValue(number),
            _ => Any::StringValue(v),
        },
        (_, value) => value,
    }
}

proptest! {
    #[test]
    fn actions_do_what_the_plain_way_does(
        steps in proptest::collection::vec(step(), 1..6),
        records in proptest::collection::vec(
            proptest::collection::btree_map(key(), value(), 0..4), 1..4),
    ) {
        let mut w = write::Logs::new();
        for record in &records {
            w.log(&write::Log::default(), |a| for (key, value) in record {
                let message = AnyMessage { value: Some(value.clone()) };
                let encoded = prost::Message::encode_to_vec(&message);
                a.value(key, AnyValue::parse(&encoded));
            });
        }
        let payload = w.finish();
        let mut expected: ExportLogsServiceRequest = payload.decode();
        for resource in &mut expected.resource_logs {
            for scope in &mut resource.scope_logs {
                for log in &mut scope.log_records {
                    naive(&steps, &mut log.attributes);
                }
            }
        }
        let found = edited::<Config>(&yaml(&steps), build, &payload);
        prop_assert_eq!(found.decode::<ExportLogsServiceRequest>(), expected);
    }
}
