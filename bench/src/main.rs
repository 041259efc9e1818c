// SPDX-License-Identifier: Apache-2.0
//! Whole-process measurements: us and the peers, same input, same pinning, one run.
//!
//! `cargo run --release -p bench -- collectors` puts each collector on one core (`taskset -c 0`),
//! the generator and a counting null sink (this process) on the other, and reports CPU-seconds per
//! million items, items a second and peak RSS. `-- stack` measures the default stack: start to
//! first page, OTLP sent to visible in PromQL, idle RSS. Raw figures go to `bench/results/` with
//! the machine and the versions. A figure that is zero or absent fails the run.

mod collectors;
mod load;
mod payload;
mod process;
mod rows;
mod sink;
mod stack;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Whole-process measurements against peers")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Collectors side by side: OTLP in; OTLP, remote write or bulk out.
    Collectors(collectors::Options),
    /// The default stack alone: start, freshness, idle memory.
    Stack(stack::Options),
}

fn main() -> anyhow::Result<()> {
    // One worker: the generator and sink share one core, the collector has the other.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match Arguments::parse().what {
        What::Collectors(options) => runtime.block_on(collectors::run(options)),
        What::Stack(options) => runtime.block_on(stack::run(options)),
    }
}
