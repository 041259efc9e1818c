// SPDX-License-Identifier: Apache-2.0
//! A run of integers: first, common factor, differences of the order that packs best, in blocks.
//!
//! ```text
//! | tag: order (2 bits), has a factor (bit 2) | first | [factor] | [slope: orders 2, 3] | blocks |
//! ```
//! With `y[i] = (x[i] - x[0]) / factor`, block integers are for `i >= 1`: order 0 `y[i]`; order 1
//! `y[i] - y[i-1]`; order 2 the difference of those, the first against `slope`; order 3 (a grid)
//! `y[i] - i * slope`. All wraps at 64 bits.

use crate::Corrupt;
use crate::bits::BLOCK;
use crate::block::{self, Blocks, Plan};
use crate::varint;

const ORDER_MASK: u8 = 3;
const FACTOR: u8 = 4;

/// What stands in the blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Plain = 0,
    Delta = 1,
    DeltaOfDelta = 2,
    Grid = 3,
}

/// Blocks that decide on the order: three spread over the run, so that deciding costs at most as
/// much as packing a run of nine.
const BLOCKS_TRIED: usize = 3;

/// What divides the distance of each integer from the first; 1 when nothing does.
fn factor(ints: &[i64]) -> u64 {
    let first = ints[0];
    let mut factor = 0u64;
    for int in ints {
        // Beyond 63 bits the quotients would not be exact.
        let Some(distance) = int.checked_sub(first) else { return 1 };
        let distance = distance.unsigned_abs();
        if distance & factor.wrapping_sub(1) == 0 && factor.is_power_of_two() || distance == 0 {
            continue;
        }
        factor = common(distance, factor);
        if factor == 1 {
            return 1;
        }
    }
    factor.max(1)
}

/// Greatest common divisor.
fn common(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Makes `y` of the integers, in place.
fn normalize(ints: &mut [i64], factor: u64) {
    let first = ints[0];
    match factor {
        1 => ints.iter_mut().for_each(|int| *int = int.wrapping_sub(first)),
        _ if factor.is_power_of_two() => {
            let shift = factor.trailing_zeros();
            ints.iter_mut().for_each(|int| *int = int.wrapping_sub(first) >> shift);
        }
        _ => ints.iter_mut().for_each(|int| *int = int.wrapping_sub(first) / factor as i64),
    }
}

/// The integers of block `number`: of `y[1..]`, 64 at a time.
fn block_of(y: &[i64], number: usize, order: Order, slope: i64, out: &mut [i64; BLOCK]) -> usize {
    let from = 1 + number * BLOCK;
    let count = BLOCK.min(y.len() - from);
    let now = &y[from..from + count];
    let before = &y[from - 1..from - 1 + count];
    let out = &mut out[..count];
    match order {
        Order::Plain => out.copy_from_slice(now),
        Order::Delta => {
            for ((out, now), before) in out.iter_mut().zip(now).zip(before) {
                *out = now.wrapping_sub(*before);
            }
        }
        Order::DeltaOfDelta => {
            let mut last = if from == 1 { slope } else { y[from - 1].wrapping_sub(y[from - 2]) };
            for ((out, now), before) in out.iter_mut().zip(now).zip(before) {
                let delta = now.wrapping_sub(*before);
                *out = delta.wrapping_sub(last);
                last = delta;
            }
        }
        Order::Grid => {
            for ((at, out), now) in (from as i64..).zip(out.iter_mut()).zip(now) {
                *out = now.wrapping_sub(at.wrapping_mul(slope));
            }
        }
    }
    count
}

fn slope_of(y: &[i64], order: Order) -> i64 {
    match order {
        Order::Plain | Order::Delta => 0,
        Order::DeltaOfDelta => y.get(1).copied().unwrap_or(0),
        Order::Grid => grid_slope(y),
    }
}

/// The usual step: the mean of those that are no gaps.
fn grid_slope(y: &[i64]) -> i64 {
    let mut deltas: Vec<i64> = y.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    if deltas.is_empty() {
        return 0;
    }
    let middle = deltas.len() / 2;
    let median = *deltas.select_nth_unstable(middle).1;
    let is_usual = |delta: &&i64| delta.abs_diff(median) <= median.unsigned_abs() / 2;
    let (sum, count) = deltas
        .iter()
        .filter(is_usual)
        .fold((0i128, 0i128), |(sum, count), delta| (sum + i128::from(*delta), count + 1));
    // The median is among them, and a mean is no further than what it is of.
    i64::try_from((2 * sum + count).div_euclid(2 * count.max(1))).unwrap_or(median)
}

/// The order whose blocks are smallest, judged by a few of them; and its slope.
fn best_order(y: &[i64], orders: &[Order]) -> (Order, i64) {
    let blocks = (y.len() - 1).div_ceil(BLOCK);
    let tried = blocks.min(BLOCKS_TRIED);
    let mut best = (usize::MAX, orders[0], 0);
    let mut integers = [0; BLOCK];
    for order in orders {
        let slope = slope_of(y, *order);
        let size = |at: usize| {
            let number = if tried > 1 { at * (blocks - 1) / (tried - 1) } else { 0 };
            let count = block_of(y, number, *order, slope, &mut integers);
            // Neighbours have like bases: what the base itself takes is not what will be written.
            let plan = block::plan(&integers[..count]);
            plan.len(plan.base())
        };
        let bytes: usize = (0..tried).map(size).sum();
        if bytes < best.0 {
            best = (bytes, *order, slope);
        }
    }
    (best.1, best.2)
}

/// Appends a run of at least one integer, packed by the best of `orders` (the first on a tie);
/// `ints` is scratch afterwards.
pub(crate) fn encode(ints: &mut [i64], orders: &[Order], may_divide: bool, out: &mut Vec<u8>) {
    let first = ints[0];
    let factor = if may_divide { factor(ints) } else { 1 };
    normalize(ints, factor);
    let y = &*ints;
    let (order, slope) = best_order(y, orders);
    out.push(order as u8 | if factor > 1 { FACTOR } else { 0 });
    varint::put_signed(first, out);
    if factor > 1 {
        varint::put(factor, out);
    }
    if matches!(order, Order::DeltaOfDelta | Order::Grid) {
        varint::put_signed(slope, out);
    }
    let mut integers = [0; BLOCK];
    let (mut last_base, mut flat) = (0, 0);
    for number in 0..(y.len() - 1).div_ceil(BLOCK) {
        let count = block_of(y, number, order, slope, &mut integers);
        let plan: Plan = block::plan(&integers[..count]);
        if plan.is_flat() && plan.base() == last_base {
            flat += 1;
            continue;
        }
        end_run(&mut flat, out);
        block::encode(&integers[..count], plan, last_base, out);
        last_base = plan.base();
    }
    end_run(&mut flat, out);
}

fn end_run(flat: &mut usize, out: &mut Vec<u8>) {
    if *flat > 0 {
        block::encode_run(*flat, out);
        *flat = 0;
    }
}

/// Reads a run of integers block by block.
#[derive(Debug)]
pub(crate) struct Decoder<'b> {
    bytes: &'b [u8],
    blocks: Blocks,
    order: Order,
    factor: i64,
    slope: i64,
    first: i64,
    /// Integers to come behind the first.
    left: usize,
    /// `x` of the integer before, without the first for orders that do not add up.
    last: i64,
    at: i64,
}

impl<'b> Decoder<'b> {
    /// A decoder of `count` integers (at least one), and the first of them.
    pub(crate) fn new(mut bytes: &'b [u8], count: usize) -> Result<(Decoder<'b>, i64), Corrupt> {
        let tag = varint::take_byte(&mut bytes)?;
        let order = match tag & ORDER_MASK {
            0 => Order::Plain,
            1 => Order::Delta,
            2 => Order::DeltaOfDelta,
            _ => Order::Grid,
        };
        if tag & !(ORDER_MASK | FACTOR) != 0 {
            return Err(Corrupt("an unknown order"));
        }
        let first = varint::take_signed(&mut bytes)?;
        let factor = if tag & FACTOR == 0 { 1 } else { varint::take(&mut bytes)? as i64 };
        let has_slope = matches!(order, Order::DeltaOfDelta | Order::Grid);
        let slope = if has_slope { varint::take_signed(&mut bytes)? } else { 0 };
        let (blocks, left) = (Blocks::new(), count - 1);
        let decoder =
            Decoder { bytes, blocks, order, factor, slope, first, left, last: first, at: 1 };
        Ok((decoder, first))
    }

    /// The next block: how many integers it is, those behind them undefined. 0 at the end.
    pub(crate) fn next(&mut self, out: &mut [i64; BLOCK]) -> Result<usize, Corrupt> {
        if self.left == 0 {
            let is_whole = self.bytes.is_empty() && self.blocks.is_done();
            return if is_whole { Ok(0) } else { Err(Corrupt("more than was announced")) };
        }
        let count = self.left.min(BLOCK);
        let mut numbers = [0u64; BLOCK];
        let base = self.blocks.next(&mut self.bytes, count, &mut numbers)?;
        self.left -= count;
        match self.order {
            Order::Plain => self.plain(base, &numbers, out),
            Order::Delta => self.deltas(base, &numbers, out),
            Order::DeltaOfDelta => self.deltas_of_deltas(base, &numbers, out),
            Order::Grid => self.grid(base, &numbers, out),
        }
        self.last = out[count - 1];
        Ok(count)
    }

    fn plain(&mut self, base: i64, numbers: &[u64; BLOCK], out: &mut [i64; BLOCK]) {
        let (first, factor) = (self.first, self.factor);
        for (out, number) in out.iter_mut().zip(numbers) {
            let y = base.wrapping_add(*number as i64);
            *out = first.wrapping_add(y.wrapping_mul(factor));
        }
    }

    fn deltas(&mut self, base: i64, numbers: &[u64; BLOCK], out: &mut [i64; BLOCK]) {
        let (mut x, factor) = (self.last, self.factor);
        for (out, number) in out.iter_mut().zip(numbers) {
            x = x.wrapping_add(base.wrapping_add(*number as i64).wrapping_mul(factor));
            *out = x;
        }
    }

    fn deltas_of_deltas(&mut self, base: i64, numbers: &[u64; BLOCK], out: &mut [i64; BLOCK]) {
        let (mut x, mut slope, factor) = (self.last, self.slope, self.factor);
        // All blocks but the last are whole, and behind that one nothing comes.
        for (out, number) in out.iter_mut().zip(numbers) {
            slope = slope.wrapping_add(base.wrapping_add(*number as i64));
            x = x.wrapping_add(slope.wrapping_mul(factor));
            *out = x;
        }
        self.slope = slope;
    }

    fn grid(&mut self, base: i64, numbers: &[u64; BLOCK], out: &mut [i64; BLOCK]) {
        let (first, factor, slope) = (self.first, self.factor, self.slope);
        for ((at, out), number) in (self.at..).zip(out.iter_mut()).zip(numbers) {
            let y = at.wrapping_mul(slope).wrapping_add(base.wrapping_add(*number as i64));
            *out = first.wrapping_add(y.wrapping_mul(factor));
        }
        self.at = self.at.wrapping_add(BLOCK as i64);
    }
}
