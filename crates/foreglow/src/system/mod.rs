// SPDX-License-Identifier: Apache-2.0
//! Several processes as one: started in order, each waited for, started again when one ends, and
//! stopped in the opposite order.
//!
//! Each is this program with other arguments; what it says goes to a file of its own. Nothing but
//! these processes is touched. One that ends is started again after [`AGAIN`]; the others go on.

mod ask;
pub mod inference;
pub mod live;
pub mod planes;
pub mod scenarios;
pub mod stack;
pub mod walkthrough;
pub mod worker;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::cli::{Options, Processes};
use stack::Ports;

/// Between the end of a process and its next start.
const AGAIN: Duration = Duration::from_secs(1);

/// How often processes are looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Longest wait for a process to be ready.
const READY: Duration = Duration::from_secs(30);

/// Longest wait for one to end; it gives up after 25 s by itself.
const STOP: Duration = Duration::from_secs(28);

/// Longest log of a process: one that says everything it gets is emptied now and then.
const LOG_MAX: u64 = 64 << 20;

/// A process to run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// What it is called in messages, and its log file.
    pub name: String,
    /// Where it is found and what it does, for people.
    pub about: String,
    /// Arguments of this program.
    pub arguments: Vec<String>,
    /// Variables beside those this process has.
    pub environment: Vec<(&'static str, String)>,
    /// Where it listens.
    pub ports: Vec<u16>,
    /// Ready when this path answers 200 at this port of the loopback interface; at once if there is
    /// none.
    pub ready: Option<(u16, &'static str)>,
}

/// Processes that run; killed when dropped without [`System::stop`].
pub struct System {
    folder: PathBuf,
    running: Vec<Running>,
    /// Those that were started and whose end is not seen yet.
    pids: Pids,
}

type Pids = Arc<Mutex<BTreeSet<u32>>>;

struct Running {
    program: Program,
    child: Child,
    /// When it is to be started again.
    again: Option<Instant>,
}

impl System {
    /// No processes yet; logs go to `folder`.
    pub fn new(folder: &Path) -> System {
        System { folder: folder.to_owned(), running: Vec::new(), pids: Arc::default() }
    }

    /// Kills all of them, from anywhere: for a process that ends without dropping this.
    pub fn killer(&self) -> impl FnOnce() + Send + 'static {
        let pids = self.pids.clone();
        move || pids.lock().iter().for_each(|pid| send(*pid, Signal::KILL))
    }

    /// Starts a process and waits until it is ready; `go_on` says false to give up.
    ///
    /// # Errors
    /// When it cannot be started, ends, or is not ready in time; its last line is in the message.
    pub async fn start(&mut self, program: Program, go_on: impl Fn() -> bool) -> Result<()> {
        let child = self.spawn(&program)?;
        let (name, ready) = (program.name.clone(), program.ready);
        let is_ready = || ready.is_none_or(|(port, path)| ask::status(port, path) == Some(200));
        self.running.push(Running { program, child, again: None });
        let deadline = Instant::now() + READY;
        while !is_ready() {
            let pids = &self.pids;
            let ended = self.running.last_mut().and_then(|running| running.ended(pids));
            if ended.is_some() || Instant::now() > deadline {
                let what =
                    ended.map_or("not ready in time".to_owned(), |status| status.to_string());
                bail!("{name}: {what}: {}", self.last_line(&name));
            }
            if !go_on() {
                bail!("stopped before {name} was ready");
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Watches over all of them until `go_on` says false.
    pub async fn watch(&mut self, go_on: impl Fn() -> bool) {
        while go_on() {
            self.look();
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Looks after each of them once.
    pub fn look(&mut self) {
        for index in 0..self.running.len() {
            self.look_at(index);
            self.bound_log(&self.running[index].program.name);
        }
    }

    fn look_at(&mut self, index: usize) {
        let running = &mut self.running[index];
        if let Some(again) = running.again {
            if Instant::now() < again {
                return;
            }
            let program = running.program.clone();
            match self.spawn(&program) {
                Ok(child) => {
                    let running = &mut self.running[index];
                    (running.child, running.again) = (child, None);
                    println!("{} is started again", program.name);
                }
                Err(error) => {
                    self.running[index].again = Some(Instant::now() + AGAIN);
                    println!("{error:#}");
                }
            }
        } else if let Some(status) = running.ended(&self.pids) {
            running.again = Some(Instant::now() + AGAIN);
            let name = running.program.name.clone();
            println!("{name} has ended ({status}): {}", self.last_line(&name));
        }
    }

    /// True if the process of this name still is the one that was started first; for those that
    /// are not watched over.
    pub fn is_up(&mut self, name: &str) -> bool {
        let mut named = self.running.iter_mut().filter(|running| running.program.name == name);
        named.next().is_some_and(|running| matches!(running.child.try_wait(), Ok(None)))
    }

    /// Ends all, the last one first.
    pub async fn stop(mut self) {
        while let Some(mut running) = self.running.pop() {
            if running.again.is_none() {
                send(running.child.id(), Signal::TERM);
            }
            let deadline = Instant::now() + STOP;
            while running.ended(&self.pids).is_none() {
                if Instant::now() > deadline {
                    println!("{} did not end and is killed", running.program.name);
                    let _ = running.child.kill();
                }
                tokio::time::sleep(LOOK).await;
            }
        }
    }

    fn spawn(&self, program: &Program) -> Result<Child> {
        let path = self.log_of(&program.name);
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("cannot write {}", path.display()))?;
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let child = Command::new(own)
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // Ctrl-C is ours alone: the order of stopping is.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.name))?;
        self.pids.lock().insert(child.id());
        Ok(child)
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    fn bound_log(&self, name: &str) {
        let path = self.log_of(name);
        if std::fs::metadata(&path).is_ok_and(|log| log.len() > LOG_MAX) {
            // It is appended to, so what comes next stands at the beginning.
            let _ = OpenOptions::new().write(true).truncate(true).open(&path);
        }
    }

    fn last_line(&self, name: &str) -> String {
        let log = std::fs::read_to_string(self.log_of(name)).unwrap_or_default();
        log.lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("it said nothing")
            .to_owned()
    }
}

impl Running {
    /// How it ended, if it has; its number may be another's from then on.
    fn ended(&mut self, pids: &Pids) -> Option<ExitStatus> {
        let mut pids = pids.lock();
        let status = self.child.try_wait().ok().flatten()?;
        pids.remove(&self.child.id());
        Some(status)
    }
}

/// Gone already is fine.
fn send(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, signal);
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for running in &mut self.running {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

/// Runs a system until SIGINT or SIGTERM.
pub fn run(options: &Options, which: Processes) -> Result<()> {
    let table = match which {
        Processes::Planes(shift) => planes::table(options, Ports(shift.ports))?.1,
        Processes::WorkerStack(shift) => worker::table(options, Ports(shift.ports))?,
        Processes::InferenceStack(shift) => inference::table(options, Ports(shift.ports))?,
        Processes::Live(shift) => live::table(options, Ports(shift.ports))?,
        Processes::Walkthrough => return walkthrough::run(options),
    };
    table.run()
}
