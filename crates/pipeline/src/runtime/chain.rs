// SPDX-License-Identifier: Apache-2.0
//! One pipeline behind its door: what a batch meets, in order, and where it may enter.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::{Asked, Payload, Signal};

use super::door::{Entrance, admit, in_flight};
use super::fanout::FanOut;
use super::gate::GateNode;
use super::passes::Fused;
use super::stage::StageNode;
use super::watch::WatchNode;
use crate::ack::{Lane, Token};
use crate::batch::{Batch, Meta};
use crate::component::Downstream;
use crate::ledger::{Book, Fate, Reason};
use crate::telemetry::ProcessorMeter;

/// A pipeline's processors and exporters.
pub(crate) struct Chain {
    pub pipeline: Arc<str>,
    pub signal: Signal,
    /// Tells what its log's exporter rejects apart from what other pipelines reject.
    pub lane: Lane,
    pub links: Vec<Link>,
    pub fanout: FanOut,
    pub books: Books,
    /// What the passes look at in the request that brought a batch: the log keeps it.
    pub asked: Vec<Asked>,
    /// The log of its durable exporters, if there are any; known once the exporters have started.
    pub log: OnceLock<Arc<segment_log::Log>>,
}

/// What a batch meets between door and fan-out.
pub(crate) struct Link {
    /// Index in the pipeline of the first processor it stands for.
    pub first: usize,
    pub kind: LinkKind,
}

pub(crate) enum LinkKind {
    Gate(GateNode),
    Passes(Fused),
    Watch(Arc<WatchNode>),
    Stage(Arc<StageNode>),
}

/// The accounts of what comes in now and of what the log gives again.
#[derive(Clone)]
pub(crate) struct Books {
    pub live: Book,
    pub replay: Book,
}

impl Books {
    pub fn of(&self, meta: &Meta) -> &Book {
        if meta.replay { &self.replay } else { &self.live }
    }
}

/// Items of a batch while it is between two places that account for it. Dropped on the way (the
/// task that brought it was cancelled) it counts them as lost.
pub(crate) struct InHand {
    book: Book,
    items: u64,
}

impl InHand {
    pub fn new(book: &Book, items: u64) -> Self {
        InHand { book: book.clone(), items }
    }

    /// `items` met `fate`, the others go on.
    pub fn less(&mut self, fate: Fate, items: u64) {
        self.book.before(fate, items);
        self.items = self.items.saturating_sub(items);
    }

    /// All of them met `fate`.
    pub fn ends(mut self, fate: Fate) {
        let items = self.items;
        self.less(fate, items);
    }

    /// Someone else accounts for them from here.
    pub fn taken(mut self) {
        self.items = 0;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if self.items > 0 {
            self.book.before(Fate::Dropped(Reason::Cancelled), self.items);
        }
    }
}

impl Chain {
    /// Takes `batch` from link number `from` on to the next stage's queue or through the
    /// exporters.
    pub async fn run(&self, from: usize, batch: Batch) -> Result<()> {
        let mut hand = InHand::new(self.books.of(&batch.meta), batch.items());
        let mut batch = batch;
        for link in self.links.get(from..).unwrap_or_default() {
            match &link.kind {
                LinkKind::Gate(gate) => {
                    if let Err(error) = gate.admit(&batch) {
                        hand.ends(Fate::Dropped(error.kind().into()));
                        batch.settle(Err(error.clone()));
                        return Err(error);
                    }
                }
                LinkKind::Passes(passes) => match passes.edit(batch, &mut hand)? {
                    Some(edited) => batch = edited,
                    None => return Ok(()),
                },
                LinkKind::Watch(watch) => watch.see(&batch),
                LinkKind::Stage(stage) => return stage.put(batch, hand, self.is_durable()).await,
            }
        }
        self.fanout.deliver(batch, hand).await
    }

    /// Asks the gates that the chain begins with; the number of links that are passed then.
    ///
    /// # Errors
    /// What the first of them says that refuses.
    pub fn ask_gates(&self, batch: &Batch) -> Result<usize> {
        let mut passed = 0;
        for link in &self.links {
            let LinkKind::Gate(gate) = &link.kind else { break };
            gate.admit(batch)?;
            passed += 1;
        }
        Ok(passed)
    }

    /// The link at which a batch enters that comes from behind the processor number `after` - 1.
    pub fn link_behind(&self, after: usize) -> usize {
        self.links.partition_point(|link| link.first < after)
    }

    /// True when no stage holds data back: what enters is through as fast as the machine allows.
    pub fn passes_at_once(&self) -> bool {
        self.links.iter().all(|link| match &link.kind {
            LinkKind::Gate(_) | LinkKind::Passes(_) | LinkKind::Watch(_) => true,
            LinkKind::Stage(stage) => stage.passes_at_once,
        })
    }

    /// True when what is admitted is in a log before it is acknowledged.
    pub fn is_durable(&self) -> bool {
        self.log.get().is_some()
    }
}

/// The rest of a pipeline as a stage or watch sees it.
pub(crate) struct Rest {
    pub chain: Arc<Chain>,
    /// Index of the processor that sends.
    pub processor: usize,
    /// What a stage holds; a watch holds nothing.
    pub stage: Option<Arc<StageNode>>,
    pub meter: ProcessorMeter,
}

impl Rest {
    fn link(&self) -> usize {
        self.chain.link_behind(self.processor + 1)
    }
}

#[async_trait]
impl Downstream for Rest {
    async fn forward(&self, batch: Batch) -> Result<()> {
        self.meter.outgoing(batch.items());
        if let Some(stage) = &self.stage {
            stage.released(&batch.meta, batch.items());
        }
        self.chain.run(self.link(), batch).await
    }

    async fn generate(&self, payload: Payload, meta: Arc<Meta>) -> Result<()> {
        let batch = Batch::new(payload, meta);
        self.meter.outgoing(batch.items());
        let entry = u8::try_from(self.processor + 1)
            .map_err(|_| Error::invalid("a durable pipeline has at most 254 processors"))?;
        admit(&self.chain, batch, Entrance { entry, link: self.link() }).await
    }

    fn left(&self, meta: &Meta, items: u64, fate: Fate) {
        if let Some(stage) = &self.stage {
            stage.released(meta, items);
        }
        self.chain.books.of(meta).before(fate, items);
    }

    fn kept(&self, meta: &Meta, items: i64) {
        match &self.stage {
            Some(stage) => stage.keeps(meta, items),
            None => self.chain.books.of(meta).moving(items),
        }
    }

    fn in_flight(&self, batch: &Batch) -> Arc<Token> {
        in_flight(&self.chain, batch)
    }
}
