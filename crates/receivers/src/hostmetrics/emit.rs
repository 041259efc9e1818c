// SPDX-License-Identifier: Apache-2.0
//! From readings to metrics: what every scraper writes with.

use otlp_wire::Temporality;
use otlp_wire::write::{self, AttrWriter};

use super::config::Metrics as Enabled;

/// Where one scraper writes its metrics, and what they have in common.
pub struct Emit<'a> {
    /// The payload of this reading.
    pub out: &'a mut write::Metrics,
    /// Metrics on or off.
    pub enabled: &'a Enabled,
    /// Time of the reading.
    pub now: u64,
    /// Start of what counters count: the boot of the machine.
    pub boot: u64,
}

/// A value of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// Whole number.
    Int(i64),
    /// Double.
    Double(f64),
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

/// Name, unit and whether it is on unless the configuration says otherwise.
pub type Described = (&'static str, &'static str, bool);

/// Attributes of a point.
pub type Pairs<'a> = &'a [(&'a str, &'a str)];

/// What makes a point: the value and its attributes.
pub struct Points<'p, 'w> {
    points: &'p mut write::Points<'w>,
    now: u64,
}

impl Points<'_, '_> {
    /// One point with a whole number.
    pub fn int(&mut self, value: i64, attrs: Pairs<'_>) {
        let attrs = |out: &mut AttrWriter<'_>| attrs.iter().for_each(|(k, v)| out.str(k, v));
        self.points.int(self.now, value, attrs);
    }

    /// One point.
    pub fn add(&mut self, value: impl Into<Value>, attrs: Pairs<'_>) {
        let attrs = |out: &mut AttrWriter<'_>| attrs.iter().for_each(|(k, v)| out.str(k, v));
        match value.into() {
            Value::Int(value) => self.points.int(self.now, value, attrs),
            Value::Double(value) => self.points.double(self.now, value, attrs),
        }
    }
}

impl Emit<'_> {
    /// Values as they are now.
    pub fn gauge(&mut self, what: Described, points: impl FnOnce(&mut Points<'_, '_>)) {
        let (name, unit, default) = what;
        if !self.enabled.enabled(name, default) {
            return;
        }
        let now = self.now;
        self.out.gauge(name, unit, "", |out| points(&mut Points { points: out, now }));
    }

    /// What has been counted since boot.
    pub fn counter(&mut self, what: Described, points: impl FnOnce(&mut Points<'_, '_>)) {
        self.sum(what, true, points);
    }

    /// A sum that goes up and down, as used bytes.
    pub fn level(&mut self, what: Described, points: impl FnOnce(&mut Points<'_, '_>)) {
        self.sum(what, false, points);
    }

    fn sum(&mut self, what: Described, monotonic: bool, points: impl FnOnce(&mut Points<'_, '_>)) {
        let (name, unit, default) = what;
        if !self.enabled.enabled(name, default) {
            return;
        }
        let (now, boot) = (self.now, self.boot);
        self.out.sum(name, unit, "", Temporality::Cumulative, monotonic, |out| {
            out.start(boot);
            points(&mut Points { points: out, now });
        });
    }
}
