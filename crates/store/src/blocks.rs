// SPDX-License-Identifier: Apache-2.0
//! Blocks: immutable objects of one signal, and the list of those that count.
//!
//! ```text
//! <tenant>/<signal>/v1/blocks/<writer>/<level>/<day>/<ulid>.parquet
//! <tenant>/<signal>/v1/manifest/<writer>/<sequence>.json
//! ```
//! What a block holds is its signal's business ([`crate::metrics`] and others). What is the same
//! for all is here: where bytes lie ([`Objects`]), which blocks live ([`Catalog`], one [`Manifest`]
//! a commit), what is merged next ([`plan`]), what is too old.
//!
//! Several writers share a bucket, each below its own id, with its own manifests and compaction;
//! readers merge all of them. Damage never keeps a store from opening: a manifest that does not
//! check out is passed over for the one before, a block that cannot be read is set aside.

mod catalog;
pub mod container;
mod info;
mod manifest;
pub mod objects;
pub mod plan;

pub use catalog::{
    Catalog, CatalogOptions, CatalogStats, DELETIONS_MAX, Deleted, Deletion, Keep, Listed,
    REPLACED_KEPT, Target,
};
pub use info::BlockInfo;
pub use manifest::{MANIFESTS_KEPT, Manifest, Quarantined, Replaced};
pub use objects::{Local, Memory, ObjectWriter, Objects};
pub use ulid::Ulid;
