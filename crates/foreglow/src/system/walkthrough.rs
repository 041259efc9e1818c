// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo walkthrough`: the first document's demonstration, every step of it asserted.
//!
//! ```text
//! source --OTLP :4318--> collector --remote write--> store :8428 (page, PromQL)
//!                            `--KServe v2 :8081--> model server
//! ```
//! Setup, baseline without a model, inference switched on by a change of the collector's file while
//! it runs, what that is worth, and what somebody would have to do by hand for it. Each statement is
//! asked of the store by PromQL and printed with its answer; the first that does not hold ends it.
//! The collector's rules are the document's; a second processor forecasts without a server.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use basics::percent;
use demo::generator::{self, SERVICES};
use serde_json::Value;

use super::stack::{foreglow, free};
use super::{Program, System, ask};
use crate::cli::Options;
use crate::stop;

/// Port of the store and its page, as in the document; `--listen` says otherwise.
const STORE: u16 = 8428;
/// Port of the model server, as in the document.
const MODELS: u16 = 8081;
/// Port of the collector's own metrics.
const OWN_METRICS: u16 = 8888;

/// Longest wait for what a step needs.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often PromQL is asked.
const ASK: Duration = Duration::from_millis(250);
/// How long the baseline is looked at.
const BASELINE: Duration = Duration::from_secs(10);
/// What is replayed for the forecast to learn from, and the part that is looked at.
const REPLAYED: Duration = Duration::from_secs(3600);
const LEARNED: Duration = Duration::from_secs(900);
/// Between two moments of the replayed hour: the model server answers each of them.
const PAUSE: Duration = Duration::from_millis(10);
/// Step of the replayed hour.
const STEP: u64 = 5;
/// So long after its begin an incident that nobody has seen is missed.
const SEEN_BY: u64 = 75;
/// A threshold that is never crossed on an ordinary day, as somebody would set it by hand.
const THRESHOLD: f64 = 0.8;

/// The collector's file; the processors of the pipeline are what changes.
const COLLECTOR: &str = "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
      http:
        endpoint: 127.0.0.1:4318
  prometheus:
    config:
      scrape_configs:
        - job_name: collector
          scrape_interval: 1s
          static_configs:
            - targets: [\"127.0.0.1:8888\"]
processors:
  metricsinference:
    grpc:
      endpoint: \"127.0.0.1:8081\"
      use_ssl: false
    rules:
      - model_name: \"simple-scale\"
        inputs: [\"otelcol_process_runtime_total_sys_memory_bytes\"]
        outputs:
          - name: \"otelcol_process_runtime_total_sys_memory_bytes.predicted\"
            data_type: \"float\"
        parameters:
          scale_factor: 2.0
      - model_name: \"simple-sum\"
        inputs: [\"http_request_duration_ms\", \"grpc_request_duration_ms\"]
        outputs:
          - name: \"total_request_duration_ms\"
            data_type: \"float\"
  metricsinference/forecast:
    rules:
      - model_name: holt_winters
        inputs: [system.cpu.utilization]
        outputs:
          - name: system.cpu.utilization.predicted
          - name: system.cpu.utilization.lower
          - name: system.cpu.utilization.upper
        parameters: {season: 5m, horizon: 30s, interval: 0.999}
  batch:
    timeout: 200ms
exporters:
  prometheusremotewrite:
    endpoint: http://127.0.0.1:STORE/api/v1/write
    resource_to_telemetry_conversion:
      enabled: true
service:
  pipelines:
    metrics:
      receivers: [otlp, prometheus]
      processors: [PROCESSORS]
      exporters: [prometheusremotewrite]
";

/// The store takes what is written to it; a pipeline has to begin somewhere.
const STORE_FILE: &str = "receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:0
exporters:
  embedded_store:
extensions:
  query_server:
    endpoint: 127.0.0.1:STORE
service:
  telemetry:
    metrics:
      level: none
  extensions: [query_server]
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [embedded_store]
";

/// Runs it; fails at the first statement that does not hold.
pub fn run(options: &Options) -> Result<()> {
    let folder = options.data.join("walkthrough");
    // The baseline is one of a store that no model has written to.
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut system = System::new(&folder);
        let stopped = stop::flag(system.killer())?;
        let walk = Walk { folder: &folder, go_on: &|| !*stopped.borrow() };
        let outcome = walk.all(&mut system).await;
        system.stop().await;
        outcome.map_err(|error| anyhow!("error: {error:#}"))
    })
}

/// The demonstration.
struct Walk<'a> {
    folder: &'a Path,
    go_on: &'a (dyn Fn() -> bool + Sync),
}

impl Walk<'_> {
    async fn all(&self, system: &mut System) -> Result<()> {
        let begun = Instant::now();
        step(1, "Setup: store, model server, collector");
        self.set_up(system).await?;
        step(2, "Baseline: what the shop measures, and nothing else");
        let _live = Source::start(generator::Options::default());
        self.baseline().await?;
        step(3, "Inference is switched on while all runs: the collector's file changes");
        self.inference(system).await?;
        step(4, "Business value: capacity, and warning before a threshold is crossed");
        let _past = Source::start(generator::Options {
            backfill: REPLAYED,
            pause: PAUSE,
            namespace: Some("replay".to_owned()),
            ..generator::Options::default()
        });
        self.capacity().await?;
        self.warning().await?;
        step(5, "By hand, and by inference");
        self.by_hand().await?;
        println!("\nAll of it held, in {:.0} s.", begun.elapsed().as_secs_f64());
        Ok(())
    }

    async fn set_up(&self, system: &mut System) -> Result<()> {
        let begun = Instant::now();
        self.write("store.yaml", STORE_FILE)?;
        self.configure("batch")?;
        let server = |name: &str, ready: (u16, &'static str), more: &[u16]| Program {
            ports: [&[ready.0], more].concat(),
            ready: Some(ready),
            ..foreglow(self.folder, name, "off", &[])
        };
        let models = Program {
            name: "models".to_owned(),
            arguments: ["demo", "inference"].map(str::to_owned).to_vec(),
            environment: vec![
                ("PORT", MODELS.to_string()),
                ("OTEL_SDK_DISABLED", "true".to_owned()),
            ],
            ports: vec![MODELS],
            ready: Some((MODELS, "/v2/health/ready")),
            ..Program::default()
        };
        let programs = [
            server("store", (STORE, "/-/ready"), &[]),
            models,
            server("collector", (OWN_METRICS, "/metrics"), &[4317, 4318]),
        ];
        free(&programs)?;
        for program in programs {
            let name = program.name.clone();
            system.start(program, || (self.go_on)()).await?;
            holds(&format!("{name} is ready"), "");
        }
        let took = begun.elapsed();
        holds_if(took < Duration::from_secs(120), "all of it within two minutes", seconds(took))?;
        println!("        look at http://127.0.0.1:{STORE}/");
        Ok(())
    }

    async fn baseline(&self) -> Result<()> {
        for (what, expression) in [
            ("CPU", "avg(system_cpu_utilization_ratio)"),
            ("memory", "avg(system_memory_utilization_ratio)"),
            ("requests", "sum(http_server_request_duration_seconds_count)"),
            ("checkout", "sum(shop_orders_created_total)"),
            ("cart", "sum(shop_cart_items_total)"),
            ("payments", "sum(shop_payments_total)"),
        ] {
            let value = self.until(what, || number(expression)).await?;
            holds(&format!("{what} is measured"), format!("{expression} = {value:.2}"));
        }
        let until = Instant::now() + BASELINE;
        let mut oldest: f64 = 0.0;
        while Instant::now() < until && (self.go_on)() {
            let age = number("time() - min(timestamp(system_cpu_utilization_ratio))");
            oldest = oldest.max(age.context("the measurements have ended")?);
            tokio::time::sleep(ASK).await;
        }
        holds_if(oldest < 5.0, "never older than 5 s on the page", format!("{oldest:.1} s"))?;
        let predicted = "count({__name__=~\".+_predicted.*|total_request_duration_ms\"})";
        holds_if(number(predicted).is_none(), "no model has said anything yet", "")
    }

    async fn inference(&self, system: &mut System) -> Result<()> {
        self.configure("metricsinference, metricsinference/forecast, batch")?;
        let begun = Instant::now();
        let sums = "count(total_request_duration_ms)";
        let all = SERVICES.len() as f64;
        self.until("sums", || number(sums).filter(|count| *count == all)).await?;
        holds(
            "the first results are there after",
            format!("{:.1} s", begun.elapsed().as_secs_f64()),
        );
        holds_if(system.is_up("collector"), "the collector is the same process", "")?;
        self.holds_always(
            "the sum model's result is the sum at each moment",
            "max(abs(sum by (instance, deployment_environment_name) (total_request_duration_ms) - sum by (instance, deployment_environment_name) ({__name__=~\"(http|grpc)_request_duration_ms\"})) < 1e-9)",
        )
        .await?;
        self.holds_always(
            "the scale model's result is twice its input",
            "max(abs(sum(otelcol_process_runtime_total_sys_memory_bytes_predicted) - 2 * sum(otelcol_process_runtime_total_sys_memory_bytes)) < 1e-9)",
        )
        .await?;
        let gap = longest_gap("http_request_duration_ms{service_namespace=\"\"}[30s]")
            .context("no measurements")?;
        holds_if(gap < 3.0, "the originals go on through the change", format!("gap {gap:.1} s"))?;
        let latency = "histogram_quantile(0.99, sum by (le) (rate(foreglow_inference_duration_seconds_bucket[30s])))";
        let p99 = self.until("inference to be timed", || number(latency)).await?;
        let shown = format!("p99 {:.1} ms", p99 * 1e3);
        holds_if(p99 < 0.1, "a prediction takes less than 100 ms", shown)
    }

    async fn capacity(&self) -> Result<()> {
        let twice = number("max(otelcol_process_runtime_total_sys_memory_bytes_predicted) / 2^20");
        let twice = twice.context("no prediction")?;
        holds_if(
            twice > 0.0,
            "with twice the load the collector would take",
            format!(
                "{twice:.0} MiB: max(otelcol_process_runtime_total_sys_memory_bytes_predicted)"
            ),
        )
    }

    /// Incidents of the replayed hour, seen by the forecast's interval and by a threshold.
    async fn warning(&self) -> Result<()> {
        let fresh = "time() - max(timestamp(system_cpu_utilization_ratio{service_namespace=\"replay\"})) < 5";
        self.until("the past hour to be replayed", || number(fresh)).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / STEP * STEP;
        let (from, to) = (now - (REPLAYED - LEARNED).as_secs(), now - SEEN_BY);
        let cpu = "system_cpu_utilization_ratio{service_namespace=\"replay\"}";
        let above = "sum by (instance) (system_cpu_utilization_ratio{service_namespace=\"replay\"}) > sum by (instance) ({__name__=~\"system_cpu_utilization_upper.*\",service_namespace=\"replay\"} offset 30s)";
        let unusual = moments(above, from, to).context("no answer")?;
        let high = moments(&format!("sum by (instance) ({cpu}) > {THRESHOLD}"), from, to);
        let high = high.context("no answer")?;
        let (mut all, mut by_forecast, mut by_threshold, mut delays) = (0, 0, 0, Vec::new());
        let mut ordinary = 0;
        for (index, service) in SERVICES.iter().enumerate() {
            let is_bad = |second: u64| generator::incident(index, second * 1_000_000_000) > 0.0;
            let seen = |all: &BTreeMap<String, Vec<u64>>, begin: u64| {
                let within = |at: &&u64| (begin..begin + SEEN_BY).contains(*at);
                all.get(service.host).and_then(|at| at.iter().find(within)).map(|at| at - begin)
            };
            for begin in (from..to).filter(|at| is_bad(*at) && !is_bad(at - 1)) {
                all += 1;
                let warned = seen(&unusual, begin);
                delays.extend(warned);
                by_forecast += usize::from(warned.is_some());
                by_threshold += usize::from(seen(&high, begin).is_some());
            }
            // An interval learns for a while from an incident that is over.
            let calm = |at: &u64| (at - 2 * SEEN_BY..=*at).all(|second| !is_bad(second));
            ordinary +=
                unusual.get(service.host).map_or(0, |at| at.iter().filter(|at| calm(at)).count());
        }
        println!("        {above}");
        let delay = delays.iter().max().copied().unwrap_or_default();
        holds_if(
            all > 0 && by_forecast == all,
            "the forecast saw every incident of the past 45 minutes",
            format!("{by_forecast} of {all}, each within {delay} s"),
        )?;
        let points = (to - from) / STEP * SERVICES.len() as u64;
        holds_if(
            (ordinary as u64) * 100 <= points,
            "and took no more than 1 % of ordinary moments for one",
            format!("{ordinary} of {points}"),
        )?;
        holds("a threshold of 80 % set by hand saw", format!("{by_threshold} of {all}"));
        Ok(())
    }

    /// The same question with and without results that are there already.
    async fn by_hand(&self) -> Result<()> {
        let hand = "max(sum by (instance, deployment_environment_name) (http_request_duration_ms{service_namespace=\"replay\"}) + sum by (instance, deployment_environment_name) (grpc_request_duration_ms{service_namespace=\"replay\"}))";
        let ready = "max(total_request_duration_ms{service_namespace=\"replay\"})";
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / STEP * STEP;
        let mut answers = Vec::new();
        for (what, expression) in [("by hand", hand), ("by inference", ready)] {
            let begun = Instant::now();
            let series = range(expression, now - 2700, now - SEEN_BY).context("no answer")?;
            println!("        {what}: {:.1} ms  {expression}", begun.elapsed().as_secs_f64() * 1e3);
            answers.push(series.into_iter().next().context("no series")?.1);
        }
        let differs = |(one, other): (&(u64, f64), &(u64, f64))| {
            one.0 != other.0 || (one.1 - other.1).abs() > 1e-9
        };
        let same = answers[0].len() == answers[1].len()
            && !answers[0].iter().zip(&answers[1]).any(differs);
        let moments = answers[0].len();
        holds_if(same, "both say the same", format!("{moments} moments of the slowest service"))
    }

    /// Fails unless `expression` has a value with each of five questions in a row.
    async fn holds_always(&self, what: &str, expression: &str) -> Result<()> {
        self.until(what, || number(expression)).await?;
        for _ in 0..5 {
            tokio::time::sleep(ASK).await;
            // A question may fall between the arrival of an original and that of its result.
            self.until(what, || number(expression)).await?;
        }
        holds(what, "");
        println!("        {expression}");
        Ok(())
    }

    async fn until<T>(&self, what: &str, ask: impl Fn() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = ask() {
                return Ok(value);
            }
            if Instant::now() > deadline {
                bail!("does not hold: {what} (waited {PATIENCE:?})");
            }
            if !(self.go_on)() {
                bail!("stopped");
            }
            tokio::time::sleep(ASK).await;
        }
    }

    fn configure(&self, processors: &str) -> Result<()> {
        self.write("collector.yaml", &COLLECTOR.replace("PROCESSORS", processors))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text.replace("STORE", &STORE.to_string()))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Telemetry that is sent until this is dropped.
struct Source(tokio::task::JoinHandle<Result<()>>);

impl Source {
    fn start(options: generator::Options) -> Source {
        Source(tokio::spawn(generator::run(options, std::future::pending())))
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn step(number: usize, title: &str) {
    println!("\n{number}. {title}");
}

fn holds(what: &str, seen: impl std::fmt::Display) {
    let seen = seen.to_string();
    println!("  ok    {what}{}{seen}", if seen.is_empty() { "" } else { ": " });
}

fn holds_if(it: bool, what: &str, seen: impl std::fmt::Display) -> Result<()> {
    if !it {
        bail!("does not hold: {what} ({seen})");
    }
    holds(what, seen);
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// A series' samples: Unix seconds and values.
type Samples = Vec<(u64, f64)>;

/// The first value of an instant query.
fn number(expression: &str) -> Option<f64> {
    let result = ask::promql(STORE, expression)?;
    result.first()?["value"][1].as_str()?.parse().ok()
}

/// The longest time between two samples of any series of a range selector.
fn longest_gap(selector: &str) -> Option<f64> {
    let result = ask::promql(STORE, selector)?;
    let gaps = result.iter().flat_map(|series| {
        let times: Vec<f64> = series["values"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|sample| sample[0].as_f64())
            .collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
    });
    gaps.reduce(f64::max)
}

/// Samples by `instance`.
fn range(expression: &str, from: u64, to: u64) -> Option<BTreeMap<String, Samples>> {
    let query = percent::encoded(expression);
    let path = format!("/api/v1/query_range?query={query}&start={from}&end={to}&step={STEP}");
    let result = ask::result(STORE, &path)?;
    let one = |series: &Value| {
        let samples = series["values"].as_array()?.iter().filter_map(|sample| {
            Some((sample[0].as_f64()? as u64, sample[1].as_str()?.parse().ok()?))
        });
        let instance = series["metric"]["instance"].as_str().unwrap_or_default();
        Some((instance.to_owned(), samples.collect()))
    };
    Some(result.as_array()?.iter().filter_map(one).collect())
}

/// When `expression` has a value, by `instance`.
fn moments(expression: &str, from: u64, to: u64) -> Option<BTreeMap<String, Vec<u64>>> {
    let found = range(expression, from, to)?;
    let times = |samples: Samples| samples.into_iter().map(|(at, _)| at).collect();
    Some(found.into_iter().map(|(instance, samples)| (instance, times(samples))).collect())
}
