// SPDX-License-Identifier: Apache-2.0
//! The 24 metrics of the third document, with the names they have there. In its code they are
//! `scotty.log_streams.active` and so on, which Prometheus reads as `scotty_log_streams_active`.

use std::time::Instant;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter, UpDownCounter};

/// Bounds of durations in seconds.
const SECONDS: [f64; 12] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0];

/// Everything the worker counts.
pub(super) struct Instruments {
    pub streams_active: UpDownCounter<i64>,
    pub streams: Counter<u64>,
    pub stream_duration: Histogram<f64>,
    pub lines_received: Counter<u64>,
    pub stream_errors: Counter<u64>,
    pub stream_bytes: Counter<u64>,
    pub shells_active: UpDownCounter<i64>,
    pub shells: Counter<u64>,
    pub shell_duration: Histogram<f64>,
    pub shell_errors: Counter<u64>,
    pub shell_timeouts: Counter<u64>,
    pub sockets_active: UpDownCounter<i64>,
    pub sockets: Counter<u64>,
    pub messages_sent: Counter<u64>,
    pub messages_received: Counter<u64>,
    pub auth_failures: Counter<u64>,
    pub tasks_active: UpDownCounter<i64>,
    pub tasks: Counter<u64>,
    pub task_duration: Histogram<f64>,
    pub output_lines: Counter<u64>,
    pub output_buffer: Gauge<u64>,
}

impl Instruments {
    /// All of them; the process has run since `begun`.
    pub fn new(meter: &Meter, begun: Instant) -> Instruments {
        let counter = |name: &'static str, about: &'static str| {
            meter.u64_counter(name).with_description(about).build()
        };
        let active = |name: &'static str, about: &'static str| {
            meter.i64_up_down_counter(name).with_description(about).build()
        };
        let duration = |name: &'static str, about: &'static str| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(about);
            builder.with_boundaries(SECONDS.to_vec()).build()
        };
        health(meter, begun);
        Instruments {
            streams_active: active(
                "scotty.log_streams.active",
                "Current number of active log streams",
            ),
            streams: counter("scotty.log_streams.total", "Total log streams created"),
            stream_duration: duration(
                "scotty.log_stream.duration",
                "Log stream duration in seconds",
            ),
            lines_received: counter("scotty.log_lines.received", "Log lines received"),
            stream_errors: counter("scotty.log_stream.errors", "Log streams that failed"),
            stream_bytes: counter("scotty.log_stream.bytes", "Bytes of log lines"),
            shells_active: active(
                "scotty.shell_sessions.active",
                "Current number of active shell sessions",
            ),
            shells: counter("scotty.shell_sessions.total", "Total shell sessions created"),
            shell_duration: duration(
                "scotty.shell_session.duration",
                "Shell session duration in seconds",
            ),
            shell_errors: counter("scotty.shell_session.errors", "Shell sessions that failed"),
            shell_timeouts: counter(
                "scotty.shell_session.timeouts",
                "Shell sessions ended by their time-out",
            ),
            sockets_active: active("scotty.websocket.connections", "Current WebSocket connections"),
            sockets: counter("scotty.websocket.connections.total", "Total WebSocket connections"),
            messages_sent: counter(
                "scotty.websocket.messages_sent",
                "Total WebSocket messages sent",
            ),
            messages_received: counter(
                "scotty.websocket.messages_received",
                "Total WebSocket messages received",
            ),
            auth_failures: counter(
                "scotty.websocket.auth_failures",
                "WebSocket connections refused",
            ),
            tasks_active: active("scotty.tasks.active", "Current number of active tasks"),
            tasks: counter("scotty.tasks.total", "Total tasks executed"),
            task_duration: duration("scotty.task.duration", "Task duration in seconds"),
            output_lines: counter("scotty.task.output_lines", "Lines of tasks' output"),
            output_buffer: meter
                .u64_gauge("scotty.task.output_buffer_bytes")
                .with_description("Output of tasks held in memory, in bytes")
                .build(),
        }
    }
}

/// Memory, CPU and age of the process, read whenever metrics are collected.
fn health(meter: &Meter, begun: Instant) {
    let _memory = meter
        .u64_observable_gauge("scotty.memory_usage_bytes")
        .with_description("Resident memory in bytes")
        .with_callback(|observer| {
            if let Some(bytes) = resident() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
    let last = parking_lot::Mutex::new((begun, cpu_seconds().unwrap_or_default()));
    let _cpu = meter
        .f64_observable_gauge("scotty.cpu_usage_percent")
        .with_description("CPU in use since the last collection, in percent of one core")
        .with_callback(move |observer| {
            let Some(used) = cpu_seconds() else { return };
            let mut last = last.lock();
            let passed = last.0.elapsed().as_secs_f64();
            if passed > 0.0 {
                observer.observe((used - last.1).max(0.0) / passed * 100.0, &[]);
            }
            *last = (Instant::now(), used);
        })
        .build();
    let _uptime = meter
        .u64_observable_counter("scotty.uptime_seconds")
        .with_description("Time since the start in seconds")
        .with_callback(move |observer| observer.observe(begun.elapsed().as_secs(), &[]))
        .build();
}

/// Resident bytes of this process; none where there is no `/proc`.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// CPU seconds this process has used; none where there is no `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Behind the name, which may hold anything; user and system time are fields 14 and 15.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    // The kernel's ABI: a hundred ticks a second.
    Some(ticks / 100.0)
}
