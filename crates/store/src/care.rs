// SPDX-License-Identifier: Apache-2.0
//! What people do with blocks: check them ([`check`]), copy them ([`copy`]), write metrics as rows
//! that any Parquet reader understands ([`export_plain`]).
//!
//! All of it reads only what manifests list, may run beside a process that writes, and holds a few
//! megabytes at a time.

mod plain;
#[cfg(test)]
mod tests;

use basics::{Error, Kind, Result};

use crate::blocks::container::BlockFile;
use crate::blocks::{BlockInfo, Catalog, Target};

pub use plain::export_plain;

/// Copied at a time.
const COPY_BYTES: u64 = 8 << 20;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Blocks that are whole.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Paths of blocks that are not, and why.
    pub damaged: Vec<(String, String)>,
}

/// Reads every live block of a signal and compares all checksums.
///
/// # Errors
/// [`Kind::Retry`] when a block cannot be read now. Damage is told in the result.
pub fn check(catalog: &Catalog) -> Result<Checked> {
    let mut checked = Checked::default();
    for info in catalog.live().iter() {
        match BlockFile::open(catalog.objects(), info).and_then(|file| file.verify()) {
            Ok(()) => {
                checked.blocks += 1;
                checked.bytes += info.bytes;
            }
            Err(error) if error.kind() == Kind::Corrupt => {
                checked.damaged.push((info.path.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(checked)
}

/// Copies all live blocks of `from`, checked, and lists them in `to` with one commit; `to` must be
/// empty. Damaged blocks are left out and told in the result.
///
/// # Errors
/// [`Kind::Invalid`] when `to` has blocks, [`Kind::Retry`] when one cannot be read or written;
/// nothing is listed in `to` then.
pub fn copy(from: &Catalog, to: &Catalog) -> Result<Checked> {
    if !to.live().is_empty() {
        return Err(Error::invalid("there are blocks already: copy into an empty directory"));
    }
    let (mut copied, mut copies, mut checked) = (Vec::new(), Vec::new(), Checked::default());
    // New names in the order of the old ones: of two values at one time the same one wins.
    for listed in from.listed() {
        let info = &listed.info;
        match BlockFile::open(from.objects(), info).and_then(|file| file.verify()) {
            Ok(()) => {
                let copy = copy_one(from, to, info)?;
                checked.blocks += 1;
                checked.bytes += info.bytes;
                copies.push((listed, copy.id));
                copied.push(copy);
            }
            Err(error) if error.kind() == Kind::Corrupt => {
                checked.damaged.push((info.path.clone(), error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    to.commit(copied, &[], None)?;
    to.adopt_deleted(&copies)?;
    Ok(checked)
}

fn copy_one(from: &Catalog, to: &Catalog, info: &BlockInfo) -> Result<BlockInfo> {
    let Target { id, level, path, writer } = to.target(info.level, info.tmin)?;
    let mut object = to.objects().create(&path)?;
    let mut at = 0;
    while at < info.bytes {
        let end = (at + COPY_BYTES).min(info.bytes);
        let part = from.objects().get_range(&info.path, at..end)?;
        object
            .write_all(&part)
            .map_err(|e| Error::retry(format!("cannot write object {path}")).caused_by(e))?;
        at = end;
    }
    object.finish()?;
    Ok(BlockInfo { id, level, path, writer, ..info.clone() })
}
