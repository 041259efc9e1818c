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
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use pipeline::config::{LogSampling, LogsTelemetry};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
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

/// How to set another level while running.
static SET: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

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

/// Starts logging; `FOREGLOW_LOG` (`debug`, `receivers=trace`) goes before the configuration. The
/// result is where lines for OTLP servers come out, if there are such.
///
/// # Errors
/// When an output cannot be opened.
pub fn start(settings: &LogsTelemetry) -> Result<Option<mpsc::Receiver<Line>>> {
    let (level, handle) = reload::Layer::new(filter(settings));
    // Logging starts once; a failure to set means that it has ended.
    let _ = SET.set(Box::new(move |filter| drop(handle.reload(filter))));
    let lines = Lines::open(settings)?;
    let is_terminal = settings.outputs.iter().all(|output| output == "stderr");
    let text = tracing_subscriber::fmt::layer().with_ansi(is_terminal && use_color());
    let (json, text) = match settings.json {
        true => (Some(tracing_subscriber::fmt::layer().json().with_writer(lines)), None),
        false => (None, Some(text.with_writer(lines))),
    };
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    let is_sent = !settings.pushes.is_empty();
    tracing_subscriber::registry()
        .with(level)
        .with(settings.sampling.map(Thinned::new))
        .with(json)
        .with(text)
        .with(is_sent.then_some(Sent(sender)))
        .init();
    Ok(is_sent.then_some(receiver))
}

/// Another level from now on; the rest stays what it was at the start.
pub fn set_level(settings: &LogsTelemetry) {
    if let Some(set) = SET.get() {
        set(filter(settings));
    }
}

fn filter(settings: &LogsTelemetry) -> EnvFilter {
    match std::env::var("FOREGLOW_LOG") {
        Ok(filter) if !filter.is_empty() => EnvFilter::new(filter),
        _ => EnvFilter::new(format!("{},{QUIET}", settings.level)),
    }
}

/// Where lines are written.
#[derive(Clone)]
struct Lines(Arc<Outputs>);

struct Outputs {
    all: Mutex<Vec<Box<dyn Write + Send>>>,
    /// What is added to each line.
    fields: String,
    json: bool,
}

impl Lines {
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
        let fields = settings.fields.iter().map(field).collect();
        Ok(Lines(Arc::new(Outputs { all: Mutex::new(all), fields, json: settings.json })))
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Write for Lines {
    /// One whole line: the formatter hands each over at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let end = if self.0.json { &b"}\n"[..] } else { b"\n" };
        let extended = match line.strip_suffix(end).filter(|_| !self.0.fields.is_empty()) {
            Some(head) => [head, self.0.fields.as_bytes(), end].concat(),
            None => line.to_vec(),
        };
        for output in self.0.all.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
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
    settings: LogSampling,
    begun: Instant,
    /// Number of the tick in the high half, lines in it in the low one.
    counters: Box<[AtomicU64]>,
}

impl Thinned {
    fn new(settings: LogSampling) -> Self {
        let counters = (0..COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Thinned { settings, begun: Instant::now(), counters }
    }

    fn is_wanted(&self, level: Level, message: &str, now: Duration) -> bool {
        let mut hash = DefaultHasher::new();
        (level.as_str(), message).hash(&mut hash);
        let tick = (now.as_nanos() / self.settings.tick.as_nanos().max(1)) as u32;
        let next = |old: u64| {
            let same = (old >> 32) as u32 == tick;
            let count = if same { old as u32 } else { 0 };
            Some(u64::from(tick) << 32 | u64::from(count.saturating_add(1)))
        };
        let counter = &self.counters[hash.finish() as usize % COUNTERS];
        // The closure always gives a value, so there is one.
        let old = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(0);
        let count = next(old).map_or(1, |new| new as u32);
        let LogSampling { initial, thereafter, .. } = self.settings;
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

    #[test]
    fn of_equal_lines_the_first_and_every_nth_are_written_in_each_tick() {
        let tick = Duration::from_secs(10);
        let thinned = Thinned::new(LogSampling { tick, initial: 2, thereafter: 3 });
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
        let mut lines = Lines::open(&settings).expect("opens");
        lines.write_all(b"{\"a\":1}\n").expect("written");
        settings.json = false;
        let mut lines = Lines::open(&settings).expect("opens");
        lines.write_all(b"text\n").expect("written");
        for name in ["a", "b"] {
            let text = std::fs::read_to_string(path(name)).expect("read");
            assert_eq!(text, "{\"a\":1,\"site\":\"lab\"}\ntext site=lab\n");
        }
        settings.outputs = vec![path("no/such/folder")];
        assert!(Lines::open(&settings).is_err());
    }
}
