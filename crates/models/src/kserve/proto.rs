// SPDX-License-Identifier: Apache-2.0
//! Messages of package `inference`, service `GRPCInferenceService`.
//!
//! Left out on purpose: field 6 of `ModelMetadataResponse` and field 4 of `TensorMetadata`, which
//! dialects number alike and type differently (a strict decoder would fail on the other's).
//! Shared by the client and the fake server of the tests.

use prost::{Message, Oneof};
use std::collections::HashMap;

/// Path prefix of every method.
pub const SERVICE: &str = "inference.GRPCInferenceService";

/// Request of `ServerLive` and `ServerReady`.
#[derive(Clone, PartialEq, Message)]
pub struct ServerReadyRequest {}

/// Answer of `ServerLive`, `ServerReady` and `ModelReady`, which have the same shape.
#[derive(Clone, PartialEq, Message)]
pub struct ReadyResponse {
    /// True when ready.
    #[prost(bool, tag = "1")]
    pub ready: bool,
}

/// Request of `ModelReady` and `ModelMetadata`, which have the same shape.
#[derive(Clone, PartialEq, Message)]
pub struct ModelRequest {
    /// Model name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version; empty leaves the choice to the server.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// Name, type and shape of one tensor of a model.
#[derive(Clone, PartialEq, Message)]
pub struct TensorMetadata {
    /// Tensor name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type name such as `FP64`.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Axes; -1 is a free one.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// Answer of `ModelMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct ModelMetadataResponse {
    /// Model name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Versions the server has.
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    /// Framework.
    #[prost(string, tag = "3")]
    pub platform: String,
    /// Input tensors.
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorMetadata>,
    /// Output tensors.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
}

/// One request parameter.
#[derive(Clone, PartialEq, Message)]
pub struct InferParameter {
    /// Its value.
    #[prost(oneof = "ParameterChoice", tags = "1, 2, 3, 4, 5")]
    pub choice: Option<ParameterChoice>,
}

/// Value of an [`InferParameter`].
#[derive(Clone, PartialEq, Oneof)]
pub enum ParameterChoice {
    /// A boolean.
    #[prost(bool, tag = "1")]
    Bool(bool),
    /// A whole number.
    #[prost(int64, tag = "2")]
    Int64(i64),
    /// Text.
    #[prost(string, tag = "3")]
    String(String),
    /// A double; absent from MLServer's dialect, where it arrives as nothing.
    #[prost(double, tag = "4")]
    Double(f64),
    /// An unsigned number; absent from MLServer's dialect.
    #[prost(uint64, tag = "5")]
    Uint64(u64),
}

/// Elements of a tensor, in the field its type belongs to.
#[derive(Clone, PartialEq, Message)]
pub struct TensorContents {
    /// BOOL.
    #[prost(bool, repeated, tag = "1")]
    pub bools: Vec<bool>,
    /// INT8, INT16, INT32.
    #[prost(int32, repeated, tag = "2")]
    pub ints: Vec<i32>,
    /// INT64.
    #[prost(int64, repeated, tag = "3")]
    pub int64s: Vec<i64>,
    /// UINT8, UINT16, UINT32.
    #[prost(uint32, repeated, tag = "4")]
    pub uints: Vec<u32>,
    /// UINT64.
    #[prost(uint64, repeated, tag = "5")]
    pub uint64s: Vec<u64>,
    /// FP32.
    #[prost(float, repeated, tag = "6")]
    pub fp32s: Vec<f32>,
    /// FP64.
    #[prost(double, repeated, tag = "7")]
    pub fp64s: Vec<f64>,
    /// BYTES.
    #[prost(bytes = "vec", repeated, tag = "8")]
    pub bytes: Vec<Vec<u8>>,
}

/// A tensor of a request or an answer.
#[derive(Clone, PartialEq, Message)]
pub struct InferTensor {
    /// Tensor name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type name.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Axes.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    /// Parameters of this tensor.
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, InferParameter>,
    /// Elements; absent when the message carries raw contents.
    #[prost(message, optional, tag = "5")]
    pub contents: Option<TensorContents>,
}

/// Request of `ModelInfer`. `outputs` (field 6) is left out: all outputs are wanted.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    /// Model name.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Version; empty leaves the choice to the server.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// Echoed in the answer.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Request parameters.
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, InferParameter>,
    /// Input tensors.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferTensor>,
    /// One entry per input, little-endian; then no input carries contents.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub raw_input_contents: Vec<Vec<u8>>,
}

/// Answer of `ModelInfer`.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferResponse {
    /// Model name.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Version that answered.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// The request's id.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Answer parameters.
    #[prost(map = "string, message", tag = "4")]
    pub parameters: HashMap<String, InferParameter>,
    /// Output tensors.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<InferTensor>,
    /// One entry per output, little-endian; then no output carries contents.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub raw_output_contents: Vec<Vec<u8>>,
}
