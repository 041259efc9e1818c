// SPDX-License-Identifier: Apache-2.0
//! `tail_sampling`: decides about whole traces, some time after they began.
//!
//! In: spans of any request. Out: the spans of traces that a policy wants, in payloads made anew,
//! resources and scopes as they were. All spans of a trace get one decision: late ones follow it
//! as long as it is remembered, in memory or by a decision cache.
//!
//! A request is accepted as soon as its spans are copied ([`Outlet::keep`]), and its memory free:
//! what is held here is copies, one buffer a trace, with a permit of the process's budget of its
//! own. Bounds: `num_traces` traces, and a half of that budget; beyond it the oldest traces are
//! decided early. What a log gives again is decided in the log's own time (see [`time`]).
//!
//! Source: the Go collector's processor, reference section 5.7.

mod build;
mod config;
mod limit;
mod lru;
mod meters;
mod rule;
mod time;
mod traces;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Result, UnixNano};
use otlp_wire::{Head, Regrouped, Signal, SpanSet, SpanView, TraceId};
use pipeline::component::ProcessorFactory;
use pipeline::config::decode;
use pipeline::{Batch, Budget, Context, Fate, Meta, Outlet, Permit, Processor, Reason, Stage};

use build::Named;
pub use config::Config;
use config::Strategy;
use lru::Lru;
use meters::Meters;
use rule::{Facts, Verdict};
use time::Time;
use traces::{Decided, Heads, Part, TRACE_COST, Trace, Traces};

/// Part of the process's budget that undecided spans may take: receivers need the rest.
const SHARE_OF_BUDGET: u64 = 2;

/// Kept traces are joined into payloads of about so many spans, the size that `batch` makes.
const SPANS_A_PAYLOAD: u32 = 8192;

/// More classes than tenants usually are: those without a trace are forgotten.
const CLASSES_MANY: usize = 64;

/// The type `tail_sampling`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "tail_sampling",
        aliases: &[],
        signals: &[Signal::Traces],
        summary: "keeps whole traces by what is in them",
        decode: decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    Ok(Processor::Stage(Box::new(TailSampler::new(config, &context)?)))
}

/// The stage.
struct TailSampler {
    config: Arc<Config>,
    time: Time,
    policies: Vec<Named>,
    traces: Traces,
    heads: Heads,
    /// Decisions of traces that are not in memory any more: kept ones, others.
    sampled: Lru<TraceId, ()>,
    not_sampled: Lru<TraceId, ()>,
    /// The ways on there are: live or read back, by tenant.
    classes: Vec<Class>,
    /// With `span-ingest`: undecided traces that the request at hand has spans of.
    touched: Vec<TraceId>,
    /// Bytes of undecided traces.
    held: u64,
    permit: Permit,
    most_held: u64,
    meters: Meters,
}

/// Spans that go on together.
struct Class {
    meta: Arc<Meta>,
    /// Spans on their way out, and when the first of them came.
    leaving: Regrouped,
    oldest: UnixNano,
    /// Late spans of the request at hand.
    late: SpanSet,
}

/// Where a span of a request belongs.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Which class.
    class: usize,
    head: &'a Arc<Head>,
    now: UnixNano,
}

impl TailSampler {
    fn new(config: Arc<Config>, context: &Context) -> Result<Self> {
        let prepared = config.prepared.get();
        let policies = prepared.cloned().ok_or_else(|| Error::invalid("settings not validated"))?;
        let names = policies.iter().map(|policy| policy.name.clone());
        let budget: &Budget = context.host.budget();
        Ok(TailSampler {
            time: Time::new(context.clock.clone()),
            meters: Meters::new(context.host.telemetry(), &context.id, names),
            policies,
            traces: Traces::default(),
            heads: Heads::default(),
            sampled: Lru::new(config.decision_cache.sampled_cache_size),
            not_sampled: Lru::new(config.decision_cache.non_sampled_cache_size),
            classes: Vec::new(),
            touched: Vec::new(),
            held: 0,
            permit: budget.take(0)?,
            most_held: budget.limit() / SHARE_OF_BUDGET,
            config,
        })
    }

    /// The number of the class of `meta`.
    fn class(&mut self, meta: &Meta) -> usize {
        let is_same = |it: &Class| it.meta.replay == meta.replay && it.meta.tenant == meta.tenant;
        if self.classes.len() > CLASSES_MANY {
            self.classes.retain(|it| Arc::strong_count(&it.meta) > 1 || is_same(it));
        }
        self.classes.iter().position(is_same).unwrap_or_else(|| {
            let (tenant, replay) = (meta.tenant.clone(), meta.replay);
            self.classes.push(Class {
                meta: Arc::new(Meta { tenant, replay, ..Meta::default() }),
                leaving: Regrouped::default(),
                oldest: UnixNano::MAX,
                late: SpanSet::default(),
            });
            self.classes.len() - 1
        })
    }

    /// Puts `span` where it belongs.
    fn place(&mut self, span: SpanView<'_>, at: Place<'_>, out: &Outlet) {
        let id = span.trace_id().unwrap_or_default();
        let Some(trace) = self.traces.get_mut(&id) else { return self.begin(id, span, at, out) };
        if let Some(decided) = trace.decided {
            return self.late(span, at, decided, out);
        }
        self.held += trace.push(&self.classes[at.class].meta, at.head, span);
        let most = self.config.maximum_trace_size_bytes;
        if most > 0 && trace.bytes > most {
            return self.too_large(&id, out);
        }
        if self.decides_at_once() && self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        let wait = self.config.decision_wait_after_root_received;
        if !wait.is_zero() && span.parent_span_id().is_none_or(|parent| parent == [0; 8]) {
            self.traces.hurry(&id, self.time.tick_after(wait.get()));
        }
    }

    /// A span of a trace that is not in memory: a cache knows its decision, or it is a new one.
    fn begin(&mut self, id: TraceId, span: SpanView<'_>, at: Place<'_>, out: &Outlet) {
        if self.sampled.get(&id).is_some() {
            self.meters.cached(true);
            return self.classes[at.class].late.push(at.head, span);
        }
        if self.not_sampled.get(&id).is_some() {
            self.meters.cached(false);
            return out.let_go(&self.classes[at.class].meta, 1, Fate::SampledOut);
        }
        self.make_room(out);
        let due = self.time.tick_after(self.config.decision_wait.get());
        self.traces.insert(id, at.now, due);
        self.meters.new_traces.inc();
        self.held += TRACE_COST;
        self.place(span, at, out);
    }

    /// A span of a trace that is decided and still in memory.
    fn late(&mut self, span: SpanView<'_>, at: Place<'_>, decided: Decided, out: &Outlet) {
        if let Some(then) = decided.at {
            self.meters.late_age.observe(seconds(then, at.now));
        }
        let class = &mut self.classes[at.class];
        if decided.keep {
            class.late.push(at.head, span);
        } else {
            out.let_go(&class.meta, 1, Fate::SampledOut);
        }
    }

    fn is_full(&self) -> bool {
        self.traces.len() as u64 >= self.config.num_traces
    }

    /// Room for one more trace: what is decided goes before what is not.
    fn make_room(&mut self, out: &Outlet) {
        while self.is_full() {
            if let Some(trace) = self.traces.forget_one() {
                self.removed(&trace);
                continue;
            }
            let Some(id) = self.traces.pop_oldest() else { return };
            if let Some(trace) = self.traces.remove(&id) {
                self.meters.too_early.inc();
                self.removed(&trace);
                self.held = self.held.saturating_sub(trace.held() + TRACE_COST);
                let_go(trace.parts, Fate::Dropped(Reason::Overloaded), out);
            }
        }
    }

    /// Waits until there is room for the trace `id`; decides about the oldest when the pipeline
    /// stops.
    async fn wait_for_room(&mut self, id: &TraceId, out: &Outlet) -> Result<()> {
        let (mut closing, mut outcome) = (out.clone(), Ok(()));
        while self.is_full() && self.traces.get_mut(id).is_none() {
            if let Some(trace) = self.traces.forget_one() {
                self.removed(&trace);
                continue;
            }
            let wait = self.deadline().unwrap_or_default();
            tokio::select! {
                () = closing.closed() => {
                    let Some(id) = self.traces.pop_oldest() else { break };
                    self.decide(&id, out);
                }
                () = tokio::time::sleep(wait) => outcome = outcome.and(self.tick(out).await),
            }
        }
        outcome
    }

    fn removed(&self, trace: &Trace) {
        self.meters.removal_age.observe(seconds(trace.arrived, self.time.now()));
    }

    /// A trace has become larger than it may be: it is not kept, and no policy is asked.
    fn too_large(&mut self, id: &TraceId, out: &Outlet) {
        self.meters.too_large.inc();
        let remember = !self.not_sampled.put(*id, ());
        let decided = Decided { keep: false, at: None };
        let Some(trace) = self.traces.decide(id, decided, remember) else { return };
        self.held = self.held.saturating_sub(trace.held() + TRACE_COST);
        let_go(trace.parts, Fate::Dropped(Reason::Overloaded), out);
    }

    /// Policies are asked with each request, and not again when a trace is due.
    fn decides_at_once(&self) -> bool {
        self.config.sampling_strategy == Strategy::SpanIngest
    }

    /// Asks the policies about a trace that is due and does what they say.
    fn decide(&mut self, id: &TraceId, out: &Outlet) {
        let Some(trace) = self.traces.get_mut(id) else { return };
        let facts = Facts { id, parts: &trace.parts, spans: trace.spans, now: self.time.now() };
        let verdict = match self.config.sampling_strategy {
            Strategy::SpanIngest => Verdict::NotSampled,
            Strategy::TraceComplete => {
                let first = self.config.sample_on_first_match;
                verdict(&mut self.policies, &facts, first, &self.meters)
            }
        };
        self.carry_out(id, verdict, out);
    }

    /// Asks the policies about the traces that a request has spans of. Only a yes counts. As long
    /// as a policy might still drop a trace there is none, as in the collector.
    fn decide_touched(&mut self, out: &Outlet) {
        let drops = self.policies.iter().filter(|policy| policy.rule.drops()).count();
        let asked = if drops > 0 { drops } else { self.policies.len() };
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for id in &touched {
            let Some(trace) = self.traces.get_mut(id).filter(|it| it.decided.is_none()) else {
                continue;
            };
            let facts = Facts { id, parts: &trace.parts, spans: trace.spans, now: self.time.now() };
            let verdict = verdict(&mut self.policies[..asked], &facts, true, &self.meters);
            if verdict != Verdict::NotSampled {
                self.carry_out(id, verdict, out);
            }
        }
        touched.clear();
        self.touched = touched;
    }

    /// Does what was decided about a trace.
    fn carry_out(&mut self, id: &TraceId, verdict: Verdict, out: &Outlet) {
        let now = self.time.now();
        self.meters.decision(verdict);
        let keep = verdict == Verdict::Sampled;
        let cache = if keep { &mut self.sampled } else { &mut self.not_sampled };
        let remember = !cache.put(*id, ());
        let decided = Decided { keep, at: Some(now) };
        let Some(trace) = self.traces.decide(id, decided, remember) else { return };
        if !remember {
            self.removed(&trace);
        }
        self.held = self.held.saturating_sub(trace.held() + TRACE_COST);
        if !keep {
            return let_go(trace.parts, Fate::SampledOut, out);
        }
        for part in &trace.parts {
            let class = self.classes.iter_mut().find(|it| Arc::ptr_eq(&it.meta, &part.class));
            if let Some(class) = class {
                class.leaving.add(&part.spans);
                class.oldest = class.oldest.min(trace.arrived);
            }
        }
    }

    /// Decides about all traces that are due.
    async fn decide_due(&mut self, out: &Outlet) -> Result<()> {
        let now = self.time.now();
        let mut outcome = Ok(());
        while let Some(id) = self.traces.pop_due(now) {
            self.decide(&id, out);
            outcome = outcome.and(self.send(SPANS_A_PAYLOAD, out).await);
        }
        outcome.and(self.send(1, out).await)
    }

    /// Sends on what is on its way out, of each class that has so many spans.
    async fn send(&mut self, at_least: u32, out: &Outlet) -> Result<()> {
        let mut outcome = Ok(());
        for class in &mut self.classes {
            if class.leaving.items() < at_least {
                continue;
            }
            let received = std::mem::replace(&mut class.oldest, UnixNano::MAX);
            let Meta { tenant, replay, .. } = &*class.meta;
            let meta =
                Meta { received, tenant: tenant.clone(), replay: *replay, ..Meta::default() };
            outcome = outcome.and(out.release(class.leaving.finish(), Arc::new(meta)).await);
        }
        outcome
    }

    /// Takes what is held from the process's budget. When that is spent, or our share of it, the
    /// oldest traces are decided early.
    async fn account(&mut self, out: &Outlet) -> Result<()> {
        let mut outcome = Ok(());
        loop {
            let held = self.held + self.heads.bytes();
            if held <= self.most_held && self.permit.resize(held).is_ok() {
                break;
            }
            self.heads.sweep(true);
            let Some(id) = self.traces.pop_oldest() else { break };
            self.meters.hurried.inc();
            self.decide(&id, out);
            outcome = outcome.and(self.send(SPANS_A_PAYLOAD, out).await);
        }
        self.meters.held.set(self.permit.bytes() as f64);
        self.meters.on_memory.set(self.traces.len() as f64);
        outcome.and(self.send(1, out).await)
    }
}

#[async_trait]
impl Stage for TailSampler {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        if batch.items() == 0 {
            out.discard(batch, Fate::Filtered);
            return Ok(());
        }
        if batch.meta.replay {
            self.time.is_replay(batch.meta.received, self.traces.len() == 0);
        } else {
            self.time.is_live();
        }
        // Before what comes now: so a restart, which knows only when data came, decides the same.
        let mut outcome = self.decide_due(out).await;
        let (class, now) = (self.class(&batch.meta), self.time.now());
        let (payload, received) = (batch.payload.clone(), batch.meta.received);
        out.keep(batch);
        for resource in payload.traces() {
            for scope in resource.scopes().filter(|scope| scope.spans().next().is_some()) {
                let head = &self.heads.shared(Head::of(&resource, &scope));
                for span in scope.spans() {
                    if self.config.block_on_overflow && self.is_full() {
                        let id = span.trace_id().unwrap_or_default();
                        outcome = outcome.and(self.wait_for_room(&id, out).await);
                    }
                    self.place(span, Place { class, head, now }, out);
                }
            }
        }
        self.decide_touched(out);
        let class = &mut self.classes[class];
        if !class.late.is_empty() {
            class.leaving.add(&std::mem::take(&mut class.late));
            class.oldest = class.oldest.min(received);
        }
        outcome.and(self.account(out).await)
    }

    async fn tick(&mut self, out: &Outlet) -> Result<()> {
        let began = self.time.monotonic();
        let outcome = self.decide_due(out).await;
        self.heads.sweep(self.held == 0);
        let took = self.time.monotonic().saturating_sub(began);
        self.meters.timer.observe((took / 1_000_000) as f64);
        outcome.and(self.account(out).await)
    }

    fn deadline(&self) -> Option<Duration> {
        self.traces.next_due().map(|due| self.time.until(due))
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        let mut outcome = Ok(());
        while let Some(id) = self.traces.pop_oldest() {
            if !self.config.drop_pending_traces_on_shutdown {
                self.decide(&id, out);
                outcome = outcome.and(self.send(SPANS_A_PAYLOAD, out).await);
            } else if let Some(trace) = self.traces.remove(&id) {
                let_go(trace.parts, Fate::Dropped(Reason::Closed), out);
            }
        }
        outcome.and(self.send(1, out).await)
    }
}

/// What all policies say together: those that drop go first, then any that samples.
fn verdict(policies: &mut [Named], facts: &Facts<'_>, first: bool, meters: &Meters) -> Verdict {
    let mut all = Verdict::NotSampled;
    for (at, policy) in policies.iter_mut().enumerate() {
        let verdict = policy.rule.judge(facts);
        meters.policy(at, verdict, facts.spans);
        match verdict {
            Verdict::Dropped => return verdict,
            Verdict::Sampled if first => return verdict,
            Verdict::Sampled => all = verdict,
            Verdict::NotSampled => {}
        }
    }
    all
}

/// The spans of a trace do not go on.
fn let_go(parts: Vec<Part>, fate: Fate, out: &Outlet) {
    for part in parts {
        out.let_go(&part.class, part.spans.items().into(), fate);
    }
}

/// Whole seconds between two times.
fn seconds(from: UnixNano, to: UnixNano) -> f64 {
    (to.saturating_sub(from) / 1_000_000_000) as f64
}
