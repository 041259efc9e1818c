// SPDX-License-Identifier: Apache-2.0
use super::proto::{
    InferTensor, ModelInferResponse, ModelMetadataResponse, TensorContents, TensorMetadata,
};
use super::tensor::{pack, unpack};
use super::*;
use crate::{Column, DataType, Rows};
use basics::Kind;
use proptest::prelude::*;

fn tensor(name: &str, datatype: &str, shape: &[i64]) -> TensorMetadata {
    TensorMetadata { name: name.into(), datatype: datatype.into(), shape: shape.to_vec() }
}

fn metadata(inputs: Vec<TensorMetadata>) -> ModelMetadata {
    let response = ModelMetadataResponse { name: "m".into(), inputs, ..Default::default() };
    ModelMetadata::from_response(response).unwrap()
}

fn two_rows(inputs: usize) -> Rows {
    let mut rows = Rows::new(inputs);
    for row in 0..2 {
        let values: Vec<f64> = (0..inputs).map(|i| (10 * row + i) as f64).collect();
        rows.push(&values, 0, row as u32);
    }
    rows
}

#[test]
fn rows_are_packed_as_the_model_describes_its_tensors() {
    let names = ["a.b".to_owned(), "c.d".to_owned()];
    let rows = two_rows(2);
    let shapes = |metadata: &ModelMetadata| -> Vec<(String, String, Vec<i64>)> {
        pack(metadata, &names, &rows, 0..2)
            .into_iter()
            .map(|t| (t.name, t.datatype, t.shape))
            .collect()
    };
    let plain = |name: &str, datatype: &str, shape: &[i64]| {
        (name.to_owned(), datatype.to_owned(), shape.to_vec())
    };
    // Silent model: named after the rule's inputs, FP64, one axis.
    assert_eq!(shapes(&metadata(vec![])), [plain("a.b", "FP64", &[2]), plain("c.d", "FP64", &[2])]);
    // One tensor per input, own names and types.
    let two = metadata(vec![tensor("x", "FP32", &[-1]), tensor("y", "INT64", &[-1, 1])]);
    assert_eq!(shapes(&two), [plain("x", "FP32", &[2]), plain("y", "INT64", &[2, 1])]);
    // One tensor for all inputs.
    let packed = metadata(vec![tensor("features", "FP64", &[-1, 2])]);
    assert_eq!(shapes(&packed), [plain("features", "FP64", &[2, 2])]);
    let contents = pack(&packed, &names, &rows, 0..2).remove(0).contents.unwrap();
    assert_eq!(contents.fp64s, [0.0, 1.0, 10.0, 11.0], "row after row");
    // Windowed models get a window of one.
    let windowed = metadata(vec![tensor("w", "FP64", &[-1, -1, 2])]);
    assert_eq!(shapes(&windowed), [plain("w", "FP64", &[2, 1, 2])]);
    // No batch axis: row by row.
    let single = metadata(vec![tensor("row", "FP64", &[2])]);
    assert_eq!(single.rows_max(2).unwrap(), 1);
    assert_eq!(pack(&single, &names, &rows, 1..2)[0].shape, [2]);
}

#[test]
fn a_rule_that_does_not_fit_the_model_is_refused_with_expected_and_given() {
    for (inputs, tensors, expected) in [
        (1, vec![tensor("x", "FP64", &[-1]), tensor("y", "FP64", &[-1])], "2 input tensors"),
        (3, vec![tensor("x", "FP64", &[-1, 2])], "wants shape [-1, 2]"),
        (1, vec![tensor("x", "FP64", &[8])], "wants shape [8]"),
        (1, vec![tensor("x", "FP64", &[0])], "wants shape [0]"),
    ] {
        let error = metadata(tensors).rows_max(inputs).unwrap_err();
        assert_eq!(error.kind(), Kind::Rejected);
        assert!(error.to_string().contains(expected), "{error}");
    }
    let text = ModelMetadataResponse {
        name: "m".into(),
        inputs: vec![tensor("t", "BYTES", &[-1])],
        ..Default::default()
    };
    assert!(ModelMetadata::from_response(text).is_err());
}

#[test]
fn a_request_stays_under_the_message_limit_for_every_type() {
    for name in ["FP64", "FP32", "INT64", "UINT64", "INT8", "BOOL"] {
        let metadata = metadata(vec![tensor("x", name, &[-1])]);
        let rows_max = metadata.rows_max(1).unwrap();
        let mut rows = Rows::new(1);
        (0..rows_max).for_each(|i| rows.push(&[-1e18], 0, i as u32));
        let bytes: usize =
            pack(&metadata, &[], &rows, 0..rows_max).iter().map(prost::Message::encoded_len).sum();
        assert!(bytes < 3_500 << 10, "{name}: {bytes}");
    }
}

fn answer(tensors: Vec<InferTensor>, raw: Vec<Vec<u8>>) -> ModelInferResponse {
    ModelInferResponse { outputs: tensors, raw_output_contents: raw, ..Default::default() }
}

fn output(datatype: &str, shape: &[i64], contents: Option<TensorContents>) -> InferTensor {
    InferTensor {
        name: "out".into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        contents,
        ..Default::default()
    }
}

fn values(answer: &ModelInferResponse, rows: usize) -> basics::Result<Vec<Column>> {
    let mut columns = vec![];
    unpack(answer, rows, &mut columns).map(|()| columns)
}

#[test]
fn typed_and_raw_answers_of_every_type_read_the_same() {
    let raw = |bytes: &[&[u8]]| bytes.concat();
    let c = TensorContents::default;
    for (name, contents, raw, expected, data_type) in [
        (
            "BOOL",
            TensorContents { bools: vec![true, false], ..c() },
            vec![1, 0],
            [1.0, 0.0],
            DataType::Bool,
        ),
        (
            "INT8",
            TensorContents { ints: vec![-1, 5], ..c() },
            vec![255, 5],
            [-1.0, 5.0],
            DataType::Int,
        ),
        (
            "INT16",
            TensorContents { ints: vec![-2, 300], ..c() },
            raw(&[&(-2i16).to_le_bytes(), &300i16.to_le_bytes()]),
            [-2.0, 300.0],
            DataType::Int,
        ),
        (
            "INT32",
            TensorContents { ints: vec![-3, 70000], ..c() },
            raw(&[&(-3i32).to_le_bytes(), &70000i32.to_le_bytes()]),
            [-3.0, 70000.0],
            DataType::Int,
        ),
        (
            "INT64",
            TensorContents { int64s: vec![-4, 1 << 40], ..c() },
            raw(&[&(-4i64).to_le_bytes(), &(1i64 << 40).to_le_bytes()]),
            [-4.0, 1_099_511_627_776.0],
            DataType::Int,
        ),
        (
            "UINT8",
            TensorContents { uints: vec![200, 5], ..c() },
            vec![200, 5],
            [200.0, 5.0],
            DataType::Int,
        ),
        (
            "UINT16",
            TensorContents { uints: vec![60000, 5], ..c() },
            raw(&[&60000u16.to_le_bytes(), &5u16.to_le_bytes()]),
            [60000.0, 5.0],
            DataType::Int,
        ),
        (
            "UINT32",
            TensorContents { uints: vec![4_000_000_000, 5], ..c() },
            raw(&[&4_000_000_000u32.to_le_bytes(), &5u32.to_le_bytes()]),
            [4e9, 5.0],
            DataType::Int,
        ),
        (
            "UINT64",
            TensorContents { uint64s: vec![1 << 50, 5], ..c() },
            raw(&[&(1u64 << 50).to_le_bytes(), &5u64.to_le_bytes()]),
            [1_125_899_906_842_624.0, 5.0],
            DataType::Int,
        ),
        (
            "FP32",
            TensorContents { fp32s: vec![0.5, -2.0], ..c() },
            raw(&[&0.5f32.to_le_bytes(), &(-2f32).to_le_bytes()]),
            [0.5, -2.0],
            DataType::Float,
        ),
        (
            "FP64",
            TensorContents { fp64s: vec![0.1, -2.0], ..c() },
            raw(&[&0.1f64.to_le_bytes(), &(-2f64).to_le_bytes()]),
            [0.1, -2.0],
            DataType::Float,
        ),
    ] {
        let typed = values(&answer(vec![output(name, &[2], Some(contents))], vec![]), 2).unwrap();
        // Triton: raw contents beside tensors without contents; the extra axis is MLServer's.
        let raw = values(&answer(vec![output(name, &[2, 1], None)], vec![raw]), 2).unwrap();
        for columns in [typed, raw] {
            assert_eq!(columns[0].values, expected, "{name}");
            assert_eq!(columns[0].data_type, data_type, "{name}");
        }
    }
}

#[test]
fn an_output_with_several_values_a_row_becomes_several_columns() {
    let contents = TensorContents { fp64s: vec![1.0, 2.0, 3.0, 4.0], ..Default::default() };
    let columns =
        values(&answer(vec![output("FP64", &[2, 2], Some(contents))], vec![]), 2).unwrap();
    let got: Vec<_> = columns.iter().map(|c| (c.name.as_ref(), c.values.clone())).collect();
    assert_eq!(got, [("out.0", vec![1.0, 3.0]), ("out.1", vec![2.0, 4.0])]);
}

#[test]
fn answers_that_make_no_sense_are_refused() {
    let fp64 =
        |values: &[f64]| Some(TensorContents { fp64s: values.to_vec(), ..Default::default() });
    for (what, answer) in [
        ("no output", answer(vec![], vec![])),
        ("3 elements for 2 rows", answer(vec![output("FP64", &[3], fp64(&[1.0; 3]))], vec![])),
        ("no element", answer(vec![output("FP64", &[0], fp64(&[]))], vec![])),
        ("no contents", answer(vec![output("FP64", &[2], None)], vec![])),
        ("contents of another type", answer(vec![output("INT64", &[2], fp64(&[1.0; 2]))], vec![])),
        ("cut raw bytes", answer(vec![output("FP64", &[2], None)], vec![vec![0; 15]])),
        ("unknown type", answer(vec![output("FP8", &[2], fp64(&[1.0; 2]))], vec![])),
        ("only text", answer(vec![output("BYTES", &[2], None)], vec![])),
    ] {
        assert_eq!(values(&answer, 2).map_err(|e| e.kind()).err(), Some(Kind::Rejected), "{what}");
    }
}

#[test]
fn parts_of_a_split_answer_must_agree() {
    let fp64 = |n| Some(TensorContents { fp64s: vec![1.0; n], ..Default::default() });
    let mut columns = vec![];
    unpack(&answer(vec![output("FP64", &[2], fp64(2))], vec![]), 2, &mut columns).unwrap();
    unpack(&answer(vec![output("FP64", &[1], fp64(1))], vec![]), 1, &mut columns).unwrap();
    assert_eq!(columns[0].values.len(), 3);
    let wider = answer(vec![output("FP64", &[1, 2], fp64(2))], vec![]);
    assert!(unpack(&wider, 1, &mut columns).is_err());
}

#[tokio::test]
async fn endpoints_and_headers_are_checked_before_anything_is_sent() {
    let config = |endpoint: &str| ClientConfig { endpoint: endpoint.into(), ..Default::default() };
    for endpoint in ["mlserver:8081", "http://127.0.0.1:8081", "http://[::1]:8081/", "[::1]:1"] {
        Client::new(&config(endpoint)).expect(endpoint);
    }
    for endpoint in ["", "mlserver", "mlserver:port", "ftp://a:1", "https://a:1", "http://a:1/path"]
    {
        assert!(Client::new(&config(endpoint)).is_err(), "{endpoint}");
    }
    let mut bad = config("a:1");
    bad.headers.insert("white space".into(), "x".into());
    assert_eq!(Client::new(&bad).unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn a_server_that_is_down_is_a_retryable_error() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = Client::new(&ClientConfig { endpoint, ..Default::default() }).unwrap();
    let error = client.server_ready(std::time::Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error.kind(), Kind::Retry { .. }), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

proptest! {
    #[test]
    fn any_raw_bytes_and_shapes_are_read_or_refused(
        raw in prop::collection::vec(any::<u8>(), 0..100),
        datatype in prop::sample::select(vec!["BOOL", "INT16", "FP32", "FP64", "BYTES", ""]),
        rows in 1usize..20,
    ) {
        let tensors = vec![output(datatype, &[-5, i64::MAX], None)];
        if let Ok(columns) = values(&answer(tensors, vec![raw]), rows) {
            prop_assert!(columns.iter().all(|column| column.values.len() == rows));
        }
    }

    #[test]
    fn any_metadata_shape_is_accepted_or_refused(shape in prop::collection::vec(-2i64..5, 0..4)) {
        let metadata = metadata(vec![tensor("x", "FP64", &shape)]);
        for inputs in 1..4 {
            if let Ok(rows_max) = metadata.rows_max(inputs) {
                let count = rows_max.min(2);
                for tensor in pack(&metadata, &[], &two_rows(inputs), 0..count) {
                    let elements: i64 = tensor.shape.iter().product();
                    prop_assert_eq!(elements, (count * inputs) as i64);
                }
            }
        }
    }
}
