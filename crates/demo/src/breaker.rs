// SPDX-License-Identifier: Apache-2.0
//! A circuit breaker: after a row of failures a dependency gets a rest, then one call to show that
//! it is well again.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Failures in a row that open it.
const FAILURES: u32 = 5;

/// How long it stays open.
const REST: Duration = Duration::from_secs(5);

/// What it does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Calls go through.
    Closed,
    /// One call goes through, to see.
    HalfOpen,
    /// No call goes through.
    Open,
}

impl State {
    /// As the gauge tells it: 0 closed, 1 half open, 2 open.
    pub fn number(self) -> u64 {
        self as u64
    }

    /// Its name in attributes.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

/// A breaker in front of one dependency.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    failures: u32,
    opened: Option<Instant>,
    /// When the call that shows it was let through.
    probed: Option<Instant>,
}

impl Breaker {
    /// May a call go through at `now`? If not, how long to wait.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut inner = self.0.lock();
        let Some(opened) = inner.opened else { return Ok(()) };
        let rested = now.saturating_duration_since(opened);
        // One that was given up without an outcome does not keep others away for ever.
        let is_probing = inner.probed.is_some_and(|at| now.saturating_duration_since(at) < REST);
        if rested >= REST && !is_probing {
            inner.probed = Some(now);
            return Ok(());
        }
        Err(REST.saturating_sub(rested).max(Duration::from_millis(1)))
    }

    /// The outcome of a call that went through; the new state if it changed.
    pub fn report(&self, succeeded: bool, now: Instant) -> Option<State> {
        let mut inner = self.0.lock();
        let was_open = inner.opened.is_some();
        if succeeded {
            *inner = Inner::default();
            return was_open.then_some(State::Closed);
        }
        inner.failures += 1;
        if was_open || inner.failures >= FAILURES {
            (inner.opened, inner.probed) = (Some(now), None);
            return (!was_open).then_some(State::Open);
        }
        None
    }

    /// What it would do at `now`.
    pub fn state(&self, now: Instant) -> State {
        let inner = self.0.lock();
        match inner.opened {
            None => State::Closed,
            Some(opened) if now.saturating_duration_since(opened) >= REST => State::HalfOpen,
            Some(_) => State::Open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_after_one_success() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..4 {
            assert_eq!(breaker.report(false, now), None);
        }
        assert_eq!(breaker.report(true, now), None, "a success begins the row anew");
        let changes: Vec<_> = (0..5).map(|_| breaker.report(false, now)).collect();
        assert_eq!(changes[4], Some(State::Open));
        assert_eq!(breaker.admit(now), Err(REST));
        let later = now + REST;
        assert_eq!(breaker.state(later), State::HalfOpen);
        assert_eq!(breaker.admit(later), Ok(()), "one goes through");
        assert!(breaker.admit(later).is_err(), "and no other");
        assert_eq!(breaker.report(false, later), None);
        assert_eq!(breaker.state(later), State::Open, "still ill");
        assert_eq!(breaker.admit(later + REST), Ok(()));
        assert_eq!(breaker.report(true, later + REST), Some(State::Closed));
        assert_eq!(breaker.admit(later + REST), Ok(()));
    }
}
