// SPDX-License-Identifier: Apache-2.0
//! A token bucket, full at first. Time is passed in, so that it never waits and never jumps.

/// Tokens that come back with time.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_second: f64,
    size: f64,
    tokens: f64,
    /// When `tokens` was right, in nanoseconds.
    at: u64,
}

impl Bucket {
    /// One that refills by `per_second` up to `size`; no `size` is twice the refill.
    pub fn new(per_second: i64, size: i64) -> Self {
        let size = if size > 0 { size } else { per_second.saturating_mul(2) };
        let (per_second, size) = (per_second.max(0) as f64, size.max(0) as f64);
        Bucket { per_second, size, tokens: size, at: 0 }
    }

    /// Takes `wanted` tokens, or none when there are fewer.
    pub fn takes(&mut self, wanted: u64, now: u64) -> bool {
        if self.at > 0 {
            let seconds = now.saturating_sub(self.at) as f64 / 1e9;
            self.tokens = (self.tokens + seconds * self.per_second).min(self.size);
        }
        self.at = self.at.max(now);
        let enough = wanted as f64 <= self.tokens;
        if enough {
            self.tokens -= wanted as f64;
        }
        enough
    }
}
