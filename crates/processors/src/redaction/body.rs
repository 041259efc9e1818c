// SPDX-License-Identifier: Apache-2.0
//! The body of a log record: a text is masked like a value; of maps and lists every part, with
//! the path of the part as its key. Only what is masked or removed is written anew.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Message, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use otlp_wire::{AnyValue, Record};
use prost::Message as _;

use super::rules::{Done, Rules};

/// Removes and masks what has to be in the body of `log`.
pub(super) fn apply(rules: &Rules, log: &mut Record<'_>, done: &mut Done) {
    let changed = match log.body() {
        AnyValue::Empty => None,
        AnyValue::Array(_) | AnyValue::KvList(_) => {
            let mut body = log.decode::<LogRecord>().body.unwrap_or_default();
            let mut parts = Parts { rules, done, changed: false };
            match &mut body.value {
                Some(Any::KvlistValue(map)) => parts.map("", &mut map.values),
                Some(Any::ArrayValue(list)) => parts.list("", &mut list.values),
                _ => {}
            }
            parts.changed.then_some(body)
        }
        scalar => {
            let text = scalar.text();
            let masked = if rules.allows_value(&text) { None } else { rules.masked(&text) };
            if masked.is_some() {
                done.masked.add("body", rules.summary);
            }
            masked.map(|text| Message { value: Some(Any::StringValue(text)) })
        }
    };
    if let Some(body) = changed {
        log.set_body(AnyValue::parse(&body.encode_to_vec()));
    }
    done.tell_of_body(rules.summary, &mut log.attrs());
}

/// A walk over the parts of a body.
struct Parts<'a> {
    rules: &'a Rules,
    done: &'a mut Done,
    changed: bool,
}

impl Parts<'_> {
    fn map(&mut self, path: &str, pairs: &mut Vec<KeyValue>) {
        let (rules, summary) = (self.rules, self.rules.summary);
        pairs.retain_mut(|pair| {
            let below = join(path, &pair.key);
            if rules.ignores(&pair.key) {
                self.done.ignored.add(&below, summary);
            } else if rules.removes(&pair.key) {
                self.done.removed.add(&below, summary);
                self.changed = true;
                return false;
            } else if rules.blocks_key(&pair.key) {
                let text = match pair.value.as_ref().and_then(|it| it.value.as_ref()) {
                    Some(Any::StringValue(text)) => rules.mask.whole(text),
                    _ => rules.mask.whole(""),
                };
                pair.value = Some(Message { value: Some(Any::StringValue(text)) });
                self.done.masked.add(&below, summary);
                self.changed = true;
            } else if let Some(value) = &mut pair.value {
                self.value(&below, value);
            }
            true
        });
    }

    fn list(&mut self, path: &str, values: &mut [Message]) {
        for (index, value) in values.iter_mut().enumerate() {
            self.value(&join(path, &format!("[{index}]")), value);
        }
    }

    fn value(&mut self, path: &str, value: &mut Message) {
        match &mut value.value {
            Some(Any::KvlistValue(map)) => return self.map(path, &mut map.values),
            Some(Any::ArrayValue(list)) => return self.list(path, &mut list.values),
            _ => {}
        }
        let encoded = value.encode_to_vec();
        let text = AnyValue::parse(&encoded).text();
        if self.rules.allows_value(&text) {
            self.done.allowed.add(path, self.rules.summary);
        } else if let Some(masked) = self.rules.masked(&text) {
            self.done.masked.add(path, self.rules.summary);
            value.value = Some(Any::StringValue(masked));
            self.changed = true;
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
