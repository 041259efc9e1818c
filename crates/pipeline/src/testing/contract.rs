// SPDX-License-Identifier: Apache-2.0
//! What every exporter and every stage must do, whatever else it does. Run over each
//! implementation by its own tests.

use std::sync::Arc;
use std::time::Duration;

use otlp_wire::Signal;

use super::{eventually, outlet, payload, watched};
use crate::batch::{Batch, Meta};
use crate::component::{Exporter, Stage};

fn numbered(signal: Signal, items: u32) -> Batch {
    Batch::new(payload(signal, "contract", items), Arc::new(Meta::default()))
}

/// An exporter whose destination takes everything: each batch is answered once, with a success,
/// by the time the exporter has stopped; after that it refuses.
///
/// # Panics
/// When it does not hold.
pub async fn exporter_delivers(exporter: Arc<dyn Exporter>, signal: Signal) {
    exporter.start().await.expect("starts");
    let mut answers = Vec::new();
    for items in 1..=5 {
        let (batch, answer) = watched(numbered(signal, items));
        exporter.export(batch).await.expect("takes a batch");
        answers.push(answer);
    }
    exporter.stop().await.expect("stops");
    for answer in answers {
        assert!(matches!(answer.get(), Some(Ok(()))), "{:?}", answer.get());
    }
}

/// An exporter whose destination refuses for good or is not there: starting and stopping work all
/// the same, and each batch is answered once, with an error.
///
/// # Panics
/// When it does not hold.
pub async fn exporter_gives_up(exporter: Arc<dyn Exporter>, signal: Signal) {
    exporter.start().await.expect("starts without its peer");
    let (batch, answer) = watched(numbered(signal, 3));
    // Taken into a queue or refused at once: both are fine.
    let _ = exporter.export(batch).await;
    exporter.stop().await.expect("stops");
    eventually("the batch is answered", || answer.get().is_some()).await;
    assert!(matches!(answer.get(), Some(Err(_))), "{:?}", answer.get());
}

/// A stage loses nothing: every item that went in is sent on or accounted for by the time it has
/// finished, every batch is answered once, and a deadline that has passed is not asked for again
/// after its tick.
///
/// # Panics
/// When it does not hold.
pub async fn stage_accounts_for_everything(stage: &mut dyn Stage, signal: Signal) {
    let (out, rest) = outlet();
    let (mut came, mut answers) = (0, Vec::new());
    for items in [1, 100, 0, 7, 1_000, 3] {
        let (batch, answer) = watched(numbered(signal, items));
        came += batch.items();
        stage.take(batch, &out).await.expect("takes a batch");
        answers.push(answer);
    }
    stage.tick(&out).await.expect("ticks");
    assert_ne!(stage.deadline(), Some(Duration::ZERO), "would tick for ever");
    stage.finish(&out).await.expect("finishes");
    let went: u64 = rest.items().iter().sum::<u64>() + rest.left().iter().map(|l| l.0).sum::<u64>();
    assert_eq!(went, came, "items that went on or were accounted for");
    for answer in answers {
        assert!(answer.get().is_some(), "a batch was not answered");
    }
}
