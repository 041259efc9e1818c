// SPDX-License-Identifier: Apache-2.0
//! The collector's own instruments, ready to be used: one struct per kind of component.
//!
//! Each is made once when its component is built. Spans, data points and log records have their
//! own names, as in the Go collector; the struct picks by signal.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use basics::{Error, Kind};
use otlp_wire::Signal;

use super::{Counter, Gauge, Histogram, Labels, SECONDS, Telemetry};

/// One counter per signal, registered when it first counts something: a page does not show what
/// never happens, as in the Go collector.
#[derive(Clone)]
struct PerSignal(Arc<Lazy>);

struct Lazy {
    telemetry: Telemetry,
    names: [&'static str; 3],
    help: &'static str,
    labels: Labels,
    counters: [OnceLock<Counter>; 3],
}

impl PerSignal {
    /// `names` for spans, data points and log records.
    fn new(
        telemetry: &Telemetry,
        names: [&'static str; 3],
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Self {
        let labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        PerSignal::of(telemetry, names, help, labels)
    }

    fn of(
        telemetry: &Telemetry,
        names: [&'static str; 3],
        help: &'static str,
        labels: Labels,
    ) -> Self {
        let (telemetry, counters) = (telemetry.clone(), Default::default());
        PerSignal(Arc::new(Lazy { telemetry, names, help, labels, counters }))
    }

    fn add(&self, signal: Signal, items: u64) {
        if items > 0 {
            self.shown(signal).add(items);
        }
    }

    /// The counter of `signal`, on the page from now on.
    fn shown(&self, signal: Signal) -> &Counter {
        let at = place(signal);
        self.0.counters[at].get_or_init(|| self.0.counter(at, &[]))
    }

    /// Counts with `more` labels, those of a rare case.
    fn add_with(&self, signal: Signal, items: u64, more: &[(&'static str, &str)]) {
        if items > 0 {
            self.0.counter(place(signal), more).add(items);
        }
    }
}

impl Lazy {
    fn counter(&self, at: usize, more: &[(&'static str, &str)]) -> Counter {
        let labels = self.labels.iter().map(|(key, value)| (*key, value.as_str()));
        let labels: Vec<_> = labels.chain(more.iter().copied()).collect();
        self.telemetry.counter(self.names[at], self.help, &labels)
    }
}

fn place(signal: Signal) -> usize {
    match signal {
        Signal::Traces => 0,
        Signal::Metrics => 1,
        Signal::Logs => 2,
    }
}

/// `otelcol_receiver_*`: what came in, in items.
#[derive(Clone)]
pub struct ReceiverMeter {
    accepted: PerSignal,
    refused: PerSignal,
    failed: PerSignal,
}

impl ReceiverMeter {
    /// For the receiver `id` taking data over `transport` (`grpc`, `http`, or empty).
    pub fn new(telemetry: &Telemetry, id: &str, transport: &str) -> Self {
        let labels = [("receiver", id), ("transport", transport)];
        let of = |names, help| PerSignal::new(telemetry, names, help, &labels);
        ReceiverMeter {
            accepted: of(
                [
                    "otelcol_receiver_accepted_spans",
                    "otelcol_receiver_accepted_metric_points",
                    "otelcol_receiver_accepted_log_records",
                ],
                "Items taken over by the pipelines.",
            ),
            refused: of(
                [
                    "otelcol_receiver_refused_spans",
                    "otelcol_receiver_refused_metric_points",
                    "otelcol_receiver_refused_log_records",
                ],
                "Items the pipelines refused; the client was told so.",
            ),
            failed: of(
                [
                    "otelcol_receiver_failed_spans",
                    "otelcol_receiver_failed_metric_points",
                    "otelcol_receiver_failed_log_records",
                ],
                "Items lost by the receiver itself.",
            ),
        }
    }

    /// The pipelines took `items`.
    pub fn accepted(&self, signal: Signal, items: u64) {
        self.count(&self.accepted, signal, items);
    }

    /// The pipelines refused `items`.
    pub fn refused(&self, signal: Signal, items: u64) {
        self.count(&self.refused, signal, items);
    }

    /// The receiver itself failed on `items`.
    pub fn failed(&self, signal: Signal, items: u64) {
        self.count(&self.failed, signal, items);
    }

    /// Once a signal has come in, all three fates of it are shown, so that a rate finds a zero.
    fn count(&self, fate: &PerSignal, signal: Signal, items: u64) {
        if items > 0 {
            for fate in [&self.accepted, &self.refused, &self.failed] {
                fate.shown(signal);
            }
            fate.add(signal, items);
        }
    }

    /// What `consume` answered for `items`.
    pub fn outcome<T>(&self, signal: Signal, items: u64, outcome: &basics::Result<T>) {
        match outcome {
            Ok(_) => self.accepted(signal, items),
            Err(_) => self.refused(signal, items),
        }
    }
}

/// `otelcol_scraper_*`: points read by one scraper of a scraping receiver.
#[derive(Clone)]
pub struct ScraperMeter {
    scraped: Counter,
    errored: Counter,
}

impl ScraperMeter {
    /// For `scraper` (e.g. `cpu`) of the receiver `id`.
    pub fn new(telemetry: &Telemetry, id: &str, scraper: &str) -> Self {
        let labels = [("receiver", id), ("scraper", scraper)];
        ScraperMeter {
            scraped: telemetry.counter(
                "otelcol_scraper_scraped_metric_points",
                "Points read.",
                &labels,
            ),
            errored: telemetry.counter(
                "otelcol_scraper_errored_metric_points",
                "Points that could not be read.",
                &labels,
            ),
        }
    }

    /// `points` were read.
    pub fn scraped(&self, points: u64) {
        self.scraped.add(points);
    }

    /// `points` could not be read.
    pub fn errored(&self, points: u64) {
        self.errored.add(points);
    }
}

/// `otelcol_processor_{incoming,outgoing}_items` and, at level detailed,
/// `otelcol_processor_internal_duration`; kept by the runtime for every processor.
#[derive(Clone)]
pub struct ProcessorMeter {
    incoming: Counter,
    outgoing: Counter,
    duration: Option<Histogram>,
}

impl ProcessorMeter {
    /// For the processor `id` in a pipeline of `signal`.
    pub fn new(telemetry: &Telemetry, id: &str, signal: Signal) -> Self {
        let labels = [("processor", id), ("otel_signal", signal.name())];
        ProcessorMeter {
            incoming: telemetry.counter(
                "otelcol_processor_incoming_items",
                "Items handed to the processor.",
                &labels,
            ),
            outgoing: telemetry.counter(
                "otelcol_processor_outgoing_items",
                "Items that left the processor.",
                &labels,
            ),
            duration: telemetry.is_detailed().then(|| {
                telemetry.histogram(
                    "otelcol_processor_internal_duration",
                    "Seconds in the processor itself, without what comes behind it.",
                    &labels,
                    SECONDS,
                )
            }),
        }
    }

    /// True when its time is taken: it must then be the only one that works.
    pub(crate) fn is_timed(&self) -> bool {
        self.duration.is_some()
    }

    /// Does `work`, taking its time if that is wanted.
    pub(crate) fn timed<T>(&self, work: impl FnOnce() -> T) -> T {
        let Some(duration) = &self.duration else { return work() };
        let begun = Instant::now();
        let done = work();
        duration.observe(begun.elapsed().as_secs_f64());
        done
    }

    /// `items` went in.
    pub fn incoming(&self, items: u64) {
        self.incoming.add(items);
    }

    /// `items` came out.
    pub fn outgoing(&self, items: u64) {
        self.outgoing.add(items);
    }
}

/// `otelcol_processor_{accepted,refused}_*`: what a gate let on and what it did not, in items.
#[derive(Clone)]
pub struct GateMeter {
    accepted: PerSignal,
    refused: PerSignal,
}

impl GateMeter {
    /// For the processor `id`.
    pub fn new(telemetry: &Telemetry, id: &str) -> Self {
        let labels = [("processor", id)];
        let of = |names, help| PerSignal::new(telemetry, names, help, &labels);
        GateMeter {
            accepted: of(
                [
                    "otelcol_processor_accepted_spans",
                    "otelcol_processor_accepted_metric_points",
                    "otelcol_processor_accepted_log_records",
                ],
                "Items let on.",
            ),
            refused: of(
                [
                    "otelcol_processor_refused_spans",
                    "otelcol_processor_refused_metric_points",
                    "otelcol_processor_refused_log_records",
                ],
                "Items refused; who sent them was told so.",
            ),
        }
    }

    /// `items` were let on.
    pub fn accepted(&self, signal: Signal, items: u64) {
        self.accepted.add(signal, items);
    }

    /// `items` were refused.
    pub fn refused(&self, signal: Signal, items: u64) {
        self.refused.add(signal, items);
    }
}

/// `otelcol_processor_batch_*`.
#[derive(Clone)]
pub struct BatchMeter {
    size: Histogram,
    bytes: Histogram,
    by_size: Counter,
    by_timeout: Counter,
    combinations: Gauge,
}

/// The Go collector's bounds for the items of a batch.
const BATCH_ITEMS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2000.0, 3000.0, 4000.0, 5000.0,
    6000.0, 7000.0, 8000.0, 9000.0, 10000.0, 20000.0, 30000.0, 50000.0, 100_000.0,
];
/// The Go collector's bounds for the bytes of a batch.
const BATCH_BYTES: &[f64] = &[
    10.0,
    25.0,
    50.0,
    75.0,
    100.0,
    250.0,
    500.0,
    750.0,
    1000.0,
    2000.0,
    3000.0,
    4000.0,
    5000.0,
    6000.0,
    7000.0,
    8000.0,
    9000.0,
    10_000.0,
    20_000.0,
    30_000.0,
    50_000.0,
    100_000.0,
    200_000.0,
    300_000.0,
    400_000.0,
    500_000.0,
    600_000.0,
    700_000.0,
    800_000.0,
    900_000.0,
    1_000_000.0,
    2_000_000.0,
    3_000_000.0,
    4_000_000.0,
    5_000_000.0,
    6_000_000.0,
    7_000_000.0,
    8_000_000.0,
    9_000_000.0,
];

impl BatchMeter {
    /// For the batch processor `id`.
    pub fn new(telemetry: &Telemetry, id: &str) -> Self {
        let labels = [("processor", id)];
        BatchMeter {
            size: telemetry.histogram(
                "otelcol_processor_batch_batch_send_size",
                "Items of the batches sent on.",
                &labels,
                BATCH_ITEMS,
            ),
            bytes: telemetry.histogram(
                "otelcol_processor_batch_batch_send_size_bytes",
                "Bytes of the batches sent on.",
                &labels,
                BATCH_BYTES,
            ),
            by_size: telemetry.counter(
                "otelcol_processor_batch_batch_size_trigger_send",
                "Batches sent on because they were full.",
                &labels,
            ),
            by_timeout: telemetry.counter(
                "otelcol_processor_batch_timeout_trigger_send",
                "Batches sent on because their time was up.",
                &labels,
            ),
            combinations: telemetry.gauge(
                "otelcol_processor_batch_metadata_cardinality",
                "Distinct combinations of metadata values being batched.",
                &labels,
            ),
        }
    }

    /// A batch of `items` and `bytes` went on, because it was full or because time was up.
    pub fn sent(&self, items: u64, bytes: usize, full: bool) {
        self.size.observe(items as f64);
        self.bytes.observe(bytes as f64);
        if full { self.by_size.inc() } else { self.by_timeout.inc() }
    }

    /// Number of metadata combinations now.
    pub fn combinations(&self, count: usize) {
        self.combinations.set(count as f64);
    }
}

/// `otelcol_exporter_{sent,send_failed,enqueue_failed}_*`, in items.
#[derive(Clone)]
pub struct ExporterMeter {
    sent: PerSignal,
    failed: PerSignal,
    enqueue_failed: PerSignal,
    /// Failures are told apart by their kind.
    detailed: bool,
}

impl ExporterMeter {
    /// For the exporter `id`.
    pub fn new(telemetry: &Telemetry, id: &str) -> Self {
        ExporterMeter::to(telemetry, id, &Labels::new())
    }

    /// For the exporter `id`, which sends to `peer`: `server_address`, `server_port`, `url_path`.
    pub fn to(telemetry: &Telemetry, id: &str, peer: &Labels) -> Self {
        let own = vec![("exporter", id.to_owned())];
        let all: Labels = own.iter().chain(peer).cloned().collect();
        let of = |names, help| PerSignal::of(telemetry, names, help, all.clone());
        ExporterMeter {
            detailed: telemetry.is_detailed(),
            sent: of(
                [
                    "otelcol_exporter_sent_spans",
                    "otelcol_exporter_sent_metric_points",
                    "otelcol_exporter_sent_log_records",
                ],
                "Items the destination took.",
            ),
            failed: of(
                [
                    "otelcol_exporter_send_failed_spans",
                    "otelcol_exporter_send_failed_metric_points",
                    "otelcol_exporter_send_failed_log_records",
                ],
                "Items the destination did not take.",
            ),
            enqueue_failed: PerSignal::of(
                telemetry,
                [
                    "otelcol_exporter_enqueue_failed_spans",
                    "otelcol_exporter_enqueue_failed_metric_points",
                    "otelcol_exporter_enqueue_failed_log_records",
                ],
                "Items refused because the sending queue was full.",
                own,
            ),
        }
    }

    /// The destination took `items`.
    pub fn sent(&self, signal: Signal, items: u64) {
        self.sent.add(signal, items);
    }

    /// The destination did not take `items`, and they will not be tried again, because of `error`.
    pub fn failed(&self, signal: Signal, items: u64, error: &Error) {
        self.sent.shown(signal);
        if self.detailed {
            let permanent = if error.kind().is_retryable() { "false" } else { "true" };
            let labels = [("error_permanent", permanent), ("error_type", type_of(error))];
            return self.failed.add_with(signal, items, &labels);
        }
        self.failed.add(signal, items);
    }

    /// The queue had no room for `items`.
    pub fn enqueue_failed(&self, signal: Signal, items: u64) {
        self.enqueue_failed.add(signal, items);
    }
}

/// What `error.type` says of it, in the Go collector's words as far as they fit.
fn type_of(error: &Error) -> &'static str {
    match error.kind() {
        Kind::Closed => "Shutdown",
        _ => "_OTHER",
    }
}

/// `otelcol_exporter_queue_{size,capacity,batch_send_size[_bytes]}`,
/// `otelcol_exporter_in_flight_requests` and, at level detailed,
/// `otelcol_exporter_enqueue_size[_bytes]`.
#[derive(Clone)]
pub struct QueueMeter {
    size: Gauge,
    in_flight: Gauge,
    /// Items and bytes of what is put in.
    put_in: Option<[Histogram; 2]>,
    sent_items: Histogram,
    sent_bytes: Histogram,
}

/// Bounds for items of a request, the collector's.
const REQUEST_ITEMS: &[f64] = &[
    10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2e3, 3e3, 4e3, 5e3, 6e3, 7e3, 8e3,
    9e3, 1e4, 2e4, 3e4, 5e4, 1e5,
];

/// Bounds for bytes of a request: the collector's, thinned out.
const REQUEST_BYTES: &[f64] =
    &[100.0, 500.0, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6, 9e6];

impl QueueMeter {
    /// For the queue of `capacity` (in units of its sizer) of the exporter `id` for `signal`.
    pub fn new(
        telemetry: &Telemetry,
        id: &str,
        signal: Signal,
        capacity: u64,
        peer: &Labels,
    ) -> Self {
        let peer = peer.iter().map(|(key, value)| (*key, value.as_str()));
        let to: Vec<_> = [("exporter", id)].into_iter().chain(peer).collect();
        let of = |name, help, bounds| telemetry.histogram(name, help, &to, bounds);
        let own = |name, help, bounds| telemetry.histogram(name, help, &to[..1], bounds);
        let labels = [("exporter", id), ("data_type", signal.name())];
        telemetry
            .gauge(
                "otelcol_exporter_queue_capacity",
                "Room of the sending queue, in batches unless its sizer says otherwise.",
                &labels,
            )
            .set(capacity as f64);
        QueueMeter {
            size: telemetry.gauge(
                "otelcol_exporter_queue_size",
                "What the sending queue holds, in batches unless its sizer says otherwise.",
                &labels,
            ),
            in_flight: telemetry.gauge(
                "otelcol_exporter_in_flight_requests",
                "Requests sent and not yet answered.",
                &labels,
            ),
            sent_items: of(
                "otelcol_exporter_queue_batch_send_size",
                "Items of the requests sent from the queue.",
                REQUEST_ITEMS,
            ),
            sent_bytes: of(
                "otelcol_exporter_queue_batch_send_size_bytes",
                "Bytes of the requests sent from the queue.",
                REQUEST_BYTES,
            ),
            put_in: telemetry.is_detailed().then(|| {
                let items = own(
                    "otelcol_exporter_enqueue_size",
                    "Items of the batches put into the queue.",
                    REQUEST_ITEMS,
                );
                let bytes = own(
                    "otelcol_exporter_enqueue_size_bytes",
                    "Bytes of the batches put into the queue.",
                    REQUEST_BYTES,
                );
                [items, bytes]
            }),
        }
    }

    /// A batch of `items` and `bytes` has been put into the queue.
    pub fn put_in(&self, items: u64, bytes: usize) {
        if let Some([of_items, of_bytes]) = &self.put_in {
            of_items.observe(items as f64);
            of_bytes.observe(bytes as f64);
        }
    }

    /// A request of `items` and `bytes` leaves the queue.
    pub fn sends(&self, items: u64, bytes: usize) {
        self.sent_items.observe(items as f64);
        self.sent_bytes.observe(bytes as f64);
    }

    /// What the queue holds now.
    pub fn size(&self, size: u64) {
        self.size.set(size as f64);
    }

    /// One more request is (`+1`), or is no longer (`-1`), under way.
    pub fn in_flight(&self, by: i32) {
        self.in_flight.add(f64::from(by));
    }
}
