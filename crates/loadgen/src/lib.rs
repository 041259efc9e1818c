// SPDX-License-Identifier: Apache-2.0
//! Load for HTTP services and OTLP receivers, measured honestly.
//!
//! ```text
//! pace     when each request is due: steady, in bursts, or as soon as the last one is answered
//! drive    workers that take the next due request, until it is over
//! mix      what is asked: the endpoints of the shop by weight, /predict, or one path
//! run      the load of an HTTP service
//! otlp/    the load of an OTLP receiver: telemetry as telemetrygen makes it, or from files
//! tally    what came of it: times, statuses, the slowest traces
//! report   the same for people and programs; thresholds decide on the exit status
//! ```
//! Requests are due at times that do not depend on the answers (an open model), and a request's time
//! counts from when it was due: a server that stalls cannot hide the requests it kept from being
//! sent (coordinated omission). The time from the sending is told beside it.

mod drive;
mod faults;
mod mix;
pub mod otlp;
mod pace;
mod report;
mod run;
mod tally;
#[cfg(test)]
mod tests;
mod threshold;

pub use drive::Progress;
pub use faults::Faults;
pub use mix::Mix;
pub use pace::Pace;
pub use report::{About, json, opening, progress, text};
pub use run::{CONNECTIONS_MAX, Load, run};
pub use tally::{Items, Slow, Tally};
pub use threshold::Threshold;
