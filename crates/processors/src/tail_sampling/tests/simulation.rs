// SPDX-License-Identifier: Apache-2.0
//! Random traces, out of order, twice, late; crashes after which a log gives everything again.
//!
//! Whatever happens: all spans of a trace get one decision, each is counted exactly once, and a
//! decision made before a crash is made again after it.

use std::collections::BTreeMap;

use super::*;

/// Xorshift: every seed is another story, told the same way each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What the log holds: when, which spans.
type Log = Vec<(UnixNano, Vec<Span>)>;

const POLICIES: &str = "policies: [\
    {name: e, type: status_code, status_code: {status_codes: [ERROR]}}, \
    {name: n, type: span_count, span_count: {min_spans: 6}}, \
    {name: p, type: probabilistic, probabilistic: {sampling_percentage: 20}}]";

fn story(chance: &mut Chance) -> Vec<Span> {
    let mut spans = Vec::new();
    for trace in 0..20 + chance.below(30) {
        for number in 0..1 + chance.below(8) {
            let it =
                if chance.below(12) == 0 { failed(trace, number) } else { span(trace, number) };
            spans.push(Span { root: number == 0, ..it });
            if chance.below(20) == 0 {
                spans.push(it);
            }
        }
    }
    // Mostly in order of traces, some far from it.
    for at in 0..spans.len() {
        let reach = if chance.below(10) == 0 { spans.len() as u64 } else { 15 };
        let other = (at as u64 + chance.below(reach)).min(spans.len() as u64 - 1);
        spans.swap(at, other as usize);
    }
    spans
}

/// Which traces were kept, by what went on; fails when only a part of one did.
fn decisions(rig: &Rig, log: &Log, what: &str) -> BTreeMap<u64, bool> {
    let mut came: BTreeMap<u64, u64> = BTreeMap::new();
    for it in log.iter().flat_map(|(_, spans)| spans) {
        *came.entry(it.trace).or_default() += 1;
    }
    let mut went: BTreeMap<u64, u64> = BTreeMap::new();
    for (trace, _) in rig.went_on() {
        *went.entry(trace).or_default() += 1;
    }
    let decided = came.iter().map(|(trace, came)| {
        let went = went.get(trace).copied().unwrap_or(0);
        assert!(went == 0 || went == *came, "{what}: {went} of {came} spans of trace {trace}");
        (*trace, went > 0)
    });
    decided.collect()
}

async fn tell(seed: u64) {
    let mut chance = Chance(seed * 2_654_435_761 + 1);
    let caches = ["", "decision_cache: {sampled_cache_size: 999, non_sampled_cache_size: 999}, "];
    let after_root = ["", "decision_wait_after_root_received: 1s, "];
    let yaml = format!(
        "{{decision_wait: {}s, {}{}{POLICIES}}}",
        1 + chance.below(4),
        caches[chance.below(2) as usize],
        after_root[chance.below(2) as usize],
    );
    let clock = Clock::manual(START);
    let (mut rig, mut log) = (Rig::with(&yaml, &clock), Log::new());
    let mut spans = story(&mut chance).into_iter().peekable();
    while spans.peek().is_some() {
        let size = 1 + chance.below(12) as usize;
        let request: Vec<Span> = spans.by_ref().take(size).collect();
        rig.comes(&request).await;
        log.push((clock.now(), request));
        rig.pass(chance.below(900) as f64 / 1000.0).await;
        if chance.below(15) == 0 {
            let made: Vec<u64> = rig.went_on().into_iter().map(|(trace, _)| trace).collect();
            clock.advance(Duration::from_millis(chance.below(4000)));
            rig = Rig::with(&yaml, &clock);
            for (received, spans) in &log {
                let meta = Meta { received: *received, replay: true, ..Meta::default() };
                rig.comes_with(spans, meta).await;
            }
            let again: Vec<u64> = rig.went_on().into_iter().map(|(trace, _)| trace).collect();
            let missing = made.iter().find(|trace| !again.contains(trace) && !waits(&rig, **trace));
            assert_eq!(missing, None, "seed {seed}: kept before the crash, not after it");
        }
    }
    rig.pass(20.0).await;
    rig.ends().await;
    decisions(&rig, &log, &format!("seed {seed}"));
    let came: usize = log.iter().map(|(_, spans)| spans.len()).sum();
    let left: u64 = rig.rest.left().iter().map(|(items, _)| items).sum();
    assert_eq!(rig.went_on().len() as u64 + left, came as u64, "seed {seed}");
    assert_eq!(left, rig.met(Fate::SampledOut), "seed {seed}: nothing is lost");
}

/// The trace has not been decided about (again) yet.
fn waits(rig: &Rig, trace: u64) -> bool {
    rig.sampler.traces.is_waiting(&id_of(trace))
}

#[tokio::test]
async fn all_spans_of_a_trace_get_one_decision_and_are_counted_once() {
    for seed in 1..=150 {
        tell(seed).await;
    }
}
