// SPDX-License-Identifier: Apache-2.0
//! After a restart: what a log holds goes through its pipelines again, to the durable exporters.
//!
//! A record enters where it was appended: at the door, or behind the processor that made it. One
//! of a pipeline that is no longer configured goes to the first one of its signal on the same log
//! (what a processor made, straight to the exporters). One in an encoding of the back end's own came
//! past all pipelines and goes back there. What cannot be read is counted and passed
//! over: a start never fails on it.
//!
//! Bounds: [`READ_AHEAD`] records in memory beside those the pipelines hold.

use std::sync::Arc;
use std::time::Duration;

use basics::Clock;
use otlp_wire::{Payload, Signal};
use segment_log::{Log, Position, Stored};
use tokio::sync::{mpsc, oneshot};

use super::asked;
use super::chain::Chain;
use super::door::in_flight;
use crate::ack::Token;
use crate::batch::{Batch, Meta};
use crate::telemetry::{Counter, Telemetry};

/// Records read ahead of the pipelines: enough to overlap disk and work; one is 64 MiB at most.
const READ_AHEAD: usize = 4;

/// Longest wait for what stages hold when the log has been read: receivers start after it, so a
/// `batch` of a minute must not keep them closed.
const SETTLE_MAX: Duration = Duration::from_secs(5);

/// What is counted while replaying.
struct Tally {
    items: Counter,
    kept: Counter,
    skipped: Counter,
}

/// Replays all that `log` holds through `chains`, those whose log it is.
pub(crate) async fn replay(
    log: &Arc<Log>,
    chains: &[Arc<Chain>],
    telemetry: &Telemetry,
    clock: &Clock,
) {
    let tally = Tally {
        items: telemetry.counter("foreglow_replayed_items", "Items read back from a log.", &[]),
        kept: telemetry.counter(
            "foreglow_replay_kept_records",
            "Records of a log that need not be read back: blocks hold what became of them.",
            &[],
        ),
        skipped: telemetry.counter(
            "foreglow_replay_skipped_records",
            "Records of a log that no pipeline takes, or that are damaged.",
            &[],
        ),
    };
    let end = log.end();
    if log.oldest() == end {
        return;
    }
    let started = clock.monotonic();
    tracing::info!(bytes = end.0.saturating_sub(log.oldest().0), "replaying the log");
    // Nothing counts as settled before it has been given out.
    let all = log.hold(log.oldest());
    let mut records = read(log.clone(), end);
    // Runs when the last holder of the last batch has settled, stages' queues included.
    let (settled, all_settled) = oneshot::channel();
    let last = Token::new(move |_| {
        // Nobody listens after the deadline.
        let _ = settled.send(());
    });
    while let Some(record) = records.recv().await {
        if is_kept(&record, chains) {
            tally.kept.inc();
            continue;
        }
        if !matches!(record.encoding, asked::PLAIN | asked::ANSWERED) {
            match foreign(&record, chains) {
                Some(items) => tally.items.add(items),
                None => tally.skipped.inc(),
            }
            continue;
        }
        match batch_of(&record, chains) {
            Some((chain, mut batch)) => {
                tally.items.add(batch.items());
                batch.acks.add(last.clone());
                batch.acks.add(Token::of_record(log.hold(record.position)));
                enter(&chain, batch, &record).await;
            }
            None => tally.skipped.inc(),
        }
    }
    drop(all);
    drop(last);
    if tokio::time::timeout(SETTLE_MAX, all_settled).await.is_err() {
        tracing::info!("stages still hold a part of what was replayed");
    }
    tracing::info!(
        items = tally.items.get(),
        skipped_records = tally.skipped.get(),
        seconds = clock.monotonic().saturating_sub(started) as f64 / 1e9,
        "log replayed"
    );
}

/// Reads up to `end` on a thread that may block.
fn read(log: Arc<Log>, end: Position) -> mpsc::Receiver<Stored> {
    let (out, records) = mpsc::channel(READ_AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut reader = log.reader(Position::default());
        while reader.position() < end {
            let Some(record) = reader.next() else { return };
            if out.blocking_send(record).is_err() {
                return;
            }
        }
    });
    records
}

/// True when all that the record became lies elsewhere already, with every exporter of the log.
fn is_kept(record: &Stored, chains: &[Arc<Chain>]) -> bool {
    let Some(signal) = Signal::from_number(record.signal) else { return false };
    let edges = chains.iter().filter(|chain| chain.signal == signal).flat_map(|c| &c.fanout.edges);
    let mut keepers = edges.filter(|edge| edge.durable.get().is_some()).peekable();
    keepers.peek().is_some() && keepers.all(|edge| record.position < edge.exporter.replay_from())
}

/// Gives a record that came past the pipelines to the exporter whose back end wrote it, whatever
/// signal its pipelines have: metrics are written to a store in which only traces end.
fn foreign(record: &Stored, chains: &[Arc<Chain>]) -> Option<u64> {
    let edges = chains.iter().flat_map(|chain| &chain.fanout.edges);
    edges.filter(|edge| edge.durable.get().is_some()).find_map(|edge| edge.exporter.replay(record))
}

fn batch_of(record: &Stored, chains: &[Arc<Chain>]) -> Option<(Arc<Chain>, Batch)> {
    let signal = Signal::from_number(record.signal)?;
    let chain = chains
        .iter()
        .find(|chain| *chain.pipeline == *record.pipeline)
        .or_else(|| chains.iter().find(|chain| chain.signal == signal))?;
    let mut meta = Meta {
        received: record.received,
        tenant: record.tenant.as_str().into(),
        replay: true,
        ..Meta::default()
    };
    let request = asked::restore(record.encoding, record.body.clone(), &mut meta)?;
    let payload = match Payload::admit(signal, request) {
        Ok(payload) if chain.signal == signal => payload,
        Ok(_) => return None,
        Err(error) => {
            tracing::warn!(position = record.position.0, %error, "a record makes no sense");
            return None;
        }
    };
    Some((chain.clone(), Batch::new(payload, Arc::new(meta))))
}

async fn enter(chain: &Arc<Chain>, mut batch: Batch, record: &Stored) {
    let link = match record.entry {
        0 => 0,
        _ if *chain.pipeline != *record.pipeline => chain.links.len(),
        behind => chain.link_behind(behind.into()),
    };
    let book = &chain.books.replay;
    if record.entry == 0 {
        book.received(batch.items())
    } else {
        book.generated(batch.items())
    }
    batch.acks.add(in_flight(chain, &batch));
    if let Err(error) = chain.run(link, batch).await {
        tracing::warn!(pipeline = &*chain.pipeline, %error, "a replayed batch was not delivered");
    }
}
