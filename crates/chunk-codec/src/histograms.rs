// SPDX-License-Identifier: Apache-2.0
//! Native histograms of one series.
//!
//! ```text
//! EMPTY                    no histogram
//! PACKED   runs until the end: count, flags, layout, columns
//! layout:  schema, zero threshold (8 bytes), bounds (number, 8 bytes each),
//!          positive and negative indexes (number, distances)
//! columns: zero counts, counts, sums, then each bucket: length, chunk of values
//! ```
//! A run is histograms of one schema, threshold and bounds. Its layout holds every index that any of
//! them has; a bucket that is not in a histogram has the count +0.0 and is left out again. Should a
//! histogram hold such a bucket itself (Prometheus allows it, our producers make none), its run has
//! histograms of exactly the same indexes (flag EXACT).

use crate::values::{decode_values, encode_values};
use crate::{Corrupt, SAMPLES_MAX, VERSION, appending, mode, varint};

const EMPTY: u8 = 0;
const PACKED: u8 = 1;
const EXACT: u8 = 1;

/// Most values (buckets times histograms) of a chunk that has fewer bytes: 64 MiB decoded.
const CELLS_MAX: usize = 1 << 22;

/// A histogram to be packed; fields as in [`Histogram`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HistogramRef<'h> {
    /// See [`Histogram::schema`].
    pub schema: i32,
    /// See [`Histogram::zero_threshold`].
    pub zero_threshold: f64,
    /// See [`Histogram::zero_count`].
    pub zero_count: f64,
    /// See [`Histogram::count`].
    pub count: f64,
    /// See [`Histogram::sum`].
    pub sum: f64,
    /// See [`Histogram::bounds`].
    pub bounds: &'h [f64],
    /// See [`Histogram::positive`].
    pub positive: &'h [(i32, f64)],
    /// See [`Histogram::negative`].
    pub negative: &'h [(i32, f64)],
}

/// A histogram with exponential buckets, or with bounds of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Resolution; what else it says is the caller's.
    pub schema: i32,
    /// Half width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Sum of observations; the staleness marker makes the histogram one.
    pub sum: f64,
    /// Upper bounds of buckets where the schema gives none.
    pub bounds: Vec<f64>,
    /// `(index, count)`, strictly ascending by index.
    pub positive: Vec<(i32, f64)>,
    /// Mirror of `positive` below zero.
    pub negative: Vec<(i32, f64)>,
}

impl Histogram {
    /// Itself, borrowed.
    pub fn as_ref(&self) -> HistogramRef<'_> {
        HistogramRef {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            bounds: &self.bounds,
            positive: &self.positive,
            negative: &self.negative,
        }
    }
}

/// Appends `histograms` as a chunk to `out`, as many from the front as one chunk holds: returns how
/// many, which is all of them but for hundreds of hours of the widest. Indexes must ascend strictly.
pub fn encode_histograms(histograms: &[HistogramRef<'_>], out: &mut Vec<u8>) -> usize {
    out.push(VERSION | if histograms.is_empty() { EMPTY } else { PACKED });
    let mut left = CELLS_MAX;
    let mut rest = &histograms[..histograms.len().min(SAMPLES_MAX)];
    while !rest.is_empty() {
        let (count, cells) = run_len(rest, left);
        if cells > left && rest.len() < histograms.len() {
            break;
        }
        let (run, behind) = rest.split_at(count);
        encode_run(run, out);
        left = left.saturating_sub(cells);
        rest = behind;
    }
    histograms.len().min(SAMPLES_MAX) - rest.len()
}

fn same_bits(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn same_indexes(a: &[(i32, f64)], b: &[(i32, f64)]) -> bool {
    a.iter().map(|(index, _)| *index).eq(b.iter().map(|(index, _)| *index))
}

/// Whether it holds a bucket that would be taken for one that is absent.
fn is_exact(histogram: &HistogramRef<'_>) -> bool {
    let buckets = histogram.positive.iter().chain(histogram.negative);
    buckets.into_iter().any(|(_, count)| count.to_bits() == 0)
}

/// How many histograms from the front on, at least one, make one run of at most `cells_max` values;
/// and how many values those are at most.
fn run_len(histograms: &[HistogramRef<'_>], cells_max: usize) -> (usize, usize) {
    let first = &histograms[0];
    let exact = is_exact(first);
    let width = |histogram: &HistogramRef<'_>| histogram.positive.len() + histogram.negative.len();
    let mut columns = 3 + first.bounds.len() + width(first);
    let (mut count, mut cells, mut last) = (1, columns, first);
    for next in &histograms[1..] {
        let same = same_indexes(next.positive, last.positive)
            && same_indexes(next.negative, last.negative);
        columns += if same { 0 } else { width(next) };
        let belongs = next.schema == first.schema
            && next.zero_threshold.to_bits() == first.zero_threshold.to_bits()
            && same_bits(next.bounds, first.bounds)
            && is_exact(next) == exact
            && (same || !exact);
        if !belongs || (count + 1) * columns > cells_max {
            break;
        }
        count += 1;
        (cells, last) = (count * columns, next);
    }
    (count, cells)
}

/// All indexes of one side, ascending.
fn layout<'h>(sides: impl Iterator<Item = &'h [(i32, f64)]>) -> Vec<i32> {
    let mut all: Vec<i32> = Vec::new();
    for side in sides {
        if !side.iter().map(|(index, _)| index).eq(&all) {
            all.extend(side.iter().map(|(index, _)| *index));
            all.sort_unstable();
            all.dedup();
        }
    }
    all
}

fn encode_run(run: &[HistogramRef<'_>], out: &mut Vec<u8>) {
    varint::put(run.len() as u64, out);
    out.push(if is_exact(&run[0]) { EXACT } else { 0 });
    let first = &run[0];
    varint::put_signed(i64::from(first.schema), out);
    put_double(first.zero_threshold, out);
    varint::put(first.bounds.len() as u64, out);
    first.bounds.iter().for_each(|bound| put_double(*bound, out));
    let positive = layout(run.iter().map(|histogram| histogram.positive));
    let negative = layout(run.iter().map(|histogram| histogram.negative));
    put_indexes(&positive, out);
    put_indexes(&negative, out);
    let (mut column, mut scratch) = (Vec::with_capacity(run.len()), Vec::new());
    let mut put = |values: &mut dyn Iterator<Item = f64>| {
        column.clear();
        column.extend(values);
        scratch.clear();
        encode_values(&column, &mut scratch);
        varint::put(scratch.len() as u64, out);
        out.extend_from_slice(&scratch);
    };
    put(&mut run.iter().map(|histogram| histogram.zero_count));
    put(&mut run.iter().map(|histogram| histogram.count));
    put(&mut run.iter().map(|histogram| histogram.sum));
    for index in positive {
        put(&mut run.iter().map(|histogram| count_at(histogram.positive, index)));
    }
    for index in negative {
        put(&mut run.iter().map(|histogram| count_at(histogram.negative, index)));
    }
}

fn count_at(side: &[(i32, f64)], index: i32) -> f64 {
    let found = side.binary_search_by_key(&index, |(index, _)| *index);
    found.map_or(0.0, |at| side[at].1)
}

fn put_double(value: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

fn put_indexes(indexes: &[i32], out: &mut Vec<u8>) {
    varint::put(indexes.len() as u64, out);
    let mut last = 0;
    for index in indexes {
        varint::put_signed(i64::from(*index) - last, out);
        last = i64::from(*index);
    }
}

/// Appends the histograms of a chunk to `out`.
///
/// # Errors
/// The bytes are no chunk of histograms; `out` is as it was.
pub fn decode_histograms(bytes: &[u8], out: &mut Vec<Histogram>) -> Result<(), Corrupt> {
    appending(out, |out| decode(bytes, out))
}

fn decode(mut bytes: &[u8], out: &mut Vec<Histogram>) -> Result<(), Corrupt> {
    match (mode(&mut bytes)?, bytes.is_empty()) {
        (EMPTY, true) => return Ok(()),
        (PACKED, false) => {}
        _ => return Err(Corrupt("an unknown mode")),
    }
    let cells_max = CELLS_MAX.max(bytes.len());
    let (mut cells, mut count) = (0usize, 0);
    while !bytes.is_empty() {
        let run = Run::take(&mut bytes)?;
        cells = cells.saturating_add(run.cells());
        count += run.count;
        if cells > cells_max || count > SAMPLES_MAX {
            return Err(Corrupt("more histograms than a chunk holds"));
        }
        run.decode(&mut bytes, out)?;
    }
    Ok(())
}

/// The head of a run.
struct Run {
    count: usize,
    exact: bool,
    schema: i32,
    zero_threshold: f64,
    bounds: Vec<f64>,
    positive: Vec<i32>,
    negative: Vec<i32>,
}

impl Run {
    fn take(bytes: &mut &[u8]) -> Result<Run, Corrupt> {
        let count = varint::take(bytes)? as usize;
        let flags = varint::take_byte(bytes)?;
        if count == 0 || count > SAMPLES_MAX || flags > EXACT {
            return Err(Corrupt("a run that no chunk has"));
        }
        let schema = i32::try_from(varint::take_signed(bytes)?);
        let schema = schema.map_err(|_| Corrupt("a schema beyond 32 bits"))?;
        let zero_threshold = f64::from_bits(varint::take_u64(bytes)?);
        let bounds = take_many(bytes, |bytes| Ok(f64::from_bits(varint::take_u64(bytes)?)))?;
        let (positive, negative) = (take_indexes(bytes)?, take_indexes(bytes)?);
        let exact = flags == EXACT;
        Ok(Run { count, exact, schema, zero_threshold, bounds, positive, negative })
    }

    fn cells(&self) -> usize {
        let own = 3 + self.bounds.len() + self.positive.len() + self.negative.len();
        self.count.saturating_mul(own)
    }

    fn decode(&self, bytes: &mut &[u8], out: &mut Vec<Histogram>) -> Result<(), Corrupt> {
        let from = out.len();
        let mut column = Vec::new();
        self.column(bytes, &mut column)?;
        out.extend(column.iter().map(|zero_count| Histogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: *zero_count,
            bounds: self.bounds.clone(),
            ..Histogram::default()
        }));
        let run = &mut out[from..];
        self.column(bytes, &mut column)?;
        run.iter_mut().zip(&column).for_each(|(histogram, count)| histogram.count = *count);
        self.column(bytes, &mut column)?;
        run.iter_mut().zip(&column).for_each(|(histogram, sum)| histogram.sum = *sum);
        for index in &self.positive {
            self.column(bytes, &mut column)?;
            self.put(run, &column, *index, |histogram| &mut histogram.positive);
        }
        for index in &self.negative {
            self.column(bytes, &mut column)?;
            self.put(run, &column, *index, |histogram| &mut histogram.negative);
        }
        Ok(())
    }

    fn put(
        &self,
        run: &mut [Histogram],
        column: &[f64],
        index: i32,
        side: impl Fn(&mut Histogram) -> &mut Vec<(i32, f64)>,
    ) {
        for (histogram, count) in run.iter_mut().zip(column) {
            if self.exact || count.to_bits() != 0 {
                side(histogram).push((index, *count));
            }
        }
    }

    fn column(&self, bytes: &mut &[u8], column: &mut Vec<f64>) -> Result<(), Corrupt> {
        column.clear();
        let len = varint::take(bytes)? as usize;
        decode_values(varint::take_bytes(bytes, len)?, column)?;
        if column.len() == self.count { Ok(()) } else { Err(Corrupt("a column of other length")) }
    }
}

fn take_many<T>(
    bytes: &mut &[u8],
    take: impl Fn(&mut &[u8]) -> Result<T, Corrupt>,
) -> Result<Vec<T>, Corrupt> {
    let count = varint::take(bytes)? as usize;
    // Each takes at least a byte: no more is allocated than there are bytes for.
    if count > bytes.len() {
        return Err(Corrupt("more buckets than a histogram has"));
    }
    (0..count).map(|_| take(bytes)).collect()
}

fn take_indexes(bytes: &mut &[u8]) -> Result<Vec<i32>, Corrupt> {
    let distances = take_many(bytes, varint::take_signed)?;
    let mut last = 0i64;
    let mut indexes = Vec::with_capacity(distances.len());
    for (at, distance) in distances.into_iter().enumerate() {
        let is_behind = at == 0 || distance > 0;
        last = last.checked_add(distance).ok_or(Corrupt("an index beyond 64 bits"))?;
        let index = i32::try_from(last).map_err(|_| Corrupt("an index beyond 32 bits"))?;
        if !is_behind {
            return Err(Corrupt("indexes that do not ascend"));
        }
        indexes.push(index);
    }
    Ok(indexes)
}
