// SPDX-License-Identifier: Apache-2.0
//! Doubles as integers, exactly: decimals with a common exponent, whole numbers, or their bits.
//!
//! A decimal `m / 10^e` is what people and programs write: 2 digits of a second, a percentage. The
//! quotient is rounded correctly, so a double that is the nearest to some decimal comes back bit for
//! bit. Doubles that are none (NaN, infinities, -0.0, a stray full-precision value) are exceptions,
//! kept aside as they are, as long as they are few.

/// Powers of ten that are exact as doubles.
pub(crate) const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// 1.5 * 2^52: added to a double below 2^51 it leaves the rounded integer in the low bits.
const ROUND: f64 = 6_755_399_441_055_744.0;
const ROUND_BITS: i64 = ROUND.to_bits() as i64;
const LIMIT: f64 = 2_251_799_813_685_248.0;

/// Most exceptions: one in so many values. At 9 bytes each they cost about what decimals save.
const VALUES_PER_EXCEPTION: usize = 8;

/// How integers stand for doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `m / 10^e`, `e` an index of [`POWERS`], `|m| < 2^51`.
    Decimal(u8),
    /// Whole numbers below 2^63.
    Whole,
    /// The bits, turned so that greater doubles are greater integers.
    Bits,
}

const WHOLE: u8 = 30;
const BITS: u8 = 31;

impl Kind {
    /// Five bits for the format.
    pub(crate) fn code(self) -> u8 {
        match self {
            Kind::Decimal(exponent) => exponent,
            Kind::Whole => WHOLE,
            Kind::Bits => BITS,
        }
    }

    pub(crate) fn of(code: u8) -> Option<Kind> {
        match code {
            WHOLE => Some(Kind::Whole),
            BITS => Some(Kind::Bits),
            _ if usize::from(code) < POWERS.len() => Some(Kind::Decimal(code)),
            _ => None,
        }
    }
}

/// Writes the doubles that `ints` stand for.
pub(crate) fn to_doubles(kind: Kind, ints: &[i64; 64], out: &mut [f64; 64]) {
    match kind {
        Kind::Decimal(0) => {
            for (out, int) in out.iter_mut().zip(ints) {
                *out = double(*int);
            }
        }
        Kind::Decimal(exponent) => {
            let power = POWERS[usize::from(exponent)];
            for (out, int) in out.iter_mut().zip(ints) {
                *out = double(*int) / power;
            }
        }
        Kind::Whole => {
            for (out, int) in out.iter_mut().zip(ints) {
                *out = *int as f64;
            }
        }
        Kind::Bits => {
            for (out, int) in out.iter_mut().zip(ints) {
                *out = f64::from_bits(turned(*int) as u64);
            }
        }
    }
}

/// `int as f64` for `|int| < 2^51`, in two instructions that processors do several of at once.
fn double(int: i64) -> f64 {
    f64::from_bits(int.wrapping_add(ROUND_BITS) as u64) - ROUND
}

/// Order of doubles to order of integers and back: negative ones the other way round.
fn turned(bits: i64) -> i64 {
    bits ^ (((bits >> 63) as u64) >> 1) as i64
}

/// One double's integer.
pub(crate) fn one(value: f64) -> (Kind, i64) {
    let mut ints = Vec::with_capacity(1);
    let mut exceptions = Vec::new();
    let kind = to_ints(&[value], &mut ints, &mut exceptions);
    match exceptions.is_empty() {
        true => (kind, ints[0]),
        false => (Kind::Bits, turned(value.to_bits() as i64)),
    }
}

/// Fills `ints`, aligned with `values`, and `exceptions` with the places of values that their
/// integers do not stand for.
pub(crate) fn to_ints(values: &[f64], ints: &mut Vec<i64>, exceptions: &mut Vec<usize>) -> Kind {
    if let Some(exponent) = decimals(values, ints, exceptions) {
        fill_exceptions(ints, exceptions);
        return Kind::Decimal(exponent);
    }
    exceptions.clear();
    ints.clear();
    if values.iter().all(|value| is_whole(*value)) {
        ints.extend(values.iter().map(|value| *value as i64));
        return Kind::Whole;
    }
    ints.extend(values.iter().map(|value| turned(value.to_bits() as i64)));
    Kind::Bits
}

/// Exact as an `i64`; -0.0 is not.
fn is_whole(value: f64) -> bool {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    value.abs() < BEYOND && (value as i64 as f64).to_bits() == value.to_bits()
}

/// An exception's integer is its neighbour's, so that it costs nothing in the blocks.
fn fill_exceptions(ints: &mut [i64], exceptions: &[usize]) {
    let is_leading = |(at, place): (usize, &usize)| (at == *place).then_some(at);
    let leading = exceptions.iter().enumerate().map_while(is_leading).count();
    let first = ints.get(leading).copied().unwrap_or(0);
    ints[..leading].fill(first);
    for place in &exceptions[leading..] {
        ints[*place] = ints[*place - 1];
    }
}

/// The common exponent, when few values are exceptions to it.
fn decimals(values: &[f64], ints: &mut Vec<i64>, exceptions: &mut Vec<usize>) -> Option<u8> {
    let allowed = values.len() / VALUES_PER_EXCEPTION + 1;
    let mut exponent = 0;
    // Each round raises the exponent: at most as many as there are powers.
    'anew: loop {
        ints.clear();
        exceptions.clear();
        let mut greatest = 0f64;
        for block in values.chunks(64) {
            let from = ints.len();
            if extend_exact(block, exponent, ints) {
                continue;
            }
            for (at, value) in block.iter().enumerate() {
                if exact(*value, exponent).is_some() {
                    continue;
                }
                let so_far = values[..from + at].iter().fold(greatest, greater);
                greatest = so_far;
                if let Some(more) = exponent_of(*value, exponent + 1, so_far) {
                    exponent = more;
                    continue 'anew;
                }
                exceptions.push(from + at);
                if exceptions.len() > allowed {
                    return None;
                }
            }
        }
        return Some(exponent as u8);
    }
}

fn greater(greatest: f64, value: &f64) -> f64 {
    // Infinities and NaNs are exceptions whatever the exponent.
    if value.is_finite() { greatest.max(value.abs()) } else { greatest }
}

/// Appends the integers of a block; false when any is not exact.
fn extend_exact(block: &[f64], exponent: usize, ints: &mut Vec<i64>) -> bool {
    let mut wrong = 0u64;
    if exponent == 0 {
        ints.extend(block.iter().map(|value| {
            let shifted = value + ROUND;
            wrong |= (shifted - ROUND).to_bits() ^ value.to_bits();
            wrong |= if value.abs() < LIMIT { 0 } else { 1 };
            (shifted.to_bits() as i64).wrapping_sub(ROUND_BITS)
        }));
        return wrong == 0;
    }
    let power = POWERS[exponent];
    ints.extend(block.iter().map(|value| {
        let scaled = value * power;
        let shifted = scaled + ROUND;
        wrong |= ((shifted - ROUND) / power).to_bits() ^ value.to_bits();
        wrong |= if scaled.abs() < LIMIT { 0 } else { 1 };
        (shifted.to_bits() as i64).wrapping_sub(ROUND_BITS)
    }));
    wrong == 0
}

/// `m` when `value` is exactly `m / 10^exponent`.
fn exact(value: f64, exponent: usize) -> Option<i64> {
    let power = POWERS[exponent];
    let scaled = value * power;
    let shifted = scaled + ROUND;
    let is_exact = scaled.abs() < LIMIT && ((shifted - ROUND) / power).to_bits() == value.to_bits();
    is_exact.then(|| (shifted.to_bits() as i64).wrapping_sub(ROUND_BITS))
}

/// The least exponent from `least` on with which `value` is exact, as long as `greatest` fits too.
fn exponent_of(value: f64, least: usize, greatest: f64) -> Option<usize> {
    if !value.is_finite() || value == 0.0 {
        return None;
    }
    let fits = |exponent: &usize| greatest.max(value.abs()) * POWERS[*exponent] < LIMIT;
    (least..POWERS.len()).take_while(fits).find(|exponent| exact(value, *exponent).is_some())
}
