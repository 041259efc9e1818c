// SPDX-License-Identifier: Apache-2.0
//! The store's own metrics, read when the page on 8888 is.

use std::sync::Arc;

use pipeline::telemetry::Telemetry;
use store::Store;

type Read = fn(&Store) -> f64;

const GAUGES: [(&str, &str, Read); 5] = [
    ("foreglow_store_series", "Series in memory.", |s| s.head().series_count() as f64),
    ("foreglow_store_samples", "Samples in memory.", |s| s.head().sample_count() as f64),
    ("foreglow_store_log_bytes", "Bytes in the log.", |s| s.log().stats().bytes as f64),
    ("foreglow_store_log_segments", "Segments of the log.", |s| s.log().stats().segments as f64),
    ("foreglow_store_log_unsynced_bytes", "Bytes written and not yet durable.", |s| {
        s.log().stats().bytes_unsynced as f64
    }),
];

const COUNTERS: [(&str, &str, Read); 8] = [
    ("foreglow_store_flush_failures_total", "Times memory could not be written to blocks.", |s| {
        s.flush_failures() as f64
    }),
    ("foreglow_store_log_appended_records_total", "Records appended to the log.", |s| {
        s.log().stats().records_appended as f64
    }),
    ("foreglow_store_log_appended_bytes_total", "Bytes appended to the log.", |s| {
        s.log().stats().bytes_appended as f64
    }),
    ("foreglow_store_log_refused_appends_total", "Appends the log refused.", |s| {
        s.log().stats().appends_refused as f64
    }),
    ("foreglow_store_log_dropped_records_total", "Records the ring dropped, oldest first.", |s| {
        s.log().stats().records_dropped as f64
    }),
    ("foreglow_store_log_quarantined_bytes_total", "Damaged bytes found in the log.", |s| {
        s.log().stats().quarantined_bytes as f64
    }),
    ("foreglow_store_log_fsyncs_total", "Group commits of the log.", |s| {
        s.log().stats().fsync.count as f64
    }),
    ("foreglow_store_log_fsync_seconds_total", "Time spent in group commits.", |s| {
        s.log().stats().fsync.sum_ns as f64 / 1e9
    }),
];

/// Registers all of them; the store may go away meanwhile.
pub(super) fn register(telemetry: &Telemetry, store: &Arc<Store>) {
    for (name, help, read) in GAUGES {
        let store = Arc::downgrade(store);
        telemetry.gauge_from(name, help, &[], move || store.upgrade().map_or(0.0, |s| read(&s)));
    }
    for (name, help, read) in COUNTERS {
        let store = Arc::downgrade(store);
        telemetry.counter_from(name, help, &[], move || store.upgrade().map_or(0.0, |s| read(&s)));
    }
}
