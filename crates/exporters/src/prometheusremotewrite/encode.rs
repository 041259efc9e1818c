// SPDX-License-Identifier: Apache-2.0
//! OTLP views straight to remote write requests, 1.0 or 2.0.
//!
//! In: a metrics payload. Out: lanes of snappy-compressed requests of at most `bytes_max` before
//! compression (a single larger series goes alone). The order of a series' samples is kept.

use std::time::Instant;

use otlp_series::{Options, Report, Translator};
use otlp_wire::Payload;

use super::body::{Bodies, Lane};
use super::config::Config;
use super::labels::Labels;
use super::metadata::Metadata;
use super::{v1, v2};

/// What decides how requests look.
#[derive(Clone, Debug)]
pub(super) struct Form {
    pub translation: Options,
    pub v2: bool,
    pub bytes_max: usize,
    pub send_metadata: bool,
    /// Most requests at a time.
    pub lanes: usize,
}

/// Translates and encodes; remembers series.
pub struct Encoder {
    bodies: Bodies,
    version: Version,
    cache_bytes_max: usize,
}

enum Version {
    V1(Box<Translator<(), v1::Series>>, Metadata, Labels),
    V2(Box<Translator<v2::Told, v2::Series>>, v2::Symbols),
}

impl Form {
    pub fn of(config: &Config) -> Form {
        Form {
            translation: config.translation(),
            v2: config.is_v2(),
            bytes_max: config.bytes_max(),
            send_metadata: config.send_metadata,
            lanes: config.lanes(),
        }
    }
}

impl Encoder {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Encoder::new(Form::of(config))
    }

    pub(super) fn new(form: Form) -> Self {
        let cache_bytes_max = form.translation.cache_bytes_max;
        let (version, field) = match form.v2 {
            false => {
                let translator = Box::new(Translator::new(form.translation));
                let metadata = Metadata::new(form.send_metadata);
                (Version::V1(translator, metadata, Labels::new(form.lanes)), v1::FIELD)
            }
            true => {
                let translator = Box::new(Translator::new(form.translation));
                (Version::V2(translator, v2::Symbols::new(form.lanes)), v2::FIELD)
            }
        };
        let bodies = Bodies::new(form.lanes, form.bytes_max, field);
        Encoder { bodies, version, cache_bytes_max }
    }

    /// The requests that carry `payload`, and what was left out of them.
    pub fn encode(&mut self, payload: &Payload) -> (Vec<Lane>, Report) {
        let bodies = &mut self.bodies;
        bodies.begin(payload.items().into());
        let report = match &mut self.version {
            Version::V1(translator, metadata, labels) => {
                if labels.bytes() + translator.cache_bytes() > self.cache_bytes_max {
                    translator.clear();
                    labels.clear();
                }
                let mut writer = v1::Writer::new(bodies, metadata, labels);
                let report = translator.translate(payload, &mut writer);
                let told = metadata.due(Instant::now());
                bodies.lanes[0].body.extend_from_slice(&told);
                report
            }
            Version::V2(translator, symbols) => {
                if symbols.bytes() + translator.cache_bytes() > self.cache_bytes_max {
                    translator.clear();
                    symbols.clear();
                }
                translator.translate(payload, &mut v2::Writer::new(bodies, symbols))
            }
        };
        (bodies.finish(), report)
    }
}
