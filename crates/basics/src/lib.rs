// SPDX-License-Identifier: Apache-2.0
//! What two or more crates need, and nothing else.
//!
//! - [`backoff`]: how long to wait before trying again
//! - [`error`]: one error shape; its kind says what the caller should do
//! - [`clock`]: time as a parameter, real or set by a test
//! - [`random`]: randomness as a parameter, real or seeded
//! - [`files`]: the file layer as a parameter, real or forgetful
//! - [`duration`], [`bytesize`]: quantities as people write them
//! - [`percent`]: text in URLs
//! - [`labels`]: sorted label sets and label matchers with Prometheus' meaning
//!
//! No async, no network. A thing moves here only when a second crate needs it.

pub mod backoff;
pub mod bytesize;
pub mod clock;
pub mod duration;
pub mod error;
pub mod files;
pub mod labels;
mod pattern;
pub mod percent;
pub mod random;

pub use backoff::{Backoff, BackoffSettings};
pub use clock::{Clock, UnixNano};
pub use error::{Error, Kind, Result};
pub use random::Random;
