// SPDX-License-Identifier: Apache-2.0
//! The names of all metrics, by scraper: a misspelt one in the configuration is told.

/// The metrics of a scraper.
pub fn of(scraper: &str) -> &'static [&'static str] {
    match scraper {
        "cpu" => &[
            "system.cpu.time",
            "system.cpu.utilization",
            "system.cpu.logical.count",
            "system.cpu.physical.count",
            "system.cpu.frequency",
        ],
        "load" => &[
            "system.cpu.load_average.1m",
            "system.cpu.load_average.5m",
            "system.cpu.load_average.15m",
        ],
        "memory" => &[
            "system.memory.usage",
            "system.memory.utilization",
            "system.memory.limit",
            "system.memory.page_size",
            "system.linux.memory.available",
            "system.linux.memory.dirty",
            "system.memory.linux.shared",
            "system.memory.linux.hugepages.limit",
            "system.memory.linux.hugepages.page_size",
            "system.memory.linux.hugepages.reserved",
            "system.memory.linux.hugepages.surplus",
            "system.memory.linux.hugepages.usage",
            "system.memory.linux.hugepages.utilization",
        ],
        "disk" => &[
            "system.disk.io",
            "system.disk.operations",
            "system.disk.io_time",
            "system.disk.operation_time",
            "system.disk.weighted_io_time",
            "system.disk.merged",
            "system.disk.pending_operations",
        ],
        "filesystem" => &[
            "system.filesystem.usage",
            "system.filesystem.inodes.usage",
            "system.filesystem.utilization",
        ],
        "network" => &[
            "system.network.io",
            "system.network.packets",
            "system.network.errors",
            "system.network.dropped",
            "system.network.connections",
            "system.network.conntrack.count",
            "system.network.conntrack.max",
        ],
        "paging" => &[
            "system.paging.usage",
            "system.paging.operations",
            "system.paging.faults",
            "system.paging.utilization",
        ],
        "processes" => &["system.processes.count", "system.processes.created"],
        "process" => &[
            "process.cpu.time",
            "process.cpu.utilization",
            "process.memory.usage",
            "process.memory.virtual",
            "process.memory.utilization",
            "process.disk.io",
            "process.disk.operations",
            "process.paging.faults",
            "process.threads",
            "process.context_switches",
            "process.open_file_descriptors",
            "process.signals_pending",
            "process.uptime",
            // Windows only, as in the Collector.
            "process.handles",
        ],
        _ => &["system.uptime"],
    }
}
