// SPDX-License-Identifier: Apache-2.0
//! From readings to metrics: what every scraper writes with.

use otlp_wire::Temporality;
use otlp_wire::write::{self, AttrWriter};

use super::config::{Kept, Metrics as Enabled, Strategy};

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

/// What makes a point: the value and its attributes. Where not all of these are kept, points that
/// are then the same become one.
pub struct Points<'p, 'w> {
    points: &'p mut write::Points<'w>,
    now: u64,
    kept: Option<Kept<'p>>,
    groups: Vec<Group>,
}

/// Points with equal attributes, of those that are kept.
struct Group {
    number: Option<(String, i64)>,
    attrs: Vec<(String, String)>,
    value: Value,
    count: u64,
}

impl<'p, 'w> Points<'p, 'w> {
    fn new(points: &'p mut write::Points<'w>, now: u64, kept: Option<Kept<'p>>) -> Self {
        Points { points, now, kept, groups: Vec::new() }
    }

    /// One point with a whole number.
    pub fn int(&mut self, value: i64, attrs: Pairs<'_>) {
        self.put(Value::Int(value), None, attrs);
    }

    /// One point.
    pub fn add(&mut self, value: impl Into<Value>, attrs: Pairs<'_>) {
        self.put(value.into(), None, attrs);
    }

    /// One point with an attribute that is a number.
    pub fn add_with(&mut self, value: impl Into<Value>, number: (&str, i64), attrs: Pairs<'_>) {
        self.put(value.into(), Some(number), attrs);
    }

    fn put(&mut self, value: Value, number: Option<(&str, i64)>, attrs: Pairs<'_>) {
        let Some(kept) = &self.kept else {
            return self.write(value, number, attrs.iter().copied());
        };
        let number = number.filter(|(key, _)| kept.has(key)).map(|(k, n)| (k.to_owned(), n));
        let attrs = attrs.iter().filter(|(key, _)| kept.has(key));
        let attrs: Vec<_> = attrs.map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let same = |group: &&mut Group| group.number == number && group.attrs == attrs;
        match self.groups.iter_mut().find(same) {
            Some(group) => {
                group.value = kept.strategy.joined(group.value, value);
                group.count += 1;
            }
            None => self.groups.push(Group { number, attrs, value, count: 1 }),
        }
    }

    /// Writes what was collected.
    fn finish(mut self) {
        let strategy = self.kept.as_ref().map(|kept| kept.strategy);
        for group in std::mem::take(&mut self.groups) {
            let value = match (strategy, group.value) {
                (Some(Strategy::Avg), Value::Int(sum)) => {
                    Value::Int(sum / i64::try_from(group.count).unwrap_or(i64::MAX))
                }
                (Some(Strategy::Avg), Value::Double(sum)) => {
                    Value::Double(sum / group.count as f64)
                }
                (_, value) => value,
            };
            let number = group.number.as_ref().map(|(key, number)| (key.as_str(), *number));
            let attrs = group.attrs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            self.write(value, number, attrs);
        }
    }

    fn write<'a>(
        &mut self,
        value: Value,
        number: Option<(&str, i64)>,
        attrs: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        let attrs = |out: &mut AttrWriter<'_>| {
            number.into_iter().for_each(|(key, number)| out.int(key, number));
            attrs.for_each(|(key, value)| out.str(key, value));
        };
        match value {
            Value::Int(value) => self.points.int(self.now, value, attrs),
            Value::Double(value) => self.points.double(self.now, value, attrs),
        }
    }
}

impl Strategy {
    fn joined(self, one: Value, other: Value) -> Value {
        match (one, other) {
            (Value::Int(a), Value::Int(b)) => Value::Int(match self {
                Strategy::Sum | Strategy::Avg => a.saturating_add(b),
                Strategy::Min => a.min(b),
                Strategy::Max => a.max(b),
            }),
            (Value::Double(a), Value::Double(b)) => Value::Double(match self {
                Strategy::Sum | Strategy::Avg => a + b,
                Strategy::Min => a.min(b),
                Strategy::Max => a.max(b),
            }),
            // The points of a metric are of one kind.
            (one, _) => one,
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
        let (now, kept) = (self.now, self.enabled.kept(name, Strategy::Avg));
        self.out.gauge(name, unit, "", |out| {
            let mut collected = Points::new(out, now, kept);
            points(&mut collected);
            collected.finish();
        });
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
        let kept = self.enabled.kept(name, Strategy::Sum);
        self.out.sum(name, unit, "", Temporality::Cumulative, monotonic, |out| {
            out.start(boot);
            let mut collected = Points::new(out, now, kept);
            points(&mut collected);
            collected.finish();
        });
    }
}
