// SPDX-License-Identifier: Apache-2.0
//! Sealed runs: the times of a timestamp group once, and for each series which of them it has and
//! its values, packed by `chunk-codec`.

use std::sync::Arc;

use chunk_codec::HistogramRef;
use otlp_series::NativeHistogram;

use crate::columns::{packable, unpacked};

/// Most samples of a run: half an hour at 15 s, as in Prometheus; and what a mask has bits for.
pub(super) const RUN_MAX: usize = 120;

/// Which times of a segment a series has a value at: bit `i` of the 128 is time `i`.
pub(super) type Mask = [u64; 2];

/// Times of a sealed run, ascending, at least one, at most [`RUN_MAX`]; shared by its chunks.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    packed: Box<[u8]>,
}

impl Segment {
    /// Packs times, ascending, at least one.
    pub(super) fn pack(times: &[i64]) -> Arc<Segment> {
        let mut packed = Vec::with_capacity(32);
        chunk_codec::encode_times(times, &mut packed);
        let (first_ms, last_ms) = (times[0], times[times.len() - 1]);
        Arc::new(Segment { first_ms, last_ms, packed: packed.into() })
    }

    /// Appends all times.
    pub(super) fn times(&self, out: &mut Vec<i64>) {
        // In memory and written by this process: it decodes.
        let decoded = chunk_codec::decode_times(&self.packed, out);
        debug_assert!(decoded.is_ok());
    }

    fn bytes(&self) -> usize {
        size_of::<Segment>() + 16 + self.packed.len()
    }
}

/// Values of one series at times of a segment, at least one.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    pub(super) segment: Arc<Segment>,
    pub(super) mask: Mask,
    packed: Box<[u8]>,
}

/// The mask of the first `count` times.
pub(super) fn first(count: usize) -> Mask {
    let ones = |count: usize| if count >= 64 { u64::MAX } else { (1 << count) - 1 };
    [ones(count), ones(count.saturating_sub(64))]
}

pub(super) fn is_in(mask: &Mask, at: usize) -> bool {
    mask[at / 64] >> (at % 64) & 1 == 1
}

pub(super) fn count_of(mask: &Mask) -> usize {
    (mask[0].count_ones() + mask[1].count_ones()) as usize
}

impl Chunk {
    /// Packs `values`, one for each time in `mask`.
    pub(super) fn pack(segment: &Arc<Segment>, mask: Mask, values: &[f64]) -> Chunk {
        let mut packed = Vec::with_capacity(RUN_MAX * 2);
        chunk_codec::encode_values(values, &mut packed);
        Chunk { segment: segment.clone(), mask, packed: packed.as_slice().into() }
    }

    /// Packs samples, ascending by time, one to [`RUN_MAX`], with times of their own.
    pub(super) fn of_samples(samples: &[(i64, f64)]) -> Chunk {
        let times: Vec<i64> = samples.iter().map(|(time, _)| *time).collect();
        let values: Vec<f64> = samples.iter().map(|(_, value)| *value).collect();
        Chunk::pack(&Segment::pack(&times), first(samples.len()), &values)
    }

    pub(super) fn count(&self) -> usize {
        count_of(&self.mask)
    }

    /// Bytes it takes; a shared segment counts in part.
    pub(super) fn bytes(&self) -> usize {
        let sharers = Arc::strong_count(&self.segment).max(1);
        size_of::<Chunk>() + self.packed.len() + self.segment.bytes() / sharers
    }

    /// Whether a sample may lie in `start..=end`.
    pub(super) fn touches(&self, start: i64, end: i64) -> bool {
        self.segment.first_ms <= end && self.segment.last_ms >= start
    }

    /// Appends the values.
    pub(super) fn values(&self, out: &mut Vec<f64>) {
        let decoded = chunk_codec::decode_values(&self.packed, out);
        debug_assert!(decoded.is_ok());
    }

    /// Appends the times the series has values at.
    pub(super) fn times(&self, out: &mut Vec<i64>) {
        let from = out.len();
        self.segment.times(out);
        let mut at = 0;
        let mut keep = from;
        while from + at < out.len() {
            if is_in(&self.mask, at) {
                out[keep] = out[from + at];
                keep += 1;
            }
            at += 1;
        }
        out.truncate(keep);
    }

    /// Appends the samples.
    pub(super) fn samples(&self, out: &mut Vec<(i64, f64)>) {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        self.times(&mut times);
        self.values(&mut values);
        out.extend(times.into_iter().zip(values));
    }

    /// The samples before `cut` and those from there on, as chunks of their own.
    pub(super) fn split(self, cut: i64) -> (Option<Chunk>, Option<Chunk>) {
        if self.segment.last_ms < cut {
            return (Some(self), None);
        }
        if self.segment.first_ms >= cut {
            return (None, Some(self));
        }
        let mut samples = Vec::new();
        self.samples(&mut samples);
        let at = samples.partition_point(|(time, _)| *time < cut);
        let part = |part: &[(i64, f64)]| (!part.is_empty()).then(|| Chunk::of_samples(part));
        (part(&samples[..at]), part(&samples[at..]))
    }
}

/// Sealed native histograms of one series, at least one.
#[derive(Debug)]
pub(super) struct HistogramChunk {
    pub(super) first_ms: i64,
    pub(super) last_ms: i64,
    pub(super) count: usize,
    times: Box<[u8]>,
    packed: Box<[u8]>,
}

type Histograms = Vec<(i64, Arc<NativeHistogram>)>;

impl HistogramChunk {
    /// Packs the first of `histograms` (ascending by time, at least one), as many as fit: all, but
    /// for thousands of buckets.
    pub(super) fn pack(histograms: &[(i64, Arc<NativeHistogram>)]) -> HistogramChunk {
        let borrowed: Vec<HistogramRef<'_>> =
            histograms.iter().map(|(_, histogram)| packable(histogram)).collect();
        let (mut times, mut packed) = (Vec::new(), Vec::new());
        let count = chunk_codec::encode_histograms(&borrowed, &mut packed).max(1);
        let all: Vec<i64> = histograms[..count].iter().map(|(time, _)| *time).collect();
        chunk_codec::encode_times(&all, &mut times);
        let (first_ms, last_ms) = (all[0], all[count - 1]);
        HistogramChunk { first_ms, last_ms, count, times: times.into(), packed: packed.into() }
    }

    /// Appends the histograms.
    pub(super) fn read(&self, out: &mut Histograms) {
        let (mut times, mut histograms) = (Vec::new(), Vec::new());
        let decoded = chunk_codec::decode_times(&self.times, &mut times)
            .and_then(|()| chunk_codec::decode_histograms(&self.packed, &mut histograms));
        debug_assert!(decoded.is_ok());
        let all = times.into_iter().zip(histograms);
        out.extend(all.map(|(time, histogram)| (time, Arc::new(unpacked(histogram)))));
    }

    /// The histograms before `cut` and those from there on, as chunks of their own.
    pub(super) fn split(self, cut: i64) -> (Option<HistogramChunk>, Option<HistogramChunk>) {
        if self.last_ms < cut {
            return (Some(self), None);
        }
        if self.first_ms >= cut {
            return (None, Some(self));
        }
        let mut all = Vec::new();
        self.read(&mut all);
        let at = all.partition_point(|(time, _)| *time < cut);
        // Parts of what fitted fit.
        let part = |part: &Histograms| (!part.is_empty()).then(|| HistogramChunk::pack(part));
        let behind = all.split_off(at);
        (part(&all), part(&behind))
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<HistogramChunk>() + self.times.len() + self.packed.len()
    }
}
