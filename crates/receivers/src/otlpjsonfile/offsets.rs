// SPDX-License-Identifier: Apache-2.0
//! How far files were read, kept over a restart.
//!
//! A small seam: the receiver loads once and keeps often; where that goes is decided here: into the
//! directory of the extension `storage` names, as a file that is replaced as a whole.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use basics::{Error, Result};
use pipeline::Context;
use pipeline::storage::Storage;
use serde::{Deserialize, Serialize};

use super::config::Config;

/// How far one file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its first bytes.
    pub head: Vec<u8>,
    /// The bytes before `offset`.
    pub tail: Vec<u8>,
    /// Everything before it was handed over.
    pub offset: u64,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    head: String,
    tail: String,
    offset: u64,
}

/// Where offsets are kept, if anywhere.
#[derive(Debug)]
pub struct Offsets(Option<PathBuf>);

impl Offsets {
    /// The place of this receiver's offsets.
    ///
    /// # Errors
    /// `Invalid` when there is no such extension.
    pub fn new(config: &Config, context: &Context) -> Result<Self> {
        let Some(id) = config.storage.as_ref().filter(|_| !config.replay_file) else {
            return Ok(Offsets(None));
        };
        let storage = context.host.find::<Storage>(id).ok_or_else(|| {
            Error::invalid(format!(
                "storage \"{id}\" is not there: configure the extension and name it in \
                 service::extensions"
            ))
        })?;
        Ok(Offsets(Some(storage.state_file(&context.id))))
    }

    /// What was kept; nothing if there is nothing, or nothing of use.
    pub fn load(&self) -> Vec<Known> {
        let Some(path) = &self.0 else { return Vec::new() };
        let Ok(text) = std::fs::read(path) else { return Vec::new() };
        let decode = |kept: Kept| {
            let (head, tail) = (STANDARD.decode(kept.head).ok()?, STANDARD.decode(kept.tail).ok()?);
            Some(Known { head, tail, offset: kept.offset })
        };
        match serde_json::from_slice::<Vec<Kept>>(&text) {
            Ok(all) => all.into_iter().filter_map(decode).collect(),
            Err(error) => {
                tracing::warn!(path = %path.display(), "offsets are damaged: {error}");
                Vec::new()
            }
        }
    }

    /// Keeps `known`, or what was kept before, whatever happens meanwhile.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep<'k>(&self, known: impl Iterator<Item = &'k Known>) -> Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let all: Vec<Kept> = known
            .map(|known| Kept {
                head: STANDARD.encode(&known.head),
                tail: STANDARD.encode(&known.tail),
                offset: known.offset,
            })
            .collect();
        let failed = |e: std::io::Error| Error::retry("cannot write offsets").caused_by(e);
        let text = serde_json::to_vec(&all).map_err(|e| Error::invalid(e.to_string()))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let fresh = path.with_extension("json.new");
        std::fs::write(&fresh, text).map_err(failed)?;
        std::fs::rename(&fresh, path).map_err(failed)
    }
}
