// SPDX-License-Identifier: Apache-2.0
//! Swap, from `/proc/swaps` and `/proc/vmstat`.

use super::super::emit::Emit;

/// Writes the metrics of one reading.
pub fn write(swaps: &str, vmstat: &str, emit: &mut Emit<'_>) {
    emit.level(("system.paging.usage", "By", true), |points| {
        for (device, size, used) in swaps.lines().skip(1).filter_map(area) {
            points.add(used, &[("device", device), ("state", "used")]);
            points.add(size.saturating_sub(used), &[("device", device), ("state", "free")]);
        }
    });
    emit.gauge(("system.paging.utilization", "1", false), |points| {
        for (device, size, used) in swaps.lines().skip(1).filter_map(area).filter(|area| area.1 > 0)
        {
            let share = |part: u64| part as f64 / size as f64;
            points.add(share(used), &[("device", device), ("state", "used")]);
            points.add(share(size.saturating_sub(used)), &[("device", device), ("state", "free")]);
        }
    });
    let count = |key| super::value_of(vmstat, key).unwrap_or(0);
    emit.counter(("system.paging.operations", "{operations}", true), |points| {
        for (key, direction, kind) in [
            ("pswpin", "page_in", "major"),
            ("pswpout", "page_out", "major"),
            ("pgpgin", "page_in", "minor"),
            ("pgpgout", "page_out", "minor"),
        ] {
            points.add(count(key), &[("direction", direction), ("type", kind)]);
        }
    });
    emit.counter(("system.paging.faults", "{faults}", true), |points| {
        let major = count("pgmajfault");
        points.add(major, &[("type", "major")]);
        points.add(count("pgfault").saturating_sub(major), &[("type", "minor")]);
    });
}

/// Device, size and used bytes of a line of `/proc/swaps`, which counts KiB.
fn area(line: &str) -> Option<(&str, u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    let device = words.next()?;
    let mut kib = words.skip(1).map(|word| word.parse::<u64>().ok());
    Some((device, kib.next()??.saturating_mul(1024), kib.next()??.saturating_mul(1024)))
}
