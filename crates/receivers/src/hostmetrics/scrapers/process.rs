// SPDX-License-Identifier: Apache-2.0
//! Single processes, each a resource of its own, from `/proc/<pid>`.
//!
//! A process may end while it is looked at, and much of another user's processes may not be read:
//! what is missing costs that metric of that process, is counted unless muted, and never ends the
//! reading.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use otlp_wire::write::AttrWriter;

use super::super::config::{Filter, Process as Settings, Toggle};
use super::super::emit::Emit;
use super::cpu::TICKS_PER_SECOND;

/// The reader, with what differences need.
#[derive(Debug, Default)]
pub struct Processes {
    /// Processor time and when it was read, by process.
    last: HashMap<u64, ([f64; 3], u64)>,
}

/// What is the same for all processes of one reading.
pub struct Around<'a> {
    /// `/proc` of the machine.
    pub proc: &'a Path,
    /// Text of `/etc/passwd`.
    pub passwd: &'a str,
    /// Which ones are wanted, by name.
    pub filter: &'a Filter,
    /// Options.
    pub settings: &'a Settings,
    /// Time of the reading, Unix nanoseconds.
    pub now: u64,
    /// Boot of the machine, Unix nanoseconds.
    pub boot: u64,
    /// Its memory in bytes.
    pub memory: u64,
    /// Its processors.
    pub processors: usize,
}

/// Numbers in `/proc/<pid>/stat`, counted as in proc(5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stat {
    /// What started it.
    pub parent: u64,
    /// Page faults without and with reading the disk.
    pub faults: [u64; 2],
    /// Seconds in user and system mode, and waiting for the disk.
    pub seconds: [f64; 3],
    /// Threads.
    pub threads: u64,
    /// When it began, in ticks since boot.
    pub began: u64,
}

/// Reads the text of `/proc/<pid>/stat`; the name in it may hold anything.
pub fn parse(stat: &str) -> Option<Stat> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    // The state after the name is field 3.
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
    let seconds = |number: usize| field(number).unwrap_or(0) as f64 / TICKS_PER_SECOND;
    Some(Stat {
        parent: field(4)?,
        faults: [field(10)?, field(12)?],
        seconds: [seconds(14), seconds(15), seconds(42)],
        threads: field(20)?,
        began: field(22)?,
    })
}

/// One process.
struct One<'a> {
    pid: u64,
    folder: std::path::PathBuf,
    name: String,
    stat: Stat,
    around: &'a Around<'a>,
}

impl Processes {
    /// Writes every process that is wanted; gives what could not be read.
    ///
    /// # Errors
    /// When there is no list of processes.
    pub fn write(
        &mut self,
        around: &Around<'_>,
        emit: &mut Emit<'_>,
        scope: &str,
    ) -> io::Result<Vec<String>> {
        let mut missing = Vec::new();
        let mut seen = HashMap::new();
        for entry in std::fs::read_dir(around.proc)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u64>().ok()) else {
                continue;
            };
            let folder = around.proc.join(name);
            let Ok(stat) = text(&folder, "stat") else { continue };
            let Some(stat) = parse(&stat) else { continue };
            let name = match text(&folder, "comm") {
                Ok(comm) => full_name(comm.trim_end_matches('\n'), &folder),
                Err(error) => {
                    if !around.settings.mute_process_name_error {
                        missing.push(format!("name of process {pid}: {error}"));
                    }
                    continue;
                }
            };
            let one = One { pid, folder, name, stat, around };
            if !around.filter.keeps(&one.name) || one.is_too_young() {
                continue;
            }
            let seconds = one.stat.seconds;
            let before = self.last.get(&pid).copied();
            one.write(before, emit, scope, &mut missing);
            seen.insert(pid, (seconds, around.now));
        }
        self.last = seen;
        if around.settings.mute_process_all_errors {
            missing.clear();
        }
        Ok(missing)
    }
}

impl One<'_> {
    /// Unix nanoseconds.
    fn began(&self) -> u64 {
        let nanos = self.stat.began as f64 / TICKS_PER_SECOND * 1e9;
        self.around.boot.saturating_add(nanos as u64)
    }

    fn is_too_young(&self) -> bool {
        let age = u128::from(self.around.now.saturating_sub(self.began()));
        age < self.around.settings.scrape_process_delay.get().as_nanos()
    }

    fn write(
        &self,
        before: Option<([f64; 3], u64)>,
        emit: &mut Emit<'_>,
        scope: &str,
        missing: &mut Vec<String>,
    ) {
        let settings = self.around.settings;
        let executable = std::fs::read_link(self.folder.join("exe"));
        if let (Err(error), false) = (&executable, settings.mute_process_exe_error) {
            missing.push(format!("executable of process {}: {error}", self.pid));
        }
        let executable = executable.map(|path| path.display().to_string()).unwrap_or_default();
        emit.out.resource(|attrs| self.resource(&executable, attrs));
        emit.out.scope(scope, env!("CARGO_PKG_VERSION"));
        emit.boot = self.began();
        self.write_cpu(before, emit);
        self.write_memory(emit);
        self.write_io(emit, missing);
        self.write_optional(emit);
    }

    fn resource(&self, executable: &str, attrs: &mut AttrWriter<'_>) {
        let on = |key: &str, default: bool| {
            let toggles = &self.around.settings.resource_attributes;
            toggles.get(key).map_or(default, |toggle: &Toggle| toggle.enabled)
        };
        let mut words: Vec<String> = Vec::new();
        if let Ok(line) = text(&self.folder, "cmdline") {
            let line = line.trim_end_matches('\0');
            if !line.is_empty() {
                words = line.split('\0').map(str::to_owned).collect();
            }
        }
        if on("process.pid", true) {
            attrs.int("process.pid", self.pid as i64);
        }
        if on("process.parent_pid", true) {
            attrs.int("process.parent_pid", self.stat.parent as i64);
        }
        let cgroup = match on("process.cgroup", false) {
            true => text(&self.folder, "cgroup").unwrap_or_default().trim_end().to_owned(),
            false => String::new(),
        };
        for (key, value, given) in [
            ("process.executable.name", self.name.as_str(), true),
            ("process.executable.path", executable, true),
            ("process.cgroup", &cgroup, !cgroup.is_empty()),
            ("process.command", words.first().map_or("", String::as_str), true),
            ("process.command_line", &words.join(" "), true),
            ("process.owner", self.owner(), !self.owner().is_empty()),
        ] {
            if given && on(key, key != "process.cgroup") {
                attrs.str(key, value);
            }
        }
    }

    /// Name of the user it runs as.
    fn owner(&self) -> &str {
        let status = text(&self.folder, "status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        let Some(uid) = line.and_then(|line| line.split_ascii_whitespace().next()) else {
            return "";
        };
        let mut users = self.around.passwd.lines().map(|line| line.split(':'));
        users
            .find_map(|mut user| (user.clone().nth(2) == Some(uid)).then(|| user.next())?)
            .unwrap_or("")
    }

    fn write_cpu(&self, before: Option<([f64; 3], u64)>, emit: &mut Emit<'_>) {
        const STATES: [&str; 3] = ["user", "system", "wait"];
        emit.counter(("process.cpu.time", "s", true), |points| {
            for (state, seconds) in STATES.into_iter().zip(self.stat.seconds) {
                points.add(seconds, &[("state", state)]);
            }
        });
        let Some((seconds, time)) = before else { return };
        let elapsed = self.around.now.saturating_sub(time) as f64 / 1e9;
        let capacity = elapsed * self.around.processors.max(1) as f64;
        emit.gauge(("process.cpu.utilization", "1", false), |points| {
            for (at, state) in STATES.into_iter().enumerate().filter(|_| capacity > 0.0) {
                let spent = self.stat.seconds[at] - seconds[at];
                points.add((spent / capacity).max(0.0), &[("state", state)]);
            }
        });
    }

    fn write_memory(&self, emit: &mut Emit<'_>) {
        let statm = text(&self.folder, "statm").unwrap_or_default();
        let mut pages = super::numbers(&statm);
        let page = rustix::param::page_size() as u64;
        let (Some(all), Some(resident)) = (pages.next(), pages.next()) else { return };
        let bytes = |pages: u64| pages.saturating_mul(page);
        emit.level(("process.memory.usage", "By", true), |p| p.add(bytes(resident), &[]));
        emit.level(("process.memory.virtual", "By", true), |p| p.add(bytes(all), &[]));
        let percent = bytes(resident) as f64 / self.around.memory.max(1) as f64 * 100.0;
        emit.gauge(("process.memory.utilization", "1", false), |p| p.add(percent, &[]));
    }

    fn write_io(&self, emit: &mut Emit<'_>, missing: &mut Vec<String>) {
        let io = match text(&self.folder, "io") {
            Ok(io) => io,
            Err(error) => {
                if !self.around.settings.mute_process_io_error {
                    missing.push(format!("disk usage of process {}: {error}", self.pid));
                }
                return;
            }
        };
        let mut both = |what, read: &str, write: &str| {
            emit.counter(what, |points| {
                for (direction, key) in [("read", read), ("write", write)] {
                    points.add(super::value_of(&io, key).unwrap_or(0), &[("direction", direction)]);
                }
            });
        };
        both(("process.disk.io", "By", true), "rchar", "wchar");
        both(("process.disk.operations", "{operations}", false), "syscr", "syscw");
    }

    fn write_optional(&self, emit: &mut Emit<'_>) {
        let [minor, major] = self.stat.faults;
        emit.counter(("process.paging.faults", "{faults}", false), |points| {
            points.add(major, &[("type", "major")]);
            points.add(minor, &[("type", "minor")]);
        });
        emit.level(("process.threads", "{threads}", false), |p| p.add(self.stat.threads, &[]));
        emit.counter(("process.context_switches", "{count}", false), |points| {
            let mut switches = [0, 0];
            for task in std::fs::read_dir(self.folder.join("task")).into_iter().flatten().flatten()
            {
                let status = text(&task.path(), "status").unwrap_or_default();
                let keys = ["nonvoluntary_ctxt_switches", "voluntary_ctxt_switches"];
                for (sum, key) in switches.iter_mut().zip(keys) {
                    *sum += super::value_of(&status, key).unwrap_or(0);
                }
            }
            points.add(switches[0], &[("type", "involuntary")]);
            points.add(switches[1], &[("type", "voluntary")]);
        });
        emit.level(("process.open_file_descriptors", "{count}", false), |points| {
            if let Ok(open) = std::fs::read_dir(self.folder.join("fd")) {
                points.add(open.count() as u64, &[]);
            }
        });
        emit.level(("process.signals_pending", "{signals}", false), |points| {
            let status = text(&self.folder, "status").unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("SigQ:"));
            let queued = line.and_then(|line| line.trim().split('/').next()?.parse::<u64>().ok());
            queued.into_iter().for_each(|queued| points.add(queued, &[]));
        });
        emit.gauge(("process.uptime", "s", false), |points| {
            points.add(self.around.now.saturating_sub(self.began()) as f64 / 1e9, &[]);
        });
    }
}

/// The kernel cuts names at 15 bytes; the command line has the whole.
fn full_name(comm: &str, folder: &Path) -> String {
    if comm.len() >= 15
        && let Ok(line) = text(folder, "cmdline")
    {
        let first = line.split('\0').next().unwrap_or("");
        let last = first.rsplit('/').next().unwrap_or("");
        if last.starts_with(comm) {
            return last.to_owned();
        }
    }
    comm.to_owned()
}

fn text(folder: &Path, file: &str) -> io::Result<String> {
    let bytes = std::fs::read(folder.join(file))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
