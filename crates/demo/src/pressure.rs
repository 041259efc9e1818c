// SPDX-License-Identifier: Apache-2.0
//! Traces are recorded whole or not at all.
//!
//! A batch processor whose queue is full drops spans, whichever come next: traces are torn, and each
//! span that is dropped has been paid for. So the spans that wait are counted ([`Waiting`] in front of
//! the processor, [`Leaving`] behind it), and while they fill half of the queue no new trace is begun
//! ([`WhileThereIsRoom`]); the other half is for those under way. Where the machine keeps up, that is
//! never. Metrics count every request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchSpanProcessor, Sampler, SamplingDecision, SamplingResult, ShouldSample, Span, SpanData,
    SpanExporter, SpanProcessor,
};

/// Spans that the processor's queue holds unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
const QUEUE: usize = 2048;

/// How many spans wait to leave.
#[derive(Debug)]
pub(crate) struct Pressure {
    waiting: AtomicUsize,
    queue: usize,
    told: AtomicBool,
}

impl Default for Pressure {
    fn default() -> Self {
        let given = std::env::var("OTEL_BSP_MAX_QUEUE_SIZE").ok();
        let queue = given.and_then(|text| text.parse().ok()).unwrap_or(QUEUE);
        Pressure { waiting: AtomicUsize::new(0), queue, told: AtomicBool::new(false) }
    }
}

impl Pressure {
    fn is_low(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) <= self.queue / 2
    }

    fn came(&self) {
        // One beyond what the queue holds is dropped by it, and never leaves.
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.queue {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn left(&self, count: usize) {
        let less = |waiting: usize| Some(waiting.saturating_sub(count));
        // The closure always gives a value.
        let _ = self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn tell_once(&self) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "more traces than can be sent: some are left out whole; OTEL_TRACES_SAMPLER=traceidratio with \
                 OTEL_TRACES_SAMPLER_ARG chooses a share"
            );
        }
    }
}

/// All traces while there is room for them, and those that a caller wants otherwise.
#[derive(Clone, Debug)]
pub(crate) struct WhileThereIsRoom {
    pressure: Arc<Pressure>,
    usual: Sampler,
}

impl WhileThereIsRoom {
    pub fn new(pressure: Arc<Pressure>) -> Self {
        // The SDK's default.
        WhileThereIsRoom { pressure, usual: Sampler::ParentBased(Box::new(Sampler::AlwaysOn)) }
    }
}

impl ShouldSample for WhileThereIsRoom {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let mut result = self.usual.should_sample(parent, trace, name, kind, attributes, links);
        let is_inner = parent.is_some_and(|context| {
            let span = context.span();
            let span = span.span_context();
            span.is_valid() && !span.is_remote()
        });
        if !is_inner
            && result.decision == SamplingDecision::RecordAndSample
            && !self.pressure.is_low()
        {
            result.decision = SamplingDecision::Drop;
            self.pressure.tell_once();
        }
        result
    }
}

/// A batch processor whose spans are counted when they come.
#[derive(Debug)]
pub(crate) struct Waiting {
    inner: BatchSpanProcessor,
    pressure: Arc<Pressure>,
}

impl Waiting {
    pub fn new(inner: BatchSpanProcessor, pressure: Arc<Pressure>) -> Self {
        Waiting { inner, pressure }
    }
}

impl SpanProcessor for Waiting {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.pressure.came();
        self.inner.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// An exporter whose spans are counted when they leave the queue.
#[derive(Debug)]
pub(crate) struct Leaving<E> {
    inner: E,
    pressure: Arc<Pressure>,
}

impl<E> Leaving<E> {
    pub fn new(inner: E, pressure: Arc<Pressure>) -> Self {
        Leaving { inner, pressure }
    }
}

impl<E: SpanExporter> SpanExporter for Leaving<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.pressure.left(batch.len());
        self.inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    use opentelemetry::trace::{
        SpanContext, SpanId, TraceFlags, TraceState, Tracer, TracerProvider,
    };
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    /// Exports a batch for each permit, all of them when no more permits can come.
    #[derive(Debug)]
    struct Gate {
        permits: Mutex<Receiver<()>>,
        seen: Arc<Mutex<Vec<SpanData>>>,
    }

    impl SpanExporter for Gate {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let _open = self.permits.lock().expect("alone").recv();
            self.seen.lock().expect("alone").extend(batch);
            Ok(())
        }
    }

    type Seen = Arc<Mutex<Vec<SpanData>>>;

    fn provider() -> (SdkTracerProvider, Arc<Pressure>, Sender<()>, Seen) {
        let (permit, permits) = channel();
        let seen = Seen::default();
        let pressure = Arc::new(Pressure::default());
        let gate = Gate { permits: Mutex::new(permits), seen: seen.clone() };
        let processor = BatchSpanProcessor::builder(Leaving::new(gate, pressure.clone())).build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Waiting::new(processor, pressure.clone()))
            .with_sampler(WhileThereIsRoom::new(pressure.clone()))
            .build();
        (provider, pressure, permit, seen)
    }

    /// One trace of four spans; true if it is recorded.
    fn trace(provider: &SdkTracerProvider, parent: &Context) -> bool {
        let tracer = provider.tracer("test");
        let context = parent.with_span(tracer.start_with_context("whole", parent));
        for _ in 0..3 {
            drop(tracer.start_with_context("step", &context));
        }
        context.span().end();
        context.span().span_context().is_sampled()
    }

    #[test]
    fn traces_that_would_be_torn_are_left_out_whole_and_begin_again_when_there_is_room() {
        let (provider, pressure, permit, seen) = provider();
        let sampled = SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            TraceFlags::SAMPLED,
            true,
            TraceState::NONE,
        );
        let callers = Context::new().with_remote_span_context(sampled);
        let mut recorded = 0;
        for n in 0..5000 {
            let parent = if n % 2 == 0 { &callers } else { &Context::new() };
            recorded += usize::from(trace(&provider, parent));
        }
        assert!((QUEUE / 8..=QUEUE).contains(&recorded), "{recorded} of 5000");
        drop(permit);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !pressure.is_low() {
            assert!(Instant::now() < deadline, "{pressure:?}");
            std::thread::yield_now();
        }
        assert!(trace(&provider, &Context::new()), "there is room again");
        provider.shutdown().expect("ends well");
        let seen = seen.lock().expect("alone");
        assert_eq!(seen.len(), (recorded + 1) * 4, "no span was dropped");
        let mut by_trace = HashMap::new();
        for span in seen.iter().filter(|span| span.span_context.trace_id() != TraceId::from(1)) {
            *by_trace.entry(span.span_context.trace_id()).or_insert(0) += 1;
        }
        assert!(by_trace.values().all(|spans| *spans == 4), "every one is whole");
    }

    #[test]
    fn what_a_caller_does_not_want_is_not_recorded() {
        let (provider, _, permit, seen) = provider();
        drop(permit);
        let unsampled = SpanContext::new(
            TraceId::from(1),
            SpanId::from(1),
            TraceFlags::default(),
            true,
            TraceState::NONE,
        );
        assert!(!trace(&provider, &Context::new().with_remote_span_context(unsampled)));
        provider.shutdown().expect("ends well");
        assert!(seen.lock().expect("alone").is_empty());
    }
}
