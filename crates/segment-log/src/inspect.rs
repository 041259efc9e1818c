// SPDX-License-Identifier: Apache-2.0
//! What lies in a log's directory, for people: [`inspect`] reads it, [`repair`] takes damage out.
//!
//! Inspecting changes nothing and needs no lock, also beside the process that writes. Repairing takes
//! the lock, so it is refused while a process holds the directory. It copies damaged bytes to
//! `quarantine/`, then leaves of a segment what is whole: each run of records becomes a segment of its
//! own under the position that it has, so nothing that was kept moves. Should it be interrupted, it is
//! done again; no record is lost at any time.
//! Memory: one record. An error is what the file layer tells, with the path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use basics::files::{Files, Mode, read_all, write_atomic};
use basics::{Result, UnixNano};

use crate::consumer;
use crate::cursor::{Cursor, Step};
use crate::home::{Home, io_error};
use crate::reader::read_range;
use crate::segments;

/// What a directory holds.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Who writes here, sixteen hex digits.
    pub writer: String,
    /// A process holds the directory.
    pub in_use: bool,
    /// Oldest first.
    pub segments: Vec<SegmentReport>,
    /// Saved offsets by consumer; none where the file is damaged.
    pub consumers: Vec<(String, Option<u64>)>,
    /// Names and sizes of what was set aside.
    pub quarantine: Vec<(String, u64)>,
}

/// What one segment holds.
#[derive(Clone, Debug, Default)]
pub struct SegmentReport {
    /// Position of its first byte, also its name.
    pub base: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Whole records.
    pub records: u64,
    /// Receive times of the first and the last record.
    pub received: Option<(UnixNano, UnixNano)>,
    /// Records and bytes of their bodies by signal number and pipeline.
    pub by: BTreeMap<(u8, String), (u64, u64)>,
    /// Positions of bytes that are no record: from, to.
    pub damaged: Vec<(u64, u64)>,
    /// Bytes behind the last record of the last segment: an append that did not come to its end, or
    /// is under way. Cut off at the next start.
    pub torn: u64,
}

impl Inspection {
    /// Where the next record goes.
    pub fn end(&self) -> u64 {
        self.segments.last().map_or(0, |segment| segment.base + segment.bytes - segment.torn)
    }

    /// Damaged ranges of all segments.
    pub fn damaged(&self) -> impl Iterator<Item = (u64, u64)> {
        self.segments.iter().flat_map(|segment| segment.damaged.iter().copied())
    }

    /// Whole records.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }
}

/// True when `dir` is the directory of a log.
pub fn is_log(files: &dyn Files, dir: &Path) -> bool {
    let names = files.list(dir).unwrap_or_default();
    names.iter().any(|name| name == "WRITER") && names.iter().any(|name| name.ends_with(".seg"))
}

/// Reads all of a log.
///
/// # Errors
/// [`basics::Kind::Invalid`] when a file cannot be read. Damage is told in the result.
pub fn inspect(files: &dyn Files, dir: &Path) -> Result<Inspection> {
    let writer = read_all(files, &dir.join("WRITER"))
        .map_err(|error| io_error("read", &dir.join("WRITER"), error))?;
    let bases = segments::list(files, dir).map_err(|error| io_error("list", dir, error))?;
    let mut found = Inspection {
        writer: String::from_utf8_lossy(&writer).trim().to_owned(),
        in_use: files.lock(&dir.join("LOCK")).is_err(),
        ..Inspection::default()
    };
    for (at, base) in bases.iter().enumerate() {
        found.segments.push(segment(files, dir, *base, at + 1 == bases.len())?);
    }
    let offsets = dir.join("offsets");
    for file in files.list(&offsets).unwrap_or_default() {
        if !file.ends_with(".tmp") {
            let path = offsets.join(&file);
            let bytes = read_all(files, &path).map_err(|error| io_error("read", &path, error))?;
            found.consumers.push((consumer::name_of(&file), consumer::decode(&bytes)));
        }
    }
    let aside = dir.join("quarantine");
    for name in files.list(&aside).unwrap_or_default() {
        let opened = files.open(&aside.join(&name), Mode::Read);
        found.quarantine.push((name, opened.and_then(|file| file.size()).unwrap_or(0)));
    }
    Ok(found)
}

fn segment(files: &dyn Files, dir: &Path, base: u64, is_last: bool) -> Result<SegmentReport> {
    let path = segments::path(dir, base);
    let wrong = |error| io_error("read", &path, error);
    let file = files.open(&path, Mode::Read).map_err(wrong)?;
    let bytes = file.size().map_err(wrong)?;
    let mut report = SegmentReport { base, bytes, ..SegmentReport::default() };
    let mut cursor = Cursor::new(file, base, base, base + bytes);
    loop {
        match cursor.step().map_err(wrong)? {
            Step::Record => {
                let record = cursor.record();
                report.records += 1;
                let first = report.received.map_or(record.received, |(first, _)| first);
                report.received = Some((first, record.received));
                let (count, size) = report.by.entry((record.signal, record.pipeline)).or_default();
                *count += 1;
                *size += record.body.len() as u64;
            }
            Step::Damage(from, to) if is_last && to == base + bytes => report.torn = to - from,
            Step::Damage(from, to) => report.damaged.push((from, to)),
            Step::End => return Ok(report),
        }
    }
}

/// Sets damaged ranges aside; returns the directory as it was before.
///
/// # Errors
/// [`basics::Kind::Invalid`] when another process holds the directory or a file cannot be read or
/// written.
pub fn repair(files: &dyn Files, dir: &Path) -> Result<Inspection> {
    let _home = Home::enter(files, dir)?;
    let mut found = inspect(files, dir)?;
    found.in_use = false;
    let last = found.segments.last().map(|segment| segment.base);
    for report in found.segments.iter().filter(|segment| !segment.damaged.is_empty()) {
        repair_segment(files, dir, report, last == Some(report.base))?;
    }
    files.sync_dir(dir).map_err(|error| io_error("sync", dir, error))?;
    Ok(found)
}

fn repair_segment(
    files: &dyn Files,
    dir: &Path,
    report: &SegmentReport,
    is_last: bool,
) -> Result<()> {
    let path = segments::path(dir, report.base);
    let wrong = |error| io_error("repair", &path, error);
    let file = files.open(&path, Mode::Append).map_err(wrong)?;
    let bytes = |from: u64, to: u64| {
        read_range(file.as_ref(), from - report.base, (to - from) as usize).map_err(wrong)
    };
    let put = |path: PathBuf, bytes: &[u8]| {
        write_atomic(files, &path, bytes).map_err(|error| io_error("write", &path, error))
    };
    for (from, to) in &report.damaged {
        let name = format!("{from:020}-{to:020}");
        put(dir.join("quarantine").join(name), &bytes(*from, *to)?)?;
    }
    // What lies between the damaged ranges.
    let starts = std::iter::once(report.base).chain(report.damaged.iter().map(|(_, to)| *to));
    let ends = report.damaged.iter().map(|(from, _)| *from).chain([report.base + report.bytes]);
    let whole: Vec<(u64, u64)> = starts.zip(ends).filter(|(from, to)| from < to).collect();
    for (from, to) in whole.iter().filter(|(from, _)| *from != report.base) {
        put(segments::path(dir, *from), &bytes(*from, *to)?)?;
    }
    match whole.first() {
        Some((from, to)) if *from == report.base => {
            file.truncate(to - from).and_then(|()| file.sync()).map_err(wrong)
        }
        // The last one says where the next record goes.
        None if is_last => file.truncate(0).and_then(|()| file.sync()).map_err(wrong),
        _ => files.remove(&path).map_err(wrong),
    }
}
