// SPDX-License-Identifier: Apache-2.0
//! When each request is due.

use std::time::Duration;

/// A cycle of bursts: so long slow, then so long fast.
const SLOW: f64 = 7.0;
const FAST: f64 = 3.0;

/// When requests are due.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each connection sends the next one when the last one is answered.
    Closed,
    /// So many a second.
    Steady(f64),
    /// Seven seconds at the first rate, three at the second, and so on.
    Bursts(f64, f64),
}

impl Pace {
    /// The pace of an environment: prod is steady, dev comes in bursts of a quarter to the whole of
    /// `rate`; 50, 20 and (qa) 20 a second if none is given.
    pub fn of(environment: &str, rate: Option<f64>) -> Pace {
        match environment {
            "dev" => {
                let rate = rate.unwrap_or(20.0);
                Pace::Bursts(rate / 4.0, rate)
            }
            "qa" => Pace::Steady(rate.unwrap_or(20.0)),
            _ => Pace::Steady(rate.unwrap_or(50.0)),
        }
    }

    /// When request number `index` is due after the start; none = when a connection is free.
    pub fn due(self, index: u64) -> Option<Duration> {
        let seconds = match self {
            Pace::Closed => return None,
            Pace::Steady(rate) => index as f64 / rate,
            Pace::Bursts(slow, fast) => {
                let first = slow * SLOW;
                let cycle = first + fast * FAST;
                let (whole, rest) = ((index as f64 / cycle).floor(), index as f64 % cycle);
                let within = if rest < first { rest / slow } else { SLOW + (rest - first) / fast };
                whole * (SLOW + FAST) + within
            }
        };
        // Beyond that nothing is ever due.
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    /// Requests that are due before `end`; none for [`Pace::Closed`].
    pub fn due_before(self, end: Duration) -> Option<u64> {
        self.rate()?;
        let is_due = |index| self.due(index).is_some_and(|due| due < end);
        // Twice as many until one is too late, then between the last two.
        let mut most = 1;
        while is_due(most) && most < u64::MAX / 2 {
            most *= 2;
        }
        let mut least = 0;
        while least < most {
            let middle = least + (most - least) / 2;
            if is_due(middle) { least = middle + 1 } else { most = middle }
        }
        Some(least)
    }

    /// Requests a second on average, none for [`Pace::Closed`].
    pub fn rate(self) -> Option<f64> {
        match self {
            Pace::Closed => None,
            Pace::Steady(rate) => Some(rate),
            Pace::Bursts(slow, fast) => Some((slow * SLOW + fast * FAST) / (SLOW + FAST)),
        }
    }
}
