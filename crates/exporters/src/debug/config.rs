// SPDX-License-Identifier: Apache-2.0
//! Settings of the debug exporter, with the collector's keys and those of its old name `logging`.

use pipeline::config::{Checker, ComponentConfig};
use serde::Deserialize;

/// Settings of the exporter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// `basic`, `normal` or `detailed`; not said = basic.
    pub verbosity: Option<String>,
    /// The old name: `debug` is detailed, `info` normal, all above basic.
    pub loglevel: Option<String>,
    /// Batches of a second that are printed before sampling begins.
    pub sampling_initial: u64,
    /// Then every so manyth; 1 = all, 0 = none.
    pub sampling_thereafter: u64,
    /// Print into the log; false = to standard output.
    pub use_internal_logger: bool,
    /// Only `stdout` and `stderr` of what the collector takes.
    pub output_paths: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            verbosity: None,
            loglevel: None,
            sampling_initial: 2,
            sampling_thereafter: 1,
            use_internal_logger: true,
            output_paths: Vec::new(),
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
    /// What is asked for under either name; `verbosity` wins.
    pub fn verbosity(&self) -> Verbosity {
        match self.parse() {
            Ok(verbosity) => verbosity,
            Err(_) => Verbosity::Basic,
        }
    }

    fn parse(&self) -> Result<Verbosity, (&'static str, String)> {
        if let Some(text) = &self.verbosity {
            return match text.to_ascii_lowercase().as_str() {
                "basic" => Ok(Verbosity::Basic),
                "normal" => Ok(Verbosity::Normal),
                "detailed" => Ok(Verbosity::Detailed),
                _ => Err((
                    "verbosity",
                    format!(
                        "verbosity level \"{text}\" is not supported; use basic, normal or detailed"
                    ),
                )),
            };
        }
        match self.loglevel.as_deref().unwrap_or("warn").to_ascii_lowercase().as_str() {
            "debug" => Ok(Verbosity::Detailed),
            "info" => Ok(Verbosity::Normal),
            "warn" | "error" | "dpanic" | "panic" | "fatal" => Ok(Verbosity::Basic),
            other => Err((
                "loglevel",
                format!("loglevel \"{other}\" is not one of debug, info, warn, error"),
            )),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if let Err((key, message)) = self.parse() {
            at.error(key, message);
        }
        let unknown = self.output_paths.iter().find(|path| *path != "stdout" && *path != "stderr");
        if let Some(path) = unknown {
            at.error(
                "output_paths",
                format!("output path \"{path}\" is not supported yet; use stdout"),
            );
        }
    }
}
