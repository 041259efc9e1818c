// SPDX-License-Identifier: Apache-2.0
//! The embedded store.

pub mod head;
pub mod translate;
