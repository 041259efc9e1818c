// SPDX-License-Identifier: Apache-2.0
//! One reading of the machine: the files of every scraper in, one payload out.

use std::io;
use std::path::{Path, PathBuf};

use basics::{Error, Result};
use otlp_wire::{Payload, write};

use super::config::{Config, Filter, Scrapers};
use super::emit::Emit;
use super::scrapers::process::{Around, Processes};
use super::scrapers::{cpu, disk, filesystem, load, memory, network, nfs, paging, processes};

/// Where metrics come from, in every scope name.
const SCOPE: &str = "foreglow/receivers/hostmetrics/";

/// Reads the machine again and again; keeps what differences need.
pub struct Reader {
    root: PathBuf,
    scrapers: Scrapers,
    host_name: bool,
    cpu: cpu::Cpu,
    disks: Filter,
    interfaces: Filter,
    filesystems: filesystem::Filters,
    process_names: Filter,
    processes: Processes,
}

/// What one reading gave.
pub struct Reading {
    /// All metrics.
    pub payload: Payload,
    /// Points written by each scraper, or why it could not.
    pub scrapers: Vec<(&'static str, io::Result<u32>)>,
}

impl Reader {
    /// A reader for `config`.
    ///
    /// # Errors
    /// `Invalid` for a regular expression that is none.
    pub fn new(config: &Config) -> Result<Self> {
        let wrong = |e: regex::Error| Error::invalid("wrong pattern in hostmetrics").caused_by(e);
        let scrapers = config.scrapers.clone();
        let disk = scrapers.disk.clone().unwrap_or_default();
        let network = scrapers.network.clone().unwrap_or_default();
        let fs = scrapers.filesystem.clone().unwrap_or_default();
        let process = scrapers.process.clone().unwrap_or_default();
        Ok(Reader {
            root: if config.root_path.is_empty() {
                "/".into()
            } else {
                config.root_path.clone().into()
            },
            host_name: config.host_name(),
            cpu: cpu::Cpu::default(),
            disks: Filter::new(&disk.include, &disk.exclude).map_err(wrong)?,
            interfaces: Filter::new(&network.include, &network.exclude).map_err(wrong)?,
            filesystems: filesystem::Filters {
                devices: Filter::new(&fs.include_devices, &fs.exclude_devices).map_err(wrong)?,
                types: Filter::new(&fs.include_fs_types, &fs.exclude_fs_types).map_err(wrong)?,
                points: Filter::new(&fs.include_mount_points, &fs.exclude_mount_points)
                    .map_err(wrong)?,
            },
            process_names: Filter::new(&process.include, &process.exclude).map_err(wrong)?,
            processes: Processes::default(),
            scrapers,
        })
    }

    /// Reads everything once, at `now` (Unix nanoseconds).
    pub fn read(&mut self, now: u64) -> Reading {
        let mut out = write::Metrics::new();
        let proc = Proc(self.root.join("proc"));
        let boot = proc.boot_time().unwrap_or(0);
        let host = if self.host_name { proc.text("sys/kernel/hostname").ok() } else { None };
        out.resource(|attrs| {
            if let Some(host) = &host {
                attrs.str("host.name", host.trim());
            }
        });
        let mut scrapers = Vec::new();
        for name in self.scrapers.names() {
            let before = out.items();
            out.scope(&format!("{SCOPE}{name}"), env!("CARGO_PKG_VERSION"));
            let outcome = self.scrape(name, &proc, &mut out, now, boot);
            scrapers.push((name, outcome.map(|()| out.items() - before)));
        }
        Reading { payload: out.finish(), scrapers }
    }

    fn scrape(
        &mut self,
        name: &str,
        proc: &Proc,
        out: &mut write::Metrics,
        now: u64,
        boot: u64,
    ) -> io::Result<()> {
        let scrapers = &self.scrapers;
        let enabled = scrapers.metrics(name);
        let mut emit = Emit { out, enabled: &enabled, now, boot };
        match name {
            "cpu" => {
                self.cpu.write(&proc.text("stat")?, &mut emit);
                cpu::write_info(&proc.text("cpuinfo").unwrap_or_default(), &mut emit);
            }
            "memory" => memory::write(&proc.text("meminfo")?, &mut emit),
            "load" => {
                let average = scrapers.load.as_ref().is_some_and(|load| load.cpu_average);
                let per = if average { cpu::parse(&proc.text("stat")?).len() } else { 1 };
                load::write(&proc.text("loadavg")?, per, &mut emit);
            }
            "disk" => disk::write(&proc.text("diskstats")?, &self.disks, &mut emit),
            "network" => {
                network::write(&proc.text("net/dev")?, &self.interfaces, &mut emit);
                let mut states = [0; 12];
                for file in ["net/tcp", "net/tcp6"] {
                    // Machines without IPv6 have no tcp6.
                    network::count_states(&proc.text(file).unwrap_or_default(), &mut states);
                }
                network::write_connections(&states, &mut emit);
                let number = |file: &str| proc.text(file).ok()?.trim().parse().ok();
                let [count, max] = ["count", "max"]
                    .map(|what| number(&format!("sys/net/netfilter/nf_conntrack_{what}")));
                network::write_conntrack(count, max, &mut emit);
            }
            "filesystem" => {
                let all =
                    scrapers.filesystem.as_ref().is_some_and(|fs| fs.include_virtual_filesystems);
                let mounts = filesystem::parse(&proc.mounts()?, &proc.text("filesystems")?, all);
                filesystem::write(&mounts, &self.root, &self.filesystems, &mut emit);
            }
            "paging" => paging::write(&proc.text("swaps")?, &proc.text("vmstat")?, &mut emit),
            "process" => {
                let meminfo = proc.text("meminfo").unwrap_or_default();
                let passwd = std::fs::read(self.root.join("etc/passwd")).unwrap_or_default();
                let around = Around {
                    proc: &proc.0,
                    passwd: &String::from_utf8_lossy(&passwd),
                    filter: &self.process_names,
                    settings: &scrapers.process.clone().unwrap_or_default(),
                    now,
                    boot,
                    memory: memory::total(&meminfo).unwrap_or(0),
                    processors: cpu::parse(&proc.text("stat")?).len(),
                };
                let scope = format!("{SCOPE}{name}");
                let missing = self.processes.write(&around, &mut emit, &scope)?;
                if let Some(first) = missing.first() {
                    let count = missing.len();
                    tracing::debug!(count, "not all of all processes can be read; {first}");
                }
            }
            "nfs" => {
                // No file where the kernel has no client or no server.
                if let Ok(text) = proc.text("net/rpc/nfs") {
                    nfs::write_client(&text, &mut emit);
                }
                if let Ok(text) = proc.text("net/rpc/nfsd") {
                    nfs::write_server(&text, &mut emit);
                }
            }
            "processes" => processes::write(&proc.states()?, &proc.text("stat")?, &mut emit),
            _ => {
                let uptime = proc.text("uptime")?;
                let seconds = uptime.split(' ').next().and_then(|word| word.parse::<f64>().ok());
                if let Some(seconds) = seconds {
                    emit.gauge(("system.uptime", "s", true), |points| points.add(seconds, &[]));
                }
            }
        }
        Ok(())
    }
}

/// The `/proc` of the machine that is looked at.
struct Proc(PathBuf);

impl Proc {
    fn text(&self, file: &str) -> io::Result<String> {
        let path = self.0.join(file);
        let bytes = std::fs::read(&path).map_err(|e| named(&path, &e))?;
        // Device names may hold anything.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The mounts of process 1 where they may be read (its name space is the host's), else ours.
    fn mounts(&self) -> io::Result<String> {
        self.text("1/mounts").or_else(|_| self.text("self/mounts"))
    }

    /// Boot time in Unix nanoseconds.
    fn boot_time(&self) -> Option<u64> {
        let stat = self.text("stat").ok()?;
        let line = stat.lines().find(|line| line.starts_with("btime "))?;
        line[6..].trim().parse::<u64>().ok()?.checked_mul(1_000_000_000)
    }

    /// The state letter of every process.
    fn states(&self) -> io::Result<Vec<char>> {
        let mut states = Vec::new();
        for entry in std::fs::read_dir(&self.0).map_err(|e| named(&self.0, &e))? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            else {
                continue;
            };
            // A process may end while we look.
            let stat = self.text(&format!("{pid}/stat")).unwrap_or_default();
            states.extend(processes::state(&stat));
        }
        Ok(states)
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
