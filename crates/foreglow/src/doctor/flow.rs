// SPDX-License-Identifier: Apache-2.0
//! Where data is, and where it stops: by signal and by component, from own metrics.
//!
//! In: the page of own metrics as it is now, and what it was a minute ago ([`Window`]). Out: a finding a
//! signal and an exporter, and one for each way in which data got lost.

use super::pages::Page;
use super::report::Finding;

/// Share of a sending queue from which on it is told.
const QUEUE_NEAR: f64 = 0.8;

/// A signal's name, and that of its items in the collector's metrics.
const SIGNALS: [(&str, &str); 3] =
    [("traces", "spans"), ("metrics", "metric_points"), ("logs", "log_records")];

/// The counters now and before.
pub struct Window {
    /// The page as it is.
    pub now: Page,
    /// As it was; nothing if the process is younger.
    pub then: Page,
    /// What lies between: "in the last minute".
    pub length: String,
}

impl Window {
    /// By how much the counter of a component has grown. One that went down has begun anew.
    fn grown(&self, name: &str, label: &str, value: &str) -> f64 {
        let now = self.now.sum_where(name, label, value);
        let then = self.then.sum_where(name, label, value);
        if now < then { now } else { now - then }
    }

    /// The same of all components that have it, by component, without those where nothing happened.
    fn by(&self, name: &str, label: &str) -> Vec<(String, f64)> {
        let all = self.now.values(&[name.to_owned()], label);
        let one = |id: String| (self.grown(name, label, &id), id);
        all.into_iter().map(one).filter(|(n, _)| *n > 0.0).map(|(n, id)| (id, n)).collect()
    }
}

/// A finding for each signal that a pipeline takes; `takes` tells by the signal's name.
pub fn signals(window: &Window, takes: impl Fn(&str) -> bool, target: &str) -> Vec<Finding> {
    let taken = SIGNALS.iter().filter(|(signal, _)| takes(signal));
    taken.map(|(signal, items)| of_signal(window, signal, items, target)).collect()
}

fn of_signal(window: &Window, signal: &str, items: &str, target: &str) -> Finding {
    let words = items.replace('_', " ");
    let length = &window.length;
    let of = |stage: &str, label| window.by(&format!("otelcol_{stage}_{items}"), label);
    let accepted = of("receiver_accepted", "receiver");
    let refused = of("receiver_refused", "receiver");
    let failed = of("receiver_failed", "receiver");
    let sent = of("exporter_sent", "exporter");
    let unsent = of("exporter_send_failed", "exporter");
    let unqueued = of("exporter_enqueue_failed", "exporter");
    let held = of("processor_refused", "processor");
    let list = |all: &[(String, f64)]| {
        let all: Vec<_> = all.iter().map(|(id, count)| format!("{id} {count:.0}")).collect();
        all.join(", ")
    };
    let mut stops = Vec::new();
    for (all, what) in [
        (&refused, "refused by"),
        (&failed, "malformed at"),
        (&held, "refused by processor"),
        (&unqueued, "no room in the queue of"),
        (&unsent, "failed to be sent by"),
    ] {
        if !all.is_empty() {
            stops.push(format!("{what} {}", list(all)));
        }
    }
    let total = |all: &[(String, f64)]| all.iter().map(|(_, count)| count).sum::<f64>();
    let mut seen = match accepted.is_empty() {
        true => format!("no {words} {length}"),
        false => {
            format!("{words} {length}: {:.0} accepted ({})", total(&accepted), list(&accepted))
        }
    };
    if !sent.is_empty() {
        seen.push_str(&format!(", sent by {}", list(&sent)));
    }
    let waiting = window.now.sum_where("foreglow_ledger_in_flight_items", "pipeline", signal);
    if waiting > 0.0 {
        seen.push_str(&format!(", {waiting:.0} on their way"));
    }
    for stop in &stops {
        seen.push_str(&format!("\n{stop}"));
    }
    let fates: Vec<_> = losses(window, signal);
    match (accepted.is_empty(), sent.is_empty()) {
        (true, _) if !stops.is_empty() => Finding::fail(
            signal,
            seen,
            "what comes is refused: the log says why (memory_limiter, a full queue, a full disk, a wrong encoding)",
        ),
        (true, _) => Finding::warn(signal, seen, nothing(window, signal, items, target)),
        (false, true) if !fates.is_empty() => Finding::warn(
            signal,
            format!("{seen}; {}", fates.join(", ")),
            "by configuration, if that is wanted",
        ),
        (false, true) => Finding::fail(
            signal,
            format!("{seen}, nothing sent on"),
            "it stops behind the receivers: see exporters below, and the processors' own metrics",
        ),
        (false, false) if !stops.is_empty() => {
            Finding::warn(signal, seen, "part of it is lost or comes later: the log says why")
        }
        (false, false) => Finding::ok(signal, seen),
    }
}

/// What to do when nothing arrives.
fn nothing(window: &Window, signal: &str, items: &str, target: &str) -> String {
    let before = window.now.sum(&format!("otelcol_receiver_accepted_{items}")).unwrap_or(0.0);
    match before > 0.0 {
        true => format!(
            "{before:.0} came earlier: is the sender still there? Its log tells of failed exports"
        ),
        false => format!(
            "no program sends {signal}: set OTEL_EXPORTER_OTLP_ENDPOINT={target} where it starts; \
             foreglow demo shop is one that does"
        ),
    }
}

/// What the ledger says became of a signal's items instead of being delivered.
fn losses(window: &Window, signal: &str) -> Vec<String> {
    let all = window.now.all("foreglow_ledger_items");
    let lost = all.filter(|sample| {
        let of = sample.label("pipeline");
        let is_same =
            of == signal || of.strip_prefix(signal).is_some_and(|rest| rest.starts_with('/'));
        let fate = sample.label("fate");
        is_same && !matches!(fate, "received" | "generated" | "delivered") && sample.value > 0.0
    });
    lost.map(|sample| format!("{} {:.0}", sample.label("fate"), sample.value)).collect()
}

/// Exporters: queues, failures, and what was given up.
pub fn exporters(window: &Window) -> Vec<Finding> {
    let names = |stage: &str| SIGNALS.map(|(_, items)| format!("otelcol_exporter_{stage}_{items}"));
    let sent = names("sent");
    let failed = [names("send_failed"), names("enqueue_failed")].concat();
    let all = [&sent[..], &failed, &["otelcol_exporter_queue_size".to_owned()]].concat();
    let one = |id: String| {
        let sum = |names: &[String]| {
            names.iter().map(|name| window.grown(name, "exporter", &id)).sum::<f64>()
        };
        let (sent, failed_now) = (sum(&sent), sum(&failed));
        let ever: f64 = failed.iter().map(|n| window.now.sum_where(n, "exporter", &id)).sum();
        let of = |what: &str| {
            window.now.sum_where(&format!("otelcol_exporter_queue_{what}"), "exporter", &id)
        };
        let (size, capacity) = (of("size"), of("capacity"));
        let mut seen = format!("{sent:.0} items sent {}", window.length);
        if capacity > 0.0 {
            seen.push_str(&format!(", queue {size:.0} of {capacity:.0}"));
        }
        if ever > 0.0 {
            seen.push_str(&format!(", {failed_now:.0} failed ({ever:.0} since the start)"));
        }
        let advice = "its peer does not take what comes: see whether it answers, and the log for what it says";
        if failed_now > 0.0 && sent == 0.0 {
            Finding::fail(id, seen, advice)
        } else if failed_now > 0.0 || size > QUEUE_NEAR * capacity {
            Finding::warn(id, seen, advice)
        } else {
            Finding::ok(id, seen)
        }
    };
    window.now.values(&all, "exporter").into_iter().map(one).collect()
}

/// What got lost, was not taken or broke since the start.
pub fn damages(page: &Page) -> Vec<Finding> {
    let mut found = Vec::new();
    for sample in page.all("foreglow_ledger_items").filter(|sample| sample.value > 0.0) {
        let (pipeline, exporter) = (sample.label("pipeline"), sample.label("exporter"));
        let count = format!("{:.0} items on their way to {exporter}", sample.value);
        match sample.label("fate") {
            "dropped" => found.push(Finding::warn(
                format!("pipeline {pipeline}"),
                format!("{count} dropped since the start: {}", sample.label("reason")),
                "the log of that time says why",
            )),
            "dead_lettered" => found.push(Finding::warn(
                format!("pipeline {pipeline}"),
                format!("{count} given up and kept as dead letters"),
                "mend what refused them, then send them again",
            )),
            _ => {}
        }
    }
    for sample in page.all("foreglow_store_refused_samples").filter(|sample| sample.value > 0.0) {
        let reason = sample.label("reason");
        found.push(Finding::warn(
            "store",
            format!("{:.0} samples not taken: {reason}", sample.value),
            match reason {
                reason
                    if reason.contains("old")
                        || reason.contains("future")
                        || reason.contains("order") =>
                {
                    "their times are not of now: look at the sender's clock"
                }
                _ => "see limits of embedded_store",
            },
        ));
    }
    for (name, what, advice) in [
        (
            "foreglow_store_flush_failures",
            "times memory could not be written to blocks",
            "is the disk full?",
        ),
        ("foreglow_store_log_refused_appends", "appends the log refused", "is the disk full?"),
        (
            "foreglow_store_log_dropped_records",
            "records dropped, oldest first",
            "raise retention.size of embedded_store",
        ),
        (
            "foreglow_store_log_quarantined_bytes",
            "damaged bytes set aside",
            "foreglow log verify shows them",
        ),
        ("foreglow_component_panics", "panics of a component", "please report it, with the log"),
        ("foreglow_file_ungrouped_items", "items in no group", "see the file exporter's README"),
    ] {
        if let Some(count) = page.sum(name).filter(|count| *count > 0.0) {
            found.push(Finding::warn("since the start", format!("{count:.0} {what}"), advice));
        }
    }
    for sample in page.all("foreglow_inference_requests") {
        let outcome = sample.label("outcome");
        if sample.value > 0.0 && outcome != "ok" {
            found.push(Finding::warn(
                format!("model {}", sample.label("model")),
                format!("{:.0} requests ended with {outcome} since the start", sample.value),
                "the log says what the model answered",
            ));
        }
    }
    found
}

/// Old enough for a minute to have a beginning.
pub fn uptime(page: &Page) -> Option<f64> {
    page.sum("otelcol_process_uptime")
}
