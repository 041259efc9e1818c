// SPDX-License-Identifier: Apache-2.0
//! What exporters that talk over a network share: one pooled client, bodies, answers, compression.

pub mod answer;
pub mod client;
pub mod compress;
