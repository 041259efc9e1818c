// SPDX-License-Identifier: Apache-2.0
//! The lazy copy: output is written only once something differs from the input.
//!
//! Three levels are open at a time: request, resource, scope. Each remembers up to where its input
//! is already in the output. The first change below a level opens it (and its parents): its
//! length-prefix is written as wide as it was, and its input up to the change copied. Runs of
//! untouched children so become one copy, and a payload without a change costs none.

use crate::wire::{Frame, put_len, varint_len};

/// The request itself.
pub(super) const REQUEST: usize = 0;
/// A resource group.
pub(super) const RESOURCE: usize = 1;
/// A scope group.
pub(super) const SCOPE: usize = 2;

/// Output is first reserved an eighth larger than the input, so that an attribute more an element
/// does not copy it again.
const GROWTH: usize = 8;

#[derive(Clone, Copy, Default)]
struct Level<'a> {
    body: &'a [u8],
    /// Input up to here is in the output (when open).
    copied: usize,
    /// The child that is being looked at.
    child: (usize, usize),
    /// A field of the body that is left out of copies: it was written anew.
    skip: (usize, usize),
    open: bool,
    frame: Option<Frame>,
}

/// The output of an edit and the three levels of input it follows.
pub(super) struct Cow<'a, 'o> {
    pub(super) out: &'o mut Vec<u8>,
    levels: [Level<'a>; 3],
}

impl<'a, 'o> Cow<'a, 'o> {
    pub(super) fn new(out: &'o mut Vec<u8>, request: &'a [u8]) -> Self {
        out.clear();
        let mut levels = [Level::default(); 3];
        levels[REQUEST].body = request;
        Cow { out, levels }
    }

    /// True when anything was written: the output differs from the input.
    pub(super) fn changed(&self) -> bool {
        self.levels[REQUEST].open
    }

    /// Starts a level: its content and where it lies in its parent.
    #[inline]
    pub(super) fn enter(&mut self, level: usize, body: &'a [u8], at: (usize, usize)) {
        self.levels[level - 1].child = at;
        self.levels[level] = Level { body, ..Level::default() };
    }

    /// The child of `level` at `at` is replaced by what the caller writes next.
    #[inline]
    pub(super) fn replace(&mut self, level: usize, at: (usize, usize)) {
        self.open(level);
        self.copy_to(level, at.0);
        self.levels[level].copied = at.1;
    }

    /// Writes a new `Resource` or scope message into the group of `level`, in place of the field
    /// at `old`.
    pub(super) fn put_above(&mut self, level: usize, message: &[u8], old: (usize, usize)) {
        self.open(level);
        put_len(self.out, 1, message);
        self.levels[level].skip = old;
    }

    /// Ends a level: the rest of its input is copied; `empty` removes it whole.
    #[inline]
    pub(super) fn leave(&mut self, level: usize, empty: bool) {
        if !self.levels[level].open {
            if empty {
                self.replace(level - 1, self.levels[level - 1].child);
            }
            return;
        }
        self.copy_to(level, self.levels[level].body.len());
        let Some(frame) = self.levels[level].frame else { return };
        if empty { frame.cancel(self.out) } else { frame.close(self.out) }
    }

    fn open(&mut self, level: usize) {
        if self.levels[level].open {
            return;
        }
        if level > REQUEST {
            self.open(level - 1);
            let (start, end) = self.levels[level - 1].child;
            self.copy_to(level - 1, start);
            self.levels[level - 1].copied = end;
            let width = varint_len(self.levels[level].body.len() as u64);
            // A resource group is field 1 of the request, a scope group field 2 of its resource.
            self.levels[level].frame = Some(Frame::open(self.out, level as u32, width));
        } else {
            let size = self.levels[REQUEST].body.len();
            self.out.reserve_exact(size + size / GROWTH);
        }
        self.levels[level].open = true;
    }

    #[inline]
    fn copy_to(&mut self, level: usize, end: usize) {
        let Level { body, copied, skip, .. } = self.levels[level];
        if skip.0 < skip.1 && copied <= skip.0 && skip.1 <= end {
            self.out.extend_from_slice(&body[copied..skip.0]);
            self.out.extend_from_slice(&body[skip.1..end]);
        } else {
            self.out.extend_from_slice(&body[copied..end]);
        }
        self.levels[level].copied = end;
    }
}
