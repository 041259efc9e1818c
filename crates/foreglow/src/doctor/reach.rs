// SPDX-License-Identifier: Apache-2.0
//! Who is at each address, and whether it answers as it should.

use std::time::Duration;

use pipeline::Signal;
use pipeline::config::Plan;
use tokio::net::TcpStream;

use super::ask::{Asker, Said};
use super::places::{ModelServer, Peer, Place, Speaks, takes};
use super::report::Finding;
use crate::ports::{self, Owner};

/// Longest a peer may take to accept.
const CONNECT: Duration = Duration::from_secs(3);

/// Clocks may differ by so much before times in charts look wrong; dates of HTTP have whole seconds.
const SKEW_WARN: f64 = 2.0;

/// Beyond a minute what is sent misses the ranges that people look at.
const SKEW_FAIL: f64 = 60.0;

/// Three services of OTLP/gRPC, in the order of [`Speaks::Http`]'s paths.
const EXPORTS: [(Signal, &str); 3] = [
    (Signal::Traces, "opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    (Signal::Metrics, "opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
    (Signal::Logs, "opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];

/// gRPC's code for a method that does not exist.
const UNIMPLEMENTED: u32 = 12;

/// gRPC's codes for credentials that are missing or not enough.
const NO_ENTRY: [u32; 2] = [16, 7];

/// What is known of a place.
pub struct Seen {
    /// For the report.
    pub finding: Finding,
    /// Who listens.
    pub owner: Option<Owner>,
    /// An answer, for its clock.
    pub said: Option<Said>,
}

/// Looks who is at `place` and asks.
pub async fn look(asker: Asker, place: Place, plan: Option<&Plan>) -> Seen {
    let owner = place.port().filter(|_| place.is_local()).and_then(ports::owner);
    let what = format!("{} {}", place.speaks.name(), place.address);
    if owner.is_none() && place.is_local() {
        let advice = "nobody listens: start it (foreglow), or give doctor the arguments of what runs \
            (--config, --set, --listen)";
        let finding = Finding::fail(what, "nobody listens on this port", advice);
        return Seen { finding, owner, said: None };
    }
    let (outcome, said) = probe(&asker, &place, plan).await;
    let by = match &owner {
        Some(owner) => format!("{owner}: "),
        None => String::new(),
    };
    let stranger = owner.as_ref().filter(|owner| !is_foreglow(owner));
    let finding = match (outcome, stranger) {
        (Ok(seen), None) => Finding::ok(what, format!("{by}{seen}")),
        (Ok(seen), Some(_)) => Finding::warn(
            what,
            format!("{by}{seen}"),
            format!("it is not foreglow: what is sent here goes elsewhere; {}", moved(&place)),
        ),
        (Err(wrong), None) => Finding::fail(
            what,
            format!("{by}{wrong}"),
            format!(
                "look at the log of what runs there (foreglow writes it to stderr); {}",
                moved(&place)
            ),
        ),
        (Err(wrong), Some(owner)) => Finding::fail(
            what,
            format!("{by}{wrong}"),
            format!("stop {owner}, or {}", moved(&place)),
        ),
    };
    Seen { finding, owner, said }
}

fn moved(place: &Place) -> String {
    format!("listen elsewhere: {}", place.key)
}

/// This program, also under other names such as `otelcol` in images, and when another user runs it.
fn is_foreglow(owner: &Owner) -> bool {
    let Owner::Process { name, pid } = owner else { return true };
    let file = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    name == "foreglow" || file(&pid.to_string()).is_some_and(|its| file("self") == Some(its))
}

type Outcome = Result<String, String>;

async fn probe(asker: &Asker, place: &Place, plan: Option<&Plan>) -> (Outcome, Option<Said>) {
    let base = place.base();
    match &place.speaks {
        Speaks::Grpc => (otlp_grpc(asker, &base, plan).await, None),
        Speaks::Http(paths) => otlp_http(asker, &base, paths, plan).await,
        Speaks::Health(path) => asked(asker, &format!("{base}{path}"), "\"status\"").await,
        Speaks::Page => asked(asker, &format!("{base}/-/ready"), "").await,
        Speaks::Jaeger => asked(asker, &format!("{base}/api/services"), "\"data\"").await,
        Speaks::Metrics => asked(asker, &format!("{base}/metrics"), "otelcol_process").await,
    }
}

/// True of an address where a client may be refused and all is well.
fn asks_for_credentials(status: u16) -> bool {
    matches!(status, 401 | 403)
}

async fn asked(asker: &Asker, url: &str, has: &str) -> (Outcome, Option<Said>) {
    match asker.get(url).await {
        Err(error) => (Err(error), None),
        Ok(said) => {
            let text = said.text();
            let start: String = text.trim().chars().take(120).collect();
            let outcome = match said.status {
                200 if text.contains(has) => {
                    Ok(format!("answers in {:.1} ms", said.took.as_secs_f64() * 1e3))
                }
                200 => Err("answers, but not as foreglow does".to_owned()),
                status if asks_for_credentials(status) => {
                    Ok(format!("answers, and asks for credentials ({status})"))
                }
                503 => Err(format!("is not ready: {start}")),
                status => Err(format!("answers {status}: {start}")),
            };
            (outcome, Some(said))
        }
    }
}

/// What became of three requests without data.
#[derive(Default)]
struct Tried {
    taken: Vec<&'static str>,
    absent: Vec<&'static str>,
    closed: bool,
}

impl Tried {
    fn outcome(self, plan: Option<&Plan>) -> Outcome {
        let wanted = |name: &&&str| {
            plan.is_none_or(|plan| {
                EXPORTS.iter().any(|(s, _)| s.name() == **name && takes(plan, *s))
            })
        };
        let missing: Vec<_> = self.absent.iter().filter(wanted).copied().collect();
        match (self.taken.is_empty(), missing.is_empty()) {
            _ if self.closed => Ok("answers, and asks for credentials".to_owned()),
            (true, _) => Err("takes no signal".to_owned()),
            (false, true) => Ok(format!("takes {}", self.taken.join(", "))),
            (false, false) => {
                Err(format!("takes {}, but not {}", self.taken.join(", "), missing.join(", ")))
            }
        }
    }
}

/// An export without data of each signal over gRPC.
pub async fn otlp_grpc(asker: &Asker, base: &str, plan: Option<&Plan>) -> Outcome {
    let mut tried = Tried::default();
    for (signal, method) in EXPORTS {
        match asker.call(base, method, &[]).await? {
            (0, ..) => tried.taken.push(signal.name()),
            (UNIMPLEMENTED, ..) => tried.absent.push(signal.name()),
            (code, ..) if NO_ENTRY.contains(&code) => tried.closed = true,
            (code, message, _) => {
                return Err(format!("refuses {}: gRPC status {code} {message}", signal.name()));
            }
        }
    }
    tried.outcome(plan)
}

/// The same over HTTP.
pub async fn otlp_http(
    asker: &Asker,
    base: &str,
    paths: &[String; 3],
    plan: Option<&Plan>,
) -> (Outcome, Option<Said>) {
    let mut tried = Tried::default();
    let mut last = None;
    for ((signal, _), path) in EXPORTS.iter().zip(paths) {
        let said = match asker.post_nothing(&format!("{base}{path}")).await {
            Ok(said) => said,
            Err(error) => return (Err(error), None),
        };
        match said.status {
            200 => tried.taken.push(signal.name()),
            404 => tried.absent.push(signal.name()),
            status if asks_for_credentials(status) => tried.closed = true,
            status => {
                let text: String = said.text().chars().take(120).collect();
                return (Err(format!("refuses {}: {status} {text}", signal.name())), Some(said));
            }
        }
        last = Some(said);
    }
    (tried.outcome(plan), last)
}

/// Whether a server that is sent to accepts connections.
pub async fn peer(peer: Peer) -> Finding {
    let what = format!("{} -> {}", peer.id, peer.address);
    let advice = "start it, or correct the exporter's endpoint; until then the exporter retries and its \
        queue fills";
    match tokio::time::timeout(CONNECT, TcpStream::connect(&peer.address)).await {
        Ok(Ok(_)) => Finding::ok(what, "accepts connections"),
        Ok(Err(error)) => Finding::fail(what, error.to_string(), advice),
        Err(_) => Finding::fail(what, format!("does not accept within {CONNECT:?}"), advice),
    }
}

/// Whether a KServe server and the models of the rules are ready.
pub async fn models(asker: &Asker, server: &ModelServer) -> Vec<Finding> {
    const SERVICE: &str = "inference.GRPCInferenceService";
    let what = |of: &str| format!("{} {of}", server.id);
    let advice = "start the model server and load the model; originals flow on without predictions";
    let mut found = Vec::new();
    // `ready` is the answers' field 1.
    let is_ready = |bytes: &[u8]| bytes.starts_with(&[0x08, 0x01]);
    match asker.call(&server.base, &format!("{SERVICE}/ServerReady"), &[]).await {
        Ok((0, _, bytes)) if is_ready(&bytes) => {
            found.push(Finding::ok(what("model server"), format!("{} is ready", server.base)));
        }
        Ok((code, message, _)) => {
            let seen = format!("{} is not ready: status {code} {message}", server.base);
            return vec![Finding::fail(what("model server"), seen, advice)];
        }
        Err(error) => {
            return vec![Finding::fail(
                what("model server"),
                format!("{} {error}", server.base),
                advice,
            )];
        }
    }
    for model in server.models.iter().filter(|name| name.len() < 128) {
        // The name is field 1, its length one byte.
        let message = [&[0x0a, model.len() as u8], model.as_bytes()].concat();
        let answer = asker.call(&server.base, &format!("{SERVICE}/ModelReady"), &message).await;
        found.push(match answer {
            Ok((0, _, bytes)) if is_ready(&bytes) => Finding::ok(what(model), "model is ready"),
            Ok((code, told, _)) => Finding::fail(
                what(model),
                format!("model is not ready: status {code} {told}"),
                advice,
            ),
            Err(error) => Finding::fail(what(model), error, advice),
        });
    }
    found
}

/// Whether this clock and theirs agree.
pub fn clock(ahead: &[f64]) -> Option<Finding> {
    let most = ahead.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs()))?;
    let way = if most > 0.0 { "ahead of" } else { "behind" };
    let seen = format!("the server's clock is {:.0} s {way} this one", most.abs());
    let advice = "set both clocks by NTP: what is sent from here lands at the wrong time";
    Some(match most.abs() {
        skew if skew > SKEW_FAIL => Finding::fail("clocks", seen, advice),
        skew if skew > SKEW_WARN => Finding::warn("clocks", seen, advice),
        _ => Finding::ok("clocks", "the server's and this one agree"),
    })
}
