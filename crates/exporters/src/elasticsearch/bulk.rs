// SPDX-License-Identifier: Apache-2.0
//! The body of bulk requests and what is answered to it.
//!
//! ```text
//! {"create":{"_index":"traces-generic.otel-default","require_data_stream":true}}\n
//! {"@timestamp":...}\n
//! ```
//! All documents of a batch lie in one buffer; a request is some of them, so one that was refused
//! is sent again without encoding it anew.

use std::borrow::Cow;

use basics::{Error, Result};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Documents with their action lines.
#[derive(Default)]
pub(super) struct Bulk {
    pub body: Vec<u8>,
    pub items: Vec<Item>,
}

/// One document.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    /// Where it begins in the body, and where it ends.
    pub range: (usize, usize),
    /// Spans, points or records it stands for; 0 for what a span brings along.
    pub stands_for: u32,
}

impl Bulk {
    /// Appends a document; `write` appends both of its lines.
    pub fn document(&mut self, stands_for: u32, write: impl FnOnce(&mut Vec<u8>)) {
        let begin = self.body.len();
        write(&mut self.body);
        self.body.push(b'\n');
        self.items.push(Item { range: (begin, self.body.len()), stands_for });
    }

    /// Cuts `items` into requests of at most `bytes_max`; a larger document goes alone.
    pub fn requests(&self, items: &[u32], bytes_max: usize) -> Vec<Vec<u32>> {
        let mut requests: Vec<Vec<u32>> = Vec::new();
        let mut size = 0;
        for item in items {
            let (begin, end) = self.items[*item as usize].range;
            match requests.last_mut() {
                Some(request) if size + end - begin <= bytes_max => request.push(*item),
                _ => {
                    requests.push(vec![*item]);
                    size = 0;
                }
            }
            size += end - begin;
        }
        requests
    }

    /// The body of a request for `items`; copied only where it has gaps.
    pub fn request_body(body: &Bytes, all: &[Item], items: &[u32]) -> Bytes {
        let ranges = items.iter().map(|item| all[*item as usize].range);
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (begin, end) in ranges {
            match runs.last_mut() {
                Some(run) if run.1 == begin => run.1 = end,
                _ => runs.push((begin, end)),
            }
        }
        match runs[..] {
            [(begin, end)] => body.slice(begin..end),
            _ => runs.iter().flat_map(|(begin, end)| &body[*begin..*end]).copied().collect(),
        }
    }
}

/// The answer to a bulk request, as far as it matters.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(default)]
    pub errors: bool,
    #[serde(borrow, default)]
    pub items: Vec<Action<'a>>,
}

/// `{"create": {...}}`, whatever the action.
#[derive(Debug, Deserialize)]
pub(super) struct Action<'a> {
    #[serde(borrow, alias = "index", alias = "update", alias = "delete")]
    pub create: Outcome<'a>,
}

/// What became of one document.
#[derive(Debug, Deserialize)]
pub(super) struct Outcome<'a> {
    pub status: u16,
    #[serde(borrow, default)]
    pub error: Option<Cause<'a>>,
}

/// Why it was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Cause<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// Reads an answer; `None` when all documents were taken.
///
/// # Errors
/// `Rejected` when it is none, or speaks of another number of documents.
pub(super) fn read_answer(body: &[u8], documents: usize) -> Result<Option<Answer<'_>>> {
    #[derive(Deserialize)]
    struct Head {
        errors: bool,
        #[serde(rename = "items")]
        _items: IgnoredAny,
    }
    let wrong = |what: String| Error::rejected(format!("the answer to a bulk request {what}"));
    if let Ok(Head { errors: false, .. }) = serde_json::from_slice(body) {
        return Ok(None);
    }
    let answer: Answer<'_> =
        serde_json::from_slice(body).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if answer.items.len() != documents {
        let count = answer.items.len();
        return Err(wrong(format!("is about {count} documents instead of {documents}")));
    }
    Ok(answer.errors.then_some(answer))
}
