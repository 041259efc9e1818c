// SPDX-License-Identifier: Apache-2.0
//! Names and removal of rotated files.
//!
//! `out.json` becomes `out-2025-01-02T15-04-05.000-size.json`, as the collector names it; names
//! without `-size` (the collector before 0.150) count as old files, too. What does not look like
//! one is left alone.

use std::path::{Path, PathBuf};

use basics::UnixNano;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::config::Rotation;

const TIME: &str = "%Y-%m-%dT%H-%M-%S.%3f";
/// Why it was rotated; the collector's names have it.
const REASON: &str = "-size";

/// The name of `path` rotated at `now`; a name that is free.
pub(super) fn name(path: &Path, now: UnixNano, zone: &TimeZone) -> PathBuf {
    let mut millis = now / 1_000_000;
    loop {
        let time = Timestamp::from_millisecond(i64::try_from(millis).unwrap_or(0));
        let time = time.unwrap_or_default().to_zoned(zone.clone()).strftime(TIME).to_string();
        let (stem, extension) = halves(path);
        let name = path.with_file_name(format!("{stem}-{time}{REASON}{extension}"));
        if !name.exists() {
            return name;
        }
        millis += 1;
    }
}

/// Removes old files of `path` beyond what `rotation` keeps.
///
/// # Errors
/// Of reading the directory; a file that cannot be removed is tried again next time.
pub(super) fn clean(
    path: &Path,
    rotation: &Rotation,
    now: UnixNano,
    zone: &TimeZone,
) -> std::io::Result<()> {
    if rotation.max_backups == 0 && rotation.max_days == 0 {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        found.extend(taken(path, &name, zone).map(|time| (time, name)));
    }
    found.sort();
    found.reverse();
    let keep = if rotation.max_backups == 0 { usize::MAX } else { rotation.max_backups };
    let days = i64::try_from(rotation.max_days).unwrap_or(i64::MAX);
    let oldest = i64::try_from(now / 1_000_000)
        .unwrap_or(i64::MAX)
        .saturating_sub(days.saturating_mul(86_400_000));
    for (at, (time, name)) in found.iter().enumerate() {
        if at >= keep || (rotation.max_days > 0 && *time < oldest) {
            let _ = std::fs::remove_file(path.with_file_name(name));
        }
    }
    Ok(())
}

/// When the file `name` was rotated out of `path`, Unix milliseconds; `None` if it was not.
fn taken(path: &Path, name: &str, zone: &TimeZone) -> Option<i64> {
    let (stem, extension) = halves(path);
    let time = name.strip_prefix(&stem)?.strip_prefix('-')?.strip_suffix(&extension)?;
    let time = time.strip_suffix(REASON).unwrap_or(time);
    let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", time).ok()?;
    Some(time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

/// The file name before its extension, and that with its dot.
fn halves(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy()));
    (stem, extension.unwrap_or_default())
}

/// The time zone for names: UTC, or the machine's (`TZ`, else `/etc/localtime`).
pub(super) fn zone(localtime: bool) -> TimeZone {
    if !localtime {
        return TimeZone::UTC;
    }
    let named = std::env::var("TZ").ok().filter(|name| !name.is_empty());
    let file = match named.as_deref().map(|name| name.trim_start_matches(':')) {
        Some(name) => Path::new("/usr/share/zoneinfo").join(name),
        None => PathBuf::from("/etc/localtime"),
    };
    let read = std::fs::read(file).ok().and_then(|data| TimeZone::tzif("local", &data).ok());
    read.unwrap_or(TimeZone::UTC)
}
