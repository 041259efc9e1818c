// SPDX-License-Identifier: Apache-2.0
//! `make demo-start`, `demo-stop`: `foreglow demo live` in the background, known by its pid file.
//!
//! `.demo/` holds the pid, the log and the data. Stopping ends exactly that process, and only if it
//! still is the program that was started; it ends those that it has started itself.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{root, run, web};

/// Where the page is; the default of `foreglow --listen`.
const PAGE: &str = "127.0.0.1:7070";

/// Data is seen after some seconds; a cold, busy machine gets time. It gives up by itself after 60 s.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// It ends its processes one after the other, which takes a second or two.
const STOP_DEADLINE: Duration = Duration::from_secs(30);

/// How the line begins that says that all of it is seen.
const SEEN: &str = "Data of all of them is on the page";

/// Builds, starts, waits until its data is seen, prints the page's address.
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
        .args(["demo", "live", "--data"])
        .arg(folder.join("data"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", binary().display()))?;
    fs::write(folder.join("pid"), child.id().to_string())?;
    let outcome = wait_until_seen(&mut child, &log_path);
    print!("{}", fs::read_to_string(&log_path).unwrap_or_default());
    if outcome.is_err() {
        end(child.id() as i32)?;
        let _ = fs::remove_file(folder.join("pid"));
    }
    outcome?;
    println!("http://{PAGE}/");
    Ok(())
}

/// Load on the shops of the running demo beside what goes on all the time, with a report.
pub fn load() -> Result<()> {
    if running().is_none() {
        bail!("the demo does not run; start it with make demo-start");
    }
    let program = binary().display().to_string();
    let environments = ["--environment=prod", "--environment=dev", "--environment=qa"];
    run(&root(), &program, &[&["load", "http", "--duration=30s"], &environments[..]].concat())
}

/// Stops what [`start`] started; fine if nothing runs.
pub fn stop() -> Result<()> {
    let Some(pid) = running() else {
        println!("the demo does not run");
        return Ok(());
    };
    end(pid)?;
    fs::remove_file(folder().join("pid"))?;
    println!("the demo is stopped");
    Ok(())
}

/// Tells it to end and waits for it. The second signal makes it end all of its processes at once.
fn end(pid: i32) -> Result<()> {
    for patience in [STOP_DEADLINE, Duration::from_secs(5)] {
        if is_ours(pid) {
            signal(pid, Signal::TERM)?;
        }
        let end = Instant::now() + patience;
        while is_ours(pid) {
            if Instant::now() > end {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    if is_ours(pid) {
        bail!("the demo (pid {pid}) does not end");
    }
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

/// True if `pid` is a foreglow that runs this demo, not a later process with the same number.
fn is_ours(pid: i32) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let command = fs::read(process.join("cmdline")).unwrap_or_default();
    let mut words = command.split(|byte| *byte == 0);
    let is_foreglow = words.next().is_some_and(|program| program.ends_with(b"foreglow"));
    is_foreglow && words.next() == Some(b"demo") && words.next() == Some(b"live")
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("not a pid")?;
    kill_process(pid, signal).context("cannot signal the demo")
}

fn wait_until_seen(child: &mut Child, log: &Path) -> Result<()> {
    let end = Instant::now() + START_DEADLINE;
    while !fs::read_to_string(log).is_ok_and(|log| log.contains(SEEN)) {
        if let Some(status) = child.try_wait()? {
            bail!("the demo ended with {status}");
        }
        if Instant::now() > end {
            bail!("no data of the demo was seen within {START_DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
