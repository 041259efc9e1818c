// SPDX-License-Identifier: Apache-2.0
//! How long one connection may do what it is doing.
//!
//! A server's connection is in one of three states: a request is being handled, bytes of the next
//! one have come, or nothing has. [`Activity`] knows which and since when, [`Life`] says how long
//! each may last. hyper's own limit for headers is not used: it counts the wait between two
//! requests as well, and so closes the connection of a client that exports once a minute.
//! HTTP/2 connections are alive by their pings; only idleness and age end them here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a connection may live; `None` = for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    /// Without a request under way.
    pub idle: Option<Duration>,
    /// From the first byte of a request (or from the start of the connection) to the end of its
    /// headers; HTTP/1, and what has not begun to speak HTTP/2.
    pub head: Option<Duration>,
    /// From the end of the headers to the answer; HTTP/1 only.
    pub answer: Option<Duration>,
    /// In all; the connection then takes no new requests.
    pub age: Option<Duration>,
    /// What open requests get after that.
    pub grace: Option<Duration>,
}

impl Life {
    fn is_unlimited(&self) -> bool {
        self.idle.or(self.head).or(self.answer).or(self.age).is_none()
    }
}

/// What one connection is doing. Clone = refcount.
#[derive(Clone, Debug)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    begun: Instant,
    is_h2: AtomicBool,
    has_read: AtomicBool,
    /// Requests under way.
    open: AtomicU32,
    /// Nanoseconds after `begun` at which the present state began.
    since: AtomicU64,
    /// With no request under way: bytes of the next one have come.
    reading: AtomicBool,
}

/// What to do with a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing before this time has passed.
    Look(Duration),
    /// Nothing ever.
    Live,
    /// No new requests; open ones end.
    Shutdown,
    /// End it.
    Close,
}

/// Held while a request is handled.
#[derive(Debug)]
pub struct Busy(Activity);

impl Activity {
    /// A connection that begins now.
    pub fn new(is_h2: bool) -> Self {
        Activity(Arc::new(State {
            begun: Instant::now(),
            is_h2: AtomicBool::new(is_h2),
            has_read: AtomicBool::new(false),
            open: AtomicU32::new(0),
            since: AtomicU64::new(0),
            // Silence from the start is a request that does not come.
            reading: AtomicBool::new(true),
        }))
    }

    /// A request's headers are complete; until the result is dropped it is under way.
    pub fn begin(&self) -> Busy {
        if self.0.open.fetch_add(1, Ordering::Relaxed) == 0 {
            self.mark();
        }
        Busy(self.clone())
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.open.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn read(&self, bytes: &[u8]) {
        let state = &self.0;
        if bytes.is_empty() || state.open.load(Ordering::Relaxed) > 0 {
            return;
        }
        if !state.has_read.swap(true, Ordering::Relaxed) && bytes.starts_with(b"PRI") {
            state.is_h2.store(true, Ordering::Relaxed);
        }
        if !state.reading.swap(true, Ordering::Relaxed) {
            self.mark();
        }
    }

    fn mark(&self) {
        let nanos = self.0.begun.elapsed().as_nanos();
        self.0.since.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// True if a request may be on its way that nobody has seen yet; HTTP/1 only, as HTTP/2 tells
    /// its clients which of theirs were taken.
    pub(crate) fn is_before_a_request(&self) -> bool {
        let state = &self.0;
        state.open.load(Ordering::Relaxed) == 0
            && state.reading.load(Ordering::Relaxed)
            && !state.is_h2.load(Ordering::Relaxed)
    }

    pub(crate) fn judge(&self, life: &Life) -> Verdict {
        if life.is_unlimited() {
            return Verdict::Live;
        }
        let state = &self.0;
        let age = state.begun.elapsed();
        let is_h2 = state.is_h2.load(Ordering::Relaxed);
        let is_open = state.open.load(Ordering::Relaxed) > 0;
        let reading = state.reading.load(Ordering::Relaxed);
        let lasted = age.saturating_sub(Duration::from_nanos(state.since.load(Ordering::Relaxed)));
        let mut look: Option<Duration> = None;
        let mut passed = |lasted: Duration, limit: Option<Duration>, wanted: bool| {
            let Some(limit) = limit else { return false };
            let rest = limit.saturating_sub(if wanted { lasted } else { Duration::ZERO });
            look = Some(look.map_or(rest, |look| look.min(rest)));
            wanted && rest.is_zero()
        };
        if passed(lasted, life.head, !is_h2 && !is_open && reading)
            || passed(lasted, life.answer, !is_h2 && is_open)
        {
            return Verdict::Close;
        }
        let is_idle = !is_open && (is_h2 || !reading);
        if passed(lasted, life.idle, is_idle) || passed(age, life.age, true) {
            return Verdict::Shutdown;
        }
        look.map_or(Verdict::Live, |look| Verdict::Look(look.max(LOOK_MIN)))
    }
}

/// Deadlines are looked at no more often: they are seconds and minutes.
const LOOK_MIN: Duration = Duration::from_millis(10);

impl Drop for Busy {
    fn drop(&mut self) {
        let state = &self.0.0;
        if state.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            state.reading.store(false, Ordering::Relaxed);
            self.0.mark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn life() -> Life {
        Life { idle: Some(10 * SECOND), head: Some(3 * SECOND), ..Life::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_request_is_closed_and_a_wait_between_two_is_not() {
        let activity = Activity::new(false);
        activity.read(b"POST /v1");
        assert_eq!(activity.judge(&life()), Verdict::Look(3 * SECOND));
        tokio::time::advance(3 * SECOND).await;
        assert_eq!(activity.judge(&life()), Verdict::Close);
        drop(activity.begin());
        tokio::time::advance(9 * SECOND).await;
        assert_eq!(activity.judge(&life()), Verdict::Look(SECOND));
        activity.read(b"P");
        tokio::time::advance(3 * SECOND).await;
        assert_eq!(activity.judge(&life()), Verdict::Close);
    }

    #[tokio::test]
    async fn a_fresh_connection_and_one_with_half_a_request_are_before_one() {
        let activity = Activity::new(false);
        assert!(activity.is_before_a_request());
        let busy = activity.begin();
        assert!(!activity.is_before_a_request());
        drop(busy);
        assert!(!activity.is_before_a_request());
        activity.read(b"POST");
        assert!(activity.is_before_a_request());
        let h2 = Activity::new(false);
        h2.read(b"PRI * HTTP/2.0");
        assert!(!h2.is_before_a_request());
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_request_keeps_its_connection_and_idleness_ends_it() {
        let activity = Activity::new(true);
        let busy = activity.begin();
        tokio::time::advance(100 * SECOND).await;
        assert!(matches!(activity.judge(&life()), Verdict::Look(_)));
        drop(busy);
        tokio::time::advance(10 * SECOND).await;
        assert_eq!(activity.judge(&life()), Verdict::Shutdown);
    }

    #[tokio::test(start_paused = true)]
    async fn age_and_a_slow_answer_have_their_limits() {
        let limits = Life { age: Some(5 * SECOND), answer: Some(2 * SECOND), ..Life::default() };
        let activity = Activity::new(false);
        let busy = activity.begin();
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(activity.judge(&limits), Verdict::Close);
        drop(busy);
        tokio::time::advance(3 * SECOND).await;
        assert_eq!(activity.judge(&limits), Verdict::Shutdown);
        assert_eq!(activity.judge(&Life::default()), Verdict::Live);
    }
}
