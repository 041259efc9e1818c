// SPDX-License-Identifier: Apache-2.0
//! Processors against real peers.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod mlserver;
