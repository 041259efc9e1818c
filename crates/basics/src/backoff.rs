// SPDX-License-Identifier: Apache-2.0
//! How long to wait before trying again: exponential, capped, with jitter.
//!
//! The nth wait is `initial * multiplier^n`, at most `max`, spread by `randomization` (0.5 = half
//! to one and a half of it), so that many clients of one dead peer do not come back in step.
//! No time is read here: the caller sleeps.

use std::time::Duration;

use crate::Random;

/// The shape of a back-off. `Default` is the collector's `retry_on_failure`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BackoffSettings {
    /// First wait.
    pub initial: Duration,
    /// Longest wait before jitter.
    pub max: Duration,
    /// Factor from one wait to the next, at least 1.
    pub multiplier: f64,
    /// Share of the wait that is random, in 0..=1.
    pub randomization: f64,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        BackoffSettings {
            initial: Duration::from_secs(5),
            max: Duration::from_secs(30),
            multiplier: 1.5,
            randomization: 0.5,
        }
    }
}

/// The waits of one retried operation.
#[derive(Clone, Debug)]
pub struct Backoff {
    settings: BackoffSettings,
    interval: Duration,
}

impl Backoff {
    /// Starts at the initial interval.
    pub fn new(settings: BackoffSettings) -> Self {
        Backoff { settings, interval: settings.initial.min(settings.max) }
    }

    /// The next wait.
    pub fn next_wait(&mut self, random: &mut Random) -> Duration {
        let spread = self.settings.randomization.clamp(0.0, 1.0);
        let factor = 1.0 - spread + 2.0 * spread * random.unit();
        let wait = self.interval.mul_f64(factor);
        let grown = self.interval.as_secs_f64() * self.settings.multiplier.max(1.0);
        self.interval =
            Duration::try_from_secs_f64(grown).unwrap_or(self.settings.max).min(self.settings.max);
        wait
    }

    /// Back to the initial interval, after a success.
    pub fn reset(&mut self) {
        *self = Backoff::new(self.settings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(settings: BackoffSettings, count: usize) -> Vec<f64> {
        let (mut backoff, mut random) = (Backoff::new(settings), Random::seeded(7));
        (0..count).map(|_| backoff.next_wait(&mut random).as_secs_f64()).collect()
    }

    #[test]
    fn grows_to_the_cap_without_jitter() {
        let settings =
            BackoffSettings { randomization: 0.0, multiplier: 2.0, ..Default::default() };
        assert_eq!(waits(settings, 5), [5.0, 10.0, 20.0, 30.0, 30.0]);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let settings = BackoffSettings { multiplier: 1.0, ..Default::default() };
        let waits = waits(settings, 200);
        assert!(waits.iter().all(|w| (2.5..=7.5).contains(w)), "{waits:?}");
        assert!(waits.iter().any(|w| *w < 4.0) && waits.iter().any(|w| *w > 6.0));
    }

    #[test]
    fn reset_starts_over_and_huge_multipliers_do_not_overflow() {
        let settings =
            BackoffSettings { randomization: 0.0, multiplier: 1e300, ..Default::default() };
        let (mut backoff, mut random) = (Backoff::new(settings), Random::seeded(1));
        assert_eq!(backoff.next_wait(&mut random).as_secs(), 5);
        assert_eq!(backoff.next_wait(&mut random).as_secs(), 30);
        backoff.reset();
        assert_eq!(backoff.next_wait(&mut random).as_secs(), 5);
    }
}
