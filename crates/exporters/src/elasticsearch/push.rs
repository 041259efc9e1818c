// SPDX-License-Identifier: Apache-2.0
//! Sends the documents of a batch until each is taken, refused, or given up.
//!
//! ```text
//! batch -> documents -> requests -> answer -> taken | again | refused
//!             ^                                        |
//!             +----------------- back-off -------------+
//! ```
//! Only documents that the server did not take are sent again: those of a request that failed
//! (no answer, 429, 5xx), and single ones with such a status. A request that is too large (413) is
//! halved. Refused documents are counted with their reasons and not sent again. The nodes take
//! turns, one that does not answer is left for the next.
//!
//! OpenSearch refuses two parameters of action lines that only Elasticsearch has. The first such
//! refusal is taken as a sign: that batch and all later ones go without them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use basics::{Backoff, Error, Kind, Random, Result};
use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use pipeline::{Batch, Encoding};
use tokio::time::Instant;

use super::bulk::{self, Bulk, Item};
use super::config::{MODE_HEADER, Retry};
use super::encode::{Encoder, Report};
use crate::delivery::{Push, Pushed};
use crate::net::client::{self, Client, Parts};
use crate::net::{answer, compress};

/// How long documents are tried again when no number of attempts is configured; the collector's
/// `retry_on_failure.max_elapsed_time`.
const RETRY_TIME_MAX: Duration = Duration::from_secs(300);
/// What the answer may say about one document: a status, or an error with its reason.
const ANSWER_BYTES_PER_DOCUMENT: usize = 2 << 10;

/// Where and how to send.
pub(super) struct Sender {
    pub client: Client,
    /// URLs of `_bulk` on each node.
    pub nodes: Vec<Uri>,
    pub next: AtomicUsize,
    pub headers: HeaderMap,
    pub compression: Option<Encoding>,
    pub timeout: Duration,
    pub request_bytes_max: usize,
    pub retry: Retry,
    pub suppress_conflicts: bool,
    pub encoder: Encoder,
}

/// What became of a request.
enum Fate {
    /// Nothing is known of its documents, or none was taken.
    Again(Error),
    /// It is larger than the server takes.
    TooLarge,
    /// These of its documents are to be sent again.
    Taken(Vec<u32>),
    /// None of them will ever be taken.
    Refused(Error),
    /// It says what this server does not know; the batch is to be encoded anew.
    Foreign(Error),
}

#[async_trait]
impl Push for Sender {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        let asked = batch.meta.headers.iter().find(|(name, _)| name == MODE_HEADER);
        let asked = asked.map(|(_, mode)| mode.as_str());
        let (mut work, mut refused) = self.work(batch, asked).await;
        if work.is_foreign {
            (work, refused) = self.work(batch, asked).await;
        }
        let Work { delivered, report, .. } = work;
        match refused {
            // Nothing got there: the whole batch has failed.
            Some(error) if delivered == 0 => Err(error),
            _ => Ok(Pushed { rejected: report.rejected, message: report.message() }),
        }
    }
}

/// A batch on its way.
struct Work<'s> {
    sender: &'s Sender,
    body: Bytes,
    items: Vec<Item>,
    /// Documents taken.
    delivered: usize,
    /// Action lines are without what only Elasticsearch knows.
    plain: bool,
    /// The server turned out not to be Elasticsearch.
    is_foreign: bool,
    report: Report,
}

impl Work<'_> {
    /// Sends all requests, and again what is to be; gives the last error that cost documents.
    async fn run(&mut self, mut requests: VecDeque<Vec<u32>>) -> Option<Error> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(self.sender.retry.backoff());
        let mut lost = None;
        for attempt in 0.. {
            let (again, cause, asked) = self.round(&mut requests, &mut lost).await;
            if again.is_empty() {
                break;
            }
            let wait = backoff.next_wait(&mut Random::from_os()).max(asked.unwrap_or_default());
            let is_over = match self.sender.retry.count() {
                Some(count) => attempt >= count,
                None => begun.elapsed() + wait > RETRY_TIME_MAX,
            };
            if is_over {
                let error = cause.unwrap_or_else(|| Error::retry("documents were not taken"));
                self.report.add(self.stand_for(&again), error.message());
                lost = Some(error.within("no more retries left"));
                break;
            }
            tokio::time::sleep(wait).await;
            requests = self.cut(&again);
        }
        lost
    }

    /// Sends each request once; gives what is to be sent again, why, and the wait asked for.
    async fn round(
        &mut self,
        requests: &mut VecDeque<Vec<u32>>,
        lost: &mut Option<Error>,
    ) -> (Vec<u32>, Option<Error>, Option<Duration>) {
        let (mut again, mut cause, mut asked) = (Vec::new(), None, None);
        while let Some(request) = requests.pop_front() {
            match self.attempt(&request).await {
                Fate::Taken(rest) => {
                    if !rest.is_empty() {
                        cause = Some(Error::retry("documents were refused for now"));
                    }
                    again.extend(rest);
                }
                Fate::Again(error) => {
                    if let Kind::Retry { after } = error.kind() {
                        asked = after.max(asked);
                    }
                    cause = Some(error);
                    again.extend(request);
                }
                Fate::TooLarge if request.len() > 1 => {
                    let (first, second) = request.split_at(request.len() / 2);
                    requests.push_front(second.to_vec());
                    requests.push_front(first.to_vec());
                }
                Fate::TooLarge => {
                    let error = Error::rejected("a document is larger than the server takes");
                    self.report.add(self.stand_for(&request), error.message());
                    *lost = Some(error);
                }
                Fate::Refused(error) => {
                    self.report.add(self.stand_for(&request), error.message());
                    *lost = Some(error);
                }
                Fate::Foreign(error) => {
                    self.is_foreign = true;
                    *lost = Some(error);
                    return (Vec::new(), None, None);
                }
            }
        }
        (again, cause, asked)
    }

    fn cut(&self, items: &[u32]) -> VecDeque<Vec<u32>> {
        let bulk = Bulk { body: Vec::new(), items: self.items.clone() };
        bulk.requests(items, self.sender.request_bytes_max).into()
    }

    fn stand_for(&self, items: &[u32]) -> u64 {
        items.iter().map(|item| u64::from(self.items[*item as usize].stands_for)).sum()
    }

    async fn attempt(&mut self, request: &[u32]) -> Fate {
        let body = Bulk::request_body(&self.body, &self.items, request);
        let answer = match self.sender.send(body, request.len()).await {
            Ok(answer) => answer,
            Err(error) => return Fate::Again(error),
        };
        let status = answer.status.as_u16();
        if !answer.status.is_success() {
            return self.sender.failed(status, &answer, self.plain);
        }
        let read = match bulk::read_answer(&answer.body, request.len()) {
            Ok(read) => read,
            Err(error) => return Fate::Refused(error),
        };
        let mut again = Vec::new();
        for (at, item) in request.iter().enumerate() {
            let outcome = read.as_ref().map(|read| &read.items[at].create);
            match outcome.map_or(200, |outcome| outcome.status) {
                200..=299 => self.delivered += 1,
                status if self.sender.retry.takes_document(status) => again.push(*item),
                409 if self.sender.suppress_conflicts => self.delivered += 1,
                status => {
                    let cause = outcome.and_then(|outcome| outcome.error.as_ref());
                    let (kind, reason) = cause.map_or(("", ""), |c| (&*c.kind, &*c.reason));
                    let reason: String = reason.chars().take(200).collect();
                    let items = self.items[*item as usize].stands_for;
                    self.report.add(items.into(), format!("{status} {kind}: {reason}"));
                }
            }
        }
        Fate::Taken(again)
    }
}

impl Sender {
    /// Encodes and sends `batch`.
    async fn work(&self, batch: &Batch, asked: Option<&str>) -> (Work<'_>, Option<Error>) {
        let mut report = Report::default();
        let plain = self.encoder.plain.load(Ordering::Relaxed);
        let bulk = self.encoder.encode(&batch.payload, asked, &mut report);
        let all: Vec<u32> = (0..bulk.items.len() as u32).collect();
        let requests = bulk.requests(&all, self.request_bytes_max);
        let mut work = Work {
            sender: self,
            body: Bytes::from(bulk.body),
            items: bulk.items,
            delivered: 0,
            plain,
            is_foreign: false,
            report,
        };
        let refused = work.run(requests.into()).await;
        (work, refused)
    }

    /// One request to the next node.
    async fn send(&self, body: Bytes, documents: usize) -> Result<client::Answer> {
        let body = match self.compression {
            Some(encoding) => compress::compress(&body, encoding),
            None => body,
        };
        let node = self.next.fetch_add(1, Ordering::Relaxed) % self.nodes.len();
        let mut request = Request::new(Parts::new([body]));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.nodes[node].clone();
        *request.headers_mut() = self.headers.clone();
        let limit = (64 << 10) + documents * ANSWER_BYTES_PER_DOCUMENT;
        let sent = self.client.send_up_to(request, limit);
        if self.timeout.is_zero() {
            return sent.await;
        }
        match tokio::time::timeout(self.timeout, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::retry(format!("no answer within {:?}", self.timeout))),
        }
    }

    fn failed(&self, status: u16, answer: &client::Answer, plain: bool) -> Fate {
        if status == 413 {
            return Fate::TooLarge;
        }
        let message = format!("peer answered {}: {}", answer.status, answer::said(answer));
        match self.retry.takes(status) {
            true => {
                let after = answer::retry_after(&answer.headers);
                Fate::Again(Error::new(Kind::Retry { after }, message))
            }
            false if status == 400 && !plain && is_foreign(&message) => {
                self.encoder.plain.store(true, Ordering::Relaxed);
                Fate::Foreign(Error::rejected(message))
            }
            false => Fate::Refused(Error::rejected(message)),
        }
    }
}

/// OpenSearch's words about what it does not know.
fn is_foreign(message: &str) -> bool {
    message.contains("[require_data_stream]") || message.contains("[dynamic_templates]")
}
