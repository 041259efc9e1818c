// SPDX-License-Identifier: Apache-2.0
//! Network interfaces and TCP connections, from `/proc/net`.

use super::super::config::Filter;
use super::super::emit::{Described, Emit};

/// Counters of one interface since boot. Index 0 = transmit, 1 = receive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Name.
    pub name: String,
    bytes: [u64; 2],
    packets: [u64; 2],
    errors: [u64; 2],
    dropped: [u64; 2],
}

/// TCP states by their number in `/proc/net/tcp`, less one.
const STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT_1",
    "FIN_WAIT_2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "DELETE",
];

/// Reads the text of `/proc/net/dev`.
pub fn parse(dev: &str) -> Vec<Interface> {
    let interface = |line: &str| {
        let (name, counters) = line.rsplit_once(':')?;
        let n: Vec<u64> = super::numbers(counters).collect();
        let both = |at: usize| Some([*n.get(at + 8)?, *n.get(at)?]);
        Some(Interface {
            name: name.trim().to_owned(),
            bytes: both(0)?,
            packets: both(1)?,
            errors: both(2)?,
            dropped: both(3)?,
        })
    };
    dev.lines().filter_map(interface).collect()
}

/// Adds up the connections by state in the text of `/proc/net/tcp` or `tcp6`.
pub fn count_states(tcp: &str, counts: &mut [u64; 12]) {
    for line in tcp.lines().skip(1) {
        let state = line.split_ascii_whitespace().nth(3);
        let number = state.and_then(|hex| usize::from_str_radix(hex, 16).ok()).unwrap_or(0);
        // 12 (SYN_RECV of a listener) is SYN_RECV to everybody.
        let at = if number == 12 { 3 } else { number };
        if let Some(count) = at.checked_sub(1).and_then(|at| counts.get_mut(at)) {
            *count += 1;
        }
    }
}

/// Writes the metrics of one reading of `/proc/net/dev`.
pub fn write(dev: &str, filter: &Filter, emit: &mut Emit<'_>) {
    let mut interfaces = parse(dev);
    interfaces.retain(|interface| filter.keeps(&interface.name));
    let mut both = |what: Described, of: fn(&Interface) -> [u64; 2]| {
        emit.counter(what, |points| {
            for interface in &interfaces {
                for (direction, value) in ["transmit", "receive"].into_iter().zip(of(interface)) {
                    points.add(value, &[("device", &interface.name), ("direction", direction)]);
                }
            }
        });
    };
    both(("system.network.packets", "{packets}", true), |i| i.packets);
    both(("system.network.dropped", "{packets}", true), |i| i.dropped);
    both(("system.network.errors", "{errors}", true), |i| i.errors);
    both(("system.network.io", "By", true), |i| i.bytes);
}

/// Writes the number of TCP connections by state; every state, also those without any.
pub fn write_connections(counts: &[u64; 12], emit: &mut Emit<'_>) {
    emit.level(("system.network.connections", "{connections}", true), |points| {
        for (state, count) in STATES.into_iter().zip(counts) {
            points.add(*count, &[("protocol", "tcp"), ("state", state)]);
        }
    });
}

/// Writes how full the table of tracked connections is; nothing where there is none.
pub fn write_conntrack(count: Option<u64>, max: Option<u64>, emit: &mut Emit<'_>) {
    for (name, value) in
        [("system.network.conntrack.count", count), ("system.network.conntrack.max", max)]
    {
        if let Some(value) = value {
            emit.level((name, "{entries}", false), |points| points.add(value, &[]));
        }
    }
}
