// SPDX-License-Identifier: Apache-2.0
//! Randomness is passed in: [`Random::from_os`] in the product, [`Random::seeded`] in tests.
//!
//! Not for secrets: those come from the operating system (`getrandom`) where they are made.

/// A small fast generator (SplitMix64, Steele et al. 2014): same seed, same sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator that starts from `seed`.
    pub fn seeded(seed: u64) -> Self {
        Random(seed)
    }

    /// A generator seeded by the operating system.
    pub fn from_os() -> Self {
        let mut seed = [0u8; 8];
        // A failing system source leaves the seed to the clock: jitter and ids still differ.
        if getrandom::fill(&mut seed).is_err() {
            seed = crate::Clock::system().now().to_le_bytes();
        }
        Random(u64::from_le_bytes(seed))
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0.0..1.0`, 53 random bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }
}
