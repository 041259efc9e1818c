// SPDX-License-Identifier: Apache-2.0
//! `make demo-start`, `demo-stop`: one process in the background, known by its pid file.
//!
//! `.demo/` holds the pid, the log and the data. Stopping ends exactly that process, and only if it
//! still is the program that was started.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{root, run, web};

/// Where the page is; the default of `foreglow --listen`.
const PAGE: &str = "127.0.0.1:7070";

/// A start takes well under a second; a cold, busy machine gets time.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The process itself gives up after 25 s.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// Builds, starts, waits until it is ready, prints the page's address.
pub fn start() -> Result<()> {
    if let Some(pid) = running() {
        println!("the demo runs already (pid {pid}): http://{PAGE}/");
        return Ok(());
    }
    web::build()?;
    run(&root(), "cargo", &["build", "--release", "--package", "foreglow"])?;
    let folder = folder();
    fs::create_dir_all(&folder)?;
    let log_path = folder.join("log");
    let log = File::create(&log_path)?;
    let mut child = Command::new(binary())
        .args(["demo", "--data"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", binary().display()))?;
    fs::write(folder.join("pid"), child.id().to_string())?;
    let outcome = wait_until_ready(&mut child);
    if outcome.is_err() {
        let _ = child.kill();
        let _ = fs::remove_file(folder.join("pid"));
        println!("{}", fs::read_to_string(&log_path).unwrap_or_default());
    }
    outcome?;
    println!("http://{PAGE}/");
    Ok(())
}

/// Stops what [`start`] started; fine if nothing runs.
pub fn stop() -> Result<()> {
    let Some(pid) = running() else {
        println!("the demo does not run");
        return Ok(());
    };
    signal(pid, Signal::TERM)?;
    let end = Instant::now() + STOP_DEADLINE;
    while is_ours(pid) {
        if Instant::now() > end {
            signal(pid, Signal::KILL)?;
            bail!("the demo (pid {pid}) did not stop in {STOP_DEADLINE:?} and was killed");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fs::remove_file(folder().join("pid"))?;
    println!("the demo is stopped");
    Ok(())
}

/// Opens the page, or says where it is.
pub fn dashboard() -> Result<()> {
    let url = format!("http://{PAGE}/");
    if running().is_none() {
        bail!("the demo does not run; start it with make demo-start");
    }
    let opened = Command::new("xdg-open").arg(&url).stderr(Stdio::null()).status();
    if !opened.is_ok_and(|status| status.success()) {
        println!("{url}");
    }
    Ok(())
}

fn folder() -> PathBuf {
    root().join(".demo")
}

fn binary() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root().join("target"), PathBuf::from);
    target.join("release/foreglow")
}

/// The pid of the demo if it runs.
fn running() -> Option<i32> {
    let pid = fs::read_to_string(folder().join("pid")).ok()?.trim().parse().ok()?;
    is_ours(pid).then_some(pid)
}

/// True if `pid` is a foreglow that runs the demo, not a later process with the same number.
fn is_ours(pid: i32) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0);
    let is_foreglow = words.next().is_some_and(|program| program.ends_with(b"foreglow"));
    is_foreglow && words.next() == Some(b"demo")
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("not a pid")?;
    kill_process(pid, signal).context("cannot signal the demo")
}

fn wait_until_ready(child: &mut Child) -> Result<()> {
    let end = Instant::now() + START_DEADLINE;
    while !is_ready() {
        if let Some(status) = child.try_wait()? {
            bail!("the demo ended with {status}");
        }
        if Instant::now() > end {
            bail!("the demo was not ready within {START_DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// One `GET /-/ready`.
fn is_ready() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(PAGE)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let request = format!("GET /-/ready HTTP/1.1\r\nHost: {PAGE}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer.starts_with(b"HTTP/1.1 200"))
    };
    ask().unwrap_or(false)
}
