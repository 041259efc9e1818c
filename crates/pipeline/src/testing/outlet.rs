// SPDX-License-Identifier: Apache-2.0
//! The rest of a pipeline, for tests of one stage or watch.

use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Payload;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ack::{Acks, Token};
use crate::batch::{Batch, Meta};
use crate::component::{Downstream, Outlet};
use crate::ledger::Fate;

/// What came out of the component under test.
pub struct Rest {
    out: Arc<Out>,
    closing: watch::Sender<bool>,
}

#[derive(Default)]
struct Out {
    forwarded: Mutex<Vec<Batch>>,
    generated: Mutex<Vec<(Payload, Arc<Meta>)>>,
    left: Mutex<Vec<(u64, Fate)>>,
    kept: Mutex<i64>,
    failure: Mutex<Option<Error>>,
}

/// An outlet, and what comes out of it.
pub fn outlet() -> (Outlet, Rest) {
    let out = Arc::new(Out::default());
    let closing = watch::Sender::new(false);
    let outlet = Outlet { down: out.clone(), closed: closing.subscribe() };
    (outlet, Rest { out, closing })
}

impl Rest {
    /// Batches sent on so far, their acks settled.
    pub fn forwarded(&self) -> Vec<Batch> {
        self.out.forwarded.lock().clone()
    }

    /// Items of the batches sent on so far.
    pub fn items(&self) -> Vec<u64> {
        self.out.forwarded.lock().iter().map(Batch::items).collect()
    }

    /// Payloads made by the component so far.
    pub fn generated(&self) -> Vec<(Payload, Arc<Meta>)> {
        self.out.generated.lock().clone()
    }

    /// Items left out so far.
    pub fn left(&self) -> Vec<(u64, Fate)> {
        self.out.left.lock().clone()
    }

    /// Items that the component has taken over and not sent on or let go yet.
    pub fn kept(&self) -> i64 {
        *self.out.kept.lock()
    }

    /// From now on everything sent on fails with `failure`.
    pub fn fail(&self, failure: Error) {
        *self.out.failure.lock() = Some(failure);
    }

    /// The pipeline is stopping.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }
}

#[async_trait]
impl Downstream for Out {
    async fn forward(&self, mut batch: Batch) -> Result<()> {
        let acks = std::mem::replace(&mut batch.acks, Acks::none());
        let outcome = self.failure.lock().clone().map_or(Ok(()), Err);
        self.forwarded.lock().push(batch);
        acks.settle(outcome.clone());
        outcome
    }

    async fn generate(&self, payload: Payload, meta: Arc<Meta>) -> Result<()> {
        self.generated.lock().push((payload, meta));
        self.failure.lock().clone().map_or(Ok(()), Err)
    }

    fn left(&self, _: &Meta, items: u64, fate: Fate) {
        self.left.lock().push((items, fate));
    }

    fn kept(&self, _: &Meta, items: i64) {
        *self.kept.lock() += items;
    }

    fn in_flight(&self, _: &Batch) -> Arc<Token> {
        Token::new(|_| ())
    }
}
