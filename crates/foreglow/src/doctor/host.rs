// SPDX-License-Identifier: Apache-2.0
//! The machine under it: room on the disk, open files, memory and CPU of the container, clock.
//!
//! Linux: everything is read from below a root directory, `/` but in tests. What is not there is
//! passed over.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::Finding;

/// Most entries of the data directory that are looked at: its size is for people.
const ENTRIES_MAX: usize = 100_000;

/// Free space that is too little: the log alone keeps 1 GiB.
const FREE_WARN: u64 = 1 << 30;

/// Free space with which writing is about to fail.
const FREE_FAIL: u64 = 128 << 20;

/// Open files below this are few for a server: a connection is one, a segment is one.
const FILES_FEW: u64 = 4096;

/// Share of a limit from which on it is told.
const NEAR: f64 = 0.8;

/// Share of periods in which a container had no CPU left.
const THROTTLED: f64 = 0.05;

/// Bytes as people read them.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", units[unit]) }
}

/// Room where data is kept; `kept` says for how long it is.
pub fn disk(directory: &Path, kept: &str) -> Finding {
    let what = "data directory";
    let shown = directory.display();
    if !directory.exists() {
        let seen = format!("{shown} does not exist");
        return Finding::warn(what, seen, "give doctor the --data of what runs");
    }
    let (size, is_all) = size(directory);
    let at_least = if is_all { "" } else { "more than " };
    let mut seen = format!("{shown}: {at_least}{}, kept {kept}", bytes(size));
    let Ok(system) = rustix::fs::statvfs(directory) else {
        return Finding::warn(what, seen, "its file system does not tell how much is free");
    };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    seen.push_str(&format!(", {} free", bytes(free)));
    let advice = "make room, keep less (embedded_store: blocks.retention, retention.size), or move it \
        with --data DIR";
    match free {
        free if free < FREE_FAIL => Finding::fail(what, seen, advice),
        free if free < FREE_WARN => Finding::warn(what, seen, advice),
        _ => Finding::ok(what, seen),
    }
}

/// Bytes of all files below a directory, and whether all were looked at.
fn size(directory: &Path) -> (u64, bool) {
    let (mut sum, mut seen) = (0, 0);
    let mut todo = vec![directory.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > ENTRIES_MAX {
                return (sum, false);
            }
            match entry.metadata() {
                Ok(what) if what.is_dir() => todo.push(entry.path()),
                Ok(what) => sum += what.len(),
                Err(_) => {}
            }
        }
    }
    (sum, true)
}

/// Limits of a process and of the container it is in.
pub fn limits(root: &Path, pid: u32) -> Vec<Finding> {
    let process = root.join(format!("proc/{pid}"));
    let groups = cgroups(root, &process);
    [open_files(&process), memory(&groups, &process), cpu(&groups), killed(&groups)]
        .into_iter()
        .flatten()
        .collect()
}

fn open_files(process: &Path) -> Option<Finding> {
    let limits = fs::read_to_string(process.join("limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().unwrap_or(u64::MAX);
    let open = fs::read_dir(process.join("fd")).map_or(0, Iterator::count) as u64;
    let seen = format!("{open} open of {limit}");
    let advice = "raise it: ulimit -n 65536, LimitNOFILE= of systemd, --ulimit nofile= of docker";
    Some(match open as f64 / limit as f64 {
        share if share > NEAR => Finding::fail("open files", seen, advice),
        _ if limit < FILES_FEW => Finding::warn("open files", seen, advice),
        _ => Finding::ok("open files", seen),
    })
}

/// The cgroup of a process and those it is in, the innermost first.
fn cgroups(root: &Path, process: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(process.join("cgroup")).unwrap_or_default();
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let top = root.join("sys/fs/cgroup");
    let own = top.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|folder| folder.starts_with(&top)).map(Path::to_owned).collect()
}

/// The first number in a file of the innermost group that has one: `max` is none.
fn number(groups: &[PathBuf], file: &str) -> Option<u64> {
    groups.iter().find_map(|group| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.split_whitespace().next()?.parse().ok()
    })
}

/// A counter of a file with a name and a number a line.
fn counter(groups: &[PathBuf], file: &str, name: &str) -> Option<u64> {
    groups.iter().find_map(|group| {
        let text = fs::read_to_string(group.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    })
}

fn memory(groups: &[PathBuf], process: &Path) -> Option<Finding> {
    let status = fs::read_to_string(process.join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let used: u64 = line.split_whitespace().next()?.parse().ok()?;
    let used = used << 10;
    let Some(limit) = number(groups, "memory.max") else {
        return Some(Finding::ok("memory", format!("{} resident, no limit", bytes(used))));
    };
    let seen = format!("{} resident of {}", bytes(used), bytes(limit));
    let advice = "raise the container's memory limit, or put memory_limiter first in the pipelines";
    Some(match used as f64 / limit as f64 {
        share if share > NEAR => Finding::warn("memory", seen, advice),
        _ => Finding::ok("memory", seen),
    })
}

fn cpu(groups: &[PathBuf]) -> Option<Finding> {
    let quota = groups.iter().find_map(|group| {
        let text = fs::read_to_string(group.join("cpu.max")).ok()?;
        let (quota, period) = text.trim().split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let Some(quota) = quota else { return Some(Finding::ok("CPU", "no quota")) };
    let periods = counter(groups, "cpu.stat", "nr_periods ").unwrap_or(0);
    let throttled = counter(groups, "cpu.stat", "nr_throttled ").unwrap_or(0);
    let share = throttled as f64 / (periods.max(1)) as f64;
    let seen = format!("{quota:.2} CPUs, held back in {:.1} % of periods", 100.0 * share);
    Some(match share > THROTTLED {
        true => Finding::warn("CPU", seen, "raise the container's CPU limit: answers wait for it"),
        false => Finding::ok("CPU", seen),
    })
}

fn killed(groups: &[PathBuf]) -> Option<Finding> {
    let kills = counter(groups, "memory.events", "oom_kill ").filter(|kills| *kills > 0)?;
    let seen = format!("{kills} processes of this container were killed for memory");
    let advice = "raise the container's memory limit";
    Some(Finding::warn("killed", seen, advice))
}

/// Whether somebody keeps this machine's clock, as far as files tell.
pub fn clock_is_kept(root: &Path) -> Option<Finding> {
    let timesync = root.join("run/systemd/timesync");
    if timesync.join("synchronized").exists() || root.join("run/chrony").exists() {
        return Some(Finding::ok("this clock", "kept by NTP"));
    }
    timesync.exists().then(|| {
        let seen = "systemd-timesyncd runs and has not synchronised yet";
        Finding::warn("this clock", seen, "timedatectl timesync-status tells why")
    })
}
