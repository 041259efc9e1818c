// SPDX-License-Identifier: Apache-2.0
//! `sending_queue.batch`: requests of the queue become batches of the size that is wanted.
//!
//! One task takes requests from the queue, keeps them apart by the request headers named in
//! `partition.metadata_keys` (and by tenant), and hands a batch to the consumers once it has
//! `min_size` or its oldest part has waited `flush_timeout`; no batch is larger than `max_size`.
//! What is being merged still counts against the queue, so the queue's bound is the bound of this;
//! when somebody finds no room, it is sent as it is: waiting would keep out what it waits for.
//! Bounds: [`PARTITIONS_MAX`]; beyond it the oldest partition is flushed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use otlp_wire::Payload;
use pipeline::{Acks, Batch, Meta};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::queue::{Queue, Queued, Sizer};
use super::room::Claims;

/// Most partitions that are merged at a time: as many tenants as a collector commonly serves.
pub const PARTITIONS_MAX: usize = 1000;

/// Settings of the merging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// A batch waits no longer than this.
    pub flush_timeout: Duration,
    /// Sent as soon as it has this size.
    pub min_size: u64,
    /// Split above this size; 0 = never.
    pub max_size: u64,
    /// Unit of both: items or bytes.
    pub sizer: Sizer,
    /// Request headers, in lower case, whose values keep requests apart.
    pub metadata_keys: Vec<String>,
}

/// Merges until the queue is closed and empty, or nobody takes batches any more.
pub(super) async fn merge(queue: &Queue, settings: &BatchSettings, out: mpsc::Sender<Queued>) {
    let mut groups: Vec<Group> = Vec::new();
    // Kept while other things happen: it must not be dropped with a request in its hands.
    let mut next = Box::pin(queue.next());
    loop {
        let due = groups.iter().map(|group| group.since + settings.flush_timeout).min();
        let time_is_up = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let ready = tokio::select! {
            biased;
            () = time_is_up => {
                let now = Instant::now();
                let is_due = |group: &mut Group| group.since + settings.flush_timeout <= now;
                let due: Vec<Group> = groups.extract_if(.., is_due).collect();
                due.into_iter().flat_map(|group| group.pieces(settings, true)).collect()
            }
            queued = &mut next => match queued {
                Some(queued) => {
                    next.set(queue.next());
                    add(&mut groups, queued, settings)
                }
                None => break,
            },
            // Last: by now all that was queued is in a group.
            () = queue.pressed() => {
                groups.drain(..).flat_map(|group| group.pieces(settings, true)).collect()
            }
        };
        for batch in ready {
            if out.send(batch).await.is_err() {
                return;
            }
        }
    }
    for batch in groups.into_iter().flat_map(|group| group.pieces(settings, true)) {
        if out.send(batch).await.is_err() {
            return;
        }
    }
}

/// Puts `queued` where it belongs; what is large enough by now comes back.
fn add(groups: &mut Vec<Group>, queued: Queued, settings: &BatchSettings) -> Vec<Queued> {
    let key = Key::of(&queued.batch.meta, &settings.metadata_keys);
    let mut ready = Vec::new();
    let at = match groups.iter().position(|group| group.key == key) {
        Some(at) => at,
        None => {
            if groups.len() >= PARTITIONS_MAX {
                ready.extend(groups.remove(0).pieces(settings, true));
            }
            groups.push(Group::new(key));
            groups.len() - 1
        }
    };
    groups[at].add(queued, settings.sizer);
    if groups[at].size >= settings.min_size {
        let mut group = groups.remove(at);
        let rest = group.rest(settings);
        ready.extend(group.pieces(settings, false));
        groups.extend(rest);
    }
    ready
}

/// What requests must have in common to be merged.
#[derive(PartialEq, Eq)]
struct Key {
    tenant: Arc<str>,
    headers: Vec<(String, String)>,
}

impl Key {
    fn of(meta: &Meta, names: &[String]) -> Self {
        let named = |(key, _): &&(String, String)| names.contains(key);
        let headers = meta.headers.iter().filter(named).cloned().collect();
        Key { tenant: meta.tenant.clone(), headers }
    }
}

/// Who waits for how many items, and what these take of the queue.
type Party = (u64, Acks, Claims);

/// Requests of one key, in the order they came.
struct Group {
    key: Key,
    since: Instant,
    parts: Vec<Payload>,
    waiting: VecDeque<Party>,
    size: u64,
    received: u64,
    /// Whether the single part may go out as it is.
    alone: Option<Batch>,
}

impl Group {
    fn new(key: Key) -> Self {
        Group {
            key,
            since: Instant::now(),
            parts: Vec::new(),
            waiting: VecDeque::new(),
            size: 0,
            received: u64::MAX,
            alone: None,
        }
    }

    fn add(&mut self, queued: Queued, sizer: Sizer) {
        let Queued { mut batch, claims } = queued;
        self.size += sizer.of(&batch.payload);
        self.received = self.received.min(batch.meta.received);
        let acks = std::mem::take(&mut batch.acks);
        self.waiting.push_back((batch.items(), acks, claims));
        self.parts.push(batch.payload.clone());
        self.alone = (self.parts.len() == 1).then_some(batch);
    }

    /// The last piece, as a group of its own, if it is smaller than `min_size`: it waits for more.
    fn rest(&mut self, settings: &BatchSettings) -> Option<Group> {
        if settings.max_size == 0 || self.size <= settings.max_size {
            return None;
        }
        self.alone = None;
        let pieces = split(Payload::concat(&self.parts), settings);
        self.parts = pieces;
        let last = self.parts.pop_if(|last| settings.sizer.of(last) < settings.min_size)?;
        let key = Key { tenant: self.key.tenant.clone(), headers: self.key.headers.clone() };
        let mut rest =
            Group { size: settings.sizer.of(&last), received: self.received, ..Group::new(key) };
        let all: u64 = self.waiting.iter().map(|(items, ..)| items).sum();
        let first = all - u64::from(last.items());
        let taken = take(&mut self.waiting, first);
        rest.waiting = std::mem::replace(&mut self.waiting, taken);
        rest.parts.push(last);
        Some(rest)
    }

    /// All of it as batches; `whole` says that its parts have not been cut to size yet.
    fn pieces(self, settings: &BatchSettings, whole: bool) -> Vec<Queued> {
        let Group { key, parts, mut waiting, received, alone, size, .. } = self;
        if let Some(batch) = alone
            && (settings.max_size == 0 || size <= settings.max_size)
        {
            // A single request goes out as it came, compressed body included.
            return vec![queued(batch, waiting)];
        }
        let meta = Meta { received, headers: key.headers, tenant: key.tenant, ..Meta::default() };
        let meta = Arc::new(meta);
        let cut = !whole && settings.max_size > 0 && size > settings.max_size;
        let pieces = if cut { parts } else { split(Payload::concat(&parts), settings) };
        let mut out = Vec::with_capacity(pieces.len());
        for payload in pieces {
            let of_it = take(&mut waiting, u64::from(payload.items()));
            out.push(queued(Batch::new(payload, meta.clone()), of_it));
        }
        out
    }
}

/// Takes the parties of the next `items` items out of `waiting`; one that is cut is in both.
fn take(waiting: &mut VecDeque<Party>, mut items: u64) -> VecDeque<Party> {
    let mut taken = VecDeque::new();
    while items > 0 {
        let Some((count, acks, claims)) = waiting.pop_front() else { break };
        if count > items {
            taken.push_back((items, acks.clone(), claims.share()));
            waiting.push_front((count - items, acks, claims));
            break;
        }
        items -= count;
        taken.push_back((count, acks, claims));
    }
    taken
}

fn queued(mut batch: Batch, waiting: VecDeque<Party>) -> Queued {
    let mut claims = Claims::default();
    for (_, acks, more) in waiting {
        batch.acks.join(acks);
        claims.join(more);
    }
    Queued { batch, claims }
}

/// Parts of at most `max_size`; one item may be larger.
fn split(payload: Payload, settings: &BatchSettings) -> Vec<Payload> {
    let max = settings.max_size;
    match settings.sizer {
        _ if max == 0 => vec![payload],
        Sizer::Bytes => {
            let mut done = Vec::new();
            split_bytes(payload, max, &mut done);
            done
        }
        Sizer::Items | Sizer::Requests => payload.split(u32::try_from(max).unwrap_or(u32::MAX)),
    }
}

fn split_bytes(payload: Payload, max: u64, done: &mut Vec<Payload>) {
    let (bytes, items) = (payload.len() as u64, payload.items());
    if bytes <= max || items <= 1 {
        done.push(payload);
        return;
    }
    // Parts repeat the heads of resource and scope: those that come out too large are cut again.
    let parts = u32::try_from(bytes.div_ceil(max)).unwrap_or(u32::MAX);
    let items = (items / parts.max(2)).max(1);
    for part in payload.split(items) {
        split_bytes(part, max, done);
    }
}
