// SPDX-License-Identifier: Apache-2.0
//! What receivers with a listener share: bounded bodies, inflating. Listening is in the crate `net`.

pub mod body;
pub mod inflate;
