// SPDX-License-Identifier: Apache-2.0
//! Overload: ten times the connections on a back end that takes a tenth, for each protocol and
//! codec.
//!
//! A case has three parts. In the first four connections send as fast as they are answered, which
//! says what is normal. In the second the sink takes a tenth of that and forty connections send;
//! what is refused (not what is made to wait) is sent again, ten times as early as asked. In the third the sink is itself
//! again, four connections send, and we look when it is normal again. Measured are the resident
//! memory against `memory_limiter`, what reaches the sink against what it would take, and the time
//! to recover. Nothing that was taken may be lost, and nobody may get any answer but "taken" and
//! "not now".

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::task::JoinHandle;

use crate::load::{Codec, Press, Tally, Target, Transport, Until, load};
use crate::payload::{Signal, requests};
use crate::process::{Program, free_port, machine, wait_for};
use crate::sink::Sink;

/// What to measure.
#[derive(clap::Args)]
pub struct Options {
    /// Our binary.
    #[arg(long, default_value = "target/release/foreglow")]
    foreglow: PathBuf,
    /// Parts of the names of the cases to run, such as `grpc` or `grpc gzip`; none = all.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// What is sent.
    #[arg(long, value_enum, default_value = "traces")]
    signal: Signal,
    /// Seconds of overload.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Where the raw figures go.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Everything that OTLP travels by.
const CASES: [(&str, Transport, Codec); 9] = [
    ("grpc none", Transport::Grpc, Codec::None),
    ("grpc gzip", Transport::Grpc, Codec::Gzip),
    ("grpc zstd", Transport::Grpc, Codec::Zstd),
    ("http/protobuf none", Transport::Http, Codec::None),
    ("http/protobuf gzip", Transport::Http, Codec::Gzip),
    ("http/protobuf zstd", Transport::Http, Codec::Zstd),
    ("http/json none", Transport::Json, Codec::None),
    ("http/json gzip", Transport::Json, Codec::Gzip),
    ("http/json zstd", Transport::Json, Codec::Zstd),
];

/// The collector's `limit_mib`, and what peak memory is held against.
const LIMIT_MIB: u32 = 256;

/// How much slower the sink gets, and how many more connections there are.
const TIMES: usize = 10;

/// Normal load: as many as the other benchmarks have.
const NORMAL: Press = Press { connections: 4, in_flight: 2, patience: Duration::from_millis(2) };

/// Who is refused is asked to wait a second.
const OVERLOAD: Press = Press {
    connections: NORMAL.connections * TIMES,
    in_flight: NORMAL.in_flight,
    patience: Duration::from_millis(100),
};

/// Until queues are full and the sink has been handed its first requests.
const RAMP: Duration = Duration::from_secs(1);

/// Longest time of what should take "seconds".
const RECOVERY_MAX: Duration = Duration::from_secs(5);

/// The sink must not wait for work while there is some.
const GOODPUT_MIN: f64 = 0.95;

/// Throughput is looked at in slices of this.
const SLICE: Duration = Duration::from_millis(250);

/// A slice with this part of normal throughput and no refusal is normal.
const NORMAL_SHARE: f64 = 0.5;

/// What one case gave.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Protocol and codec.
    pub case: &'static str,
    /// Without overload.
    pub normal_items_per_second: f64,
    /// What reached the slow sink, as a part of what it takes.
    pub goodput: f64,
    /// Answers that said "not now".
    pub refused: u64,
    /// Most resident memory, start to end.
    pub peak_rss_mib: f64,
    /// Within which 99 of 100 requests were taken in the end, under overload.
    pub p99_ms: f64,
    /// From the end of the overload until all is normal.
    pub recovery_seconds: f64,
}

impl Figures {
    /// Fails unless memory is within the limit, goodput at least `goodput`, and recovery quick.
    ///
    /// # Errors
    /// Says which figure it is.
    pub fn check(&self, goodput: f64) -> Result<()> {
        let limit = f64::from(LIMIT_MIB);
        ensure!(self.peak_rss_mib <= limit, "{}: {:.0} MiB", self.case, self.peak_rss_mib);
        ensure!(self.goodput >= goodput, "{}: goodput {:.3}", self.case, self.goodput);
        let recovery = Duration::from_secs_f64(self.recovery_seconds);
        ensure!(recovery <= RECOVERY_MAX, "{}: recovered after {recovery:?}", self.case);
        Ok(())
    }
}

/// Runs the cases, prints the table, fails if one of them does.
pub async fn run(options: Options) -> Result<()> {
    let wanted = |case: &str| {
        options.cases.is_empty() || options.cases.iter().any(|part| case.contains(part.as_str()))
    };
    let cases: Vec<_> = CASES.into_iter().filter(|(name, ..)| wanted(name)).collect();
    ensure!(!cases.is_empty(), "no case's name has {:?} in it", options.cases);
    println!(
        "| in and out | normal items/s | goodput | refused | p99 ms | peak RSS MiB | recovery s |"
    );
    println!("|---|---|---|---|---|---|---|");
    let (mut all, mut failures) = (Vec::new(), Vec::new());
    let lengths = Lengths {
        normal: Duration::from_secs(2),
        overload: Duration::from_secs_f64(options.seconds),
    };
    for case in cases {
        let figures = Case::start(&options.foreglow, case, options.signal, Some(0)).await?;
        let figures = figures.measure(lengths).await?;
        println!(
            "| {} | {:.0} | {:.3} | {} | {:.0} | {:.0} | {:.2} |",
            figures.case,
            figures.normal_items_per_second,
            figures.goodput,
            figures.refused,
            figures.p99_ms,
            figures.peak_rss_mib,
            figures.recovery_seconds
        );
        failures.extend(figures.check(GOODPUT_MIN).err());
        all.push(figures);
    }
    if let Some(out) = &options.out {
        let record = serde_json::json!({
            "machine": machine(), "signal": options.signal.name(), "limit_mib": LIMIT_MIB, "cases": all
        });
        std::fs::write(out, serde_json::to_string_pretty(&record)? + "\n")?;
    }
    match failures.is_empty() {
        true => Ok(()),
        false => {
            bail!("{}", failures.iter().map(|e| format!("{e:#}")).collect::<Vec<_>>().join("; "))
        }
    }
}

/// A short run of the cases whose names are `cases`, with `program` not pinned: for tests. Takes a
/// runtime of its own.
///
/// # Errors
/// A case cannot be run; what its figures are is for the caller to judge.
pub fn short(program: &Path, cases: &[&str]) -> Result<Vec<Figures>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let lengths = Lengths { normal: Duration::from_secs(1), overload: Duration::from_secs(3) };
    runtime.block_on(async {
        let mut all = Vec::new();
        for case in CASES.into_iter().filter(|(name, ..)| cases.contains(name)) {
            let case = Case::start(program, case, Signal::Traces, None).await?;
            all.push(case.measure(lengths).await?);
        }
        ensure!(all.len() == cases.len(), "not all of {cases:?} are cases");
        Ok(all)
    })
}

/// How long the parts take.
#[derive(Clone, Copy)]
struct Lengths {
    normal: Duration,
    overload: Duration,
}

/// A running collector between senders and sink.
struct Case {
    name: &'static str,
    process: Program,
    sink: Sink,
    target: Target,
    bodies: Arc<Vec<bytes::Bytes>>,
    /// Requests taken so far, all senders'.
    taken: u64,
    scratch: Scratch,
}

/// A folder that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Senders at work.
struct Senders {
    tally: Arc<Tally>,
    stopped: Arc<AtomicBool>,
    task: JoinHandle<Result<()>>,
}

impl Senders {
    /// No further requests; waits for the answers to those under way.
    async fn stop(self) -> Result<Arc<Tally>> {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await??;
        Ok(self.tally)
    }
}

impl Case {
    async fn start(
        program: &Path,
        (name, transport, codec): (&'static str, Transport, Codec),
        signal: Signal,
        core: Option<usize>,
    ) -> Result<Self> {
        let sink = Sink::start_apart().await?;
        let port = free_port()?;
        let folder = format!("foreglow-overload-{}-{port}", std::process::id());
        let scratch = Scratch(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&scratch.0)?;
        let config = scratch.0.join("config.yaml");
        std::fs::write(&config, yaml(transport, codec, signal, port, sink.port))?;
        let arguments = [
            format!("--config={}", config.display()),
            "--listen=off".to_owned(),
            format!("--data={}", scratch.0.join("data").display()),
        ];
        let log = scratch.0.join("log");
        let process = Program::start(program, &arguments, core, &log)?;
        let every = Duration::from_millis(20);
        wait_for("the collector", Duration::from_secs(20), every, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await
        .with_context(|| std::fs::read_to_string(&log).unwrap_or_default())?;
        let target = Target { port, transport, signal, codec };
        let bodies = target.bodies(requests(signal, 16))?;
        Ok(Case { name, process, sink, target, bodies, taken: 0, scratch })
    }

    fn send(&self, press: Press) -> Senders {
        let (tally, stopped) = (Arc::<Tally>::default(), Arc::<AtomicBool>::default());
        let until = Until::Stopped(stopped.clone());
        let task = load(self.target, self.bodies.clone(), press, until, tally.clone());
        Senders { tally, stopped, task: tokio::spawn(task) }
    }

    async fn measure(mut self, lengths: Lengths) -> Result<Figures> {
        let outcome = self.parts(lengths).await;
        let log = self.scratch.0.join("log");
        outcome.with_context(|| {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(20).collect();
            format!("{}; the last lines of its log: {}", self.name, tail.join("\n"))
        })
    }

    async fn parts(&mut self, lengths: Lengths) -> Result<Figures> {
        let normal = self.normal(lengths.normal).await?;
        let takes = normal / TIMES as f64;
        self.sink.slow_down(Some(takes));
        let senders = self.send(OVERLOAD);
        tokio::time::sleep(RAMP).await;
        let (before, begin) = (self.sink.items()?, Instant::now());
        tokio::time::sleep(lengths.overload).await;
        let reached = (self.sink.items()? - before) as f64 / begin.elapsed().as_secs_f64();
        self.process.check_alive()?;

        self.sink.slow_down(None);
        senders.stopped.store(true, Ordering::Relaxed);
        let end = Instant::now();
        let after = self.send(NORMAL);
        let tally = senders.stop().await?;
        self.taken += tally.taken.load(Ordering::Relaxed);
        let recovery_seconds = recovered(&after.tally, normal / self.target.signal.items() as f64)
            .await
            .map(|at| at.duration_since(end).as_secs_f64())?;
        self.taken += after.stop().await?.taken.load(Ordering::Relaxed);
        self.all_arrived().await?;
        Ok(Figures {
            case: self.name,
            normal_items_per_second: normal,
            goodput: reached / takes,
            refused: tally.refused.load(Ordering::Relaxed),
            peak_rss_mib: self.process.memory_mib("VmHWM")?,
            p99_ms: tally.p99_ms(),
            recovery_seconds,
        })
    }

    /// Items a second without overload.
    async fn normal(&mut self, length: Duration) -> Result<f64> {
        let senders = self.send(NORMAL);
        // Connections, caches and pools are warm before the clock starts.
        tokio::time::sleep(length / 4).await;
        let (before, begin) = (self.sink.items()?, Instant::now());
        tokio::time::sleep(length).await;
        let normal = (self.sink.items()? - before) as f64 / begin.elapsed().as_secs_f64();
        self.taken += senders.stop().await?.taken.load(Ordering::Relaxed);
        self.all_arrived().await?;
        ensure!(normal > 0.0, "{}: nothing reached the sink", self.name);
        Ok(normal)
    }

    /// Waits until the sink has all that was taken.
    async fn all_arrived(&self) -> Result<()> {
        let items = self.taken * self.target.signal.items();
        let (deadline, every) = (Duration::from_secs(20), Duration::from_millis(5));
        wait_for("what was taken to arrive", deadline, every, async || {
            self.sink.items().map_or(Some(()), |arrived| (arrived >= items).then_some(()))
        })
        .await?;
        self.sink.items().map(drop)
    }
}

/// When the first slice began in which nothing was refused and about as many requests taken as
/// `normal` a second; or when that was given up.
async fn recovered(tally: &Tally, normal: f64) -> Result<Instant> {
    let begin = Instant::now();
    let counts = || (tally.taken.load(Ordering::Relaxed), tally.refused.load(Ordering::Relaxed));
    loop {
        let (slice, (taken, refused)) = (Instant::now(), counts());
        tokio::time::sleep(SLICE).await;
        let now = counts();
        let rate = (now.0 - taken) as f64 / slice.elapsed().as_secs_f64();
        if now.1 == refused && rate >= normal * NORMAL_SHARE {
            return Ok(slice);
        }
        ensure!(begin.elapsed() < 4 * RECOVERY_MAX, "not normal after {:?}", begin.elapsed());
    }
}

/// A gateway as the documents have it: a limit on memory, an exporter with the default queue.
fn yaml(transport: Transport, codec: Codec, signal: Signal, port: u16, sink: u16) -> String {
    let (receiver, id, endpoint) = match transport {
        Transport::Grpc => (
            format!("grpc: {{endpoint: '127.0.0.1:{port}', max_recv_msg_size_mib: 64}}"),
            "otlp",
            format!("endpoint: '127.0.0.1:{sink}', tls: {{insecure: true}}"),
        ),
        Transport::Http | Transport::Json => (
            format!("http: {{endpoint: '127.0.0.1:{port}'}}"),
            "otlphttp",
            format!("endpoint: 'http://127.0.0.1:{sink}'"),
        ),
    };
    let encoding = match transport {
        Transport::Json => ", encoding: json",
        _ => "",
    };
    format!(
        "receivers: {{otlp: {{protocols: {{{receiver}}}}}}}
processors: {{memory_limiter: {{check_interval: 100ms, limit_mib: {LIMIT_MIB}}}}}
exporters: {{{id}: {{{endpoint}{encoding}, compression: {}}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    {}: {{receivers: [otlp], processors: [memory_limiter], exporters: [{id}]}}
",
        codec.name(),
        signal.name()
    )
}
