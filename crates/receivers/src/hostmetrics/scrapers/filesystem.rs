// SPDX-License-Identifier: Apache-2.0
//! Mounted file systems, from `/proc/self/mounts` and `statvfs`.

use std::path::Path;

use super::super::config::Filter;
use super::super::emit::{Emit, Points};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `/dev/sda1`
    pub device: String,
    /// Where it is mounted.
    pub point: String,
    /// `ext4`
    pub kind: String,
    /// `rw` or `ro`.
    pub mode: &'static str,
}

/// Bytes and inodes of one file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    used: u64,
    free: u64,
    reserved: u64,
    inodes_used: u64,
    inodes_free: u64,
}

/// What is looked at.
#[derive(Debug, Default)]
pub struct Filters {
    /// By device.
    pub devices: Filter,
    /// By type.
    pub types: Filter,
    /// By mount point.
    pub points: Filter,
}

/// Reads the text of `/proc/mounts`, leaving out types that `/proc/filesystems` marks as having
/// no device unless `with_virtual`. Each (device, mount point) comes once.
pub fn parse(mounts: &str, filesystems: &str, with_virtual: bool) -> Vec<Mount> {
    let on_device = |kind: &str| {
        // ZFS is marked `nodev` and yet holds data.
        kind == "zfs" || filesystems.lines().any(|line| line.trim() == kind)
    };
    let mut found: Vec<Mount> = Vec::new();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind), Some(options)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (device, point) = (unescape(device), unescape(point));
        let seen = found.iter().any(|mount| mount.device == device && mount.point == point);
        if seen || !(with_virtual || on_device(kind)) {
            continue;
        }
        let mode = if options.split(',').any(|option| option == "ro") { "ro" } else { "rw" };
        found.push(Mount { device, point, kind: kind.to_owned(), mode });
    }
    found
}

/// Blanks are written as octal in `/proc/mounts`.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").replace("\\134", "\\")
}

/// Asks the file system mounted at `point` below `root`; `None` when it does not answer.
#[cfg(target_os = "linux")]
pub fn usage(root: &Path, point: &str) -> Option<Usage> {
    let path = root.join(point.trim_start_matches('/'));
    let stat = rustix::fs::statvfs(&path).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Some(Usage {
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)),
        free: bytes(stat.f_bavail),
        reserved: bytes(stat.f_bfree.saturating_sub(stat.f_bavail)),
        inodes_used: stat.f_files.saturating_sub(stat.f_ffree),
        inodes_free: stat.f_ffree,
    })
}

/// Asks the file system mounted at `point` below `root`; `None` when it does not answer.
#[cfg(not(target_os = "linux"))]
pub fn usage(_root: &Path, _point: &str) -> Option<Usage> {
    None
}

/// Writes the metrics of `mounts`, asking each that the filters keep.
pub fn write(mounts: &[Mount], root: &Path, filters: &Filters, emit: &mut Emit<'_>) {
    let kept = mounts.iter().filter(|mount| {
        filters.devices.keeps(&mount.device)
            && filters.types.keeps(&mount.kind)
            && filters.points.keeps(&mount.point)
    });
    let asked: Vec<(&Mount, Usage)> =
        kept.filter_map(|mount| Some((mount, usage(root, &mount.point)?))).collect();
    let by_state = |points: &mut Points<'_, '_>, of: fn(&Usage) -> Vec<(&'static str, u64)>| {
        for (mount, usage) in &asked {
            for (state, value) in of(usage) {
                points.add(value, &attributes(mount, state));
            }
        }
    };
    emit.level(("system.filesystem.usage", "By", true), |points| {
        by_state(points, |u| vec![("used", u.used), ("free", u.free), ("reserved", u.reserved)]);
    });
    emit.level(("system.filesystem.inodes.usage", "{inodes}", true), |points| {
        by_state(points, |u| vec![("used", u.inodes_used), ("free", u.inodes_free)]);
    });
    emit.gauge(("system.filesystem.utilization", "1", false), |points| {
        for (mount, usage) in &asked {
            let reachable = usage.used + usage.free;
            // Of a file system without any bytes it is no number, as the Collector says it.
            let share = usage.used as f64 / reachable as f64;
            points.add(share, &attributes(mount, "")[..4]);
        }
    });
}

fn attributes<'a>(mount: &'a Mount, state: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("device", &mount.device),
        ("mode", mount.mode),
        ("mountpoint", &mount.point),
        ("type", &mount.kind),
        ("state", state),
    ]
}
