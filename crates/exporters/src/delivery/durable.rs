// SPDX-License-Identifier: Apache-2.0
//! A queue that lies in a segment log (`sending_queue.storage`).
//!
//! ```text
//! offer -> append, fsync -> answer          next: read -> [being sent] -> done
//!                |                                 ^                       |
//!                +---------- the log --------------+      offset, once a second
//! ```
//! A request is in the log before its sender is answered, and in memory only while it is merged or
//! sent. The offset passes a request when its fate is known (delivered, given up); what the offset
//! has not passed when the process ends is sent again by the next one: at least once, and twice at
//! most what was sent in the last [`COMMIT_EVERY`] and what was being sent.
//! Damaged records are quarantined and counted by the log, those that make no sense are counted
//! here; neither keeps the exporter from starting.
//!
//! Record: signal; tenant; encoding 0 = the OTLP request; encoding 1 = a [`Kept`] with its length as
//! varint, then the request. Request headers (`include_metadata`) are kept so; the client's address
//! is not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use basics::{Error, Result};
use bytes::{Buf, Bytes};
use otlp_wire::{Payload, Signal};
use parking_lot::Mutex;
use pipeline::telemetry::Counter;
use pipeline::{Acks, Batch, Context, Meta};
use prost::Message;
use segment_log::{Consumer, Log, Position, Reader, Record, Start, Stored};
use tokio::sync::Notify;

use super::queue::{Queued, Sizer};
use super::room::{Claim, Claims, Room};

/// How often what has been delivered is noted: two fsyncs.
pub const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// Of a request's [`Meta`], what is kept beside the request.
#[derive(Clone, PartialEq, Message)]
struct Kept {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<Header>,
}

#[derive(Clone, PartialEq, Message)]
struct Header {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Which requests have been read and not met their fate.
#[derive(Default)]
pub(super) struct Offsets(Mutex<Reading>);

#[derive(Default)]
struct Reading {
    open: BTreeSet<u64>,
    /// Where the next one is read.
    read_to: u64,
}

impl Offsets {
    fn read(&self, stored: &Stored) {
        let mut reading = self.0.lock();
        reading.open.insert(stored.position.0);
        reading.read_to = stored.next.0;
    }

    pub fn done(&self, position: u64) {
        self.0.lock().open.remove(&position);
    }

    /// Everything before it has met its fate.
    fn low(&self) -> Position {
        let reading = self.0.lock();
        Position(reading.open.first().copied().unwrap_or(reading.read_to))
    }
}

/// The log of one queue.
pub(super) struct Durable {
    id: Arc<str>,
    signal: Signal,
    sizer: Sizer,
    log: Arc<Log>,
    consumer: Arc<Consumer>,
    reader: Arc<tokio::sync::Mutex<Reader>>,
    offsets: Arc<Offsets>,
    /// Who keeps the books of the requests that have not been read yet.
    books: Mutex<HashMap<u64, Acks>>,
    appended: Notify,
    skipped: Counter,
}

impl Durable {
    /// The queue in `log`; `room` learns what it holds. Reads all that is left: may block.
    pub fn open(context: &Context, sizer: Sizer, log: Arc<Log>, room: &Room) -> Result<Self> {
        let consumer = log.consumer("queue", Start::Oldest)?;
        let begin = consumer.position();
        let labels = [("exporter", &*context.id), ("data_type", context.signal.name())];
        let telemetry = context.host.telemetry();
        let skipped = telemetry.counter(
            "foreglow_exporter_queue_skipped_records_total",
            "Records of a durable queue that make no sense.",
            &labels,
        );
        let watched = Arc::downgrade(&log);
        telemetry.counter_from(
            "foreglow_exporter_queue_quarantined_bytes_total",
            "Damaged bytes found in a durable queue.",
            &labels,
            move || watched.upgrade().map_or(0.0, |log| log.stats().quarantined_bytes as f64),
        );
        let offsets = Offsets::default();
        offsets.0.lock().read_to = begin.0;
        let queue = Durable {
            id: context.id.clone(),
            signal: context.signal,
            sizer,
            consumer: Arc::new(consumer),
            reader: Arc::new(tokio::sync::Mutex::new(log.reader(begin))),
            log,
            offsets: Arc::new(offsets),
            books: Mutex::default(),
            appended: Notify::new(),
            skipped,
        };
        queue.count_what_is_left(begin, room);
        Ok(queue)
    }

    fn count_what_is_left(&self, begin: Position, room: &Room) {
        let end = self.log.end();
        let mut reader = self.log.reader(begin);
        let (mut requests, mut size) = (0u64, 0);
        while reader.position() < end {
            let Some(stored) = reader.next() else { break };
            if let Some((payload, _)) = self.open_record(&stored) {
                requests += 1;
                size += self.sizer.of(&payload);
            }
        }
        room.found(size);
        if requests > 0 {
            tracing::info!(exporter = %self.id, requests, "the durable queue holds requests of an earlier run");
        }
    }

    /// Puts `batch` into the log and answers those who wait once it is safe there.
    pub async fn offer(&self, mut batch: Batch, claims: Claims) -> Result<(), (Batch, Error)> {
        let parties = batch.acks.take_parties();
        let (encoding, body) = body_of(&batch);
        let record = Record {
            signal: self.signal.number(),
            entry: 0,
            encoding,
            tenant: &batch.meta.tenant,
            pipeline: "",
            received: batch.meta.received,
            body: &body,
        };
        let appended = {
            // Held while appending, so that whoever reads the record finds its books.
            let mut books = self.books.lock();
            let appended = self.log.append(&record);
            if let Ok(ticket) = &appended {
                books.insert(ticket.position().0, std::mem::take(&mut batch.acks));
            }
            appended
        };
        let ticket = match appended {
            Ok(ticket) => ticket,
            Err(error) => {
                batch.acks.join(parties);
                return Err((batch, error.within("durable queue")));
            }
        };
        // From here on the room belongs to the record, whether the sender waits for the disk or not.
        claims.leave_to_log();
        self.appended.notify_one();
        match ticket.await {
            Ok(()) => {
                parties.settle(Ok(()));
                Ok(())
            }
            Err(error) => {
                batch.acks = parties;
                Err((batch, error.within("durable queue")))
            }
        }
    }

    /// The next request; none once the queue is closed: what is left stays in the log.
    pub async fn next(&self, room: &Arc<Room>) -> Option<Queued> {
        loop {
            let appended = self.appended.notified();
            tokio::pin!(appended);
            appended.as_mut().enable();
            if room.is_closed() {
                return None;
            }
            match self.read().await {
                Some(stored) => {
                    if let Some(queued) = self.queued(&stored, room) {
                        return Some(queued);
                    }
                }
                None => appended.await,
            }
        }
    }

    async fn read(&self) -> Option<Stored> {
        let mut reader = self.reader.clone().lock_owned().await;
        let offsets = self.offsets.clone();
        let read = tokio::task::spawn_blocking(move || {
            let stored = reader.next();
            if let Some(stored) = &stored {
                // Under the reader's lock: offsets see the records in their order.
                offsets.read(stored);
            }
            stored
        });
        // A panic while reading counts as nothing read.
        read.await.ok().flatten()
    }

    fn queued(&self, stored: &Stored, room: &Arc<Room>) -> Option<Queued> {
        let position = stored.position.0;
        let acks = self.books.lock().remove(&position).unwrap_or_default();
        let Some((payload, meta)) = self.open_record(stored) else {
            self.skipped.inc();
            tracing::error!(exporter = %self.id, position, "a record of the durable queue makes no sense");
            acks.settle(Err(Error::corrupt("a record of the durable queue makes no sense")));
            self.offsets.done(position);
            return None;
        };
        let size = self.sizer.of(&payload);
        let claims = Claims::one(Claim::in_log(room, size, &self.offsets, position));
        let batch = Batch { acks, ..Batch::new(payload, Arc::new(meta)) };
        Some(Queued { batch, claims })
    }

    fn open_record(&self, stored: &Stored) -> Option<(Payload, Meta)> {
        let mut body: Bytes = stored.body.clone();
        let kept = match stored.encoding {
            0 => Kept::default(),
            1 => {
                let length = prost::encoding::decode_varint(&mut body).ok()?;
                let length = usize::try_from(length).ok().filter(|n| *n <= body.remaining())?;
                Kept::decode(body.split_to(length)).ok()?
            }
            _ => return None,
        };
        if stored.signal != self.signal.number() {
            return None;
        }
        let payload = Payload::admit(self.signal, body).ok()?;
        let headers = kept.headers.into_iter().map(|header| (header.name, header.value)).collect();
        let tenant = stored.tenant.as_str().into();
        Some((payload, Meta { received: stored.received, headers, tenant, ..Meta::default() }))
    }

    /// Notes what has been delivered, if anything has since the last time.
    pub async fn commit(&self) {
        let (low, consumer) = (self.offsets.low(), self.consumer.clone());
        if low <= consumer.position() {
            return;
        }
        let committed = tokio::task::spawn_blocking(move || consumer.commit(low)).await;
        if let Ok(Err(error)) = committed {
            tracing::warn!(exporter = %self.id, %error, "what was delivered may be sent again");
        }
    }

    /// Wakes whoever waits for a request, as when the queue closes.
    pub fn wake(&self) {
        self.appended.notify_waiters();
        self.appended.notify_one();
    }

    /// Ends the books: what has not been read is kept for the next run.
    pub async fn close(&self) {
        self.commit().await;
        let books = std::mem::take(&mut *self.books.lock());
        let kept = books.len();
        for (_, acks) in books {
            acks.settle(Ok(()));
        }
        if kept > 0 {
            tracing::info!(exporter = %self.id, requests = kept, "kept in the durable queue");
        }
        let log = self.log.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || log.close()).await {
            tracing::error!(exporter = %self.id, %error, "durable queue closed with an error");
        }
    }
}

/// The body of a record for `batch`, and how it is encoded.
fn body_of(batch: &Batch) -> (u8, Bytes) {
    let body = batch.payload.bytes();
    if batch.meta.headers.is_empty() {
        return (0, body.clone());
    }
    let headers = batch.meta.headers.iter();
    let headers = headers.map(|(name, value)| Header { name: name.clone(), value: value.clone() });
    let mut out = Kept { headers: headers.collect() }.encode_length_delimited_to_vec();
    out.extend_from_slice(body);
    (1, out.into())
}
