// SPDX-License-Identifier: Apache-2.0
//! A seeded source of small choices (SplitMix64): the same seed gives the same telemetry.

/// The source.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.bits() % n as u64) as usize }
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Integers as they hurt: zero, small, the ends, anything.
    pub fn number(&mut self) -> u64 {
        match self.below(5) {
            0 => 0,
            1 => self.bits() % 300,
            2 => u64::MAX,
            3 => 1 << self.below(64),
            _ => self.bits(),
        }
    }

    /// Doubles as they hurt.
    pub fn double(&mut self) -> f64 {
        match self.below(6) {
            0 => 0.0,
            1 => -0.0,
            2 => self.pick(&[
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
                f64::MAX,
            ]),
            3 => self.below(1000) as f64,
            4 => self.below(1_000_000) as f64 / 1000.0,
            _ => f64::from_bits(self.bits()),
        }
    }

    /// Text of up to `max` characters, not all of them ASCII.
    pub fn text(&mut self, max: usize) -> String {
        let ascii = !self.once_in(4);
        (0..self.below(max + 1))
            .map(|_| match ascii {
                true => char::from(b' ' + self.below(95) as u8),
                false => {
                    self.pick(&['\u{e9}', '\u{4e2d}', '\u{1f600}', '\0', '"', '\\', '\u{7f}', 'x'])
                }
            })
            .collect()
    }

    /// Bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.bits() as u8).collect()
    }
}
