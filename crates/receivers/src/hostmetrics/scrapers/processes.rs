// SPDX-License-Identifier: Apache-2.0
//! Number of processes by state, from `/proc/<pid>/stat` and `/proc/stat`.

use super::super::emit::Emit;

/// Status names with the letters the kernel uses for them.
const STATUSES: [(&str, &str); 8] = [
    ("running", "R"),
    ("sleeping", "SK"),
    ("idle", "I"),
    ("blocked", "D"),
    ("stopped", "T"),
    ("zombies", "Z"),
    ("paging", "W"),
    ("unknown", ""),
];

/// The state letter in the text of `/proc/<pid>/stat`; the name before it may hold anything.
pub fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Writes the metrics of one reading: the states of all processes and the text of `/proc/stat`.
pub fn write(states: &[char], stat: &str, emit: &mut Emit<'_>) {
    let mut counts = [0u64; STATUSES.len()];
    for state in states {
        let at = STATUSES.iter().position(|(_, letters)| letters.contains(*state));
        counts[at.unwrap_or(STATUSES.len() - 1)] += 1;
    }
    emit.level(("system.processes.count", "{processes}", true), |points| {
        for ((status, _), count) in STATUSES.into_iter().zip(counts) {
            // Only what exists, as the collector reports it; running is always told.
            if count > 0 || status == "running" {
                points.add(count, &[("status", status)]);
            }
        }
    });
    if let Some(created) = super::value_of(stat, "processes") {
        emit.counter(("system.processes.created", "{processes}", true), |points| {
            points.add(created, &[]);
        });
    }
}
