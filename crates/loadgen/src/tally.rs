// SPDX-License-Identifier: Apache-2.0
//! What came of the requests.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Slowest requests told by their traces.
const SLOWEST: usize = 5;

/// Kinds of errors told apart; further ones count as "other".
const KINDS_MAX: usize = 20;

/// A slow request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slow {
    /// From when it was due, in microseconds.
    pub micros: u64,
    /// Method and path.
    pub what: String,
    /// 32 hexadecimal digits.
    pub trace_id: String,
}

/// What requests carried, where that is more than themselves: spans, points or log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Sent, each counted once.
    pub offered: u64,
    /// Taken by the peer.
    pub accepted: u64,
    /// Refused within requests that were taken (partial success).
    pub rejected: u64,
    /// Taken a second time, on purpose.
    pub duplicated: u64,
}

/// What came of some requests.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Requests that were answered with 2xx or 3xx, or taken.
    pub successful: u64,
    /// Requests that were answered otherwise, or not at all.
    pub failed: u64,
    /// What they carried; nothing in an HTTP load.
    pub items: Items,
    /// Answers that said "not now", after which a request was sent again.
    pub put_off: u64,
    /// By HTTP status.
    pub statuses: BTreeMap<u16, u64>,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Of answered requests: from when they were due to the last byte, in microseconds.
    pub times: Histogram<u64>,
    /// The same from when they were sent.
    pub sent_times: Histogram<u64>,
    /// The slowest, slowest first.
    pub slowest: Vec<Slow>,
    /// Bytes of answers' bodies.
    pub bytes: u64,
    /// From the start to the last answer.
    pub elapsed: Duration,
}

impl Default for Tally {
    fn default() -> Tally {
        // Three digits, growing with what comes: 80 KiB at a second.
        let histogram = || Histogram::new(3).expect("three digits are allowed");
        Tally {
            successful: 0,
            failed: 0,
            items: Items::default(),
            put_off: 0,
            statuses: BTreeMap::new(),
            errors: BTreeMap::new(),
            times: histogram(),
            sent_times: histogram(),
            slowest: Vec::new(),
            bytes: 0,
            elapsed: Duration::ZERO,
        }
    }
}

impl Tally {
    /// All requests.
    pub fn total(&self) -> u64 {
        self.successful + self.failed
    }

    /// Requests a second; spans, points or records a second where those are counted.
    pub fn rate(&self) -> f64 {
        let all = if self.items == Items::default() { self.total() } else { self.items.offered };
        all as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Share of failed requests, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        self.failed as f64 / (self.total() as f64).max(1.0)
    }

    /// The time below which `percent` of the requests stayed.
    pub fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.times.value_at_percentile(percent))
    }

    /// Counts the time of an answered request; the microseconds from when it was due.
    pub(crate) fn time(&mut self, due: Duration, sent: Duration) -> u64 {
        let micros = due.as_micros().max(1) as u64;
        // They grow by themselves: no value is out of range.
        let _ = self.times.record(micros);
        let _ = self.sent_times.record(sent.as_micros().max(1) as u64);
        micros
    }

    /// Keeps it if it is one of the slowest; `what` it was, and its trace.
    pub(crate) fn slow(&mut self, micros: u64, what: impl FnOnce() -> (String, String)) {
        if self.slowest.len() < SLOWEST || self.slowest.last().is_some_and(|s| s.micros < micros) {
            let at = self.slowest.partition_point(|slow| slow.micros >= micros);
            let (what, trace_id) = what();
            self.slowest.insert(at, Slow { micros, what, trace_id });
            self.slowest.truncate(SLOWEST);
        }
    }

    /// Counts a request that failed, and why.
    pub(crate) fn failed(&mut self, why: String) {
        self.failed += 1;
        self.wrong(why);
    }

    /// Counts something that went wrong.
    pub(crate) fn wrong(&mut self, what: String) {
        let known = self.errors.len() < KINDS_MAX || self.errors.contains_key(&what);
        *self.errors.entry(if known { what } else { "other".to_owned() }).or_default() += 1;
    }

    /// Adds another's.
    pub fn merge(&mut self, other: Tally) {
        self.successful += other.successful;
        self.failed += other.failed;
        self.items.offered += other.items.offered;
        self.items.accepted += other.items.accepted;
        self.items.rejected += other.items.rejected;
        self.items.duplicated += other.items.duplicated;
        self.put_off += other.put_off;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (what, count) in other.errors {
            *self.errors.entry(what).or_default() += count;
        }
        // Both grow by themselves.
        self.times += other.times;
        self.sent_times += other.sent_times;
        self.slowest.extend(other.slowest);
        self.slowest.sort_by_key(|slow| std::cmp::Reverse(slow.micros));
        self.slowest.truncate(SLOWEST);
        self.bytes += other.bytes;
        self.elapsed = self.elapsed.max(other.elapsed);
    }
}
