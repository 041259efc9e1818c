// SPDX-License-Identifier: Apache-2.0
//! Rows to tensors and tensors to columns. Pure functions over messages: no I/O.
//!
//! Packing: a model with one input tensor per rule input gets `[n]` or `[n,1]` each, as its
//! metadata says; a model with a single tensor `[-1,k]` gets the `k` inputs of each row side by
//! side. Without metadata each tensor is FP64 `[n]`, named after the rule's input.
//! Unpacking: an output of `n * k` elements is `k` columns, row-major.

use super::proto::{
    InferTensor, ModelInferResponse, ModelMetadataResponse, TensorContents, TensorMetadata,
};
use crate::{Column, DataType, Rows};
use basics::{Error, Result};
use std::ops::Range;

/// Most values in one call. MLServer answers 10,000 values in 1.7 ms and 100,000 in 44 ms; ten
/// bytes a value (the longest varint) stay far under the usual limit of 4 MiB.
pub const VALUES_MAX: usize = 16_384;

/// Element types that both typed and raw contents can carry as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// One byte, 0 or 1.
    Bool,
    /// Signed, 8 bit.
    Int8,
    /// Signed, 16 bit.
    Int16,
    /// Signed, 32 bit.
    Int32,
    /// Signed, 64 bit.
    Int64,
    /// Unsigned, 8 bit.
    Uint8,
    /// Unsigned, 16 bit.
    Uint16,
    /// Unsigned, 32 bit.
    Uint32,
    /// Unsigned, 64 bit.
    Uint64,
    /// Single precision.
    Fp32,
    /// Double precision.
    Fp64,
}

impl ValueType {
    /// The type called `name` in the protocol; `None` for BYTES, FP16 and strangers.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => ValueType::Bool,
            "INT8" => ValueType::Int8,
            "INT16" => ValueType::Int16,
            "INT32" => ValueType::Int32,
            "INT64" => ValueType::Int64,
            "UINT8" => ValueType::Uint8,
            "UINT16" => ValueType::Uint16,
            "UINT32" => ValueType::Uint32,
            "UINT64" => ValueType::Uint64,
            "FP32" => ValueType::Fp32,
            "FP64" => ValueType::Fp64,
            _ => return None,
        })
    }

    /// The protocol's name.
    pub fn name(self) -> &'static str {
        match self {
            ValueType::Bool => "BOOL",
            ValueType::Int8 => "INT8",
            ValueType::Int16 => "INT16",
            ValueType::Int32 => "INT32",
            ValueType::Int64 => "INT64",
            ValueType::Uint8 => "UINT8",
            ValueType::Uint16 => "UINT16",
            ValueType::Uint32 => "UINT32",
            ValueType::Uint64 => "UINT64",
            ValueType::Fp32 => "FP32",
            ValueType::Fp64 => "FP64",
        }
    }

    /// How a number of this type is written out.
    pub fn data_type(self) -> DataType {
        match self {
            ValueType::Bool => DataType::Bool,
            ValueType::Fp32 | ValueType::Fp64 => DataType::Float,
            _ => DataType::Int,
        }
    }
}

/// One tensor of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorType {
    /// Tensor name.
    pub name: String,
    /// Element type.
    pub value_type: ValueType,
    /// Axes; -1 is free.
    pub shape: Vec<i64>,
}

/// What a model says about itself. Empty lists when it says nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetadata {
    /// Input tensors in order.
    pub inputs: Vec<TensorType>,
    /// Output tensors in order; those whose type is no number are left out.
    pub outputs: Vec<TensorType>,
    /// Version names; the last one is what most servers serve by default.
    pub versions: Vec<String>,
}

impl ModelMetadata {
    /// Reads the server's answer.
    ///
    /// # Errors
    /// `Rejected` when an input has a type that no number can be sent as.
    pub fn from_response(response: ModelMetadataResponse) -> Result<Self> {
        let typed = |tensor: &TensorMetadata| {
            ValueType::from_name(&tensor.datatype).map(|value_type| TensorType {
                name: tensor.name.clone(),
                value_type,
                shape: tensor.shape.clone(),
            })
        };
        let input = |tensor: &TensorMetadata| {
            typed(tensor).ok_or_else(|| {
                Error::rejected(format!(
                    "model {:?}: input tensor {:?} has type {}, which no number can be sent as",
                    response.name, tensor.name, tensor.datatype
                ))
            })
        };
        Ok(ModelMetadata {
            inputs: response.inputs.iter().map(input).collect::<Result<_>>()?,
            outputs: response.outputs.iter().filter_map(typed).collect(),
            versions: response.versions,
        })
    }

    /// Checks that a rule with `inputs` inputs fits, and gives the most rows a call may have.
    ///
    /// # Errors
    /// `Rejected`, telling what is expected and what is given.
    pub fn rows_max(&self, inputs: usize) -> Result<usize> {
        let by_size = (VALUES_MAX / inputs.max(1)).max(1);
        if self.inputs.is_empty() {
            return Ok(by_size);
        }
        let packed = self.inputs.len() == 1 && inputs != 1;
        if !packed && self.inputs.len() != inputs {
            return Err(Error::rejected(format!(
                "the model has {} input tensors, the rule {inputs} inputs",
                self.inputs.len()
            )));
        }
        let width = if packed { inputs } else { 1 };
        let mut rows_max = by_size;
        for tensor in &self.inputs {
            rows_max = rows_max.min(tensor.rows_max(width)?);
        }
        Ok(rows_max)
    }
}

impl TensorType {
    /// Most rows this tensor takes when each has `width` values.
    fn rows_max(&self, width: usize) -> Result<usize> {
        match self.shape.first() {
            // Scalars and a fixed [k]: one row, no batch axis.
            None if width == 1 => return Ok(1),
            Some(&axis) if self.shape.len() == 1 && axis == width as i64 => return Ok(1),
            Some(-1) | Some(1) if self.row_shape(width).iter().product::<i64>() == width as i64 => {
                return Ok(if self.shape[0] < 0 { usize::MAX } else { 1 });
            }
            _ => {}
        }
        Err(Error::rejected(format!(
            "tensor {:?} wants shape {:?}, the rule gives any number of rows of {width}; \
             let the model's first axis be -1",
            self.name, self.shape
        )))
    }

    /// Axes after the first: a free last one takes the row's values, other free ones are 1.
    fn row_shape(&self, width: usize) -> Vec<i64> {
        let rest = self.shape.get(1..).unwrap_or_default();
        let last = rest.len().saturating_sub(1);
        let axis = |(at, axis): (usize, &i64)| match *axis {
            free if free < 0 && at == last => width as i64,
            free if free < 0 => 1,
            fixed => fixed,
        };
        let shape: Vec<i64> = rest.iter().enumerate().map(axis).collect();
        if shape.is_empty() && width > 1 { vec![width as i64] } else { shape }
    }

    /// The shape to send `rows` rows of `width` values in.
    fn shape_of(&self, rows: usize, width: usize) -> Vec<i64> {
        let no_batch_axis = match self.shape.as_slice() {
            [] => true,
            [axis] => *axis == width as i64,
            _ => false,
        };
        if no_batch_axis {
            return self.shape.clone();
        }
        let mut shape = vec![rows as i64];
        shape.extend(self.row_shape(width));
        shape
    }
}

/// The input tensors of the rows in `range`. `names` are the rule's inputs, used when the model
/// gives no names; the caller checked the fit by [`ModelMetadata::rows_max`].
pub(super) fn pack(
    metadata: &ModelMetadata,
    names: &[String],
    rows: &Rows,
    range: Range<usize>,
) -> Vec<InferTensor> {
    let count = range.len();
    if metadata.inputs.len() == 1 && rows.inputs.len() != 1 {
        let tensor = &metadata.inputs[0];
        let values = range.flat_map(|row| rows.inputs.iter().map(move |column| column[row]));
        let shape = tensor.shape_of(count, rows.inputs.len());
        return vec![message(&tensor.name, tensor.value_type, shape, values)];
    }
    let pack_one = |(index, column): (usize, &Vec<f64>)| {
        let values = column[range.clone()].iter().copied();
        match metadata.inputs.get(index) {
            Some(tensor) => {
                message(&tensor.name, tensor.value_type, tensor.shape_of(count, 1), values)
            }
            None => {
                let name = names.get(index).map_or("", String::as_str);
                message(name, ValueType::Fp64, vec![count as i64], values)
            }
        }
    };
    rows.inputs.iter().enumerate().map(pack_one).collect()
}

fn message(
    name: &str,
    value_type: ValueType,
    shape: Vec<i64>,
    values: impl Iterator<Item = f64>,
) -> InferTensor {
    let mut contents = TensorContents::default();
    // Casts from f64 saturate: a value outside the type becomes its nearest end.
    match value_type {
        ValueType::Bool => contents.bools = values.map(|v| v != 0.0).collect(),
        ValueType::Int8 => contents.ints = values.map(|v| i32::from(v as i8)).collect(),
        ValueType::Int16 => contents.ints = values.map(|v| i32::from(v as i16)).collect(),
        ValueType::Int32 => contents.ints = values.map(|v| v as i32).collect(),
        ValueType::Int64 => contents.int64s = values.map(|v| v as i64).collect(),
        ValueType::Uint8 => contents.uints = values.map(|v| u32::from(v as u8)).collect(),
        ValueType::Uint16 => contents.uints = values.map(|v| u32::from(v as u16)).collect(),
        ValueType::Uint32 => contents.uints = values.map(|v| v as u32).collect(),
        ValueType::Uint64 => contents.uint64s = values.map(|v| v as u64).collect(),
        ValueType::Fp32 => contents.fp32s = values.map(|v| v as f32).collect(),
        ValueType::Fp64 => contents.fp64s = values.collect(),
    }
    InferTensor {
        name: name.into(),
        datatype: value_type.name().into(),
        shape,
        contents: Some(contents),
        ..InferTensor::default()
    }
}

/// Appends the answer for `rows` rows to `columns`; `columns` is empty before the first part.
///
/// # Errors
/// `Rejected` when a tensor's elements do not divide into the rows, its type and contents
/// disagree, or a later part has other outputs than the first. BYTES outputs are left out.
pub(super) fn unpack(
    response: &ModelInferResponse,
    rows: usize,
    columns: &mut Vec<Column>,
) -> Result<()> {
    let first_part = columns.is_empty();
    let mut at = 0;
    for (index, tensor) in response.outputs.iter().enumerate() {
        if tensor.datatype == "BYTES" {
            continue;
        }
        let value_type = ValueType::from_name(&tensor.datatype).ok_or_else(|| {
            wrong(tensor, format!("has type {:?}, which is no number", tensor.datatype))
        })?;
        let values = match response.raw_output_contents.get(index) {
            Some(raw) => from_raw(value_type, raw)
                .ok_or_else(|| wrong(tensor, format!("has {} raw bytes", raw.len())))?,
            None => from_contents(value_type, tensor.contents.as_ref()),
        };
        if values.is_empty() || values.len() % rows != 0 {
            let count = values.len();
            return Err(wrong(
                tensor,
                format!("has {count} elements in shape {:?} for {rows} rows", tensor.shape),
            ));
        }
        let width = values.len() / rows;
        for feature in 0..width {
            if first_part {
                let name = match width {
                    1 => tensor.name.clone(),
                    _ => format!("{}.{feature}", tensor.name),
                };
                columns.push(Column {
                    name: name.into(),
                    data_type: value_type.data_type(),
                    values: Vec::new(),
                });
            }
            let Some(column) = columns.get_mut(at) else {
                return Err(wrong(tensor, "was not in the first part of the answer".into()));
            };
            column.values.extend(values.iter().skip(feature).step_by(width));
            at += 1;
        }
    }
    if at != columns.len() || at == 0 {
        let expected = columns.len().max(1);
        return Err(Error::rejected(format!(
            "the answer has {at} numeric outputs, expected {expected}"
        )));
    }
    Ok(())
}

fn wrong(tensor: &InferTensor, what: String) -> Error {
    Error::rejected(format!("output tensor {:?} {what}", tensor.name))
}

/// The elements of a tensor as numbers, raw or typed; none for BYTES, strangers, and raw bytes that
/// do not divide into elements.
pub fn elements(tensor: &InferTensor, raw: Option<&[u8]>) -> Option<Vec<f64>> {
    let value_type = ValueType::from_name(&tensor.datatype)?;
    match raw {
        Some(raw) => from_raw(value_type, raw),
        None => Some(from_contents(value_type, tensor.contents.as_ref())),
    }
}

fn from_contents(value_type: ValueType, contents: Option<&TensorContents>) -> Vec<f64> {
    let Some(contents) = contents else { return vec![] };
    match value_type {
        ValueType::Bool => contents.bools.iter().map(|v| f64::from(u8::from(*v))).collect(),
        ValueType::Int8 | ValueType::Int16 | ValueType::Int32 => {
            contents.ints.iter().map(|v| f64::from(*v)).collect()
        }
        ValueType::Int64 => contents.int64s.iter().map(|v| *v as f64).collect(),
        ValueType::Uint8 | ValueType::Uint16 | ValueType::Uint32 => {
            contents.uints.iter().map(|v| f64::from(*v)).collect()
        }
        ValueType::Uint64 => contents.uint64s.iter().map(|v| *v as f64).collect(),
        ValueType::Fp32 => contents.fp32s.iter().map(|v| f64::from(*v)).collect(),
        ValueType::Fp64 => contents.fp64s.clone(),
    }
}

/// Little-endian elements; `None` when the bytes do not divide into elements.
fn from_raw(value_type: ValueType, raw: &[u8]) -> Option<Vec<f64>> {
    fn each<const N: usize>(raw: &[u8], read: impl Fn([u8; N]) -> f64) -> Option<Vec<f64>> {
        let (elements, rest) = raw.as_chunks::<N>();
        rest.is_empty().then(|| elements.iter().map(|element| read(*element)).collect())
    }
    match value_type {
        ValueType::Bool => each(raw, |[b]| f64::from(u8::from(b != 0))),
        ValueType::Int8 => each(raw, |b| f64::from(i8::from_le_bytes(b))),
        ValueType::Int16 => each(raw, |b| f64::from(i16::from_le_bytes(b))),
        ValueType::Int32 => each(raw, |b| f64::from(i32::from_le_bytes(b))),
        ValueType::Int64 => each(raw, |b| i64::from_le_bytes(b) as f64),
        ValueType::Uint8 => each(raw, |[b]| f64::from(b)),
        ValueType::Uint16 => each(raw, |b| f64::from(u16::from_le_bytes(b))),
        ValueType::Uint32 => each(raw, |b| f64::from(u32::from_le_bytes(b))),
        ValueType::Uint64 => each(raw, |b| u64::from_le_bytes(b) as f64),
        ValueType::Fp32 => each(raw, |b| f64::from(f32::from_le_bytes(b))),
        ValueType::Fp64 => each(raw, f64::from_le_bytes),
    }
}
