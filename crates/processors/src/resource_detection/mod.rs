// SPDX-License-Identifier: Apache-2.0
//! `resource_detection`: adds to resources what is known about this machine and process.
//!
//! In and out: any signal; nothing is dropped. The detectors are asked when the first resource
//! comes, and again after `refresh_interval`; a detector that fails is told in the log and adds
//! nothing, at a refresh the last good answer stays. Of detectors that know the same key the first
//! in the list wins.
//! Source: the Go collector's resource detection processor, reference section 5.10.

mod config;
mod env;
mod machine;
mod process;
mod system;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use basics::{Clock, Error, Result};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any_;
use opentelemetry_proto::tonic::common::v1::{AnyValue as Message, ArrayValue};
use otlp_wire::{AnyValue, Pass, Put, Record, Signal, Visits};
use pipeline::component::ProcessorFactory;
use pipeline::{Context, Processor};
use prost::Message as _;

pub use config::Config;
use config::Detector;
use machine::Machine;

/// The type `resource_detection`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "resource_detection",
        aliases: &[],
        signals: &Signal::ALL,
        summary: "adds what is known about this machine and process to resources",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let how = if config.overrides() { Put::Upsert } else { Put::Insert };
    let known = Arc::new(Known::new(config, Machine::this(), context.clock));
    Ok(Processor::Pass(Box::new(move || Box::new(Detection { known: known.clone(), how }))))
}

/// One attribute: its key and its value as an encoded `AnyValue`.
type Attribute = (String, Vec<u8>);

/// What a detector found, in order.
#[derive(Debug, Default)]
struct Found(Vec<Attribute>);

impl Found {
    fn text(&mut self, key: &str, value: impl Into<String>) {
        self.value(key, Any_::StringValue(value.into()));
    }

    fn int(&mut self, key: &str, value: i64) {
        self.value(key, Any_::IntValue(value));
    }

    fn list(&mut self, key: &str, texts: Vec<String>) {
        let value = |text| Message { value: Some(Any_::StringValue(text)) };
        let values = texts.into_iter().map(value).collect();
        self.value(key, Any_::ArrayValue(ArrayValue { values }));
    }

    fn value(&mut self, key: &str, value: Any_) {
        self.0.push((key.to_owned(), Message { value: Some(value) }.encode_to_vec()));
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(known, _)| known == key)
    }
}

/// What the detectors of one processor know, shared by its workers.
struct Known {
    config: Arc<Config>,
    machine: Machine,
    clock: Clock,
    last: Mutex<Option<Answer>>,
}

/// What they said, and the monotonic time of it.
#[derive(Clone)]
struct Answer {
    at: u64,
    attributes: Arc<[Attribute]>,
}

impl Known {
    fn new(config: Arc<Config>, machine: Machine, clock: Clock) -> Self {
        Known { config, machine, clock, last: Mutex::new(None) }
    }

    fn attributes(&self) -> Arc<[Attribute]> {
        let now = self.clock.monotonic();
        let refresh: Duration = self.config.refresh_interval.get();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &*last {
            let age = Duration::from_nanos(now.saturating_sub(answer.at));
            if refresh.is_zero() || age < refresh {
                return answer.attributes.clone();
            }
        }
        let (found, complete) = self.ask();
        let attributes = match &*last {
            Some(answer) if !complete => answer.attributes.clone(),
            _ => found.0.into(),
        };
        *last = Some(Answer { at: now, attributes: attributes.clone() });
        attributes
    }

    /// What all detectors say, and whether each could.
    fn ask(&self) -> (Found, bool) {
        let (mut merged, mut complete) = (Found::default(), true);
        for detector in self.config.detectors() {
            let found = match detector {
                Detector::Env => env::detect(&self.machine),
                Detector::System => system::detect(&self.config.system, &self.machine),
                Detector::Process => Ok(process::detect(&self.config.process, &self.machine)),
            };
            match found {
                Ok(found) => {
                    let new = found.0.into_iter().filter(|(key, _)| !merged.has(key));
                    let new: Vec<Attribute> = new.collect();
                    merged.0.extend(new);
                }
                Err(error) => {
                    complete = false;
                    tracing::warn!(detector = detector.name(), %error, "failed to detect resource");
                }
            }
        }
        tracing::info!(attributes = merged.0.len(), "detected resource information");
        (merged, complete)
    }
}

struct Detection {
    known: Arc<Known>,
    how: Put,
}

impl Pass for Detection {
    fn visits(&self) -> Visits {
        Visits::RESOURCES
    }

    fn resource(&mut self, resource: &mut Record<'_>) {
        let mut attrs = resource.attrs();
        for (key, value) in &*self.known.attributes() {
            attrs.put(self.how, key, AnyValue::parse(value));
        }
    }
}
