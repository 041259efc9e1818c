// SPDX-License-Identifier: Apache-2.0
//! `foreglow log ls|verify|repair`: the durable logs as people see them.
//!
//! Logs are found by their files, below the directory given. Listing and checking may run beside the
//! process that writes; repairing is refused then.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use basics::UnixNano;
use basics::files::{Files, RealFiles};
use otlp_wire::Signal;
use segment_log::{Inspection, SegmentReport, inspect, is_log, repair};
use serde_json::{Value, json};

use crate::cli::{LogCommand, Logs, Options};

/// Directories below the one given that are looked into: `data/queues/<exporter>/<log>` and some more.
const DEPTH_MAX: usize = 5;

/// Does what the command line says.
pub fn work(options: &Options, command: &LogCommand) -> Result<()> {
    let (LogCommand::Ls(which) | LogCommand::Verify(which) | LogCommand::Repair(which)) = command;
    let files = RealFiles;
    let folder = which.folder.as_deref().unwrap_or(&options.data);
    let mut found = Vec::new();
    find(&files, folder, 0, &mut found);
    if found.is_empty() {
        bail!("error: no log in {}", folder.display());
    }
    let mut told = Vec::new();
    for folder in found {
        let work = match command {
            LogCommand::Repair(_) => repair(&files, &folder),
            _ => inspect(&files, &folder),
        };
        let log = work.map_err(|error| anyhow!("error: {}: {error}", folder.display()))?;
        told.push((folder, log));
    }
    let damaged: usize = told.iter().map(|(_, log)| log.damaged().count()).sum();
    print(which, command, &told);
    match command {
        LogCommand::Verify(_) if damaged > 0 => bail!(
            "error: {damaged} damaged ranges; a start passes over them, `foreglow log repair` sets them aside"
        ),
        _ => Ok(()),
    }
}

fn find(files: &dyn Files, folder: &Path, depth: usize, out: &mut Vec<PathBuf>) {
    if is_log(files, folder) {
        out.push(folder.to_owned());
    } else if depth < DEPTH_MAX {
        for name in files.list_dirs(folder).unwrap_or_default() {
            find(files, &folder.join(name), depth + 1, out);
        }
    }
}

fn print(which: &Logs, command: &LogCommand, told: &[(PathBuf, Inspection)]) {
    if which.json {
        let all: Vec<Value> = told.iter().map(|(folder, log)| as_json(folder, log)).collect();
        println!("{:#}", json!({ "logs": all }));
        return;
    }
    for (folder, log) in told {
        println!("{}", as_text(folder, log, command).trim_end());
    }
}

fn as_text(folder: &Path, log: &Inspection, command: &LogCommand) -> String {
    let mut out = String::new();
    let in_use = if log.in_use { ", in use" } else { "" };
    let _ = writeln!(
        out,
        "{}: {} records in {} segments, positions {} to {}, writer {}{in_use}",
        folder.display(),
        log.records(),
        log.segments.len(),
        log.segments.first().map_or(0, |segment| segment.base),
        log.end(),
        log.writer
    );
    for segment in &log.segments {
        if matches!(command, LogCommand::Ls(_)) {
            segment_text(&mut out, segment);
        }
        for (from, to) in &segment.damaged {
            let done = match command {
                LogCommand::Repair(_) => "set aside",
                _ => "damaged",
            };
            let _ = writeln!(out, "  {done}: {from} to {to}, {} bytes", to - from);
        }
        if segment.torn > 0 {
            let _ = writeln!(
                out,
                "  {} bytes at the end are no whole record: cut off at the next start",
                segment.torn
            );
        }
    }
    for (name, position) in &log.consumers {
        let _ = match position {
            Some(at) => writeln!(
                out,
                "  consumer {name} at {at}, {} bytes behind",
                log.end().saturating_sub(*at)
            ),
            None => writeln!(out, "  consumer {name}: its offset is damaged, begins at the oldest"),
        };
    }
    if !log.quarantine.is_empty() {
        let bytes: u64 = log.quarantine.iter().map(|(_, bytes)| bytes).sum();
        let _ = writeln!(out, "  quarantine: {} files, {bytes} bytes", log.quarantine.len());
    }
    out
}

fn segment_text(out: &mut String, segment: &SegmentReport) {
    let _ = write!(out, "  {:020}.seg {} bytes", segment.base, segment.bytes);
    if let Some((first, last)) = segment.received {
        let _ = write!(out, ", received {} to {}", time(first), time(last));
    }
    out.push('\n');
    for ((signal, pipeline), (records, bytes)) in &segment.by {
        let _ =
            writeln!(out, "    {pipeline} ({}): {records} records, {bytes} bytes", name(*signal));
    }
}

fn as_json(folder: &Path, log: &Inspection) -> Value {
    let range = |(from, to): &(u64, u64)| json!({ "from": from, "to": to });
    let segments: Vec<Value> = log
        .segments
        .iter()
        .map(|segment| {
            let by: Vec<Value> = segment
                .by
                .iter()
                .map(|((signal, pipeline), (records, bytes))| {
                    json!({
                        "signal": name(*signal), "pipeline": pipeline,
                        "records": records, "bytes": bytes,
                    })
                })
                .collect();
            json!({
                "base": segment.base, "bytes": segment.bytes, "records": segment.records,
                "first_received": segment.received.map(|(first, _)| time(first)),
                "last_received": segment.received.map(|(_, last)| time(last)),
                "torn_bytes": segment.torn, "contents": by,
                "damaged": segment.damaged.iter().map(range).collect::<Vec<_>>(),
            })
        })
        .collect();
    let consumers: Vec<Value> = log
        .consumers
        .iter()
        .map(|(name, position)| json!({ "name": name, "position": position }))
        .collect();
    let quarantine: Vec<Value> = log
        .quarantine
        .iter()
        .map(|(name, bytes)| json!({ "name": name, "bytes": bytes }))
        .collect();
    json!({
        "directory": folder.to_string_lossy(), "writer": log.writer, "in_use": log.in_use,
        "end": log.end(), "records": log.records(), "segments": segments,
        "consumers": consumers, "quarantine": quarantine,
    })
}

fn name(number: u8) -> &'static str {
    Signal::from_number(number).map_or("unknown", Signal::name)
}

fn time(at: UnixNano) -> String {
    let text = jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default();
    format!("{text:.0}")
}
