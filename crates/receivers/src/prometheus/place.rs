// SPDX-License-Identifier: Apache-2.0
//! Where a series belongs: which metric, which part of its points, which resource and scope.
//!
//! Found once per series from its labels and what the page says about its family, then kept.
//! Rules of the collector's receiver: counters and gauges keep the name of their sample;
//! histograms, summaries, info and state sets that of their family; a sample without a type is a
//! gauge; `job` and `instance` are the resource's, `otel_scope_*` the scope's.

use std::sync::Arc;

use hashbrown::HashMap;
use otlp_wire::write::EncodedAttrs;
use pipeline::relabel::LabelSet;

use super::page::Kind;
use super::page::names::NAME;

/// What a page says about a family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Type.
    pub kind: Kind,
    /// What it means.
    pub help: String,
    /// Unit, if told.
    pub unit: String,
}

/// A family with the round it was last on a page.
#[derive(Debug, Default)]
pub struct Family {
    /// What is said about it.
    pub meta: Arc<Meta>,
    /// The last round with it.
    pub round: u64,
}

/// Families by name.
pub type Families = HashMap<Box<str>, Family>;

/// Which part of its point a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All of it.
    Whole,
    /// A bucket or quantile.
    Step,
    /// The sum.
    Sum,
    /// The number of values.
    Count,
    /// Since when it counts, in seconds.
    Created,
    /// Labels that belong to the resource.
    TargetInfo,
    /// Labels that belong to the scope.
    ScopeInfo,
    /// Nothing, such as a bucket without `le`; a native histogram is whole all the same.
    Nothing,
}

/// Where a series belongs.
#[derive(Debug)]
pub struct Place {
    /// Which resource and scope.
    pub group: u32,
    /// Name of the metric.
    pub name: Box<str>,
    /// About the family.
    pub meta: Arc<Meta>,
    /// Which part of a point.
    pub role: Role,
    /// The bound or quantile of a step.
    pub step: f64,
    /// Attributes of the point.
    pub attrs: EncodedAttrs,
}

/// A resource and scope that series belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Group {
    /// `service.name`.
    pub job: String,
    /// `service.instance.id`.
    pub instance: String,
    /// Name, version and schema URL of the scope; all empty for this receiver's own.
    pub scope: [String; 3],
    /// Further attributes of the scope.
    pub scope_attrs: Vec<(String, String)>,
}

/// Labels that say which scope a series is of.
const SCOPE: &str = "otel_scope_";

impl Group {
    /// The group of a series; `job` and `instance` if its labels have none.
    pub fn of(labels: &LabelSet, job: &str, instance: &str) -> Group {
        let own = |name: &str, or: &str| match labels.get(name) {
            "" => or.to_owned(),
            value => value.to_owned(),
        };
        let mut group =
            Group { job: own("job", job), instance: own("instance", instance), ..Group::default() };
        for (name, value) in labels.iter() {
            match name.strip_prefix(SCOPE) {
                Some("name") => value.clone_into(&mut group.scope[0]),
                Some("version") => value.clone_into(&mut group.scope[1]),
                Some("schema_url") => value.clone_into(&mut group.scope[2]),
                Some(key) => group.scope_attrs.push((key.to_owned(), value.to_owned())),
                None => {}
            }
        }
        group.scope_attrs.sort();
        group
    }

    /// True when it is the scope of this receiver.
    pub fn is_own_scope(&self) -> bool {
        self.scope.iter().all(String::is_empty) && self.scope_attrs.is_empty()
    }
}

/// The place of the series with these labels, sorted by name.
pub fn place(labels: &LabelSet, families: &Families, group: u32) -> Place {
    let sample = labels.get(NAME);
    let (name, meta, role) = part(sample, families);
    let step_label = match meta.kind {
        Kind::Histogram => "le",
        Kind::Summary => "quantile",
        _ => "",
    };
    let step = labels.get(step_label).parse::<f64>().ok();
    let role = if role == Role::Step && step.is_none() { Role::Nothing } else { role };
    let attrs = EncodedAttrs::new(|attrs| {
        for (key, value) in labels.iter() {
            let elsewhere =
                matches!(key, NAME | "job" | "instance" | "__scheme__" | "__metrics_path__")
                    || key.starts_with(SCOPE)
                    || key == step_label;
            if !elsewhere {
                attrs.str(key, value);
            }
        }
    });
    Place { group, name: name.into(), meta, role, step: step.unwrap_or(0.0), attrs }
}

/// The metric a sample is of, what is known about it, and which part of it the sample is.
fn part(sample: &str, families: &Families) -> (String, Arc<Meta>, Role) {
    let alone = |meta: &Arc<Meta>, role| (sample.to_owned(), meta.clone(), role);
    match sample {
        "target_info" => return alone(&Arc::default(), Role::TargetInfo),
        "otel_scope_info" => return alone(&Arc::default(), Role::ScopeInfo),
        _ => {}
    }
    if let Some(Family { meta, .. }) = families.get(sample) {
        let role = match meta.kind {
            Kind::Histogram => Role::Nothing,
            Kind::Summary => Role::Step,
            _ => Role::Whole,
        };
        return alone(meta, role);
    }
    const SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_total", "_info", "_created"];
    let found = SUFFIXES.iter().find_map(|suffix| {
        let stem = sample.strip_suffix(suffix).filter(|stem| !stem.is_empty())?;
        Some((*suffix, stem))
    });
    let Some((suffix, stem)) = found else { return alone(&Arc::default(), Role::Whole) };
    let Some(Family { meta, .. }) = families.get(stem) else {
        return alone(&Arc::default(), Role::Whole);
    };
    let created = suffix == "_created";
    match meta.kind {
        Kind::Counter if created => (format!("{stem}_total"), meta.clone(), Role::Created),
        Kind::Counter => alone(meta, Role::Whole),
        Kind::Histogram | Kind::Summary => {
            let role = match suffix {
                "_sum" => Role::Sum,
                "_count" => Role::Count,
                "_created" => Role::Created,
                _ => Role::Step,
            };
            (stem.to_owned(), meta.clone(), role)
        }
        Kind::Info | Kind::StateSet | Kind::GaugeHistogram => {
            let role = if created { Role::Created } else { Role::Whole };
            (stem.to_owned(), meta.clone(), role)
        }
        Kind::Gauge | Kind::Unknown => alone(&Arc::default(), Role::Whole),
    }
}
