// SPDX-License-Identifier: Apache-2.0
//! Models: numbers of many series in, numbers out.
//!
//! - [`Model`]: what runs inside the process. It is synchronous, sees all series of a request at
//!   once and keeps its own state by slot; [`builtin`] has the shipped ones.
//! - [`kserve`]: a client of the Open Inference Protocol (KServe v2) over gRPC for models that
//!   run elsewhere. It is asynchronous and stateless.
//!
//! Both take [`Rows`] and give [`Outputs`], so the caller joins, batches and names once.
//! Nothing here knows OTLP. A model never blocks, never allocates per row once warm, and answers
//! `NaN` for a row it has nothing to say about (counted in [`Outputs`]).

pub mod builtin;
pub mod kserve;
mod params;
mod rows;

pub use params::{Param, Params};
pub use rows::{Column, DataType, Outputs, Rows};

/// A model that runs in this process. One instance serves one rule, so that two rules with the
/// same model name never share state.
pub trait Model: Send {
    /// Names of the output columns, in order: what a rule appends to its input's name.
    fn outputs(&self) -> &[&'static str];

    /// Answers every row of `rows` into `out`, which is overwritten. Row `i` of each output
    /// belongs to row `i` of the request; `NaN` means no answer for that row.
    fn infer(&mut self, rows: &Rows, out: &mut Outputs);

    /// Drops the state kept for `slot`; the next row with that slot starts cold.
    fn forget(&mut self, slot: u32) {
        let _ = slot;
    }

    /// Heap bytes held as state.
    fn state_bytes(&self) -> usize {
        0
    }
}
