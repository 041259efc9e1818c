// SPDX-License-Identifier: Apache-2.0
//! A system as a table: its files, its processes with their ports in the order in which they start,
//! what has to be seen before it counts as ready, and what there is to look at.
//!
//! [`planes`](super::planes), [`worker`](super::worker) and [`inference`](super::inference) are such
//! tables; all else is here. Ports that are taken are told with their owners before anything starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::{Program, System, ask};
use crate::cli::Options;
use crate::{ports, stop};

/// Longest wait for data of all processes to be seen, by the documents' own measure.
const VISIBLE: Duration = Duration::from_secs(60);

/// How often it is looked for.
const ASK: Duration = Duration::from_millis(200);

/// A system of processes.
pub struct Stack {
    /// Where its files, logs and data are.
    pub folder: PathBuf,
    /// Names and texts of files below it that its processes read.
    pub files: Vec<(String, String)>,
    /// Its processes in the order in which they start.
    pub programs: Vec<Program>,
    /// Where PromQL and traces are asked for.
    pub page: u16,
    /// What has to be seen there.
    pub seen: Vec<Seen>,
    /// What is said when it is.
    pub told: String,
    /// What to look at and what to do, a line each.
    pub look: Vec<String>,
}

/// Something that shows that data comes through.
pub enum Seen {
    /// A PromQL expression that has an answer.
    Query(String),
    /// A service that has traces.
    Traces(&'static str),
}

impl Stack {
    /// Runs it until SIGINT or SIGTERM.
    pub fn run(&self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut system = System::new(&self.folder);
            let stopped = stop::flag(system.killer())?;
            let go_on = || !*stopped.borrow();
            let outcome = self.start(&mut system, go_on).await;
            if outcome.is_ok() && go_on() {
                self.look.iter().for_each(|line| println!("{line}"));
                println!("Ctrl-C stops all of them, twice at once.");
                system.watch(go_on).await;
            }
            println!("Stopping.");
            system.stop().await;
            outcome.map_err(|error| anyhow!("error: {error:#}"))
        })
    }

    /// Starts all of it and waits until data of all of them is seen.
    ///
    /// # Errors
    /// When a port is taken, a process cannot be started, or nothing is seen in time.
    pub async fn start(&self, system: &mut System, go_on: impl Fn() -> bool + Copy) -> Result<()> {
        let begun = Instant::now();
        self.write_files()?;
        free(&self.programs)
            .map_err(|taken| anyhow!("{taken}\n--port-shift N moves all ports by N"))?;
        for program in &self.programs {
            system.start(program.clone(), go_on).await?;
            println!("{:<20} {}", program.name, program.about);
        }
        while !self.is_seen() {
            if begun.elapsed() > VISIBLE {
                bail!(
                    "nothing of it is seen at port {}, see the logs in {}",
                    self.page,
                    self.folder.display()
                );
            }
            if !go_on() {
                return Ok(());
            }
            system.look();
            tokio::time::sleep(ASK).await;
        }
        println!("{} after {:.1} s.", self.told, begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Only what has changed: processes that run already look at their files.
    fn write_files(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make {}", self.folder.display()))?;
        for (name, text) in &self.files {
            let path = self.folder.join(name);
            if !fs::read_to_string(&path).is_ok_and(|there| there == *text) {
                fs::write(&path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn is_seen(&self) -> bool {
        self.seen.iter().all(|seen| match seen {
            Seen::Query(expression) => {
                ask::promql(self.page, expression).is_some_and(|series| !series.is_empty())
            }
            Seen::Traces(service) => ask::has_traces(self.page, service),
        })
    }
}

/// Fails when a port of the programs is taken, with each such port's owner.
pub fn free(programs: &[Program]) -> Result<()> {
    let mut taken = Vec::new();
    for program in programs {
        for port in &program.ports {
            if let Some(owner) = ports::owner(*port) {
                taken.push(format!("{}: port {port} is in use by {owner}", program.name));
            }
        }
    }
    if taken.is_empty() { Ok(()) } else { bail!(taken.join("\n")) }
}

/// The ports of a system, all of them moved by so many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ports(pub u16);

impl Ports {
    /// What becomes of a usual one.
    pub fn at(self, usual: u16) -> u16 {
        usual.saturating_add(self.0)
    }

    /// With the loopback interface's address.
    pub fn address(self, usual: u16) -> String {
        format!("127.0.0.1:{}", self.at(usual))
    }

    /// `--listen`, or the address of the usual port; and its port.
    pub fn page(self, options: &Options, usual: u16) -> Result<(String, u16)> {
        let listen = options.listen.clone().unwrap_or_else(|| self.address(usual));
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("error: --listen {listen}: no port"))?;
        Ok((listen, port))
    }
}

/// A foreglow with a configuration of its own, `<name>.yaml` below `folder`, and what is set beside
/// it.
pub fn foreglow(folder: &Path, name: &str, listen: &str, sets: &[(&str, String)]) -> Program {
    let config = folder.join(format!("{name}.yaml"));
    let mut arguments = vec![
        format!("--config={}", config.display()),
        format!("--data={}", folder.join(name).display()),
        format!("--listen={listen}"),
    ];
    arguments.extend(sets.iter().map(|(key, value)| format!("--set={key}={value}")));
    Program { name: name.to_owned(), arguments, ..Program::default() }
}

/// A service of the demo that sends to a port of this host by `protocol`.
pub fn service(
    name: &str,
    (protocol, port): (&'static str, u16),
    environment: &[(&'static str, &str)],
) -> Program {
    let mut given = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
    ];
    given.extend(environment.iter().map(|(name, value)| (*name, (*value).to_owned())));
    Program {
        name: name.to_owned(),
        arguments: vec!["demo".to_owned(), name.to_owned()],
        environment: given,
        ..Program::default()
    }
}
