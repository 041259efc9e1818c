// SPDX-License-Identifier: Apache-2.0
//! Processor time, from `/proc/stat`.

use super::super::emit::Emit;

/// `USER_HZ`: ticks of `/proc` in a second, 100 on every platform Linux has had since 2.6.
pub const TICKS_PER_SECOND: f64 = 100.0;

/// States in the order the collector names them, with their column in `/proc/stat`.
const STATES: [(&str, usize); 8] = [
    ("user", 0),
    ("system", 2),
    ("idle", 3),
    ("interrupt", 5),
    ("nice", 1),
    ("softirq", 6),
    ("steal", 7),
    ("wait", 4),
];

/// Ticks of one processor since boot, by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// `cpu0`
    pub name: String,
    /// Columns of `/proc/stat`.
    pub ticks: [u64; 8],
}

/// Writes what `/proc/cpuinfo` tells: cores and how fast they run.
pub fn write_info(cpuinfo: &str, emit: &mut Emit<'_>) {
    let value = |block: &str, key: &str| {
        let line =
            block.lines().find(|line| line.split(':').next().is_some_and(|k| k.trim() == key));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned())
    };
    let blocks: Vec<&str> =
        cpuinfo.split("\n\n").filter(|block| block.contains("processor")).collect();
    emit.gauge(("system.cpu.frequency", "Hz", false), |points| {
        for block in &blocks {
            let megahertz = value(block, "cpu MHz").and_then(|text| text.parse::<f64>().ok());
            if let (Some(number), Some(megahertz)) = (value(block, "processor"), megahertz) {
                points.add(megahertz * 1e6, &[("cpu", &format!("cpu{number}"))]);
            }
        }
    });
    emit.level(("system.cpu.physical.count", "{cpu}", false), |points| {
        let cores: std::collections::BTreeSet<_> = blocks
            .iter()
            .map(|block| (value(block, "physical id"), value(block, "core id")))
            .collect();
        points.add(cores.len() as u64, &[]);
    });
}

/// The reader, with what it needs for differences.
#[derive(Default)]
pub struct Cpu {
    last: Vec<Times>,
}

/// The processors in the text of `/proc/stat`, without the line that sums them.
pub fn parse(stat: &str) -> Vec<Times> {
    let lines = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu "));
    lines
        .filter_map(|line| {
            let mut times = Times { name: line.split(' ').next()?.to_owned(), ticks: [0; 8] };
            times.ticks.iter_mut().zip(super::numbers(line)).for_each(|(at, n)| *at = n);
            Some(times)
        })
        .collect()
}

impl Cpu {
    /// Writes the metrics of one reading of `/proc/stat`.
    pub fn write(&mut self, stat: &str, emit: &mut Emit<'_>) {
        let now = parse(stat);
        emit.counter(("system.cpu.time", "s", true), |points| {
            for cpu in &now {
                for (state, column) in STATES {
                    let seconds = cpu.ticks[column] as f64 / TICKS_PER_SECOND;
                    points.add(seconds, &[("cpu", &cpu.name), ("state", state)]);
                }
            }
        });
        emit.gauge(("system.cpu.utilization", "1", false), |points| {
            for cpu in &now {
                let Some(shares) = self.shares(cpu) else { continue };
                for (state, column) in STATES {
                    points.add(shares[column], &[("cpu", &cpu.name), ("state", state)]);
                }
            }
        });
        emit.level(("system.cpu.logical.count", "{cpu}", true), |points| {
            points.add(now.len() as u64, &[]);
        });
        self.last = now;
    }

    /// Share of each column in the time since the last reading; `None` at the first.
    fn shares(&self, now: &Times) -> Option<[f64; 8]> {
        let last = self.last.iter().find(|last| last.name == now.name)?;
        let spent: Vec<u64> =
            now.ticks.iter().zip(last.ticks).map(|(now, last)| now.saturating_sub(last)).collect();
        let total: u64 = spent.iter().sum();
        if total == 0 {
            return None;
        }
        Some(std::array::from_fn(|column| spent[column] as f64 / total as f64))
    }
}
