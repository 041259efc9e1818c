// SPDX-License-Identifier: Apache-2.0
//! The names of all metrics and their attributes, by scraper: a misspelt one in the configuration is
//! told.

/// A metric's name and the attributes its points can have.
type Described = (&'static str, &'static [&'static str]);

/// The metrics of a scraper.
pub fn of(scraper: &str) -> &'static [Described] {
    match scraper {
        "cpu" => &[
            ("system.cpu.time", &["cpu", "state"]),
            ("system.cpu.utilization", &["cpu", "state"]),
            ("system.cpu.logical.count", &[]),
            ("system.cpu.physical.count", &[]),
            ("system.cpu.frequency", &["cpu"]),
        ],
        "load" => &[
            ("system.cpu.load_average.1m", &[]),
            ("system.cpu.load_average.5m", &[]),
            ("system.cpu.load_average.15m", &[]),
        ],
        "memory" => &[
            ("system.memory.usage", &["state"]),
            ("system.memory.utilization", &["state"]),
            ("system.memory.limit", &[]),
            ("system.memory.page_size", &[]),
            ("system.linux.memory.available", &[]),
            ("system.linux.memory.dirty", &[]),
            ("system.memory.linux.shared", &[]),
            ("system.memory.linux.hugepages.limit", &[]),
            ("system.memory.linux.hugepages.page_size", &[]),
            ("system.memory.linux.hugepages.reserved", &[]),
            ("system.memory.linux.hugepages.surplus", &[]),
            ("system.memory.linux.hugepages.usage", &["system.memory.linux.hugepages.state"]),
            ("system.memory.linux.hugepages.utilization", &["system.memory.linux.hugepages.state"]),
        ],
        "disk" => &[
            ("system.disk.io", &["device", "direction"]),
            ("system.disk.operations", &["device", "direction"]),
            ("system.disk.io_time", &["device"]),
            ("system.disk.operation_time", &["device", "direction"]),
            ("system.disk.weighted_io_time", &["device"]),
            ("system.disk.merged", &["device", "direction"]),
            ("system.disk.pending_operations", &["device"]),
        ],
        "filesystem" => &[
            ("system.filesystem.usage", &["device", "mode", "mountpoint", "type", "state"]),
            ("system.filesystem.inodes.usage", &["device", "mode", "mountpoint", "type", "state"]),
            ("system.filesystem.utilization", &["device", "mode", "mountpoint", "type"]),
        ],
        "network" => &[
            ("system.network.io", &["device", "direction"]),
            ("system.network.packets", &["device", "direction"]),
            ("system.network.errors", &["device", "direction"]),
            ("system.network.dropped", &["device", "direction"]),
            ("system.network.connections", &["protocol", "state"]),
            ("system.network.conntrack.count", &[]),
            ("system.network.conntrack.max", &[]),
        ],
        "paging" => &[
            ("system.paging.usage", &["device", "state"]),
            ("system.paging.operations", &["direction", "type"]),
            ("system.paging.faults", &["type"]),
            ("system.paging.utilization", &["device", "state"]),
        ],
        "processes" => {
            &[("system.processes.count", &["status"]), ("system.processes.created", &[])]
        }
        "process" => &[
            ("process.cpu.time", &["state"]),
            ("process.cpu.utilization", &["state"]),
            ("process.memory.usage", &[]),
            ("process.memory.virtual", &[]),
            ("process.memory.utilization", &[]),
            ("process.disk.io", &["direction"]),
            ("process.disk.operations", &["direction"]),
            ("process.paging.faults", &["type"]),
            ("process.threads", &[]),
            ("process.context_switches", &["type"]),
            ("process.open_file_descriptors", &[]),
            ("process.signals_pending", &[]),
            ("process.uptime", &[]),
            // Windows only, as in the Collector.
            ("process.handles", &[]),
        ],
        "nfs" => &[
            ("nfs.client.net.count", &["network.transport"]),
            ("nfs.client.net.tcp.connection.accepted", &[]),
            ("nfs.client.operation.count", &["onc_rpc.version", "nfs.operation.name"]),
            ("nfs.client.procedure.count", &["onc_rpc.version", "onc_rpc.procedure.name"]),
            ("nfs.client.rpc.authrefresh.count", &[]),
            ("nfs.client.rpc.count", &[]),
            ("nfs.client.rpc.retransmit.count", &[]),
            ("nfs.server.fh.stale.count", &[]),
            ("nfs.server.io", &["network.io.direction"]),
            ("nfs.server.net.count", &["network.transport"]),
            ("nfs.server.net.tcp.connection.accepted", &[]),
            ("nfs.server.operation.count", &["onc_rpc.version", "nfs.operation.name"]),
            ("nfs.server.procedure.count", &["onc_rpc.version", "onc_rpc.procedure.name"]),
            ("nfs.server.repcache.requests", &["nfs.server.repcache.status"]),
            ("nfs.server.rpc.count", &["error.type"]),
            ("nfs.server.thread.count", &[]),
        ],
        _ => &[("system.uptime", &[])],
    }
}
