// SPDX-License-Identifier: Apache-2.0
//! Labels of 1.0, encoded once, and where each stands in the request that is being written.
//!
//! A series is a list of numbers here, a tenth of its labels' bytes, and is written label by label:
//! one that stood in the request a short while ago as a copy of that, neighbours that stood beside
//! each other as one. A burst of series that differ in one label costs little more than that label.
//! Bound: the translator's; both are cleared together.

use hashbrown::HashMap;

use super::block::{Block, OFFSET_MAX};
use super::wire::put_label;

/// Labels met so far, for as long as the translator remembers their series.
#[derive(Debug)]
pub(super) struct Labels {
    /// All labels, encoded, one behind the other.
    bytes: Vec<u8>,
    spans: Vec<Span>,
    numbers: HashMap<Box<[u8]>, u32>,
    /// The labels of all series, by number.
    lists: Vec<u32>,
    /// By lane: where its block had each label last; 0 is out of every block's reach.
    last: Vec<Vec<u64>>,
}

/// Where a label is in the bytes.
#[derive(Clone, Copy, Debug)]
struct Span {
    begin: usize,
    length: u32,
}

/// The labels of a series.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    begin: usize,
    count: u32,
    /// Bytes of all labels.
    pub length: u32,
}

/// What a label costs beside its bytes, which are there twice: its place, and one in a table.
const LABEL_BYTES: usize = 64;

impl Labels {
    pub fn new(lanes: usize) -> Self {
        Labels {
            bytes: Vec::new(),
            spans: Vec::new(),
            numbers: HashMap::new(),
            lists: Vec::new(),
            last: vec![Vec::new(); lanes.max(1)],
        }
    }

    /// What is kept takes, estimated.
    pub fn bytes(&self) -> usize {
        2 * self.bytes.len() + self.spans.len() * LABEL_BYTES + self.lists.len() * size_of::<u32>()
    }

    /// Forgets everything; series that hold lists must go with it.
    pub fn clear(&mut self) {
        *self = Labels::new(self.last.len());
    }

    /// Remembers the labels of a series.
    pub fn list(&mut self, labels: &[(&str, &str)]) -> List {
        let mut list = List { begin: self.lists.len(), count: labels.len() as u32, length: 0 };
        let mut encoded = Vec::new();
        for (name, value) in labels {
            encoded.clear();
            put_label(&mut encoded, name, value);
            list.length += encoded.len() as u32;
            let number = self.number(&encoded);
            self.lists.push(number);
        }
        list
    }

    fn number(&mut self, encoded: &[u8]) -> u32 {
        if let Some(number) = self.numbers.get(encoded) {
            return *number;
        }
        let number = self.spans.len() as u32;
        self.spans.push(Span { begin: self.bytes.len(), length: encoded.len() as u32 });
        self.bytes.extend_from_slice(encoded);
        self.numbers.insert(encoded.into(), number);
        number
    }

    /// Writes a series' labels into `block`, which is lane `at`'s.
    #[inline]
    pub fn write(&mut self, at: usize, list: &List, block: &mut Block) {
        let last = &mut self.last[at];
        if last.len() < self.spans.len() {
            last.resize(self.spans.len(), 0);
        }
        let mut here = block.end();
        let (mut offset, mut length) = (0, 0);
        for number in &self.lists[list.begin..list.begin + list.count as usize] {
            let span = self.spans[*number as usize];
            let back = here - std::mem::replace(&mut last[*number as usize], here);
            here += u64::from(span.length);
            if back == offset {
                length += span.length as usize;
                continue;
            }
            block.copy(offset, length);
            (offset, length) = (0, 0);
            match back <= OFFSET_MAX {
                true => (offset, length) = (back, span.length as usize),
                false => block.literal(&self.bytes[span.begin..][..span.length as usize]),
            }
        }
        block.copy(offset, length);
    }
}
