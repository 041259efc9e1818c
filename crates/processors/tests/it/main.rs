// SPDX-License-Identifier: Apache-2.0
//! Processors in pipelines and against real peers.

#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

mod fused;
mod mlserver;
mod sampling;
