// SPDX-License-Identifier: Apache-2.0
//! The conservation ledger: what became of every item, per pipeline and exporter.
//!
//! ```text
//! received + generated = delivered + sampled_out + filtered + dead_lettered + dropped + in_flight
//! ```
//! The fates on the right are counted where they happen, in items. `in_flight` is kept apart from
//! them: it goes up when a batch is admitted and down when the last holder of the batch's acks has
//! settled. So at rest (`in_flight` = 0) the equation is a real check, and [`Book::check`] makes
//! it. While data moves, an exporter that is done is ahead of its siblings and the two sides may
//! differ by what is in flight.
//!
//! What the log gives again after a restart goes into a second book: only durable exporters see
//! it. Shown as `foreglow_ledger_items_total{pipeline,exporter,fate[,reason]}` and
//! `foreglow_ledger_in_flight_items{pipeline}`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use basics::Kind;
use parking_lot::Mutex;

use crate::telemetry::{Counter, Telemetry};

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The exporter's destination has it.
    Delivered,
    /// A sampler left it out.
    SampledOut,
    /// A filter, as configured, left it out.
    Filtered,
    /// It is in the dead-letter queue.
    DeadLettered,
    /// It is lost to this exporter.
    Dropped(Reason),
}

/// Why an item was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Attempts to deliver it were given up.
    Retry,
    /// A bound was reached.
    Overloaded,
    /// The destination will never take it.
    Rejected,
    /// It does not make sense.
    Invalid,
    /// Bytes of ours were damaged.
    Corrupt,
    /// The component was stopping.
    Closed,
    /// A component panicked on it.
    Panic,
    /// Whoever handed it over went away before it was taken.
    Cancelled,
}

impl Reason {
    const ALL: [Reason; 8] = [
        Reason::Retry,
        Reason::Overloaded,
        Reason::Rejected,
        Reason::Invalid,
        Reason::Corrupt,
        Reason::Closed,
        Reason::Panic,
        Reason::Cancelled,
    ];

    /// The value of the label `reason`.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Retry => "retry",
            Reason::Overloaded => "overloaded",
            Reason::Rejected => "rejected",
            Reason::Invalid => "invalid",
            Reason::Corrupt => "corrupt",
            Reason::Closed => "closed",
            Reason::Panic => "panic",
            Reason::Cancelled => "cancelled",
        }
    }
}

impl From<Kind> for Reason {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Retry { .. } => Reason::Retry,
            Kind::Overloaded => Reason::Overloaded,
            Kind::Rejected => Reason::Rejected,
            Kind::Invalid => Reason::Invalid,
            Kind::Corrupt => Reason::Corrupt,
            Kind::Closed => Reason::Closed,
        }
    }
}

/// Items by fate.
#[derive(Clone, Default)]
pub struct Fates {
    delivered: Counter,
    sampled_out: Counter,
    filtered: Counter,
    dead_lettered: Counter,
    dropped: [Counter; Reason::ALL.len()],
}

impl Fates {
    /// `items` met `fate`.
    pub fn add(&self, fate: Fate, items: u64) {
        self.of(fate).add(items);
    }

    /// Items that met `fate`.
    pub fn get(&self, fate: Fate) -> u64 {
        self.of(fate).get()
    }

    /// Items that met any fate.
    pub fn total(&self) -> u64 {
        all_fates().map(|fate| self.get(fate)).sum()
    }

    fn of(&self, fate: Fate) -> &Counter {
        match fate {
            Fate::Delivered => &self.delivered,
            Fate::SampledOut => &self.sampled_out,
            Fate::Filtered => &self.filtered,
            Fate::DeadLettered => &self.dead_lettered,
            Fate::Dropped(reason) => &self.dropped[reason as usize],
        }
    }
}

fn all_fates() -> impl Iterator<Item = Fate> {
    let dropped = Reason::ALL.into_iter().map(Fate::Dropped);
    [Fate::Delivered, Fate::SampledOut, Fate::Filtered, Fate::DeadLettered]
        .into_iter()
        .chain(dropped)
}

fn labels_of(fate: Fate) -> (&'static str, &'static str) {
    match fate {
        Fate::Delivered => ("delivered", ""),
        Fate::SampledOut => ("sampled_out", ""),
        Fate::Filtered => ("filtered", ""),
        Fate::DeadLettered => ("dead_lettered", ""),
        Fate::Dropped(reason) => ("dropped", reason.name()),
    }
}

/// The account of one pipeline. Clone = refcounts.
#[derive(Clone)]
pub struct Book(Arc<Account>);

struct Account {
    pipeline: Arc<str>,
    received: Counter,
    generated: Counter,
    /// Fates met before the pipeline fans out; they hold for every exporter.
    before: Fates,
    edges: Vec<(Arc<str>, Fates)>,
    in_flight: AtomicI64,
}

impl Book {
    /// An empty account of `pipeline` with its `exporters`, that nobody else looks at.
    pub fn new(pipeline: &str, exporters: &[Arc<str>]) -> Self {
        Book(Arc::new(Account {
            pipeline: pipeline.into(),
            received: Counter::default(),
            generated: Counter::default(),
            before: Fates::default(),
            edges: exporters.iter().map(|id| (id.clone(), Fates::default())).collect(),
            in_flight: AtomicI64::new(0),
        }))
    }

    /// `items` came in through the door.
    pub fn received(&self, items: u64) {
        self.0.received.add(items);
    }

    /// `items` were made by a processor.
    pub fn generated(&self, items: u64) {
        self.0.generated.add(items);
    }

    /// `items` met `fate` before the fan-out.
    pub fn before(&self, fate: Fate, items: u64) {
        self.0.before.add(fate, items);
    }

    /// `items` met `fate` at the exporter number `edge`.
    pub fn at(&self, edge: usize, fate: Fate, items: u64) {
        if let Some((_, fates)) = self.0.edges.get(edge) {
            fates.add(fate, items);
        }
    }

    /// `items` are in the pipeline from now on (or, negative, no longer).
    pub fn moving(&self, items: i64) {
        self.0.in_flight.fetch_add(items, Ordering::AcqRel);
    }

    /// Items admitted whose fate is not known everywhere yet.
    pub fn in_flight(&self) -> i64 {
        self.0.in_flight.load(Ordering::Acquire)
    }

    /// Id of the pipeline.
    pub fn pipeline(&self) -> &str {
        &self.0.pipeline
    }

    /// Items delivered so far, added up over the exporters.
    pub fn total_delivered(&self) -> u64 {
        self.0.edges.iter().map(|(_, fates)| fates.get(Fate::Delivered)).sum()
    }

    /// Items dropped so far for whatever reason, added up over the exporters; what was dropped
    /// before the fan-out counts once.
    pub fn total_dropped(&self) -> u64 {
        let edges = self.0.edges.iter().map(|(_, fates)| fates);
        let all = std::iter::once(&self.0.before).chain(edges);
        all.flat_map(|fates| Reason::ALL.map(|r| fates.get(Fate::Dropped(r)))).sum()
    }

    /// Items given up so far that would have been delivered with more time, as
    /// [`Book::total_dropped`].
    pub fn total_given_up(&self) -> u64 {
        let reasons = [Reason::Retry, Reason::Overloaded, Reason::Closed, Reason::Cancelled];
        let edges = self.0.edges.iter().map(|(_, fates)| fates);
        let all = std::iter::once(&self.0.before).chain(edges);
        all.flat_map(|fates| reasons.map(|r| fates.get(Fate::Dropped(r)))).sum()
    }

    /// Items received so far.
    pub fn total_received(&self) -> u64 {
        self.0.received.get()
    }

    /// Items generated so far.
    pub fn total_generated(&self) -> u64 {
        self.0.generated.get()
    }

    /// Items that met `fate`, as the exporter `exporter` sees it.
    pub fn count(&self, exporter: &str, fate: Fate) -> u64 {
        let edge = self.0.edges.iter().find(|(id, _)| &**id == exporter);
        self.0.before.get(fate) + edge.map_or(0, |(_, fates)| fates.get(fate))
    }

    /// Items dropped for whatever reason, as the exporter `exporter` sees it.
    pub fn dropped_by(&self, exporter: &str) -> u64 {
        Reason::ALL.iter().map(|reason| self.count(exporter, Fate::Dropped(*reason))).sum()
    }

    /// Is the account in balance? Asked at rest.
    ///
    /// # Errors
    /// Both sides of the equation, for the first exporter for which they differ.
    pub fn check(&self) -> Result<(), String> {
        let moving = self.in_flight();
        if moving != 0 {
            return Err(format!("{}: {moving} items in flight at rest", self.0.pipeline));
        }
        let came = self.total_received() + self.total_generated();
        for (exporter, fates) in &self.0.edges {
            let went = self.0.before.total() + fates.total();
            if came != went {
                return Err(format!(
                    "{} -> {exporter}: {came} items came, the fate of {went} is known: {}",
                    self.0.pipeline,
                    self.describe(exporter)
                ));
            }
        }
        Ok(())
    }

    fn describe(&self, exporter: &str) -> String {
        let known = all_fates().filter_map(|fate| {
            let (name, reason) = labels_of(fate);
            let items = self.count(exporter, fate);
            (items > 0).then(|| format!("{name}{{{reason}}} {items}"))
        });
        known.collect::<Vec<_>>().join(", ")
    }
}

/// The books of all pipelines; clone = refcount.
#[derive(Clone)]
pub struct Ledger {
    books: Arc<Mutex<Vec<Book>>>,
    telemetry: Telemetry,
}

impl Ledger {
    /// A ledger shown through `telemetry`.
    pub fn new(telemetry: Telemetry) -> Self {
        Ledger { books: Arc::default(), telemetry }
    }

    /// The book of `pipeline` with these `exporters`: the open one, or a new one that is not open
    /// yet.
    pub fn reserve(&self, pipeline: &str, exporters: &[Arc<str>]) -> Book {
        let is_it = |book: &Book| book.0.edges.iter().map(|(id, _)| id).eq(exporters);
        self.book(pipeline).filter(is_it).unwrap_or_else(|| Book::new(pipeline, exporters))
    }

    /// Opens `book`, in place of the one its pipeline had.
    pub fn open(&self, book: &Book) {
        let mut books = self.books.lock();
        if books.iter().any(|open| Arc::ptr_eq(&open.0, &book.0)) {
            return;
        }
        books.retain(|old| old.0.pipeline != book.0.pipeline);
        books.push(book.clone());
        drop(books);
        self.show(book);
    }

    /// All books, in the order of their opening.
    pub fn books(&self) -> Vec<Book> {
        self.books.lock().clone()
    }

    /// The book of `pipeline`.
    pub fn book(&self, pipeline: &str) -> Option<Book> {
        self.books.lock().iter().find(|book| &*book.0.pipeline == pipeline).cloned()
    }

    /// Are all books in balance? Asked at rest.
    ///
    /// # Errors
    /// As [`Book::check`], one line for each book that is not.
    pub fn check(&self) -> Result<(), String> {
        let faults: Vec<_> =
            self.books.lock().iter().filter_map(|book| book.check().err()).collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }

    fn show(&self, book: &Book) {
        const NAME: &str = "foreglow_ledger_items_total";
        const HELP: &str = "Items by what became of them.";
        let pipeline = book.0.pipeline.clone();
        for (exporter, _) in &book.0.edges {
            let labels = |fate| [("pipeline", &*pipeline), ("exporter", exporter), ("fate", fate)];
            let came = book.clone();
            self.telemetry.counter_from(NAME, HELP, &labels("received"), move || {
                came.total_received() as f64
            });
            let made = book.clone();
            self.telemetry.counter_from(NAME, HELP, &labels("generated"), move || {
                made.total_generated() as f64
            });
            for fate in all_fates() {
                let (name, reason) = labels_of(fate);
                let mut labels = labels(name).to_vec();
                if !reason.is_empty() {
                    labels.push(("reason", reason));
                }
                let (book, exporter) = (book.clone(), exporter.clone());
                self.telemetry.counter_if(NAME, HELP, &labels, move || {
                    let items = book.count(&exporter, fate);
                    // Of the many fates only those that occur, and the one that everyone asks for.
                    (items > 0 || fate == Fate::Delivered).then_some(items as f64)
                });
            }
        }
        let moving = book.clone();
        self.telemetry.gauge_from(
            "foreglow_ledger_in_flight_items",
            "Items admitted whose fate is not known everywhere yet.",
            &[("pipeline", &pipeline)],
            move || moving.in_flight() as f64,
        );
    }
}
