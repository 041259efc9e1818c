// SPDX-License-Identifier: Apache-2.0
//! Load averages, from `/proc/loadavg`.

use super::super::emit::Emit;

/// Writes the three averages, divided by `per` (1, or the number of processors).
pub fn write(loadavg: &str, per: usize, emit: &mut Emit<'_>) {
    const NAMES: [&str; 3] =
        ["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"];
    let values = loadavg.split_ascii_whitespace().filter_map(|word| word.parse::<f64>().ok());
    for (name, value) in NAMES.into_iter().zip(values) {
        emit.gauge((name, "{thread}", true), |points| points.add(value / per.max(1) as f64, &[]));
    }
}
