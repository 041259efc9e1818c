// SPDX-License-Identifier: Apache-2.0
//! Keys that load and change nothing here.
//!
//! A `Config` field of type [`NoEffect`] takes whatever stands under its key, and the one who wrote
//! the key is told once, with its place, that it does nothing. An absent key and a null say nothing.
//! Where it depends on a value, `validate` says it with
//! [`Checker::no_effect`](super::Checker::no_effect). `foreglow validate --report` lists both.

use std::fmt;

use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

/// Name by which the deserializer knows the type.
pub(crate) const NO_EFFECT: &str = "NoEffect";

/// What stands in a `Config` for a key that loads but has no effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoEffect;

impl<'de> Deserialize<'de> for NoEffect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(NO_EFFECT, Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = NoEffect;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<NoEffect, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| NoEffect)
    }
}
