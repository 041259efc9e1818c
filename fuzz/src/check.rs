// SPDX-License-Identifier: Apache-2.0
//! The properties, as functions of a seed. Each panics with the seed in its message.

use otlp_wire::{Context, Edited, Pass, Payload, Record, Scratch, Verdict};

use crate::edits::Plan;
use crate::generate::Generator;
use crate::mutate::{mutate, mutate_text};
use crate::random::Random;
use crate::tidy::Request;

/// What a mutant turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// Admitted, and read as prost reads it.
    Admitted,
    /// Refused, as by prost.
    Refused,
    /// Refused for a rule of ours that prost does not have.
    Stricter,
}

/// Compares by encoding: prost's equality knows no NaN.
fn assert_same<R: Request>(left: &R, right: &R, what: impl std::fmt::Debug, seed: u64) {
    if left.encode_to_vec() != right.encode_to_vec() {
        panic!("{what:?}, {} seed {seed}\nleft:  {left:#?}\nright: {right:#?}", R::SIGNAL);
    }
}

fn payload<R: Request>(request: &R, seed: u64) -> Payload {
    match Payload::encode(R::SIGNAL, request) {
        Ok(payload) => payload,
        Err(e) => panic!("{e}: an arbitrary {} request, seed {seed}: {request:#?}", R::SIGNAL),
    }
}

/// Bytes of an arbitrary message are admitted as they are, and views read what prost encoded.
pub fn views_equal_prost<R: Request>(seed: u64) {
    let request = R::generate(&mut Generator::new(seed));
    let payload = payload(&request, seed);
    assert_eq!(payload.bytes()[..], request.encode_to_vec()[..], "seed {seed}: bytes are kept");
    assert_same(&R::rebuild(&payload).tidy(), &request.tidy(), "views differ from prost", seed);
}

/// What our writers write, prost decodes to what was to be written.
pub fn writers_equal_prost<R: Request>(seed: u64) {
    let request = R::generate(&mut Generator::new(seed)).writable();
    let written = request.rewrite();
    let again = Payload::admit(R::SIGNAL, written.bytes().clone());
    assert_eq!(again.as_ref(), Ok(&written), "seed {seed}: writers write what is admitted");
    assert_same(&written.decode::<R>().tidy(), &request.tidy(), "writers differ from prost", seed);
}

/// Editing bytes equals editing structs.
pub fn edits_equal_prost<R: Request>(seed: u64) {
    let mut random = Random::new(!seed);
    let mut request = R::generate(&mut Generator::new(seed % 900));
    let payload = payload(&request, seed);
    edit_both(&payload, &mut request, &Plan::some(&mut random), seed);
}

fn edit_both<R: Request>(payload: &Payload, request: &mut R, plans: &[Plan], seed: u64) {
    let mut passes: Vec<Box<dyn Pass>> = Vec::new();
    for plan in plans {
        passes.push(Box::new(plan.clone()));
    }
    let mut scratch = Scratch::new();
    let edited = payload.edit(&mut passes, &mut scratch);
    let something = request.edit(plans);
    assert_eq!(something, edited != Edited::Empty, "seed {seed}: {plans:#?}\n{request:#?}");
    let dropped: u32 = scratch.dropped().iter().sum();
    let Some(edited) = edited.or(payload) else {
        assert_eq!(dropped, payload.items(), "seed {seed}: all items are counted as dropped");
        return;
    };
    let what = ("edits differ from prost", plans);
    assert_same(&edited.decode::<R>().tidy(), &request.clone().tidy(), what, seed);
    assert_eq!(edited.items() + dropped, payload.items(), "seed {seed}: items add up");
    let again = Payload::admit(R::SIGNAL, edited.bytes().clone());
    assert_eq!(again.as_ref(), Ok(&edited), "seed {seed}: edits give what is admitted");
}

/// JSON holds all there is.
pub fn json_round_trips<R: Request>(seed: u64) {
    let request = R::generate(&mut Generator::new(seed));
    let payload = payload(&request, seed);
    round_trip::<R>(&payload, seed);
}

fn round_trip<R: Request>(payload: &Payload, seed: u64) -> Vec<u8> {
    let mut text = Vec::new();
    payload.to_json(&mut text);
    let shown = String::from_utf8_lossy(&text);
    match Payload::from_json(R::SIGNAL, &text) {
        Ok(back) => {
            let what = ("json lost something", shown);
            // NaN has one text, so its payload bits are not compared.
            assert_same(&calm(back.decode::<R>()), &calm(payload.decode::<R>()), what, seed);
        }
        Err(e) => panic!("{e}: our json, {} seed {seed}: {shown}", R::SIGNAL),
    }
    text
}

/// The same message with every NaN of one kind, by way of its encoding.
fn calm<R: Request>(request: R) -> R {
    let payload = Payload::encode(R::SIGNAL, &request).expect("came from a payload");
    let mut text = Vec::new();
    payload.to_json(&mut text);
    if text.windows(5).any(|w| w == b"\"NaN\"") {
        let back = Payload::from_json(R::SIGNAL, &text).expect("our own json");
        return back.decode();
    }
    request
}

/// Splitting keeps every item in order and the maximum; joining gives back as many.
pub fn splits_and_joins<R: Request>(seed: u64) {
    let mut random = Random::new(!seed);
    let request = R::generate(&mut Generator::new(seed));
    let whole = payload(&request, seed);
    split_and_join::<R>(&whole, &mut random, seed);
}

fn split_and_join<R: Request>(whole: &Payload, random: &mut Random, seed: u64) {
    let max = 1 + random.below(5) as u32;
    let parts = whole.clone().split(max);
    for (i, part) in parts.iter().enumerate() {
        let last = i + 1 == parts.len();
        assert!(part.items() == max || last && part.items() <= max, "seed {seed}: part {i}");
        let again = Payload::admit(R::SIGNAL, part.bytes().clone());
        assert_eq!(again.as_ref(), Ok(part), "seed {seed}: parts would be admitted");
    }
    let joined = Payload::concat(&parts);
    assert_eq!(joined.items(), whole.items(), "seed {seed}: every item is in one part");
    let again = Payload::admit(R::SIGNAL, joined.bytes().clone());
    assert_eq!(again.as_ref(), Ok(&joined), "seed {seed}: joined parts would be admitted");
    assert_eq!(items(&joined), items(whole), "seed {seed}: items keep their order and place");
}

/// Every item as text with its resource and scope, in order.
fn items(payload: &Payload) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for resource in payload.resources() {
        for scope in resource.scopes() {
            let mut head = resource.raw().to_vec();
            head.extend(resource.schema_url().as_bytes());
            head.extend(scope.raw());
            head.extend(scope.schema_url().as_bytes());
            let mut item = |raw: &[u8]| all.push([&head, raw].concat());
            scope.spans().for_each(|s| item(s.raw()));
            scope.logs().for_each(|l| item(l.raw()));
            for metric in scope.metrics() {
                points(&metric, &mut item);
            }
        }
    }
    all
}

fn points(metric: &otlp_wire::MetricView<'_>, item: &mut impl FnMut(&[u8])) {
    use otlp_wire::{Data, PointView};
    let name = [metric.name(), metric.unit(), metric.description()].concat();
    let mut one = |kind: &str, raw: &[u8]| item(&[name.as_bytes(), kind.as_bytes(), raw].concat());
    match metric.data() {
        Data::Empty => {}
        Data::Gauge { points } => points.for_each(|p| one("gauge", p.raw())),
        Data::Sum { points, temporality, monotonic } => {
            points.for_each(|p| one(&format!("{temporality:?}{monotonic}"), p.raw()));
        }
        Data::Histogram { points, temporality } => {
            points.for_each(|p| one(&format!("h{temporality:?}"), p.raw()));
        }
        Data::ExponentialHistogram { points, temporality } => {
            points.for_each(|p| one(&format!("e{temporality:?}"), p.raw()));
        }
        Data::Summary { points } => points.for_each(|p| one("summary", p.raw())),
    }
}

/// Sets a resource attribute and looks at everything else.
struct Look;

impl Pass for Look {
    fn resource(&mut self, resource: &mut Record<'_>) {
        resource.attrs().upsert("looked at", true);
    }
    fn span(&mut self, span: &mut Record<'_>, _: &Context<'_>) -> Verdict {
        span.attrs().remove("no such key");
        Verdict::Keep
    }
    fn log(&mut self, log: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.span(log, at)
    }
    fn metric(&mut self, metric: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.span(metric, at)
    }
    fn point(&mut self, point: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        self.span(point, at)
    }
}

/// What an edit does not touch keeps its bytes, unknown fields included.
fn untouched_is_kept(payload: &Payload, seed: u64) {
    let mut passes: Vec<Box<dyn Pass>> = vec![Box::new(Look)];
    let edited = payload.edit(&mut passes, &mut Scratch::new());
    let Some(edited) = edited.or(payload) else { panic!("seed {seed}: nothing was dropped") };
    let elements = |payload: &Payload| -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for scope in payload.resources().flat_map(|r| r.scopes()) {
            all.push(scope.group_raw().to_vec());
        }
        all
    };
    assert!(elements(payload) == elements(&edited), "seed {seed}: untouched scopes changed");
    let is_set = |r: otlp_wire::ResourceView<'_>| r.attr("looked at").is_some();
    assert!(edited.resources().all(is_set), "seed {seed}: each resource is edited");
}

/// A broken request is refused or read as prost reads it; nothing panics, and every operation on
/// an admitted one holds what it promises.
pub fn mutants_are_safe<R: Request>(seed: u64) -> Mutant {
    let mut random = Random::new(!seed);
    // Small messages: a mutation in a large one rarely hits what matters.
    let request = R::generate(&mut Generator::new(seed % 600));
    let bytes = mutate(&request.encode_to_vec(), &mut random);
    let oracle = R::decode(&bytes[..]);
    crate::rebuild::anything(&bytes);
    let payload = match (Payload::admit(R::SIGNAL, bytes.clone().into()), &oracle) {
        (Err(_), Err(_)) => return Mutant::Refused,
        (Err(e), Ok(_)) => {
            let ours = ["id of neither", "nested too deeply", "group or unknown wire type"];
            assert!(ours.iter().any(|rule| e.what.contains(rule)), "{e}: prost takes seed {seed}");
            return Mutant::Stricter;
        }
        (Ok(_), Err(e)) => panic!("{e}: admitted, {} seed {seed}: {bytes:?}", R::SIGNAL),
        (Ok(payload), Ok(_)) => payload,
    };
    let mut oracle = oracle.unwrap_or_default();
    assert_same(&payload.decode::<R>(), &oracle, "admission changed the content", seed);
    let tidy = oracle.clone().tidy();
    assert_same(&R::rebuild(&payload).tidy(), &tidy, "views differ from prost", seed);
    let text = round_trip::<R>(&payload, seed);
    split_and_join::<R>(&payload, &mut random, seed);
    untouched_is_kept(&payload, seed);
    edit_both(&payload, &mut oracle, &Plan::some(&mut random), seed);
    // Broken JSON must only not panic; what is taken must be admissible, which `from_json` checks.
    let _ = Payload::from_json(R::SIGNAL, &mutate_text(&text, &mut random));
    Mutant::Admitted
}
