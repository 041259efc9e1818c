// SPDX-License-Identifier: Apache-2.0
//! The command line, with the collector's names where it has one.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Receives OpenTelemetry, predicts in the stream, sends it on, keeps it and shows it.
#[derive(Debug, Parser)]
#[command(name = "foreglow", version, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub options: Options,
    /// What to do; runs until told to stop if not given.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Collector YAML: a path, or file:PATH, env:NAME, yaml:TEXT. Repeat to merge, later ones win.
    /// Without it a built-in configuration runs (see print-config).
    #[arg(long = "config", value_name = "FILE", global = true)]
    pub configs: Vec<String>,
    /// A Prometheus configuration file, run as it is: scraped into the embedded store, with its
    /// rules, alerting and remote write. --config files may add to it.
    #[arg(long, value_name = "FILE", global = true)]
    pub prometheus_config: Option<String>,
    /// Sets one key after all files: a.b.c=value. Repeatable.
    #[arg(long = "set", value_name = "PATH=YAML", global = true)]
    pub sets: Vec<String>,
    /// Where data is kept.
    #[arg(long, value_name = "DIR", default_value = "foreglow-data", global = true)]
    pub data: PathBuf,
    /// Address of the page and the query APIs, or "off". A query_server in --config files keeps its
    /// own. [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", global = true)]
    pub listen: Option<String>,
    /// Taken for compatibility; there are no gates.
    #[arg(long = "feature-gates", hide = true, global = true)]
    pub feature_gates: Vec<String>,
}

/// What to do instead of running.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks the configuration: every mistake at once, with file, line and column. Starts nothing.
    Validate(Validate),
    /// Looks at what runs here and says what is wrong and what to do: ports, OTLP, where data stops,
    /// exporters, OTEL_* variables, clock, disk, limits. Give it the arguments of what runs. Leaves
    /// no data.
    Doctor(Doctor),
    /// Lists the components in this build.
    Components,
    /// Prints the merged configuration, or the built-in one.
    #[command(alias = "print-initial-config")]
    PrintConfig,
    /// Runs with live demo telemetry from a simulated shop; or runs one service to watch.
    Demo(Demo),
    /// Sends load and tells what came of it.
    #[command(subcommand)]
    Load(LoadKind),
    /// Reads every block of the embedded store and compares all checksums.
    Fsck,
    /// Writes the metrics in blocks as plain rows into one Parquet file.
    Export(Export),
    /// Copies the blocks of the embedded store into an empty directory.
    Snapshot(Folder),
    /// Shows, checks or repairs the durable logs: the store's and those of exporters' queues.
    Log(Log),
    /// Copies the blocks of a snapshot into an embedded store without any; nothing may run with it.
    Restore(Folder),
}

/// What is looked at, and how it is told.
#[derive(Clone, Debug, Args)]
pub struct Doctor {
    /// Where the page and the query APIs are, when not where the configuration has them.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// The page's token, if it asks for one.
    #[arg(long, value_name = "TOKEN")]
    pub token: Option<String>,
    /// Whose OTEL_* variables: a process of this host that sends; by default those of this one.
    #[arg(long, value_name = "PID")]
    pub client: Option<u32>,
    /// Who the report is for.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

/// What is exported, and where to.
#[derive(Clone, Debug, Args)]
pub struct Export {
    /// A column a label, timestamp, value; for any Parquet reader. The only form there is.
    #[arg(long, required = true)]
    pub plain: bool,
    /// The file to write.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What is done with logs.
#[derive(Clone, Debug, Args)]
pub struct Log {
    /// What to do.
    #[command(subcommand)]
    pub what: LogCommand,
}

/// What can be done with logs.
#[derive(Clone, Debug, Subcommand)]
pub enum LogCommand {
    /// Lists segments, records, consumers' offsets, and what was set aside.
    Ls(Logs),
    /// Reads all of it; damage is told and makes the exit status 1.
    Verify(Logs),
    /// Sets damaged bytes aside in quarantine/; nothing may run with the log.
    Repair(Logs),
}

/// Which logs, and how they are shown.
#[derive(Clone, Debug, Args)]
pub struct Logs {
    /// A log's directory, or one with logs below it; the data directory if not given.
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// For programs.
    #[arg(long)]
    pub json: bool,
}

/// A directory that holds copies of blocks.
#[derive(Clone, Debug, Args)]
pub struct Folder {
    /// The directory.
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// How the check is shown.
#[derive(Clone, Debug, Args)]
pub struct Validate {
    /// Lists what is supported, aliased, ignored, wrong and missing, by component and key.
    #[arg(long)]
    pub report: bool,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = Format::Text, requires = "report")]
    pub format: Format,
}

/// Who a report is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// What load is sent.
#[derive(Clone, Debug, Subcommand)]
pub enum LoadKind {
    /// Requests to HTTP services, timed from when they were due.
    Http(HttpLoad),
    /// Telemetry for an OTLP receiver, with telemetrygen's options and more.
    #[command(subcommand)]
    Otlp(Box<crate::load::otlp::Telemetry>),
    /// Something happens in one data plane, and PromQL has to show it there and nowhere else within
    /// a minute. Starts demo planes unless it runs.
    Scenario {
        /// What happens.
        #[arg(value_enum)]
        what: Scenario,
    },
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Nothing: each environment at its own pace.
    Normal,
    /// Requests in prod take longer.
    ProdLatency,
    /// Requests in qa fail.
    QaErrors,
    /// The environments beside each other.
    Compare,
}

/// Which load on which services.
#[derive(Clone, Debug, Args)]
pub struct HttpLoad {
    /// Where to: http://host:port asks the shop's endpoints by weight (or /predict at ports 9000
    /// and 9002), http://host:port/path only that. Repeatable. By default the shop of the
    /// environment, at its own port.
    #[arg(long = "target", alias = "url", value_name = "URL")]
    pub targets: Vec<String>,
    /// Whose pattern: prod steady 50/s, dev bursts of 5 to 20/s, qa 20/s with 10 % errors switched
    /// on in the shop. Repeatable: several at once.
    #[arg(long = "environment", value_name = "NAME")]
    pub environments: Vec<String>,
    /// Requests a second: of each worker when --concurrency is given without --environment, else of
    /// all together. As fast as answers come if not given.
    #[arg(long, value_name = "N")]
    pub rate: Option<f64>,
    /// Whether --rate is of one worker or of all.
    #[arg(long, value_enum)]
    pub rate_scope: Option<RateScope>,
    /// Ends after so long: seconds, or 90s, 5m. [default: 30s if no --requests]
    #[arg(long, value_name = "TIME", value_parser = crate::load::duration)]
    pub duration: Option<std::time::Duration>,
    /// Ends after so many requests.
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Workers, each with a connection. [default: 50]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
    /// What must be kept, else the exit status is 1: p95<500ms, mean<100ms, errors<1%, rate>40.
    /// Repeatable.
    #[arg(long = "threshold", value_name = "BOUND", value_parser = crate::load::threshold)]
    pub thresholds: Vec<loadgen::Threshold>,
    /// Does not switch faults on in qa.
    #[arg(long)]
    pub no_faults: bool,
    /// How the result is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
    /// Seed of what is asked.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Whose rate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RateScope {
    /// Of one worker.
    Worker,
    /// Of all workers together.
    Total,
}

/// A service to watch.
#[derive(Clone, Debug, Subcommand)]
pub enum Service {
    /// A shop's API of six endpoints: ENV, DATA_PLANE_ID, ERROR_RATE, LATENCY_MS,
    /// LATENCY_JITTER_MS, DEPENDENCY_ERROR_RATE; at run time PUT /admin/faults.
    Shop(Shop),
    /// POST /predict with batching: APP_ENV, DEFAULT_LATENCY_MS, MAX_BATCH_SIZE.
    Inference,
    /// Log streams, shells, websockets and tasks of a lively day: WORKER_LOAD, WORKER_METRICS.
    Worker,
}

/// Services with all they send to, as processes of this host; when one ends, the others go on and it
/// is started again.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Processes {
    /// Three data planes (a shop and its collector each) and a control plane that scrapes them.
    Planes(PortShift),
    /// The worker, a collector, and a store on 8428 (metrics) and 16686 (traces).
    WorkerStack(PortShift),
    /// The inference service on 9000, a collector, and a store on 7070 and 16686.
    InferenceStack(PortShift),
    /// The built-in stack with all three services and load on them: what make demo-start runs.
    Live(PortShift),
    /// The whole story in a minute: baseline, inference switched on live, what it is worth; every
    /// statement is checked.
    Walkthrough,
}

/// Where the usual ports are taken.
#[derive(Clone, Copy, Debug, Args)]
pub struct PortShift {
    /// Moves all ports but that of --listen by so many.
    #[arg(long = "port-shift", value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=40_000))]
    pub ports: u16,
}

/// What is run beside the demo itself.
#[derive(Clone, Debug, Subcommand)]
pub enum Watched {
    #[command(flatten)]
    Service(Service),
    #[command(flatten)]
    Processes(Processes),
}

/// Which shop.
#[derive(Clone, Debug, Args)]
pub struct Shop {
    /// prod (port 8081), dev (8082), qa (8083) or another (8080); instead of ENV.
    #[arg(long, value_name = "NAME")]
    pub environment: Option<String>,
}

/// How the demo sends.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Demo {
    /// A service instrumented with the official SDK, which runs alone and takes the OTEL_*
    /// variables; or services with all they send to, as processes.
    #[command(subcommand)]
    pub watched: Option<Watched>,
    /// Where to send by OTLP/HTTP; follow a receiver that was moved with --set.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:4318")]
    pub endpoint: String,
    /// Seconds between two sendings.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub interval: u64,
    /// Minutes of metrics sent first, so that charts have a past; only at the first
    /// start with a data directory.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=1440))]
    pub backfill: u64,
}
