// SPDX-License-Identifier: Apache-2.0
//! Ten times the connections on a back end that takes a tenth: memory within the limit, the back
//! end never waits for work, and all is normal again at once. `bench overload` has every protocol
//! and codec, longer, and holds goodput against 95 %.

use std::path::Path;

/// Other tests run beside this one, and its sink and senders share their cores.
const GOODPUT_MIN: f64 = 0.6;

#[test]
fn overload_costs_neither_memory_nor_goodput_and_is_over_when_it_ends() {
    let program = Path::new(env!("CARGO_BIN_EXE_foreglow"));
    let all = bench::overload::short(program, &["grpc gzip", "http/protobuf zstd"]);
    for figures in all.expect("both can be run") {
        println!("{figures:?}");
        figures.check(GOODPUT_MIN).expect("within bounds");
    }
}
