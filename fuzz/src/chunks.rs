// SPDX-License-Identifier: Apache-2.0
//! Chunks of samples: what is encoded comes back bit for bit, and what is broken is refused or read
//! as something within bounds.

use chunk_codec::{
    Histogram, HistogramRef, SAMPLES_MAX, decode_histograms, decode_times, decode_values,
    encode_histograms, encode_times, encode_values,
};

use crate::random::Random;

/// A run of values: a walk of some order with digits, and doubles as they hurt.
fn values(random: &mut Random) -> Vec<f64> {
    let count = random.below(300);
    let unit = [1.0, 10.0, 100.0, 1e6, 3.0][random.below(5)];
    let factor = random.pick(&[1, 1, 7, 4096]);
    let odd = 1 + random.below(200);
    let most = 1 << random.below(20);
    let (mut slope, mut sum) = (0i64, random.below(1 << 40) as i64);
    let mut next = |random: &mut Random| {
        slope = if random.once_in(3) { slope } else { random.below(most) as i64 };
        sum += slope * factor;
        if random.once_in(odd) { random.double() } else { sum as f64 / unit }
    };
    (0..count).map(|_| next(random)).collect()
}

fn times(random: &mut Random) -> Vec<i64> {
    let jitter = 1 + random.below(20);
    let gap = 1 + random.below(100);
    let mut time = random.number() as i64;
    let mut next = |random: &mut Random| {
        time = time.wrapping_add(if random.once_in(gap) { random.number() as i64 } else { 15_000 });
        time.wrapping_add(random.below(jitter) as i64)
    };
    (0..random.below(300)).map(|_| next(random)).collect()
}

fn histograms(random: &mut Random) -> Vec<Histogram> {
    let side = |random: &mut Random| {
        let mut index = random.below(20) as i32 - 10;
        let mut bucket = |random: &mut Random| {
            index += 1 + random.below(3) as i32;
            (index, if random.once_in(50) { random.double() } else { random.below(900) as f64 })
        };
        (0..random.below(8)).map(|_| bucket(random)).collect::<Vec<_>>()
    };
    let one = |random: &mut Random| Histogram {
        schema: random.below(3) as i32 - 1,
        zero_threshold: if random.once_in(9) { random.double() } else { 1e-128 },
        zero_count: random.below(5) as f64,
        count: random.below(5000) as f64,
        sum: random.double(),
        bounds: if random.once_in(9) { vec![random.double()] } else { Vec::new() },
        positive: side(random),
        negative: side(random),
    };
    (0..random.below(12)).map(|_| one(random)).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The chunks of a seed.
fn chunks(random: &mut Random) -> [Vec<u8>; 3] {
    let mut chunks = [const { Vec::new() }; 3];
    encode_values(&values(random), &mut chunks[0]);
    encode_times(&times(random), &mut chunks[1]);
    let all = histograms(random);
    let all: Vec<HistogramRef<'_>> = all.iter().map(Histogram::as_ref).collect();
    encode_histograms(&all, &mut chunks[2]);
    chunks
}

/// What is encoded comes back.
pub fn round_trips(seed: u64) {
    let mut random = Random::new(seed);
    let (mut chunk, mut back) = (Vec::new(), Vec::new());
    let all = values(&mut random);
    encode_values(&all, &mut chunk);
    decode_values(&chunk, &mut back).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert_eq!(bits(&back), bits(&all), "seed {seed}");
    let (mut chunk, mut back) = (Vec::new(), Vec::new());
    let all = times(&mut random);
    encode_times(&all, &mut chunk);
    decode_times(&chunk, &mut back).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert_eq!(back, all, "seed {seed}");
    let (mut chunk, mut back) = (Vec::new(), Vec::new());
    let all = histograms(&mut random);
    let borrowed: Vec<HistogramRef<'_>> = all.iter().map(Histogram::as_ref).collect();
    assert_eq!(encode_histograms(&borrowed, &mut chunk), all.len(), "seed {seed}");
    decode_histograms(&chunk, &mut back).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let text = |all: &[Histogram]| format!("{all:?}");
    assert_eq!(text(&back), text(&all), "seed {seed}");
}

/// Broken chunks, and chunks read as what they are not, are refused or read within bounds.
pub fn broken_chunks_are_safe(seed: u64) {
    let mut random = Random::new(seed);
    for mut chunk in chunks(&mut random) {
        for _ in 0..random.below(4) {
            let at = random.below(chunk.len());
            chunk[at] = random.bits() as u8;
        }
        if random.once_in(3) {
            chunk.truncate(random.below(chunk.len() + 1));
        }
        if random.once_in(9) {
            chunk = (0..random.below(64)).map(|_| random.bits() as u8).collect();
        }
        let most = SAMPLES_MAX.max(chunk.len());
        let (mut values, mut times, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
        let values_read = decode_values(&chunk, &mut values).is_ok();
        let times_read = decode_times(&chunk, &mut times).is_ok();
        let histograms_read = decode_histograms(&chunk, &mut histograms).is_ok();
        assert!(values.len() <= most && (values_read || values.is_empty()), "seed {seed}");
        assert!(times.len() <= most && (times_read || times.is_empty()), "seed {seed}");
        assert!(histograms.len() <= most && (histograms_read || histograms.is_empty()));
    }
}
