// SPDX-License-Identifier: Apache-2.0
//! A program under measurement: pinned, watched through `/proc`, killed when dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running program.
pub struct Program {
    child: Child,
}

/// `/proc` counts in ticks of 10 ms: `USER_HZ` is 100 on every Linux architecture.
const TICKS_PER_SECOND: f64 = 100.0;

impl Program {
    /// Starts `program`, pinned to core `core` if there is one, its output into `log`.
    pub fn start(
        program: &Path,
        arguments: &[String],
        core: Option<usize>,
        log: &Path,
    ) -> Result<Self> {
        let output = std::fs::File::create(log)?;
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let child = command
            .args(arguments)
            .stdout(Stdio::from(output.try_clone()?))
            .stderr(Stdio::from(output))
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Program { child })
    }

    /// CPU time used so far in seconds, user and system.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold spaces; the fields after it do not.
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("odd stat line")?.1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / TICKS_PER_SECOND)
    }

    /// True when it has ended by itself; what it used can still be read.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let state = stat.as_ref().ok().and_then(|stat| stat.rsplit_once(") "));
        state.is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    /// `VmRSS` or `VmHWM` (peak) in MiB.
    pub fn memory_mib(&self, field: &str) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|l| l.starts_with(field)).context("no such field")?;
        let kib: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
        Ok(kib / 1024.0)
    }

    /// Fails if the program has ended by itself.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the program under measurement ended: {status}");
        }
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already gone is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A TCP port nobody uses now.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Polls `condition` every `every` until it gives a value.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    every: Duration,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return Ok(value);
        }
        if begin.elapsed() > deadline {
            bail!("gave up waiting for {what} after {deadline:?}");
        }
        tokio::time::sleep(every).await;
    }
}

/// The machine in one line, for the record of a run.
pub fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown", |l| l.trim_start_matches([':', ' ', '\t']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("{cores} x {model}, load {}", load.split(' ').next().unwrap_or("?"))
}
