// SPDX-License-Identifier: Apache-2.0
//! Block devices, from `/proc/diskstats`.

use super::super::config::Filter;
use super::super::emit::{Described, Emit};

/// The kernel counts sectors of 512 bytes whatever the device's are.
const SECTOR: u64 = 512;

/// Counters of one device since boot. Index 0 = read, 1 = write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Kernel name.
    pub name: String,
    operations: [u64; 2],
    merged: [u64; 2],
    sectors: [u64; 2],
    operation_ms: [u64; 2],
    pending: u64,
    io_ms: u64,
    weighted_ms: u64,
}

impl Device {
    fn is_unused(&self) -> bool {
        *self == Device { name: self.name.clone(), ..Device::default() }
    }
}

/// Reads the text of `/proc/diskstats`.
pub fn parse(diskstats: &str) -> Vec<Device> {
    diskstats.lines().filter_map(device).collect()
}

/// `major minor name reads merged sectors ms writes merged sectors ms pending io_ms weighted_ms`
fn device(line: &str) -> Option<Device> {
    let name = line.split_ascii_whitespace().nth(2)?;
    let rest = line.split_ascii_whitespace().skip(3).map_while(|word| word.parse().ok());
    let n: Vec<u64> = rest.take(11).collect();
    let [
        reads,
        reads_merged,
        read,
        read_ms,
        writes,
        writes_merged,
        written,
        write_ms,
        pending,
        io_ms,
        weighted_ms,
    ] = n[..].try_into().ok()?;
    Some(Device {
        name: name.to_owned(),
        operations: [reads, writes],
        merged: [reads_merged, writes_merged],
        sectors: [read, written],
        operation_ms: [read_ms, write_ms],
        pending,
        io_ms,
        weighted_ms,
    })
}

/// Writes the metrics of one reading of `/proc/diskstats`.
pub fn write(diskstats: &str, filter: &Filter, emit: &mut Emit<'_>) {
    let mut devices = parse(diskstats);
    // What has never been used (loop0, ram0) is no device to anybody.
    devices.retain(|device| filter.keeps(&device.name) && !device.is_unused());
    let mut both = |what: Described, of: fn(&Device) -> [u64; 2]| {
        emit.counter(what, |points| {
            for device in &devices {
                for (direction, value) in ["read", "write"].into_iter().zip(of(device)) {
                    points.add(value, &[("device", &device.name), ("direction", direction)]);
                }
            }
        });
    };
    both(("system.disk.io", "By", true), |d| d.sectors.map(|n| n.saturating_mul(SECTOR)));
    both(("system.disk.operations", "{operations}", true), |d| d.operations);
    both(("system.disk.merged", "{operations}", true), |d| d.merged);
    emit.counter(("system.disk.operation_time", "s", true), |points| {
        for device in &devices {
            for (direction, ms) in ["read", "write"].into_iter().zip(device.operation_ms) {
                points.add(ms as f64 / 1e3, &[("device", &device.name), ("direction", direction)]);
            }
        }
    });
    let mut seconds = |name, of: fn(&Device) -> u64| {
        emit.counter((name, "s", true), |points| {
            for device in &devices {
                points.add(of(device) as f64 / 1e3, &[("device", &device.name)]);
            }
        });
    };
    seconds("system.disk.io_time", |d| d.io_ms);
    seconds("system.disk.weighted_io_time", |d| d.weighted_ms);
    emit.level(("system.disk.pending_operations", "{operations}", true), |points| {
        devices.iter().for_each(|d| points.add(d.pending, &[("device", &d.name)]));
    });
}
