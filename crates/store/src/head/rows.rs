// SPDX-License-Identifier: Apache-2.0
//! The tails of a timestamp group: a row a time, a cell a member, 8 bytes each.
//!
//! A request's samples of one target go into one row side by side, so that appending touches memory
//! in order. Rows come in blocks of about 4 KiB, or of one row where that is wider: nothing is copied
//! when a group grows longer, and little is allocated ahead.

use super::chunk::{Mask, RUN_MAX};

/// In a cell without a sample: a signalling NaN that nobody computes. A sample of these very bits
/// is kept elsewhere (among the late ones).
pub(super) const ABSENT: f64 = f64::from_bits(0x7ff4_6665_6b6c_6f77);

/// Cells of a block, and rows of one at most: a group of one member allocates 192 bytes at a time.
const BLOCK_CELLS: usize = 512;
const BLOCK_ROWS: usize = 24;

/// Columns that are read from the rows at once: the cells of a cache line.
pub(super) const COLUMNS: usize = 8;

pub(super) fn is_absent(value: f64) -> bool {
    value.to_bits() == ABSENT.to_bits()
}

#[derive(Debug)]
struct Block {
    /// Cells of a row.
    stride: usize,
    /// Whole rows; the capacity is whole rows, too.
    cells: Vec<f64>,
}

impl Block {
    fn new(stride: usize, rows_min: usize) -> Block {
        let rows = (BLOCK_CELLS / stride).clamp(1, BLOCK_ROWS).max(rows_min);
        Block { stride, cells: Vec::with_capacity(stride * rows) }
    }

    fn push(&mut self) {
        self.cells.resize(self.cells.len() + self.stride, ABSENT);
    }
}

/// Rows, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    blocks: Vec<Block>,
    len: usize,
}

impl Rows {
    /// Adds a row of absent cells for `members`.
    pub(super) fn push(&mut self, members: usize) {
        let members = members.max(1);
        let has_room = |block: &Block| {
            block.stride >= members && block.cells.len() + block.stride <= block.cells.capacity()
        };
        if !self.blocks.last().is_some_and(has_room) {
            self.blocks.push(Block::new(members, 1));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push();
            self.len += 1;
        }
    }

    /// The cell of a member in the newest row; there must be one.
    #[inline]
    pub(super) fn newest_mut(&mut self, member: usize) -> Option<&mut f64> {
        if member >= self.blocks.last()?.stride {
            self.widen(member + 1);
        }
        let block = self.blocks.last_mut()?;
        let row = block.cells.len() - block.stride;
        block.cells.get_mut(row + member)
    }

    /// The cell of a member in a row.
    pub(super) fn cell_mut(&mut self, row: usize, member: usize) -> Option<&mut f64> {
        let mut first = 0;
        for block in &mut self.blocks {
            let rows = block.cells.len() / block.stride;
            if row < first + rows {
                let at = (row - first) * block.stride + member;
                return if member < block.stride { block.cells.get_mut(at) } else { None };
            }
            first += rows;
        }
        None
    }

    /// Makes the rows of the newest block wide enough for `members`, and a quarter more: members of
    /// a new group come one by one.
    fn widen(&mut self, members: usize) {
        let Some(block) = self.blocks.last_mut() else { return };
        let stride = members + members / 4 + 7;
        let mut wider = Block::new(stride, block.cells.len() / block.stride);
        for row in block.cells.chunks_exact(block.stride) {
            wider.cells.extend_from_slice(row);
            let to = wider.cells.len() + stride - row.len();
            wider.cells.resize(to, ABSENT);
        }
        *block = wider;
    }

    /// All rows, oldest first.
    fn iter(&self) -> impl Iterator<Item = &[f64]> {
        self.blocks.iter().flat_map(|block| block.cells.chunks_exact(block.stride))
    }

    /// Reads the cells of members `first..first + COLUMNS` in the rows before `count`.
    pub(super) fn columns(
        &self,
        first: usize,
        count: usize,
        columns: &mut [[f64; RUN_MAX]; COLUMNS],
    ) {
        for (at, row) in self.iter().take(count).enumerate() {
            let cells = row.get(first..).unwrap_or_default();
            for (member, column) in columns.iter_mut().enumerate() {
                column[at] = cells.get(member).copied().unwrap_or(ABSENT);
            }
        }
    }

    /// Appends the samples of a member in rows `from..to` to `values`, and tells which rows have one.
    pub(super) fn column(
        &self,
        member: usize,
        from: usize,
        to: usize,
        values: &mut Vec<f64>,
    ) -> Mask {
        let mut mask = [0; 2];
        for (at, row) in self.iter().enumerate().skip(from).take(to.saturating_sub(from)) {
            let value = row.get(member).copied().unwrap_or(ABSENT);
            if !is_absent(value) {
                values.push(value);
                mask[at / 64] |= 1 << (at % 64);
            }
        }
        mask
    }

    /// The newest row in which a member has a sample.
    pub(super) fn newest_row_of(&self, member: usize) -> Option<usize> {
        let has = |row: &[f64]| row.get(member).is_some_and(|value| !is_absent(*value));
        let rows =
            self.blocks.iter().rev().flat_map(|block| block.cells.rchunks_exact(block.stride));
        let behind = rows.enumerate().find(|(_, row)| has(row));
        behind.map(|(behind, _)| self.len - 1 - behind)
    }

    /// Takes the first `count` rows away.
    pub(super) fn drop_first(&mut self, count: usize) {
        let mut rest = Rows::default();
        let width = self.blocks.iter().map(|block| block.stride).max().unwrap_or(1);
        for row in self.iter().skip(count) {
            rest.push(width);
            if let Some(block) = rest.blocks.last_mut() {
                let at = block.cells.len() - block.stride;
                block.cells[at..at + row.len()].copy_from_slice(row);
            }
        }
        *self = rest;
    }

    /// Forgets what a member has.
    pub(super) fn clear_member(&mut self, member: usize) {
        for block in &mut self.blocks {
            for row in block.cells.chunks_exact_mut(block.stride) {
                if let Some(cell) = row.get_mut(member) {
                    *cell = ABSENT;
                }
            }
        }
    }

    /// Bytes allocated.
    pub(super) fn bytes(&self) -> usize {
        let cells = |block: &Block| size_of::<Block>() + block.cells.capacity() * 8;
        self.blocks.iter().map(cells).sum()
    }
}
