// SPDX-License-Identifier: Apache-2.0
//! The labels of a point, from resource, scope and attributes. Runs only for series not met before.

use std::collections::BTreeMap;

use otlp_wire::{Attrs, ResourceView, ScopeView};

use crate::names::label_name;
use crate::{Options, Refusal, ResourceLabels, ScopeLabels};

/// Sorted by name, each once; no empty value unless asked for.
pub(crate) type LabelMap = BTreeMap<String, String>;

/// Resource attributes that make up `job` and `instance` and say nothing new in `target_info`.
const IDENTIFYING: [&str; 3] = ["service.name", "service.namespace", "service.instance.id"];

/// Where `environment` is taken from when a resource has none: the current name first.
const ENVIRONMENT: [&str; 2] = ["deployment.environment.name", "deployment.environment"];

/// Attributes of a scope that would pass for its own fields.
const SCOPE_FIELDS: [&str; 3] = ["name", "version", "schema_url"];

/// What a resource gives to all its points.
#[derive(Debug, Default)]
pub(crate) struct ResourcePart {
    job: String,
    instance: String,
    /// Labels a point gets unless it has them itself.
    fallback: LabelMap,
    /// Attributes copied to each point as if they were its own; they win over the point's.
    copied: BTreeMap<String, String>,
    /// Labels of `target_info`, if it is to be written.
    pub info: Option<LabelMap>,
}

/// Text of each attribute by key; the first of equal keys wins, empty values count as absent
/// unless `empty`.
fn texts(attrs: Attrs<'_>, empty: bool) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    for (key, value) in attrs {
        let text = value.text();
        if empty || !text.is_empty() {
            texts.entry(key.to_owned()).or_insert_with(|| text.into_owned());
        }
    }
    texts
}

impl ResourcePart {
    pub(crate) fn new(resource: ResourceView<'_>, options: &Options) -> Result<Self, Refusal> {
        let all = texts(resource.attrs(), options.empty_labels);
        let get = |key: &str| all.get(key).cloned().unwrap_or_default();
        let (name, namespace) = (get("service.name"), get("service.namespace"));
        let job = match (name.is_empty(), namespace.is_empty()) {
            (false, false) => format!("{namespace}/{name}"),
            _ => name,
        };
        let mut part =
            ResourcePart { job, instance: get("service.instance.id"), ..Self::default() };
        match &options.resource_labels {
            ResourceLabels::None => {}
            ResourceLabels::All { without_service } => {
                part.copied = all.clone();
                if *without_service {
                    part.copied.retain(|key, _| !IDENTIFYING.contains(&key.as_str()));
                }
            }
            ResourceLabels::Matching { included, excluded } => {
                part.copied = all.clone();
                part.copied.retain(|key, _| {
                    (included.is_empty() || included.iter().any(|p| matches(p, key)))
                        && !excluded.iter().any(|p| matches(p, key))
                });
            }
            ResourceLabels::Promoted(keys) => {
                let promoted = all.iter().filter(|(key, _)| keys.iter().any(|k| covers(k, key)));
                for (key, value) in promoted {
                    let name = label_name(key, options.utf8).ok_or(Refusal::LabelName)?;
                    part.fallback.entry(name).or_insert_with(|| value.clone());
                }
            }
        }
        if options.fill_environment
            && let Some(value) = ENVIRONMENT.iter().find_map(|key| all.get(*key))
        {
            part.fallback.entry("environment".to_owned()).or_insert_with(|| value.clone());
        }
        part.info = match options.target_info {
            true => info_labels(resource, &all, &part, options),
            false => None,
        };
        Ok(part)
    }

    fn identify(&self, labels: &mut LabelMap) {
        for (name, value) in [("job", &self.job), ("instance", &self.instance)] {
            if !value.is_empty() {
                labels.insert(name.to_owned(), value.clone());
            }
        }
    }
}

/// Whether an entry of the promotion list (`host.name`, `service.*`) covers a key.
fn covers(entry: &str, key: &str) -> bool {
    match entry.strip_suffix('*') {
        Some(prefix) => key.starts_with(prefix),
        None => key == entry,
    }
}

/// Whether a pattern covers a key: `*` is any text, `?` any character.
fn matches(pattern: &str, key: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return same_length(pattern, key);
    };
    let ends: Vec<usize> = key.char_indices().map(|(at, _)| at).chain([key.len()]).collect();
    let begin = ends.get(before.chars().count()).filter(|at| same_length(before, &key[..**at]));
    begin.is_some_and(|begin| {
        ends.iter().filter(|at| *at >= begin).any(|at| matches(after, &key[*at..]))
    })
}

fn same_length(pattern: &str, key: &str) -> bool {
    pattern.chars().count() == key.chars().count()
        && pattern.chars().zip(key.chars()).all(|(p, k)| p == '?' || p == k)
}

/// Labels of `target_info`: none when the resource has nothing to tell or no identity.
fn info_labels(
    resource: ResourceView<'_>,
    all: &BTreeMap<String, String>,
    part: &ResourcePart,
    options: &Options,
) -> Option<LabelMap> {
    let told = || all.iter().filter(|(key, _)| !IDENTIFYING.contains(&key.as_str()));
    // An attribute without a value tells nothing, but the collector counts it.
    let tells = resource.attrs().into_iter().any(|(key, _)| !IDENTIFYING.contains(&key));
    let own = !part.job.is_empty() || !part.instance.is_empty();
    if !tells || !own && !options.external_labels_on_info {
        return None;
    }
    let mut labels = LabelMap::new();
    for (key, value) in told() {
        // A key without a valid name is left out: one odd attribute must not cost the others.
        if let Some(name) = label_name(key, options.utf8) {
            join(&mut labels, name, value);
        }
    }
    part.identify(&mut labels);
    if options.external_labels_on_info {
        add_external(&mut labels, options);
    }
    // Whoever gives the labels, they say which target it is.
    (labels.contains_key("job") || labels.contains_key("instance")).then_some(labels)
}

/// The labels a scope gives to all its points.
pub(crate) fn scope_labels(scope: ScopeView<'_>, options: &Options) -> LabelMap {
    let mut labels = LabelMap::new();
    let always = options.scope_labels == ScopeLabels::Always;
    if options.scope_labels == ScopeLabels::None {
        return labels;
    }
    for (key, value) in texts(scope.attrs(), options.empty_labels) {
        if SCOPE_FIELDS.contains(&key.as_str()) {
            continue;
        }
        if let Some(name) = label_name(&format!("otel_scope_{key}"), options.utf8) {
            join(&mut labels, name, &value);
        }
    }
    let url = if always { scope.schema_url() } else { "" };
    let told = [("otel_scope_name", scope.name()), ("otel_scope_version", scope.version())];
    for (name, value) in told.into_iter().chain(always.then_some(("otel_scope_schema_url", url))) {
        if always || !value.is_empty() {
            labels.insert(name.to_owned(), value.to_owned());
        }
    }
    labels
}

/// The labels of one point, without the metric name, `le` and `quantile`.
pub(crate) fn point_labels(
    attrs: Attrs<'_>,
    resource: &ResourcePart,
    scope: &LabelMap,
    options: &Options,
) -> Result<LabelMap, Refusal> {
    let mut all = texts(attrs, options.empty_labels);
    all.extend(resource.copied.iter().map(|(key, value)| (key.clone(), value.clone())));
    let mut labels = LabelMap::new();
    for (key, value) in &all {
        join(&mut labels, label_name(key, options.utf8).ok_or(Refusal::LabelName)?, value);
    }
    for (name, value) in &resource.fallback {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels.extend(scope.iter().map(|(name, value)| (name.clone(), value.clone())));
    resource.identify(&mut labels);
    add_external(&mut labels, options);
    Ok(labels)
}

/// Adds a label; a second, different value under the same name is joined by `;`.
fn join(labels: &mut LabelMap, name: String, value: &str) {
    match labels.get_mut(&name) {
        Some(before) if before != value => {
            before.push(';');
            before.push_str(value);
        }
        Some(_) => {}
        None => {
            labels.insert(name, value.to_owned());
        }
    }
}

fn add_external(labels: &mut LabelMap, options: &Options) {
    for (name, value) in &options.external_labels {
        if !value.is_empty() {
            labels.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}
