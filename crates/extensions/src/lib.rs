// SPDX-License-Identifier: Apache-2.0
//! extensions

pub mod dashboard;
