// SPDX-License-Identifier: Apache-2.0
//! Keys about names and labels that both Prometheus exporters have.

use otlp_series::ResourceLabels;
use pipeline::config::Checker;
use serde::Deserialize;

/// `translation_strategy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// As `add_metric_suffixes` says.
    #[default]
    #[serde(rename = "")]
    Unset,
    /// `http_requests_total`
    UnderscoreEscapingWithSuffixes,
    /// `http_requests`
    UnderscoreEscapingWithoutSuffixes,
    /// `http.requests_total`
    NoUTF8EscapingWithSuffixes,
    /// `http.requests`
    NoTranslation,
}

impl Strategy {
    /// Whether names get suffixes and whether characters stay as they are.
    pub(crate) fn names(self, add_metric_suffixes: bool) -> (bool, bool) {
        match self {
            Strategy::Unset => (add_metric_suffixes, false),
            Strategy::UnderscoreEscapingWithSuffixes => (true, false),
            Strategy::UnderscoreEscapingWithoutSuffixes => (false, false),
            Strategy::NoUTF8EscapingWithSuffixes => (true, true),
            Strategy::NoTranslation => (false, true),
        }
    }
}

/// `resource_to_telemetry_conversion`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourceConversion {
    /// On or off.
    pub enabled: bool,
    /// Without `service.name`, `service.namespace`, `service.instance.id`.
    pub exclude_service_attributes: bool,
    /// As in [`ResourcePatterns`].
    pub included: Vec<String>,
    /// As in [`ResourcePatterns`].
    pub excluded: Vec<String>,
}

/// `resource_constant_labels`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResourcePatterns {
    /// Patterns of keys; none, and something excluded = all others.
    pub included: Vec<String>,
    /// Patterns of keys that stay out.
    pub excluded: Vec<String>,
}

impl ResourcePatterns {
    fn is_empty(&self) -> bool {
        self.included.is_empty() && self.excluded.is_empty()
    }

    /// Refuses what contradicts the older key.
    pub(crate) fn validate(&self, older: &ResourceConversion, at: &mut Checker<'_>) {
        let patterns = !older.included.is_empty() || !older.excluded.is_empty();
        let switched = older.enabled || older.exclude_service_attributes;
        if !self.is_empty() && (patterns || switched) {
            at.error(
                "included",
                "use either resource_constant_labels or resource_to_telemetry_conversion",
            );
        }
        if patterns && switched {
            at.error(
                "included",
                "resource_to_telemetry_conversion takes patterns or enabled, not both",
            );
        }
    }
}

/// Which resource attributes become labels.
pub(crate) fn resource_labels(
    conversion: &ResourceConversion,
    patterns: &ResourcePatterns,
) -> ResourceLabels {
    let older = ResourcePatterns {
        included: conversion.included.clone(),
        excluded: conversion.excluded.clone(),
    };
    for patterns in [patterns, &older] {
        if !patterns.is_empty() {
            let ResourcePatterns { included, excluded } = patterns.clone();
            return ResourceLabels::Matching { included, excluded };
        }
    }
    let without_service = conversion.exclude_service_attributes;
    match conversion.enabled {
        true => ResourceLabels::All { without_service },
        false => ResourceLabels::None,
    }
}
