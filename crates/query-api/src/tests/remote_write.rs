// SPDX-License-Identifier: Apache-2.0
//! Remote write 2.0 from the request to the answers of queries.

use super::*;

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn uint(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A histogram of bounds 1, 2 and 4: `times` 1, 3, 0 and 2 observations.
fn histogram(time_ms: u64, times: u64) -> Vec<u8> {
    let zigzag = |value: i64| ((value << 1) ^ (value >> 63)) as u64;
    let mut out = Vec::new();
    uint(&mut out, 1, 6 * times);
    varint(&mut out, 3 << 3 | 1);
    out.extend_from_slice(&(12.5 * times as f64).to_le_bytes());
    uint(&mut out, 4, zigzag(-53));
    for (offset, length) in [(0, 2), (1, 1)] {
        let mut span = Vec::new();
        uint(&mut span, 1, zigzag(offset));
        uint(&mut span, 2, length);
        bytes(&mut out, 11, &span);
    }
    let mut deltas = Vec::new();
    [1, 2, -1].iter().for_each(|delta| varint(&mut deltas, zigzag(delta * times as i64)));
    bytes(&mut out, 12, &deltas);
    uint(&mut out, 15, time_ms);
    let bounds: Vec<u8> = [1.0f64, 2.0, 4.0].iter().flat_map(|b| b.to_le_bytes()).collect();
    bytes(&mut out, 16, &bounds);
    out
}

#[tokio::test]
async fn native_histograms_with_custom_buckets_are_taken_kept_and_queried() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (router, api) = api_with(folder.path(), &[]);
    let mut request = Vec::new();
    let symbols = ["", "__name__", "latency_seconds", "job", "shop"];
    symbols.iter().for_each(|symbol| bytes(&mut request, 4, symbol.as_bytes()));
    let mut series = Vec::new();
    bytes(&mut series, 1, &[1, 2, 3, 4]);
    for (before, times) in [(60, 1), (0, 3)] {
        bytes(&mut series, 3, &histogram((NOW_S - before) * 1000, times));
    }
    let mut metadata = Vec::new();
    uint(&mut metadata, 1, 3);
    bytes(&mut series, 5, &metadata);
    bytes(&mut request, 5, &series);
    let body = snap::raw::Encoder::new().compress_vec(&request).expect("small");
    let post = Request::post("/api/v1/write")
        .header("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "2.0.0")
        .body(Body::from(body))
        .expect("request");
    let answer = router.clone().oneshot(post).await.expect("infallible");
    let written = answer.headers().get("x-prometheus-remote-write-histograms-written").cloned();
    assert_eq!((answer.status().as_u16(), written.expect("told")), (204, "2".parse().unwrap()));
    for place in ["memory", "a block"] {
        let (_, body) = get(&router, "/api/v1/query?query=latency_seconds").await;
        let found = &body["data"]["result"][0];
        assert_eq!(
            found["metric"],
            json!({"__name__": "latency_seconds", "job": "shop"}),
            "{place}"
        );
        let histogram = &found["histogram"][1];
        assert_eq!((&histogram["count"], &histogram["sum"]), (&json!("18"), &json!("37.5")));
        // Boundary rule, lower and upper bound, count.
        let buckets = json!([[0, "-Inf", "1", "3"], [0, "1", "2", "9"], [0, "4", "+Inf", "6"],]);
        assert_eq!(histogram["buckets"].as_array().map(Vec::len), Some(3), "{histogram}");
        for (bucket, expected) in
            histogram["buckets"].as_array().unwrap().iter().zip(buckets.as_array().unwrap())
        {
            assert_eq!(bucket.as_array().unwrap()[1..], expected.as_array().unwrap()[1..]);
        }
        for (query, expected) in [
            ("histogram_quantile(0.5,latency_seconds)", "1.6666666666666665"),
            ("histogram_count(increase(latency_seconds%5B90s%5D))", "18"),
            ("histogram_fraction(1,2,latency_seconds)", "0.5"),
        ] {
            let (_, body) = get(&router, &format!("/api/v1/query?query={query}")).await;
            assert_eq!(body["data"]["result"][0]["value"][1], expected, "{query} in {place}");
        }
        api.store().expect("store").flush().expect("flush");
    }
}
