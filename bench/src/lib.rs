// SPDX-License-Identifier: Apache-2.0
//! Whole-process measurements: us and the peers, same input, same pinning, one run.
//!
//! `cargo run --release -p bench -- collectors` puts each collector on one core (`taskset -c 0`),
//! the generator and a counting null sink (this process) on the other, and reports CPU-seconds per
//! million items, items a second, peak RSS and how long a sender waits. `-- overload` presses ten
//! times as hard on a sink that takes a tenth. `-- stack` measures the default stack: start to
//! first page, OTLP sent to visible in PromQL, idle RSS. `-- offer` measures the load generator. `-- store` imports a day by remote write
//! into us, VictoriaMetrics and Prometheus and asks all three the same; `-- month` does it with a
//! month, for us alone. `-- demo` measures the demo's services: start, memory, and what their telemetry
//! costs. Raw figures go to `bench/results/` with the machine and the versions. A
//! figure that is zero or absent fails the run.

mod client;
pub mod collectors;
pub mod demo;
mod load;
pub mod offer;
pub mod overload;
mod payload;
mod process;
mod rows;
mod sink;
pub mod stack;
pub mod store;
