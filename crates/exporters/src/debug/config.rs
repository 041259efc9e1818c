// SPDX-License-Identifier: Apache-2.0
//! Settings of the debug exporter, with the collector's keys and those of its old name `logging`.
//!
//! Under the old name the old defaults hold: `normal`, and of each second's batches two, then every
//! 500th.

use pipeline::config::{Checker, ComponentConfig};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `basic`, `normal` or `detailed`; not said = basic, for `logging` normal.
    pub verbosity: Option<String>,
    /// The old name: `debug` is detailed, `info` normal, all above basic.
    pub loglevel: Option<String>,
    /// Batches of a second that are printed before sampling begins.
    pub sampling_initial: u64,
    /// Then every so manyth; 1 = all, 0 = none; not said = 1, for `logging` 500.
    pub sampling_thereafter: Option<u64>,
    /// Print into the log; false = to standard output.
    pub use_internal_logger: bool,
    /// Only `stdout` and `stderr` of what the collector takes.
    pub output_paths: Option<Vec<String>>,
    sending_queue: Option<IgnoredAny>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            verbosity: None,
            loglevel: None,
            sampling_initial: 2,
            sampling_thereafter: None,
            use_internal_logger: true,
            output_paths: None,
            sending_queue: None,
        }
    }
}

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// One line a batch.
    Basic,
    /// One line an item too.
    Normal,
    /// Everything.
    Detailed,
}

impl Config {
    /// How much is printed by an exporter written as `logging` (`old_name`) or as `debug`.
    pub fn verbosity(&self, old_name: bool) -> Verbosity {
        let default = if old_name { Verbosity::Normal } else { Verbosity::Basic };
        self.parse().ok().flatten().unwrap_or(default)
    }

    /// What is asked for, if anything is.
    fn parse(&self) -> Result<Option<Verbosity>, (&'static str, String)> {
        match (&self.verbosity, &self.loglevel) {
            (Some(_), Some(_)) => Err((
                "loglevel",
                "'loglevel' and 'verbosity' are incompatible. Use only 'verbosity' instead".into(),
            )),
            (Some(text), None) => by_verbosity(text).map(Some),
            (None, Some(text)) => by_loglevel(text).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn by_verbosity(text: &str) -> Result<Verbosity, (&'static str, String)> {
    match text.to_ascii_lowercase().as_str() {
        "basic" => Ok(Verbosity::Basic),
        "normal" => Ok(Verbosity::Normal),
        "detailed" => Ok(Verbosity::Detailed),
        _ => Err((
            "verbosity",
            format!("verbosity level \"{text}\" is not supported; use basic, normal or detailed"),
        )),
    }
}

fn by_loglevel(text: &str) -> Result<Verbosity, (&'static str, String)> {
    match text.to_ascii_lowercase().as_str() {
        "debug" => Ok(Verbosity::Detailed),
        "info" => Ok(Verbosity::Normal),
        "warn" | "error" | "dpanic" | "panic" | "fatal" => Ok(Verbosity::Basic),
        other => Err((
            "loglevel",
            format!("loglevel \"{other}\" is not one of debug, info, warn, error"),
        )),
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if let Err((key, message)) = self.parse() {
            at.error(key, message);
        }
        let paths = self.output_paths.as_deref();
        if !self.use_internal_logger && paths.is_some_and(<[String]>::is_empty) {
            at.error(
                "output_paths",
                "output_paths must not be empty when use_internal_logger is false",
            );
        }
        if self.use_internal_logger && paths.is_some_and(|paths| !paths.is_empty()) {
            at.error(
                "output_paths",
                "output_paths is not supported when use_internal_logger is true",
            );
        }
        if self.sending_queue.is_some() {
            at.warn(
                "sending_queue",
                "sending_queue has no effect here: nothing waits to be printed",
            );
        }
        let unknown =
            paths.unwrap_or_default().iter().find(|path| *path != "stdout" && *path != "stderr");
        if let Some(path) = unknown {
            at.error(
                "output_paths",
                format!("output path \"{path}\" is not supported yet; use stdout"),
            );
        }
    }
}
