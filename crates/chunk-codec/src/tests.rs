// SPDX-License-Identifier: Apache-2.0
use std::path::Path;

use proptest::prelude::*;

use super::*;

const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Encodes, checks that decoding behind other values gives the same bits; returns the bytes.
#[track_caller]
fn check_values(values: &[f64]) -> usize {
    let mut chunk = vec![0xaa];
    encode_values(values, &mut chunk);
    let mut back = vec![7.0];
    decode_values(&chunk[1..], &mut back).expect("what was encoded");
    assert_eq!(bits(&back[1..]), bits(values));
    chunk.len() - 1
}

#[track_caller]
fn check_times(times: &[i64]) -> usize {
    let mut chunk = vec![0xaa];
    encode_times(times, &mut chunk);
    let mut back = vec![7];
    decode_times(&chunk[1..], &mut back).expect("what was encoded");
    assert_eq!(&back[1..], times);
    chunk.len() - 1
}

fn same(a: &Histogram, b: &Histogram) -> bool {
    let doubles = |h: &Histogram| {
        let scalars = [h.zero_threshold, h.zero_count, h.count, h.sum];
        let counts = h.positive.iter().chain(&h.negative).map(|(_, count)| *count);
        bits(&scalars.into_iter().chain(h.bounds.iter().copied()).chain(counts).collect::<Vec<_>>())
    };
    let indexes = |h: &Histogram| {
        let side = |side: &[(i32, f64)]| side.iter().map(|(index, _)| *index).collect::<Vec<_>>();
        (h.schema, side(&h.positive), side(&h.negative))
    };
    doubles(a) == doubles(b) && indexes(a) == indexes(b)
}

#[track_caller]
fn check_histograms(histograms: &[Histogram]) -> usize {
    let all: Vec<HistogramRef<'_>> = histograms.iter().map(Histogram::as_ref).collect();
    let mut chunk = Vec::new();
    assert_eq!(encode_histograms(&all, &mut chunk), histograms.len());
    let mut back = vec![Histogram::default()];
    decode_histograms(&chunk, &mut back).expect("what was encoded");
    assert_eq!(back.len(), histograms.len() + 1);
    for (found, expected) in back[1..].iter().zip(histograms) {
        assert!(same(found, expected), "{found:?} is not {expected:?}");
    }
    chunk.len()
}

fn odd_double() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(STALE),
        Just(-0.0),
        Just(0.0),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(9_007_199_254_740_993.0),
        Just(-9.3e18),
        Just(9.2e18),
        any::<u64>().prop_map(f64::from_bits),
        any::<f64>(),
    ]
}

/// Runs as they come: counters and gauges, whole or with digits, some with odd values in them.
fn run() -> impl Strategy<Value = Vec<f64>> {
    let shape = (0u32..24, 0i64..1 << 40, 1i64..5000, 0u8..4, 1i64..5000);
    let steps = proptest::collection::vec(0i64..1000, 0..400);
    let odd = proptest::collection::vec((any::<prop::sample::Index>(), odd_double()), 0..6);
    (shape, steps, odd).prop_map(|((digits, first, scale, order, factor), steps, odd)| {
        let (mut sum, mut slope) = (first, 0);
        let mut values: Vec<f64> = steps
            .iter()
            .map(|step| {
                let step = step * scale / 1000 * factor;
                slope += step;
                sum += if order == 2 { slope } else { step };
                let int = match order {
                    0 => first + step,
                    3 => -sum,
                    _ => sum,
                };
                int as f64 / 10f64.powi(digits as i32)
            })
            .collect();
        if !values.is_empty() {
            let len = values.len();
            odd.iter().for_each(|(at, value)| values[at.index(len)] = *value);
        }
        values
    })
}

fn side() -> impl Strategy<Value = Vec<(i32, f64)>> {
    let count = prop_oneof![8 => (1u32..900).prop_map(f64::from), 1 => odd_double()];
    proptest::collection::btree_map(-20i32..20, count, 0..8)
        .prop_map(|side| side.into_iter().collect())
}

fn histogram() -> impl Strategy<Value = Histogram> {
    let head = (-53i32..9, prop_oneof![Just(1e-128), Just(0.0)], odd_double(), odd_double());
    let bounds =
        prop_oneof![5 => Just(Vec::new()), 1 => proptest::collection::vec(odd_double(), 0..4)];
    (head, bounds, side(), side()).prop_map(
        |((schema, zero_threshold, zero_count, sum), bounds, positive, negative)| Histogram {
            schema: schema / 20,
            zero_threshold,
            zero_count,
            count: 5.0,
            sum,
            bounds,
            positive,
            negative,
        },
    )
}

proptest! {
    #[test]
    fn values_come_back_bit_for_bit(values in run()) {
        check_values(&values);
    }

    #[test]
    fn any_doubles_come_back_bit_for_bit(values in proptest::collection::vec(odd_double(), 0..200)) {
        prop_assert!(check_values(&values) <= 4 + values.len() * 8);
    }

    #[test]
    fn times_come_back(
        first in prop_oneof![Just(1_700_000_000_000i64), any::<i64>()],
        steps in proptest::collection::vec(prop_oneof![20 => Just(15_000i64), 3 => 14_990i64..15_010, 1 => any::<i64>()], 0..300),
        jitter: bool,
    ) {
        let mut times = vec![first];
        for (at, step) in steps.iter().enumerate() {
            let off = if jitter { at as i64 * 7919 % 7 - 3 } else { 0 };
            times.push(times[at].wrapping_add(step + off % (step / 2).max(1)));
        }
        check_times(&times);
    }

    #[test]
    fn histograms_come_back_bit_for_bit(
        all in proptest::collection::vec(histogram(), 0..12),
        twice: bool,
    ) {
        let all = if twice { all.iter().chain(&all).cloned().collect() } else { all };
        check_histograms(&all);
    }

    #[test]
    fn any_bytes_are_a_chunk_or_an_error(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), version: bool) {
        if version && !bytes.is_empty() {
            bytes[0] = VERSION | bytes[0] & 3;
        }
        check_any_bytes(&bytes);
    }

    #[test]
    fn a_changed_chunk_is_a_chunk_or_an_error(
        values in run(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut chunk = Vec::new();
        encode_values(&values, &mut chunk);
        for (at, byte) in changes {
            let len = chunk.len();
            chunk[at.index(len)] = byte;
        }
        check_any_bytes(&chunk);
        check_any_bytes(&chunk[..cut.index(chunk.len())]);
    }
}

fn check_any_bytes(bytes: &[u8]) {
    let most = SAMPLES_MAX.max(bytes.len());
    let mut values = vec![1.0];
    let decoded = decode_values(bytes, &mut values);
    assert!(values.len() <= 1 + most && (decoded.is_ok() || values == [1.0]));
    let mut times = vec![1];
    let decoded = decode_times(bytes, &mut times);
    assert!(times.len() <= 1 + most && (decoded.is_ok() || times == [1]));
    let mut histograms = Vec::new();
    let decoded = decode_histograms(bytes, &mut histograms);
    assert!(histograms.len() <= most && (decoded.is_ok() || histograms.is_empty()));
}

/// What a run of 480 values may take: bytes.
#[test]
fn runs_of_each_kind_are_as_small_as_they_should_be() {
    let noise = |at: usize| ((at * 2_654_435_761) >> 7) % 64;
    let of = |value: &dyn Fn(usize) -> f64| (0..480).map(value).collect::<Vec<f64>>();
    let sum = |step: &dyn Fn(usize) -> usize| {
        let mut total = 0;
        (0..480).map(|at| (total += step(at), total as f64).1).collect::<Vec<f64>>()
    };
    let mut stale = sum(&|at| 1000 + noise(at));
    stale[479] = STALE;
    let mut reset = sum(&|at| 1000 + noise(at));
    reset[240..].iter_mut().for_each(|value| *value -= 200_000.0);
    let cases: [(&str, Vec<f64>, usize); 11] = [
        ("constant", of(&|_| 4096.0), 8),
        ("constant of full precision", of(&|_| 0.1f64.sqrt()), 16),
        ("steady counter", of(&|at| at as f64 * 15.0), 20),
        ("one step", of(&|at| if at < 300 { 3.0 } else { 4.0 }), 32),
        ("noisy counter of 6 bits", sum(&|at| 1000 + noise(at)), 6 * 60 + 40),
        ("the same with a staleness marker", stale, 6 * 60 + 60),
        ("the same with a reset", reset, 6 * 60 + 60),
        ("two decimals", sum(&|at| 100 + noise(at)).iter().map(|v| v / 100.0).collect(), 400),
        ("pages", of(&|at| (1000 + noise(at)) as f64 * 4096.0), 6 * 60 + 48),
        ("nanoseconds", of(&|at| 1.7e18 + at as f64 * 65536.0), 40),
        ("full precision", of(&|at| (noise(at) as f64 + 100.0).sqrt()), 480 * 7),
    ];
    for (what, values, most) in cases {
        let bytes = check_values(&values);
        assert!(bytes <= most, "{what}: {bytes} bytes, at most {most}");
    }
    let start = 1_700_000_000_000i64;
    let regular: Vec<i64> = (0..480).map(|at| start + at * 15_000).collect();
    assert!(check_times(&regular) <= 12);
    let jittered: Vec<i64> =
        regular.iter().enumerate().map(|(at, time)| time + noise(at) as i64 % 7).collect();
    let bytes = check_times(&jittered);
    assert!(bytes <= 480 * 3 / 8 + 50, "{bytes} bytes for times of 3 bits");
}

#[test]
fn longer_runs_than_a_chunk_packs_come_back_too() {
    let values: Vec<f64> = (0..SAMPLES_MAX + 1).map(|at| at as f64).collect();
    assert!(check_values(&values) > values.len() * 8);
    let times: Vec<i64> = (0..SAMPLES_MAX as i64 + 1).collect();
    assert!(check_times(&times) > times.len() * 8);
    assert!(check_values(&values[..SAMPLES_MAX]) < 40);
}

#[test]
fn wide_histograms_fill_one_chunk_and_no_more() {
    let one = Histogram {
        positive: (0..10_000).map(|index| (index, 1.0)).collect(),
        ..Histogram::default()
    };
    let all: Vec<HistogramRef<'_>> = (0..600).map(|_| one.as_ref()).collect();
    let mut chunk = Vec::new();
    let taken = encode_histograms(&all, &mut chunk);
    assert!((400..600).contains(&taken), "{taken}");
    let mut back = Vec::new();
    decode_histograms(&chunk, &mut back).expect("what was encoded");
    assert!(back.len() == taken && back.iter().all(|histogram| same(histogram, &one)));
}

#[test]
fn statistics_leave_staleness_markers_out() {
    let told = stats(&[5.0, STALE, 7.0, 7.0, 2.0, 1e100, -1e100, 4.0]);
    let expected = Stats {
        count: 7,
        stale: 1,
        first: 5.0,
        last: 4.0,
        min: -1e100,
        max: 1e100,
        sum: 25.0,
        resets: 2,
        drops: 1e100,
        changes: 5,
    };
    assert_eq!(told, expected);
    let none = stats(&[STALE]);
    assert!(none.count == 0 && none.stale == 1 && none.first.is_nan() && none.sum.is_nan());
    let nan = stats(&[f64::NAN, 1.0, f64::NAN]);
    assert_eq!((nan.min, nan.max, nan.count), (1.0, 1.0, 3));
    assert!(nan.sum.is_nan() && nan.last.is_nan());
    assert_eq!(stats(&[f64::INFINITY, 1.0]).sum, f64::INFINITY);
}

/// Chunks that version 1 has written. They are read for ever; never write them anew.
#[test]
fn chunks_of_all_versions_stay_readable() {
    let cases: [(&str, Vec<f64>); 7] = [
        ("empty", vec![]),
        ("constant", vec![2.5; 480]),
        (
            "raw",
            (0..9).map(|at| f64::from_bits(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(at))).collect(),
        ),
        ("counter", (0..200).map(|at| f64::from(at * at % 977 + at * 1000)).collect()),
        (
            "decimal",
            (0..200)
                .map(|at| if at == 99 { STALE } else { f64::from(at * 37 % 101) / 100.0 })
                .collect(),
        ),
        ("full", (0..200).map(|at| f64::from(at + 1).sqrt()).collect()),
        ("pages", (0..200).map(|at| f64::from(at * at * 7 % 1009) * 4096.0 + 1e15).collect()),
    ];
    for (name, values) in cases {
        let chunk = golden(&format!("values-{name}"), |out| encode_values(&values, out));
        let mut back = Vec::new();
        decode_values(&chunk, &mut back).expect(name);
        assert_eq!(bits(&back), bits(&values), "{name}");
    }
    let start = 1_700_000_000_000i64;
    let cases: [(&str, Vec<i64>); 4] = [
        ("empty", vec![]),
        ("regular", (0..480).map(|at| start + at * 15_000).collect()),
        ("jitter", (0..480).map(|at| start + at * 15_000 + at * 7919 % 7).collect()),
        ("gap", (0..200).map(|at| start + (at + at / 150 * 40) * 1_000).collect()),
    ];
    for (name, times) in cases {
        let chunk = golden(&format!("times-{name}"), |out| encode_times(&times, out));
        let mut back = Vec::new();
        decode_times(&chunk, &mut back).expect(name);
        assert_eq!(back, times, "{name}");
    }
    let histograms: Vec<Histogram> = (0..50)
        .map(|at| Histogram {
            schema: if at < 40 { 3 } else { 2 },
            zero_threshold: 1e-128,
            zero_count: f64::from(at / 9),
            count: f64::from(at * 7),
            sum: if at == 49 { STALE } else { f64::from(at) * 0.37 },
            bounds: if at == 45 { vec![1.0, 2.5] } else { Vec::new() },
            positive: (0..at / 5).map(|index| (index * 2 - 4, f64::from(at * index + 1))).collect(),
            negative: if at % 2 == 0 { vec![(-1, 3.0)] } else { Vec::new() },
        })
        .collect();
    let all: Vec<HistogramRef<'_>> = histograms.iter().map(Histogram::as_ref).collect();
    let chunk = golden("histograms", |out| assert_eq!(encode_histograms(&all, out), 50));
    let mut back = Vec::new();
    decode_histograms(&chunk, &mut back).expect("histograms");
    assert!(back.len() == 50 && back.iter().zip(&histograms).all(|(a, b)| same(a, b)));
}

/// A kept chunk; `GOLDEN=new` writes those that are missing.
fn golden(name: &str, encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/v1");
    let path = folder.join(format!("{name}.chunk"));
    if !path.exists() && std::env::var("GOLDEN").is_ok_and(|how| how == "new") {
        let mut chunk = Vec::new();
        encode(&mut chunk);
        std::fs::create_dir_all(&folder).expect("a folder for chunks");
        std::fs::write(&path, chunk).expect("a new chunk");
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
