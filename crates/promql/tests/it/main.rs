// SPDX-License-Identifier: Apache-2.0
//! Integration tests: bounds, printing, and range queries against instant ones. The suites of
//! queries with known answers are in `../promqltest`.

mod kernels;
mod lazy;
mod limits;
mod round_trip;
mod steps;
