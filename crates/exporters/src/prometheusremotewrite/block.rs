// SPDX-License-Identifier: Apache-2.0
//! A body in snappy's block format, written from pieces whose repetitions are known.
//!
//! A compressor finds out what came before by hashing all of it. Whoever writes series knows: most
//! labels of one stood in the one before, byte for byte. Such a run is written as the copy it would
//! become, neither copied out nor searched for. What nobody knows about ([`Block::compress`]) goes
//! through the compressor, into the same body.
//!
//! In: literals, copies from up to [`OFFSET_MAX`] back, plain bytes. Out: what any snappy decoder
//! takes. Source: google/snappy, format_description.txt.

use bytes::Bytes;

use super::wire::varint_bytes;

/// Furthest back that a copy begins: what two bytes hold, as in compressors' own output.
pub(super) const OFFSET_MAX: u64 = (1 << 16) - 1;

/// Longest literal whose length is in its tag.
const SHORT_MAX: usize = 60;

/// Longest copy.
const COPY_MAX: usize = 64;

/// A body being written.
#[derive(Debug)]
pub(super) struct Block {
    elements: Vec<u8>,
    /// Where the body begins in the bytes ever put into this block.
    begin: u64,
    /// Where it ends there.
    end: u64,
    /// The literal at the end that still grows: where its tag is, and its length.
    literal: Option<(usize, usize)>,
}

impl Default for Block {
    fn default() -> Self {
        // Further than a copy goes from 0, where nothing is.
        let begin = OFFSET_MAX + 1;
        Block { elements: Vec::new(), begin, end: begin, literal: None }
    }
}

impl Block {
    /// Plain bytes of the body so far.
    pub fn len(&self) -> usize {
        (self.end - self.begin) as usize
    }

    /// Where the next byte will be, counted through all bodies of this block: what is less than
    /// [`OFFSET_MAX`] away is in the same body.
    #[inline]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends `bytes`.
    #[inline]
    pub fn literal(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        match self.literal {
            Some((tag, length)) if length + bytes.len() <= SHORT_MAX => {
                let length = length + bytes.len();
                self.elements.extend_from_slice(bytes);
                self.elements[tag] = (length as u8 - 1) << 2;
                self.literal = Some((tag, length));
            }
            _ if bytes.is_empty() => {}
            _ if bytes.len() <= SHORT_MAX => {
                let tag = self.elements.len();
                self.elements.push((bytes.len() as u8 - 1) << 2);
                self.elements.extend_from_slice(bytes);
                self.literal = Some((tag, bytes.len()));
            }
            _ => self.long(bytes),
        }
    }

    #[inline(never)]
    fn long(&mut self, bytes: &[u8]) {
        self.literal = None;
        // A slice of 4 GiB and more takes several.
        for part in bytes.chunks(u32::MAX as usize) {
            let length = (part.len() - 1) as u32;
            let width = (4 - length.leading_zeros() as usize / 8).max(1);
            self.elements.push(((SHORT_MAX + width - 1) as u8) << 2);
            self.elements.extend_from_slice(&length.to_le_bytes()[..width]);
            self.elements.extend_from_slice(part);
        }
    }

    /// Appends what stands `offset` (1 to [`OFFSET_MAX`]) back in this body, `length` bytes of it.
    #[inline]
    pub fn copy(&mut self, offset: u64, length: usize) {
        if length == 0 {
            return;
        }
        debug_assert!((1..=OFFSET_MAX).contains(&offset) && offset <= self.end - self.begin);
        self.literal = None;
        self.end += length as u64;
        let [low, high, ..] = offset.to_le_bytes();
        let mut rest = length;
        while rest > 0 {
            let part = rest.min(COPY_MAX);
            self.elements.extend_from_slice(&[(part as u8 - 1) << 2 | 2, low, high]);
            rest -= part;
        }
    }

    /// Appends `plain`, compressed by `packer`.
    pub fn compress(&mut self, plain: &[u8], packer: &mut snap::raw::Encoder) {
        if plain.is_empty() {
            return;
        }
        self.literal = None;
        self.end += plain.len() as u64;
        let begin = self.elements.len();
        self.elements.resize(begin + snap::raw::max_compress_len(plain.len()), 0);
        // Snappy fails on inputs beyond 4 GiB only, which a payload cannot fill.
        let length = packer.compress(plain, &mut self.elements[begin..]).unwrap_or_default();
        self.elements.truncate(begin + length);
        self.elements.drain(begin..begin + varint_bytes(plain.len() as u64).1);
    }

    /// The body whole; the next one begins.
    pub fn finish(&mut self) -> Bytes {
        let (preamble, width) = varint_bytes(self.len() as u64);
        let mut body = Vec::with_capacity(width + self.elements.len());
        body.extend_from_slice(&preamble[..width]);
        body.extend_from_slice(&self.elements);
        self.elements.clear();
        self.literal = None;
        self.begin = self.end + OFFSET_MAX + 1;
        self.end = self.begin;
        body.into()
    }
}

#[cfg(test)]
mod tests {
    use basics::Random;

    use super::*;

    fn plain(body: &[u8]) -> Vec<u8> {
        snap::raw::Decoder::new().decompress_vec(body).expect("snappy")
    }

    #[test]
    fn any_mixture_of_pieces_comes_back_whole() {
        let mut random = Random::seeded(7);
        let mut below = |bound: u64| random.below(bound) as usize;
        let (mut block, mut packer) = (Block::default(), snap::raw::Encoder::new());
        for _ in 0..200 {
            let mut expected: Vec<u8> = Vec::new();
            for _ in 0..below(40) {
                match below(4) {
                    0 if !expected.is_empty() => {
                        let offset = 1 + below((expected.len() as u64).min(OFFSET_MAX));
                        let length = below(400);
                        block.copy(offset as u64, length);
                        (0..length).for_each(|_| expected.push(expected[expected.len() - offset]));
                    }
                    1 => {
                        let piece = vec![below(256) as u8; below(70_000)];
                        block.compress(&piece, &mut packer);
                        expected.extend(piece);
                    }
                    2 => {
                        let piece: Vec<u8> = (0..below(70_000)).map(|at| at as u8).collect();
                        block.literal(&piece);
                        expected.extend(piece);
                    }
                    _ => {
                        let piece: Vec<u8> = (0..below(70)).map(|at| at as u8).collect();
                        block.literal(&piece);
                        expected.extend(piece);
                    }
                }
                assert_eq!(block.len(), expected.len());
            }
            assert!(plain(&block.finish()) == expected);
        }
    }

    #[test]
    fn a_literal_of_every_width_comes_back_whole() {
        for length in
            [0, 1, 59, 60, 61, 255, 256, 257, 65_535, 65_536, 65_537, 1 << 24, (1 << 24) + 1]
        {
            let (mut block, bytes) = (Block::default(), vec![3; length]);
            block.literal(&bytes);
            assert!(plain(&block.finish()) == bytes, "{length}");
        }
    }

    #[test]
    fn what_stood_in_the_body_before_is_out_of_reach() {
        let mut block = Block::default();
        assert!(block.end() > OFFSET_MAX);
        block.literal(b"a");
        let before = block.end();
        block.finish();
        assert!(block.end() - before > OFFSET_MAX);
    }
}
