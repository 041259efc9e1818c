// SPDX-License-Identifier: Apache-2.0

mod differential;
mod golden;
mod origin;
mod selection;

use std::sync::Arc;

use basics::Clock;
use otlp_wire::{AnyValue, Attrs, Payload, Scratch, Signal, write};
use pipeline::config::{ComponentConfig, from_yaml};
use pipeline::testing::context;
use pipeline::{Context, Processor};
use serde_json::{Map, Value as Json, json};

use super::*;

type Build = fn(Arc<dyn Any + Send + Sync>, Context) -> Result<Processor>;

/// `payload` after the processor configured by `yaml`.
pub(crate) fn edited<C: ComponentConfig>(yaml: &str, build: Build, payload: &Payload) -> Payload {
    let config = from_yaml::<C>(yaml).expect("a right configuration");
    let context = context("p", payload.signal(), &Clock::manual(0));
    let Ok(Processor::Pass(make)) = build(Arc::new(config), context) else { panic!("no pass") };
    payload.edit(&mut [make()], &mut Scratch::new()).or(payload).expect("something is left")
}

/// A log record with attributes as in the JSON object.
pub(crate) fn log_with(attributes: &Json) -> Payload {
    let mut w = write::Logs::new();
    w.log(&write::Log { body: "body".into(), ..<_>::default() }, |a| put_json(a, attributes));
    w.finish()
}

pub(crate) fn put_json(a: &mut write::AttrWriter<'_>, attributes: &Json) {
    for (key, value) in attributes.as_object().expect("an object") {
        let encoded = prost::Message::encode_to_vec(&value::Value::from(value).into_any());
        a.value(key, AnyValue::parse(&encoded));
    }
}

/// Attributes as a JSON object; bytes as `{"bytes": "hex"}`.
pub(crate) fn to_json(attrs: Attrs<'_>) -> Json {
    Json::Object(attrs.iter().map(|(key, value)| (key.to_owned(), json_of(value))).collect())
}

fn json_of(value: AnyValue<'_>) -> Json {
    match value {
        AnyValue::Empty => Json::Null,
        AnyValue::Str(text) => json!(text),
        AnyValue::Bool(value) => json!(value),
        AnyValue::Int(value) => json!(value),
        AnyValue::Double(value) => json!(value),
        AnyValue::Array(list) => Json::Array(list.iter().map(json_of).collect()),
        AnyValue::KvList(list) => to_json(list),
        AnyValue::Bytes(bytes) => {
            Json::Object(Map::from_iter([("bytes".to_owned(), json!(format!("{bytes:02x?}")))]))
        }
    }
}

/// The attributes of the only log record.
fn attributes_of(payload: &Payload) -> Json {
    let resource = payload.logs().next().expect("a resource");
    let log = resource.scopes().flat_map(|scope| scope.logs()).next().expect("a log record");
    to_json(log.attrs())
}

#[test]
fn it_can_be_built_for_every_signal() {
    for signal in Signal::ALL {
        let payload = pipeline::testing::payload(signal, "x", 3);
        let yaml = "actions: [{key: added, value: 1, action: insert}]";
        let after = edited::<Config>(yaml, build, &payload);
        assert_eq!(after.items(), 3);
        assert!(after.len() > payload.len(), "{signal}");
    }
}

#[test]
fn what_no_action_changes_keeps_its_bytes() {
    let payload = log_with(&json!({"a": 1}));
    let yaml = "actions: [{key: b, value: 1, action: update}, {key: c, action: delete}]";
    let after = edited::<Config>(yaml, build, &payload);
    assert_eq!(after.bytes().as_ptr(), payload.bytes().as_ptr());
}
