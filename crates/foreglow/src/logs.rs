// SPDX-License-Identifier: Apache-2.0
//! Own log lines, by `service.telemetry.logs` or the variable `FOREGLOW_LOG`.
//!
//! A line passes the level, then the sampling (of equal lines within a tick the first ones and
//! every n-th of the rest; equal = same level and message, as in the Go collector), then goes to
//! every output, with the initial fields. With an OTLP processor it is also queued for it: at most
//! [`QUEUED_MAX`] lines, further ones are left out.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use pipeline::config::{LogSampling, LogsTelemetry};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

use crate::configuration::use_color;
use crate::own;

/// Libraries that talk at `debug` about every frame.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn";

/// Lines waiting to be sent out; the default of OpenTelemetry's batch processors.
const QUEUED_MAX: usize = 2048;

/// Counters of the sampling; two messages in one share it, as in the Go collector.
const COUNTERS: usize = 4096;

/// How to go over to other settings while running.
static SET: OnceLock<Box<dyn Fn(Prepared) + Send + Sync>> = OnceLock::new();

/// One line for an OTLP server.
#[derive(Debug)]
pub struct Line {
    /// Unix nanoseconds.
    pub time: u64,
    /// How bad it is.
    pub level: Level,
    /// The module it comes from.
    pub target: &'static str,
    /// What happened.
    pub message: String,
    /// With what.
    pub fields: Vec<(&'static str, String)>,
}

/// How lines look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Json,
    Plain,
    Color,
}

/// Settings whose outputs are open: nothing can fail any more.
pub struct Prepared {
    filter: EnvFilter,
    outputs: Outputs,
    sampling: Option<LogSampling>,
}

/// What can change while running.
struct Current {
    outputs: Mutex<Outputs>,
    sampling: RwLock<Option<LogSampling>>,
}

/// Starts logging; `FOREGLOW_LOG` (`debug`, `receivers=trace`) goes before the configuration. The
/// result is where lines for OTLP servers come out, if there are such.
///
/// # Errors
/// When an output cannot be opened.
pub fn start(settings: &LogsTelemetry) -> Result<Option<mpsc::Receiver<Line>>> {
    let Prepared { filter, outputs, sampling } = prepare(settings)?;
    let (level, handle) = reload::Layer::new(filter);
    let current = Arc::new(Current::new(outputs, sampling));
    let shared = current.clone();
    // Logging starts once; a failure to set means that it has ended.
    let _ = SET.set(Box::new(move |next: Prepared| {
        let _ = handle.reload(next.filter);
        *shared.outputs() = next.outputs;
        *shared.sampling.write().unwrap_or_else(PoisonError::into_inner) = next.sampling;
    }));
    let lines = Lines(current.clone());
    let json = tracing_subscriber::fmt::layer().json().with_writer(lines.clone());
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    let is_sent = !settings.pushes.is_empty();
    tracing_subscriber::registry()
        .with(level)
        .with(Thinned::new(current.clone()))
        .with(Styled { style: Style::Json, inner: json, current: current.clone() })
        .with(Styled { style: Style::Plain, inner: plain(&lines, false), current: current.clone() })
        .with(Styled { style: Style::Color, inner: plain(&lines, true), current })
        .with(is_sent.then_some(Sent(sender)))
        .init();
    Ok(is_sent.then_some(receiver))
}

/// Lines as text.
fn plain<S>(lines: &Lines, color: bool) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer().with_ansi(color).with_writer(lines.clone())
}

/// Opens what `settings` name.
///
/// # Errors
/// When an output cannot be opened.
pub fn prepare(settings: &LogsTelemetry) -> Result<Prepared> {
    let (filter, outputs) = (filter(settings), Outputs::open(settings)?);
    Ok(Prepared { filter, outputs, sampling: settings.sampling })
}

impl Prepared {
    /// Lines are as these settings say from now on; only what is sent to OTLP servers stays.
    pub fn take_over(self) {
        if let Some(set) = SET.get() {
            set(self);
        }
    }
}

fn filter(settings: &LogsTelemetry) -> EnvFilter {
    match std::env::var("FOREGLOW_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::new(filter),
        _ => EnvFilter::new(format!("{},{QUIET}", settings.level)),
    }
}

/// Where lines are written, and how.
struct Outputs {
    all: Vec<Box<dyn Write + Send>>,
    /// What is added to each line.
    fields: String,
    style: Style,
}

impl Outputs {
    fn open(settings: &LogsTelemetry) -> Result<Self> {
        let open = |output: &String| -> Result<Box<dyn Write + Send>> {
            Ok(match output.as_str() {
                "stderr" => Box::new(io::stderr()),
                "stdout" => Box::new(io::stdout()),
                path => {
                    let mut options = std::fs::File::options();
                    let file = options.create(true).append(true).open(path);
                    Box::new(file.with_context(|| format!("cannot open the log output {path}"))?)
                }
            })
        };
        let all = settings.outputs.iter().map(open).collect::<Result<Vec<_>>>()?;
        let field = |(key, value): &(String, String)| match settings.json {
            true => format!(",{key:?}:{value:?}"),
            false => format!(" {key}={value}"),
        };
        let is_terminal = settings.outputs.iter().all(|output| output == "stderr");
        let style = match settings.json {
            true => Style::Json,
            false if is_terminal && use_color() => Style::Color,
            false => Style::Plain,
        };
        Ok(Outputs { all, fields: settings.fields.iter().map(field).collect(), style })
    }
}

impl Current {
    fn new(outputs: Outputs, sampling: Option<LogSampling>) -> Self {
        Current { outputs: Mutex::new(outputs), sampling: RwLock::new(sampling) }
    }

    fn outputs(&self) -> MutexGuard<'_, Outputs> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A formatter that is asked only where lines are to look as it makes them.
struct Styled<L> {
    style: Style,
    inner: L,
    current: Arc<Current>,
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Styled<L> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.inner.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.inner.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let style = self.current.outputs().style;
        if style == self.style {
            self.inner.on_event(event, context);
        }
    }
}

/// Writes to what is current.
#[derive(Clone)]
struct Lines(Arc<Current>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Write for Lines {
    /// One whole line: the formatter hands each over at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut outputs = self.0.outputs();
        let Outputs { all, fields, style } = &mut *outputs;
        let end = if *style == Style::Json { &b"}\n"[..] } else { b"\n" };
        let extended = match line.strip_suffix(end).filter(|_| !fields.is_empty()) {
            Some(head) => [head, fields.as_bytes(), end].concat(),
            None => line.to_vec(),
        };
        for output in all {
            // One that is full or gone must not keep the others from it.
            let _ = output.write_all(&extended);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Leaves out lines that repeat.
struct Thinned {
    current: Arc<Current>,
    begun: Instant,
    /// Number of the tick in the high half, lines in it in the low one.
    counters: Box<[AtomicU64]>,
}

impl Thinned {
    fn new(current: Arc<Current>) -> Self {
        let counters = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Thinned { current, begun: Instant::now(), counters }
    }

    fn is_wanted(&self, level: Level, message: &str, now: Duration) -> bool {
        let sampling = *self.current.sampling.read().unwrap_or_else(PoisonError::into_inner);
        let Some(LogSampling { tick, initial, thereafter }) = sampling else { return true };
        let mut hash = DefaultHasher::new();
        (level.as_str(), message).hash(&mut hash);
        let tick = (now.as_nanos() / tick.as_nanos().max(1)) as u32;
        let next = |old: u64| {
            let same = (old >> 32) as u32 == tick;
            let count = if same { old as u32 } else { 0 };
            Some(u64::from(tick) << 32 | u64::from(count.saturating_add(1)))
        };
        let counter = &self.counters[hash.finish() as usize % COUNTERS];
        // The closure always gives a value, so there is one.
        let old = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(0);
        let count = next(old).map_or(1, |new| new as u32);
        count <= initial || (thereafter > 0 && (count - initial).is_multiple_of(thereafter))
    }
}

impl<S: Subscriber> Layer<S> for Thinned {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // The debug exporter has a sampling of its own.
        if event.metadata().target() == "debug" {
            return true;
        }
        let mut found = Found::default();
        event.record(&mut found);
        self.is_wanted(*event.metadata().level(), &found.message, self.begun.elapsed())
    }
}

/// Queues lines for OTLP servers.
struct Sent(mpsc::Sender<Line>);

impl<S: Subscriber> Layer<S> for Sent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut found = Found::default();
        event.record(&mut found);
        // What the sending itself has to say would be sent again, for ever.
        if found.fields.iter().any(|(_, value)| value.starts_with(own::ID)) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let metadata = event.metadata();
        let line = Line {
            time: u64::try_from(now.as_nanos()).unwrap_or(u64::MAX),
            level: *metadata.level(),
            target: metadata.target(),
            message: found.message,
            fields: found.fields,
        };
        // A full queue leaves it out; it has been written all the same.
        let _ = self.0.try_send(line);
    }
}

/// Message and fields of an event.
#[derive(Default)]
struct Found {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Found {
    fn add(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Found {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn current(settings: &LogsTelemetry) -> Arc<Current> {
        let Prepared { outputs, sampling, .. } = prepare(settings).expect("opens");
        Arc::new(Current::new(outputs, sampling))
    }

    #[test]
    fn of_equal_lines_the_first_and_every_nth_are_written_in_each_tick() {
        let tick = Duration::from_secs(10);
        let sampling = Some(LogSampling { tick, initial: 2, thereafter: 3 });
        let thinned = Thinned::new(current(&LogsTelemetry { sampling, ..Default::default() }));
        let wanted = |second: u64, message: &str| {
            thinned.is_wanted(Level::WARN, message, Duration::from_secs(second))
        };
        let first: Vec<bool> = (0..8).map(|_| wanted(1, "a")).collect();
        assert_eq!(first, [true, true, false, false, true, false, false, true]);
        assert!(wanted(1, "another message"));
        assert!(wanted(11, "a"), "a new tick begins anew");
    }

    #[test]
    fn lines_go_to_every_output_with_the_initial_fields() {
        let folder = tempfile::tempdir().expect("temp dir");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let mut settings = LogsTelemetry {
            outputs: vec![path("a"), path("b")],
            fields: vec![("site".to_owned(), "lab".to_owned())],
            json: true,
            ..LogsTelemetry::default()
        };
        let mut lines = Lines(current(&settings));
        lines.write_all(b"{\"a\":1}\n").expect("written");
        settings.json = false;
        let mut lines = Lines(current(&settings));
        lines.write_all(b"text\n").expect("written");
        for name in ["a", "b"] {
            let text = std::fs::read_to_string(path(name)).expect("read");
            assert_eq!(text, "{\"a\":1,\"site\":\"lab\"}\ntext site=lab\n");
        }
        settings.outputs = vec![path("no/such/folder")];
        assert!(prepare(&settings).is_err());
    }
}
