// SPDX-License-Identifier: Apache-2.0
//! Compressing request bodies.
//!
//! Levels are the fastest of each format unless `compression_params` names one: gzip 1 costs a quarter of gzip 6 for 20-40 % more bytes,
//! zstd 1 is faster and smaller than both. A body that came in compressed the same way and was
//! not edited goes out as it came.

use std::io::{Read, Write};

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use pipeline::{Batch, Encoding};

/// How to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    /// The format.
    pub encoding: Encoding,
    /// The format's level as the collector counts; `None` = the fastest.
    pub level: Option<i32>,
}

impl From<Encoding> for Codec {
    fn from(encoding: Encoding) -> Self {
        Codec { encoding, level: None }
    }
}

impl Codec {
    /// libdeflate's level: Go has -1 for its default (6) and -2 for no search at all.
    fn deflate_level(self) -> CompressionLvl {
        let level = match self.level {
            None | Some(-2) => 1,
            Some(-1) => 6,
            Some(level) => level,
        };
        CompressionLvl::new(level).unwrap_or(CompressionLvl::fastest())
    }
}

/// The name of `encoding` in `Content-Encoding`.
pub fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
        Encoding::Snappy => "snappy",
        Encoding::SnappyFramed => "x-snappy-framed",
        Encoding::Deflate => "deflate",
        Encoding::Lz4 => "lz4",
    }
}

/// The name of `encoding` in `grpc-encoding`.
pub fn grpc_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::SnappyFramed => "snappy",
        encoding => name(encoding),
    }
}

/// The payload of `batch` compressed by `codec`: as received if possible.
pub fn batch(batch: &Batch, codec: impl Into<Codec>) -> Bytes {
    let codec = codec.into();
    match &batch.encoded {
        Some(received) if received.encoding == codec.encoding => received.bytes.clone(),
        _ => compress(batch.payload.bytes(), codec),
    }
}

/// `plain` compressed by `codec`.
pub fn compress(plain: &[u8], codec: impl Into<Codec>) -> Bytes {
    let codec = codec.into();
    let level = codec.deflate_level();
    // But for deflate, whose bound always holds: on memory none of these fails, their only errors
    // are of writers and of sizes beyond 4 GiB, which a payload cannot have.
    match codec.encoding {
        Encoding::Gzip => deflate(
            plain,
            level,
            |c, out| c.gzip_compress(plain, out),
            |c| c.gzip_compress_bound(plain.len()),
        ),
        Encoding::Deflate => deflate(
            plain,
            level,
            |c, out| c.zlib_compress(plain, out),
            |c| c.zlib_compress_bound(plain.len()),
        ),
        Encoding::Zstd => {
            zstd::bulk::compress(plain, codec.level.unwrap_or(1)).unwrap_or_default().into()
        }
        Encoding::Snappy => {
            snap::raw::Encoder::new().compress_vec(plain).unwrap_or_default().into()
        }
        Encoding::SnappyFramed => {
            let mut frames = snap::write::FrameEncoder::new(Vec::new());
            let written = frames.write_all(plain);
            debug_assert!(written.is_ok(), "{written:?}");
            frames.into_inner().unwrap_or_default().into()
        }
        Encoding::Lz4 => {
            let mut frames = lz4_flex::frame::FrameEncoder::new(Vec::new());
            let written = frames.write_all(plain);
            debug_assert!(written.is_ok(), "{written:?}");
            frames.finish().unwrap_or_default().into()
        }
    }
}

/// Most bytes of an answer that are inflated; answers are statuses of a few bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// `body` without its encoding `name`, if it is one we know and at most 64 KiB come out.
pub fn inflate(name: &str, body: &[u8]) -> Option<Bytes> {
    let mut out = vec![0; ANSWER_BYTES_MAX];
    let length = match name {
        "gzip" => Decompressor::new().gzip_decompress(body, &mut out).ok()?,
        "deflate" => Decompressor::new().zlib_decompress(body, &mut out).ok()?,
        "zstd" => zstd::bulk::decompress_to_buffer(body, &mut out[..]).ok()?,
        "snappy" if !body.starts_with(b"\xff\x06\x00\x00sNaPpY") => {
            snap::raw::Decoder::new().decompress(body, &mut out).ok()?
        }
        "snappy" | "x-snappy-framed" => read_all(snap::read::FrameDecoder::new(body), &mut out)?,
        "lz4" => read_all(lz4_flex::frame::FrameDecoder::new(body), &mut out)?,
        _ => return None,
    };
    out.truncate(length);
    Some(out.into())
}

/// How much `reader` has, if it fits `out`.
fn read_all(mut reader: impl Read, out: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        match reader.read(&mut out[length..]).ok()? {
            0 => return Some(length),
            read => length += read,
        }
    }
}

fn deflate(
    plain: &[u8],
    level: CompressionLvl,
    run: impl FnOnce(&mut Compressor, &mut [u8]) -> Result<usize, libdeflater::CompressionError>,
    bound: impl FnOnce(&mut Compressor) -> usize,
) -> Bytes {
    let mut compressor = Compressor::new(level);
    let mut out = vec![0; bound(&mut compressor)];
    // The bound holds for every input, so it always fits.
    let length = run(&mut compressor, &mut out).unwrap_or(0);
    debug_assert!(length > 0, "{} bytes did not fit their bound", plain.len());
    out.truncate(length);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_of_every_format_comes_back_whole_and_a_higher_one_is_smaller() {
        let plain: Vec<u8> = (0..20_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect();
        let plain = &plain[..ANSWER_BYTES_MAX / 2];
        for encoding in [
            Encoding::Gzip,
            Encoding::Deflate,
            Encoding::Zstd,
            Encoding::Snappy,
            Encoding::SnappyFramed,
            Encoding::Lz4,
        ] {
            let size = |level: Option<i32>| {
                let packed = compress(plain, Codec { encoding, level });
                let whole = inflate(name(encoding), &packed);
                assert_eq!(whole.as_deref(), Some(plain), "{encoding:?} {level:?}");
                packed.len()
            };
            let fast = size(None);
            if matches!(encoding, Encoding::Gzip | Encoding::Deflate | Encoding::Zstd) {
                assert!(size(Some(9)) < fast, "{encoding:?}");
                for level in [-2, -1, 0, 1] {
                    size(Some(level));
                }
            }
        }
    }
}
