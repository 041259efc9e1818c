// SPDX-License-Identifier: Apache-2.0
//! Integration tests: Prometheus' own test suite where it is present, and ours.

mod compare;
mod limits;
mod pinned;
mod round_trip;
mod script;
mod steps;
mod suite;
