// SPDX-License-Identifier: Apache-2.0
//! `pprof`: loads, says that it does nothing, and does nothing.
//!
//! The Go collector serves profiles of its own runtime here (goroutines, heap, mutexes), for
//! `go tool pprof`. This process has none of these; `perf record -p PID` sees it with its symbols.
//! The keys load so that a file need not be changed.

use std::sync::Arc;

use async_trait::async_trait;
use basics::Result;
use pipeline::component::{Extension, ExtensionFactory};
use pipeline::config::{Checker, ComponentConfig};
use pipeline::host::Host;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// What a user writes; told once, as a whole.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(rename = "endpoint")]
    _endpoint: IgnoredAny,
    #[serde(rename = "block_profile_fraction")]
    _block_profile_fraction: IgnoredAny,
    #[serde(rename = "mutex_profile_fraction")]
    _mutex_profile_fraction: IgnoredAny,
    #[serde(rename = "save_to_file")]
    _save_to_file: IgnoredAny,
    #[serde(rename = "dialer")]
    _dialer: IgnoredAny,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        at.no_effect("", "there are no Go profiles of this process; use perf record -p PID");
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "pprof",
        aliases: &[],
        signals: &[],
        summary: "accepted for compatibility; serves nothing",
        decode: pipeline::config::decode::<Config>,
        build: |_, _| Ok(Arc::new(Nothing)),
    }
}

struct Nothing;

#[async_trait]
impl Extension for Nothing {
    async fn start(&self, _: &Host) -> Result<()> {
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pipeline::config::from_yaml_told;

    use super::*;

    #[test]
    fn it_loads_with_all_keys_and_one_warning() {
        let yaml = "{endpoint: 'localhost:1777', block_profile_fraction: 3, save_to_file: x}";
        let (_, warnings) = from_yaml_told::<Config>(yaml).expect("valid");
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("has no effect here"), "{warnings:?}");
        assert!(from_yaml_told::<Config>("ednpoint: x").is_err());
    }
}
