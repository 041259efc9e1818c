// SPDX-License-Identifier: Apache-2.0
//! Main memory, from `/proc/meminfo`.

use super::super::emit::Emit;

/// Bytes of memory by state. `used + free + buffered + cached` is the whole memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    total: u64,
    used: u64,
    free: u64,
    buffered: u64,
    cached: u64,
    slab_reclaimable: u64,
    slab_unreclaimable: u64,
    available: u64,
    dirty: u64,
}

/// Bytes of memory in the text of `/proc/meminfo`.
pub fn total(meminfo: &str) -> Option<u64> {
    parse(meminfo).map(|memory| memory.total)
}

/// Reads the text of `/proc/meminfo`; `None` when it has no total.
pub fn parse(meminfo: &str) -> Option<Memory> {
    let bytes = |key| super::value_of(meminfo, key).map(|kib| kib.saturating_mul(1024));
    let mut memory = Memory {
        total: bytes("MemTotal")?,
        free: bytes("MemFree").unwrap_or(0),
        buffered: bytes("Buffers").unwrap_or(0),
        slab_reclaimable: bytes("SReclaimable").unwrap_or(0),
        slab_unreclaimable: bytes("SUnreclaim").unwrap_or(0),
        available: bytes("MemAvailable").unwrap_or(0),
        dirty: bytes("Dirty").unwrap_or(0),
        ..Memory::default()
    };
    memory.cached = bytes("Cached").unwrap_or(0).saturating_add(memory.slab_reclaimable);
    let other = memory.free.saturating_add(memory.buffered).saturating_add(memory.cached);
    memory.used = memory.total.saturating_sub(other);
    Some(memory)
}

/// Writes the metrics of one reading of `/proc/meminfo`.
pub fn write(meminfo: &str, emit: &mut Emit<'_>) {
    let Some(memory) = parse(meminfo) else { return };
    let states = [
        ("used", memory.used),
        ("free", memory.free),
        ("buffered", memory.buffered),
        ("cached", memory.cached),
        ("slab_reclaimable", memory.slab_reclaimable),
        ("slab_unreclaimable", memory.slab_unreclaimable),
    ];
    emit.level(("system.memory.usage", "By", true), |points| {
        states.iter().for_each(|(state, bytes)| points.add(*bytes, &[("state", state)]));
    });
    emit.gauge(("system.memory.utilization", "1", false), |points| {
        for (state, bytes) in states {
            points.add(bytes as f64 / memory.total.max(1) as f64, &[("state", state)]);
        }
    });
    emit.level(("system.memory.limit", "By", false), |points| points.add(memory.total, &[]));
    emit.level(("system.linux.memory.available", "By", false), |points| {
        points.add(memory.available, &[]);
    });
    emit.level(("system.linux.memory.dirty", "By", false), |points| points.add(memory.dirty, &[]));
    write_pages(meminfo, emit);
}

/// Huge pages, shared memory and the size of a page; all off unless asked for.
fn write_pages(meminfo: &str, emit: &mut Emit<'_>) {
    let value = |key| super::value_of(meminfo, key);
    let bytes = |key| value(key).map(|kib| kib.saturating_mul(1024));
    let page = rustix::param::page_size() as i64;
    emit.gauge(("system.memory.page_size", "By", false), |points| points.int(page, &[]));
    for (name, unit, number) in [
        ("system.memory.linux.shared", "By", bytes("Shmem")),
        ("system.memory.linux.hugepages.limit", "{page}", value("HugePages_Total")),
        ("system.memory.linux.hugepages.page_size", "By", bytes("Hugepagesize")),
        ("system.memory.linux.hugepages.reserved", "{page}", value("HugePages_Rsvd")),
        ("system.memory.linux.hugepages.surplus", "{page}", value("HugePages_Surp")),
    ] {
        if let Some(number) = number {
            emit.level((name, unit, false), |points| points.add(number, &[]));
        }
    }
    let (Some(total), Some(free)) = (value("HugePages_Total"), value("HugePages_Free")) else {
        return;
    };
    const STATE: &str = "system.memory.linux.hugepages.state";
    let states = [("used", total.saturating_sub(free)), ("free", free)];
    emit.level(("system.memory.linux.hugepages.usage", "{page}", false), |points| {
        states.iter().for_each(|(state, pages)| points.add(*pages, &[(STATE, state)]));
    });
    emit.gauge(("system.memory.linux.hugepages.utilization", "1", false), |points| {
        for (state, pages) in states.iter().filter(|_| total > 0) {
            points.add(*pages as f64 / total as f64, &[(STATE, state)]);
        }
    });
}
