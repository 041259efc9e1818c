// SPDX-License-Identifier: Apache-2.0
//! What the worker does: four kinds of jobs, each a trace.

use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::Random;
use opentelemetry::logs::Severity;
use opentelemetry::metrics::UpDownCounter;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};

use super::{Worker, app};
use crate::generator::gauss;

/// Applications whose logs and shells are asked for.
const APPS: [&str; 4] = ["blog", "shop-api", "mailer", "reports"];

/// A kind of job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Stream,
    Shell,
    Socket,
    Task,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Stream, Kind::Shell, Kind::Socket, Kind::Task];

    /// How many begin in a second of an average day.
    pub fn per_second(self) -> f64 {
        match self {
            Kind::Stream => 1.2,
            Kind::Shell => 0.4,
            Kind::Socket => 1.5,
            Kind::Task => 2.0,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Stream => "log_stream",
            Kind::Shell => "shell_session",
            Kind::Socket => "websocket",
            Kind::Task => "task",
        }
    }

    /// Typical length in seconds.
    fn typical(self) -> f64 {
        match self {
            Kind::Stream => 8.0,
            Kind::Shell => 15.0,
            Kind::Socket => 20.0,
            Kind::Task => 2.5,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Well,
    Badly,
    TimedOut,
}

/// A number among the active ones for as long as a job lives, however it ends.
struct Active<'a>(&'a UpDownCounter<i64>);

impl<'a> Active<'a> {
    fn enter(counter: &'a UpDownCounter<i64>) -> Active<'a> {
        counter.add(1, &[]);
        Active(counter)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.add(-1, &[]);
    }
}

/// Lives one job.
pub(super) async fn job(worker: Arc<Worker>, kind: Kind, seed: u64) {
    let mut random = Random::seeded(seed);
    let name = APPS[random.below(APPS.len() as u64) as usize];
    let tracer = &worker.telemetry.tracer;
    let builder = tracer.span_builder(kind.name()).with_kind(SpanKind::Consumer);
    let root = Context::new();
    let span = builder.with_attributes([app(name)]).start_with_context(tracer, &root);
    let context = root.with_span(span);
    let begun = Instant::now();
    // Log-normal: most are short, some are long.
    let length = kind.typical() * (0.6 * gauss(&mut random)).exp();
    let job = Job { worker: &worker, context: &context, name, length };
    let end = match kind {
        Kind::Stream => job.stream(&mut random).await,
        Kind::Shell => job.shell(&mut random).await,
        Kind::Socket => job.socket(&mut random).await,
        Kind::Task => job.task(&mut random).await,
    };
    let told = match end {
        End::Well => "ok",
        End::Badly => "error",
        End::TimedOut => "timeout",
    };
    context.span().set_attribute(KeyValue::new("outcome", told));
    if end != End::Well {
        context.span().set_status(Status::error(told));
        let attributes =
            [("app", name.into()), ("job", kind.name().into()), ("outcome", told.into())];
        worker.telemetry.log(&context, Severity::Error, "job failed", attributes);
    }
    context.span().end();
    let instruments = &worker.instruments;
    let taken = begun.elapsed().as_secs_f64();
    match kind {
        Kind::Stream => instruments.stream_duration.record(taken, &[app(name)]),
        Kind::Shell => instruments.shell_duration.record(taken, &[app(name)]),
        Kind::Task => instruments.task_duration.record(taken, &[app(name)]),
        Kind::Socket => {}
    }
}

struct Job<'a> {
    worker: &'a Worker,
    context: &'a Context,
    name: &'static str,
    /// Seconds it would like to live.
    length: f64,
}

impl Job<'_> {
    async fn step(&self, name: &'static str, time: Duration) {
        let tracer = &self.worker.telemetry.tracer;
        let span = tracer.span_builder(name).start_with_context(tracer, self.context);
        let context = self.context.with_span(span);
        tokio::time::sleep(time).await;
        context.span().end();
    }

    /// Log lines of an application, a handful ten times a second.
    async fn stream(&self, random: &mut Random) -> End {
        let instruments = &self.worker.instruments;
        let _active = Active::enter(&instruments.streams_active);
        let attributes = [app(self.name)];
        instruments.streams.add(1, &attributes);
        self.step("attach_container", Duration::from_millis(5 + random.below(30))).await;
        let breaks_at = breaks(random, 0.04, self.length);
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < self.length {
            if begun.elapsed().as_secs_f64() > breaks_at {
                instruments.stream_errors.add(1, &attributes);
                return End::Badly;
            }
            let lines = random.below(6);
            instruments.lines_received.add(lines, &attributes);
            instruments.stream_bytes.add(lines * (40 + random.below(160)), &attributes);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        End::Well
    }

    /// Somebody types into a container; nobody is let in for longer than half a minute.
    async fn shell(&self, random: &mut Random) -> End {
        const LIMIT: f64 = 30.0;
        let instruments = &self.worker.instruments;
        let _active = Active::enter(&instruments.shells_active);
        let attributes = [app(self.name)];
        instruments.shells.add(1, &attributes);
        self.step("exec_create", Duration::from_millis(20 + random.below(60))).await;
        if random.unit() < 0.05 {
            instruments.shell_errors.add(1, &attributes);
            return End::Badly;
        }
        tokio::time::sleep(Duration::from_secs_f64(self.length.min(LIMIT))).await;
        if self.length > LIMIT {
            instruments.shell_timeouts.add(1, &attributes);
            return End::TimedOut;
        }
        self.step("exec_close", Duration::from_millis(2 + random.below(10))).await;
        End::Well
    }

    /// A browser with its messages both ways.
    async fn socket(&self, random: &mut Random) -> End {
        let instruments = &self.worker.instruments;
        self.step("authenticate", Duration::from_millis(1 + random.below(8))).await;
        if random.unit() < 0.03 {
            instruments.auth_failures.add(1, &[]);
            return End::Badly;
        }
        let _active = Active::enter(&instruments.sockets_active);
        instruments.sockets.add(1, &[]);
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < self.length {
            instruments.messages_sent.add(1 + random.below(4), &[]);
            instruments.messages_received.add(random.below(2), &[]);
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        End::Well
    }

    /// A task with its output; one in twenty fails, none lasts longer than ten seconds.
    async fn task(&self, random: &mut Random) -> End {
        const LIMIT: f64 = 10.0;
        let instruments = &self.worker.instruments;
        let _active = Active::enter(&instruments.tasks_active);
        let attributes = [app(self.name)];
        instruments.tasks.add(1, &attributes);
        self.step("pull_image", Duration::from_millis(50 + random.below(250))).await;
        let fails = random.unit() < 0.05;
        let time = Duration::from_secs_f64(self.length.min(LIMIT) * if fails { 0.5 } else { 1.0 });
        self.step("run_command", time).await;
        let lines = 10 + random.below(200);
        instruments.output_lines.add(lines, &attributes);
        instruments.output_buffer.record(lines * 80, &attributes);
        match () {
            () if fails => End::Badly,
            () if self.length > LIMIT => End::TimedOut,
            () => End::Well,
        }
    }
}

/// When something that fails with this chance does, in seconds; never is far away.
fn breaks(random: &mut Random, chance: f64, length: f64) -> f64 {
    if random.unit() < chance { random.unit() * length } else { f64::INFINITY }
}
