// SPDX-License-Identifier: Apache-2.0
//! The process itself, under the names the Go collector uses.
//!
//! Rust has no heap statistics of its own, so the `runtime_*` names say the nearest thing the
//! kernel knows: anonymous resident memory for the heap, all memory given to the process for the
//! system's share, and pages handed out since the start for what was allocated in total.
//! All are read when the page is; where `/proc` is missing they read 0.

use basics::Clock;

use super::Telemetry;

/// Name, help, how to read it.
type ProcessGauge = (&'static str, &'static str, fn() -> f64);

/// Registers `otelcol_process_*`; uptime counts from now on `clock`.
pub fn register_process(telemetry: &Telemetry, clock: &Clock) {
    let (clock, started) = (clock.clone(), clock.monotonic());
    telemetry.counter_from("otelcol_process_uptime", "Seconds since the start.", &[], move || {
        clock.monotonic().saturating_sub(started) as f64 / 1e9
    });
    telemetry.counter_from(
        "otelcol_process_cpu_seconds",
        "User and system CPU time in seconds.",
        &[],
        cpu_seconds,
    );
    let gauges: [ProcessGauge; 3] = [
        ("otelcol_process_memory_rss", "Resident memory in bytes.", || status_bytes(&["VmRSS:"])),
        ("otelcol_process_runtime_heap_alloc_bytes", "Resident anonymous memory in bytes.", || {
            status_bytes(&["RssAnon:"])
        }),
        (
            "otelcol_process_runtime_total_sys_memory_bytes",
            "Bytes of memory the system has given to the process, resident or swapped.",
            || status_bytes(&["VmRSS:", "VmSwap:"]),
        ),
    ];
    for (name, help, read) in gauges {
        telemetry.gauge_from(name, help, &[], read);
    }
    telemetry.counter_from(
        "otelcol_process_runtime_total_alloc_bytes",
        "Bytes of memory pages handed to the process since its start.",
        &[],
        faulted_bytes,
    );
}

fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Sum of the fields of `/proc/self/status`, which are in KiB.
fn status_bytes(fields: &[&str]) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes: u64 = status
        .lines()
        .filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            fields.contains(&words.next()?).then(|| words.next()?.parse::<u64>().ok()).flatten()
        })
        .sum();
    (kibibytes * 1024) as f64
}

/// Minor page faults (field 10 of `/proc/self/stat`) times the size of a page.
fn faulted_bytes() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command (field 2) is in parentheses and may contain spaces; field 3 follows it.
    let after_command = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let faults: u64 = after_command
        .split_ascii_whitespace()
        .nth(7)
        .and_then(|faults| faults.parse().ok())
        .unwrap_or(0);
    faults as f64 * rustix::param::page_size() as f64
}
