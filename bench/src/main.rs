// SPDX-License-Identifier: Apache-2.0
//! Command line of the whole-process measurements.

use bench::{collectors, demo, offer, overload, stack, store};
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
    /// The demo's services: start, memory, what telemetry costs.
    Demo(demo::Options),
    /// The load generator beside wrk and telemetrygen: how much it offers, and what both say.
    Offer(offer::Options),
    /// Ten times the connections on a back end that takes a tenth: every protocol and codec.
    Overload(overload::Options),
    /// The default stack alone: start, freshness, idle memory.
    Stack(stack::Options),
    /// Stores side by side: remote write in, PromQL out.
    Store(store::Options),
    /// How cost grows with series and with history.
    Growth(store::growth::Options),
    /// A month at 15 s: the dashboard's queries, memory, retention.
    Month(store::month::Options),
}

fn main() -> anyhow::Result<()> {
    // One worker: the generator and sink share one core, the collector has the other.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    match Arguments::parse().what {
        What::Collectors(options) => runtime.block_on(collectors::run(options)),
        What::Demo(options) => runtime.block_on(demo::run(options)),
        What::Offer(options) => runtime.block_on(offer::run(options)),
        What::Overload(options) => runtime.block_on(overload::run(options)),
        What::Stack(options) => runtime.block_on(stack::run(options)),
        What::Store(options) => runtime.block_on(store::run(options)),
        What::Growth(options) => runtime.block_on(store::growth::run(options)),
        What::Month(options) => runtime.block_on(store::month::run(options)),
    }
}
