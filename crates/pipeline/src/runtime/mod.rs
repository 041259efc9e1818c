// SPDX-License-Identifier: Apache-2.0
//! From a [`Plan`](crate::config::Plan) to a running graph and back.
//!
//! ```text
//! receiver -> Door (log, ledger) -> Chain: [fused passes] [watch] [stage] ... -> FanOut -> exporters
//! ```
//! [`Graph::build`] makes every component and does no I/O; [`Graph::start`] starts extensions,
//! exporters, processors and receivers in this order, gives what the logs hold to the durable
//! exporters again, and says when all is ready; [`Running::stop`] goes the way back with a
//! deadline. A component that cannot start stops what was started before it.
//! [`Running::reload`] goes over to another plan; what is configured as before goes on.
//!
//! A batch passes doors, passes, watches and the fan-out in the task of whoever brought it;
//! only a stage has a task and a queue of its own ([`STAGE_QUEUE_BATCHES`]). A panic is caught at
//! the component's edge: the batch is refused and counted, the component made anew.

mod asked;
mod build;
mod chain;
mod door;
mod fanout;
mod gate;
mod inlet;
mod passes;
mod reload;
mod replay;
mod run;
mod stage;
mod watch;

#[cfg(test)]
mod tests;

pub use build::Graph;
pub use reload::ReloadMeter;
pub use run::Running;
pub use stage::{STAGE_PATIENCE, STAGE_QUEUE_BATCHES};
