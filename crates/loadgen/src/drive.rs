// SPDX-License-Identifier: Apache-2.0
//! The loop of every load: workers that take the next due request, until it is over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::pace::Pace;
use crate::tally::Tally;

/// Pause after a connection could not be made, so that a server that is away is not hammered.
pub(crate) const AWAY: Duration = Duration::from_millis(100);

/// How far a load is.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Requests, or what they carry, that are over.
    pub fn done(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// When requests are due, by how many at a time, and until when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Course {
    pub pace: Pace,
    pub workers: usize,
    pub duration: Option<Duration>,
}

/// What sends.
pub(crate) trait Work: Send + 'static {
    /// What was to be sent before request `index`, in the unit of the pace; none when there is no
    /// such request.
    fn before(&self, index: u64) -> Option<u64>;

    /// Sends request `index`, counts what comes of it, and says how much it was.
    fn one(
        &mut self,
        index: u64,
        due: Instant,
        tally: &mut Tally,
    ) -> impl Future<Output = u64> + Send;
}

/// What all workers share.
struct Shared {
    course: Course,
    start: Instant,
    next: AtomicU64,
    progress: Progress,
    stop: watch::Receiver<bool>,
}

/// Runs the workers that `make` makes until there is nothing more to send, or `stop` says so.
pub(crate) async fn drive<W: Work>(
    course: Course,
    progress: Progress,
    stop: watch::Receiver<bool>,
    make: impl Fn(u64) -> W,
) -> Result<Tally> {
    let (start, next) = (Instant::now(), AtomicU64::new(0));
    let shared = Arc::new(Shared { course, start, next, progress, stop });
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..course.workers {
        workers.spawn(work(shared.clone(), make(number as u64)));
    }
    let mut all = Tally::default();
    while let Some(tally) = workers.join_next().await {
        all.merge(tally?);
    }
    all.elapsed = start.elapsed();
    Ok(all)
}

async fn work<W: Work>(shared: Arc<Shared>, mut worker: W) -> Tally {
    let Course { pace, duration, .. } = shared.course;
    let mut tally = Tally::default();
    let mut stop = shared.stop.clone();
    loop {
        let index = shared.next.fetch_add(1, Ordering::Relaxed);
        let Some(before) = worker.before(index) else { return tally };
        let due = pace.due(before);
        let reached = due.unwrap_or_else(|| shared.start.elapsed());
        if duration.is_some_and(|most| reached >= most) || *stop.borrow() {
            return tally;
        }
        let due = due.map_or_else(Instant::now, |due| shared.start + due);
        if due > Instant::now() {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return tally,
                () = tokio::time::sleep_until(due) => {}
            }
        }
        let done = worker.one(index, due, &mut tally).await;
        shared.progress.0.fetch_add(done, Ordering::Relaxed);
    }
}
