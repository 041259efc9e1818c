// SPDX-License-Identifier: Apache-2.0
//! The runtime with test components: every test ends at rest with a balanced ledger.

mod durable;
mod flow;
mod order;
mod passes;
mod reload;
mod stages;
mod storm;

use std::sync::Arc;
use std::time::Duration;

use basics::{Clock, Result};

use crate::budget::Budget;
use crate::config::Plan;
use crate::host::Host;
use crate::ledger::{Book, Fate};
use crate::runtime::{Graph, Running};
use crate::testing::eventually;

const NOW: u64 = crate::testing::RECEIVED;

/// Long enough for anything a test does on purpose.
const DEADLINE: Duration = Duration::from_secs(20);

fn host() -> Host {
    Host::with("unused".into(), Clock::manual(NOW), Budget::new(64 << 20))
}

async fn start(plan: Plan, host: &Host) -> Result<Running> {
    let graph = Graph::build(&plan, host).map_err(|mut errors| errors.remove(0))?;
    graph.start().await
}

/// Waits until nothing is in flight, then checks every book.
async fn settled(host: &Host, pipelines: &[&str]) {
    for pipeline in pipelines {
        let book = book(host, pipeline);
        eventually("nothing is in flight", || book.in_flight() == 0).await;
    }
    host.ledger().check().expect("a balanced ledger");
}

fn book(host: &Host, pipeline: &str) -> Book {
    host.ledger().book(pipeline).expect("a book for each pipeline")
}

fn count(host: &Host, pipeline: &str, exporter: &str, fate: Fate) -> u64 {
    book(host, pipeline).count(exporter, fate)
}

/// A processor that is made by cloning `it`.
fn shared_watch(
    it: Arc<dyn crate::component::Watch>,
) -> impl Fn(crate::component::Context) -> Result<crate::component::Processor> + Send + Sync {
    move |_| Ok(crate::component::Processor::Watch(it.clone()))
}
