// SPDX-License-Identifier: Apache-2.0
//! Client of the Open Inference Protocol (KServe v2) over gRPC.
//!
//! In: [`Rows`](crate::Rows) and the model's own description of its tensors. Out:
//! [`Outputs`](crate::Outputs). Three dialects are understood with one code path: MLServer (typed
//! contents, extra axes), Triton (raw contents only) and strict servers. Sent are typed contents
//! named and typed as the model's metadata says; read are typed and raw ones; shapes are judged
//! by the number of elements, since MLServer answers `[4]` as `[4,1]`.
//!
//! Bounds: at most [`VALUES_MAX`] values a call, larger requests are split by rows; answers are
//! limited by `max_receive_message_size`. The connection is made when first needed and remade
//! after a failure; a server that is down costs nothing until a call is made.
//! Errors are classified: `Retry` when the server cannot be reached or says so, `Overloaded` when
//! the deadline passed, `Rejected` when it refused the request or its answer makes no sense.
//! Source: <https://github.com/kserve/open-inference-protocol>, docs of MLServer and Triton.

mod client;
pub mod proto;
mod serve;
mod tensor;

pub use client::{Client, ClientConfig, DoubleEncoding, Keepalive, ModelCall};
pub use serve::unary;
pub use tensor::{ModelMetadata, TensorType, VALUES_MAX, ValueType, elements};

#[cfg(test)]
mod tests;
