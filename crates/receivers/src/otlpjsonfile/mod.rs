// SPDX-License-Identifier: Apache-2.0
//! Receiver `otlpjsonfile`: reads telemetry from files, as the file exporter writes them.
//!
//! ```text
//! watch (which files, since where) -> frames (lines, or messages behind their length) -> pipeline
//! ```
//! Each message is handed over before the next is read; where a file has been read up to moves on
//! only then, so that what a pipeline cannot take now comes again (at least once). A line that is
//! no message is counted, told and passed over; the last line of a file waits for its end. Files
//! may be renamed, copied and truncated meanwhile.
//! Bounds: one message at a time within the process's budget, 64 MiB each; a number of files.

mod config;
mod frames;
mod offsets;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Backoff, BackoffSettings, Error, Kind, Random, Result};
use bytes::Bytes;
use otlp_wire::{Context as At, Pass, Payload, Record, Scratch, Signal, Verdict, Visits};
use parking_lot::Mutex;
use pipeline::component::{Alias, ReceiverFactory};
use pipeline::telemetry::{Counter, ReceiverMeter};
use pipeline::{Batch, Context, Inlets, Meta, Receiver};
use tokio::sync::watch as told;
use tokio::task::JoinHandle;

pub use config::Config;

use config::Format;
use frames::Chunk;
use offsets::Offsets;
use watch::{File, Watch, tail};

/// How long a message waits for memory before its file is left for the next look.
const PATIENCE: Duration = Duration::from_secs(5);

/// Waits while a pipeline takes nothing.
const WAITS: BackoffSettings = BackoffSettings {
    initial: Duration::from_millis(500),
    max: Duration::from_secs(30),
    multiplier: 1.5,
    randomization: 0.5,
};

/// Offsets are kept at most this often while files are read, and when the receiver stops.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// The receiver.
pub struct OtlpJsonFile {
    config: Arc<Config>,
    context: Context,
    inlets: Inlets,
    running: Mutex<Option<(told::Sender<bool>, JoinHandle<()>)>>,
}

/// How the component table makes it.
pub fn factory() -> ReceiverFactory {
    ReceiverFactory {
        kind: "otlpjsonfile",
        aliases: &[Alias { kind: "otlp_json_file", warning: None }],
        signals: &Signal::ALL,
        summary: "reads telemetry from files, one OTLP message a line",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("receiver otlpjsonfile got another component's settings")
            })?;
            Ok(Box::new(move |inlets| Arc::new(OtlpJsonFile::new(config, context, inlets)) as _))
        },
    }
}

impl OtlpJsonFile {
    /// A receiver that hands what it reads to `inlets`.
    pub fn new(config: Arc<Config>, context: Context, inlets: Inlets) -> Self {
        OtlpJsonFile { config, context, inlets, running: Mutex::new(None) }
    }

    /// The one signal of messages that do not say which they are of.
    fn only_signal(&self) -> Result<Option<Signal>> {
        if self.config.format == Format::Json {
            return Ok(None);
        }
        let mut wanted = Signal::ALL.into_iter().filter(|s| self.inlets.of(*s).is_some());
        match (wanted.next(), wanted.next()) {
            (Some(signal), None) => Ok(Some(signal)),
            _ => Err(Error::invalid(
                "format: proto does not say which signal a message is of; use this receiver in \
                 pipelines of one signal only, and another one for the next",
            )),
        }
    }
}

#[async_trait]
impl Receiver for OtlpJsonFile {
    async fn start(&self) -> Result<()> {
        let signal = self.only_signal()?;
        let offsets = Offsets::new(&self.config, &self.context)?;
        let watch = Watch::new(self.config.clone(), offsets.load());
        let telemetry = self.context.host.telemetry();
        let id = &*self.context.id;
        let work = Reading {
            config: self.config.clone(),
            context: self.context.clone(),
            inlets: self.inlets.clone(),
            signal,
            offsets,
            meter: ReceiverMeter::new(telemetry, id, "file"),
            broken: telemetry.counter(
                "foreglow_receiver_broken_messages",
                "Messages in files that could not be read and were passed over.",
                &[("receiver", id)],
            ),
            kept: tokio::time::Instant::now(),
            scratch: Scratch::new(),
            random: Random::from_os(),
        };
        let (stop, stopped) = told::channel(false);
        let task = tokio::spawn(work.run(watch, stopped));
        *self.running.lock() = Some((stop, task));
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let running = self.running.lock().take();
        if let Some((stop, task)) = running {
            let _ = stop.send(true);
            task.await.map_err(|e| Error::closed("reading files ended badly").caused_by(e))?;
        }
        Ok(())
    }
}

/// The task that reads.
struct Reading {
    config: Arc<Config>,
    context: Context,
    inlets: Inlets,
    signal: Option<Signal>,
    offsets: Offsets,
    meter: ReceiverMeter,
    broken: Counter,
    kept: tokio::time::Instant,
    scratch: Scratch,
    random: Random,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It is done with.
    Done,
    /// It comes again later.
    Later,
}

impl Reading {
    async fn run(mut self, mut watch: Watch, mut stopped: told::Receiver<bool>) {
        loop {
            watch = self.look(watch, &mut stopped).await;
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(self.config.poll_interval.get()) => {}
            }
        }
        self.keep(&watch);
    }

    /// Reads everything that is new in all files.
    async fn look(&mut self, mut watch: Watch, stopped: &mut told::Receiver<bool>) -> Watch {
        let looked = tokio::task::spawn_blocking(move || {
            let files = watch.changed();
            (watch, files)
        });
        let Ok((mut watch, files)) = looked.await else {
            // It panicked: begin with what was kept.
            return Watch::new(self.config.clone(), self.offsets.load());
        };
        for file in files {
            if *stopped.borrow() {
                return watch;
            }
            self.read(&mut watch, file, stopped).await;
        }
        watch
    }

    async fn read(
        &mut self,
        watch: &mut Watch,
        mut file: File,
        stopped: &mut told::Receiver<bool>,
    ) {
        let (format, limit) = (self.config.format, self.config.message_max());
        loop {
            let read = tokio::task::spawn_blocking(move || {
                let chunk = frames::read(&mut file.handle, file.offset, format, limit);
                let before = tail(&mut file.handle, file.offset);
                (file, before, chunk)
            });
            let Ok((given_back, before, chunk)) = read.await else { return };
            file = given_back;
            let path = file.path.display().to_string();
            let Chunk { bytes, frames, broken } = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    tracing::warn!(path, "cannot read: {error}");
                    return;
                }
            };
            if !watch.is_same(&file, &bytes, before.as_deref()) {
                tracing::debug!(path, "changed while it was read");
                return;
            }
            let mut rest = bytes;
            let empty = frames.is_empty();
            for frame in frames {
                if *stopped.borrow() {
                    return;
                }
                let blank = frame.bytes.is_empty();
                if !blank && self.deliver(&frame.bytes, &file, stopped).await == Outcome::Later {
                    return;
                }
                let read = rest.split_to((frame.end - file.offset) as usize);
                file.offset = frame.end;
                watch.read_up_to(&file, &read);
                if self.kept.elapsed() >= KEEP_EVERY {
                    self.keep(watch);
                }
            }
            if let Some((end, what)) = broken {
                self.broken.inc();
                tracing::warn!(path, offset = file.offset, "passed over: {what}");
                let read = rest.split_to((end - file.offset) as usize);
                file.offset = end;
                watch.read_up_to(&file, &read);
            } else if empty {
                watch.finished(&file);
                return;
            }
        }
    }

    /// Hands a message over; waits while nobody takes it.
    async fn deliver(
        &mut self,
        bytes: &Bytes,
        file: &File,
        stopped: &mut told::Receiver<bool>,
    ) -> Outcome {
        let path = file.path.display().to_string();
        let payload = match self.payload(bytes) {
            Ok(Some(payload)) if !payload.is_empty() => payload,
            Ok(_) => return Outcome::Done,
            Err(error) => {
                self.broken.inc();
                tracing::warn!(path, offset = file.offset, "passed over: {error}");
                return Outcome::Done;
            }
        };
        let payload = self.name_file(payload, file);
        let signal = payload.signal();
        let Some(inlet) = self.inlets.of(signal).cloned() else { return Outcome::Done };
        let mut backoff = Backoff::new(WAITS);
        loop {
            let permit =
                self.context.host.budget().take_within(payload.len() as u64, PATIENCE).await;
            let Ok(permit) = permit else { return Outcome::Later };
            let meta = Meta { received: self.context.clock.now(), ..Meta::default() };
            let batch = Batch::new(payload.clone(), Arc::new(meta)).holding(permit);
            let outcome = inlet.consume(batch).await;
            self.meter.outcome(signal, u64::from(payload.items()), &outcome);
            let Err(error) = outcome else { return Outcome::Done };
            if !matches!(error.kind(), Kind::Retry { .. } | Kind::Overloaded) {
                tracing::warn!(path, offset = file.offset, "refused and passed over: {error}");
                return Outcome::Done;
            }
            tracing::debug!(path, offset = file.offset, "not taken yet: {error}");
            let wait = backoff.next_wait(&mut self.random);
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return Outcome::Later,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// The message in these bytes; `None` when no pipeline wants its signal.
    fn payload(&self, bytes: &Bytes) -> Result<Option<Payload>> {
        let wrong = |e| Error::invalid("not an OTLP message").caused_by(e);
        if let Some(signal) = self.signal {
            return Payload::admit(signal, bytes.clone()).map(Some).map_err(wrong);
        }
        let named = frames::signal(bytes);
        let signal = match named {
            Some(signal) if self.inlets.of(signal).is_none() => return Ok(None),
            Some(signal) => signal,
            // Of no signal we know: all that matters is whether it is JSON.
            None => Signal::Traces,
        };
        let payload = Payload::from_json(signal, bytes).map_err(wrong)?;
        Ok(named.map(|_| payload))
    }

    /// Says in the telemetry which file it is from, as the Collector does.
    fn name_file(&mut self, payload: Payload, file: &File) -> Payload {
        let names = self.config.file_attributes(&file.path);
        if names.is_empty() {
            return payload;
        }
        let mut passes: Vec<Box<dyn Pass>> = vec![Box::new(FileNames(names))];
        payload.edit(&mut passes, &mut self.scratch).or(&payload).unwrap_or(payload)
    }

    fn keep(&mut self, watch: &Watch) {
        self.kept = tokio::time::Instant::now();
        if let Err(error) = self.offsets.keep(watch.known()) {
            tracing::warn!("cannot keep how far files were read: {error}");
        }
    }
}

/// Puts attributes on spans, log records and (as metadata) metrics.
struct FileNames(Vec<(&'static str, String)>);

impl FileNames {
    fn put(&self, record: &mut Record<'_>) -> Verdict {
        let mut attrs = record.attrs();
        self.0.iter().for_each(|(key, value)| attrs.upsert(key, value.as_str()));
        Verdict::Keep
    }
}

impl Pass for FileNames {
    fn visits(&self) -> Visits {
        Visits::ITEMS
    }

    fn span(&mut self, span: &mut Record<'_>, _: &At<'_>) -> Verdict {
        self.put(span)
    }

    fn log(&mut self, log: &mut Record<'_>, _: &At<'_>) -> Verdict {
        self.put(log)
    }

    fn metric(&mut self, metric: &mut Record<'_>, _: &At<'_>) -> Verdict {
        self.put(metric)
    }
}
