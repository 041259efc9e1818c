// SPDX-License-Identifier: Apache-2.0
//! What tests share: fake back ends that speak the real protocols and misbehave on demand.

pub mod kserve;
