// SPDX-License-Identifier: Apache-2.0
//! Compressing request bodies.
//!
//! Levels are the fastest of each format: gzip 1 costs a quarter of gzip 6 for 20-40 % more bytes,
//! zstd 1 is faster and smaller than both. A body that came in compressed the same way and was
//! not edited goes out as it came.

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor, Decompressor};
use pipeline::{Batch, Encoding};

/// The name of `encoding` in `Content-Encoding` and `grpc-encoding`.
pub fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
        Encoding::Snappy => "snappy",
        Encoding::Deflate => "deflate",
    }
}

/// The payload of `batch` compressed by `encoding`: as received if possible.
pub fn batch(batch: &Batch, encoding: Encoding) -> Bytes {
    match &batch.encoded {
        Some(received) if received.encoding == encoding => received.bytes.clone(),
        _ => compress(batch.payload.bytes(), encoding),
    }
}

/// `plain` compressed by `encoding`.
pub fn compress(plain: &[u8], encoding: Encoding) -> Bytes {
    match encoding {
        Encoding::Gzip => deflate(
            plain,
            |c, out| c.gzip_compress(plain, out),
            |c| c.gzip_compress_bound(plain.len()),
        ),
        Encoding::Deflate => deflate(
            plain,
            |c, out| c.zlib_compress(plain, out),
            |c| c.zlib_compress_bound(plain.len()),
        ),
        // Neither fails on memory: their only errors are of writers and of sizes beyond 4 GiB,
        // which a payload cannot have.
        Encoding::Zstd => zstd::bulk::compress(plain, 1).unwrap_or_default().into(),
        Encoding::Snappy => {
            snap::raw::Encoder::new().compress_vec(plain).unwrap_or_default().into()
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
        "snappy" => snap::raw::Decoder::new().decompress(body, &mut out).ok()?,
        _ => return None,
    };
    out.truncate(length);
    Some(out.into())
}

fn deflate(
    plain: &[u8],
    run: impl FnOnce(&mut Compressor, &mut [u8]) -> Result<usize, libdeflater::CompressionError>,
    bound: impl FnOnce(&mut Compressor) -> usize,
) -> Bytes {
    let mut compressor = Compressor::new(CompressionLvl::fastest());
    let mut out = vec![0; bound(&mut compressor)];
    // The bound holds for every input, so it always fits.
    let length = run(&mut compressor, &mut out).unwrap_or(0);
    debug_assert!(length > 0, "{} bytes did not fit their bound", plain.len());
    out.truncate(length);
    out.into()
}
