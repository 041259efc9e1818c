// SPDX-License-Identifier: Apache-2.0
//! Bounded decompression of request bodies.
//!
//! In: a whole compressed body. Out: the plain body, never longer than `limit`; a bomb costs at
//! most `limit` bytes of memory and the time to fill them, mostly less because the size a format
//! declares is believed first when it is too large. Gzip and zlib go through libdeflate (whole
//! buffer, 2-3 times the speed of streaming inflate), which also checks the checksums.

use std::fmt;
use std::io::Read;

use libdeflater::{DecompressionError, Decompressor};
use pipeline::Encoding;

/// Why a body could not be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// The plain body is longer than the limit.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not a complete, intact body of this encoding.
    Malformed(Encoding),
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InflateError::TooLarge { limit } => {
                write!(f, "decompressed body is larger than the limit of {limit} bytes")
            }
            InflateError::Malformed(encoding) => {
                write!(f, "body is not valid {}: truncated or corrupt", name(*encoding))
            }
        }
    }
}

/// The name of `encoding` in `Content-Encoding` and `grpc-encoding`.
pub fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Gzip => "gzip",
        Encoding::Zstd => "zstd",
        Encoding::Snappy => "snappy",
        Encoding::Deflate => "deflate",
        Encoding::SnappyFramed => "x-snappy-framed",
        Encoding::Lz4 => "lz4",
    }
}

/// What `body` is, said to be `encoding`: `snappy` stands for both of its formats, the block over
/// HTTP and the framed one over gRPC, and peers do not always keep to it.
pub fn actual(encoding: Encoding, body: &[u8]) -> Encoding {
    match encoding {
        Encoding::Snappy | Encoding::SnappyFramed if body.starts_with(FRAMED) => {
            Encoding::SnappyFramed
        }
        Encoding::SnappyFramed => Encoding::Snappy,
        encoding => encoding,
    }
}

/// The encoding called `name`; `Ok(None)` is no encoding.
///
/// # Errors
/// `name` itself when it is none of ours.
pub fn from_name(name: &str) -> Result<Option<Encoding>, &str> {
    match name.trim() {
        "" | "identity" => Ok(None),
        "gzip" | "x-gzip" => Ok(Some(Encoding::Gzip)),
        "zstd" => Ok(Some(Encoding::Zstd)),
        "snappy" => Ok(Some(Encoding::Snappy)),
        "x-snappy-framed" => Ok(Some(Encoding::SnappyFramed)),
        "lz4" => Ok(Some(Encoding::Lz4)),
        "deflate" | "zlib" => Ok(Some(Encoding::Deflate)),
        other => Err(other),
    }
}

/// Inflates `body` to at most `limit` bytes.
///
/// # Errors
/// [`InflateError::TooLarge`] as soon as the limit would be passed, [`InflateError::Malformed`]
/// for truncated or corrupt input.
pub fn inflate(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    match encoding {
        Encoding::Gzip => gzip(body, limit),
        Encoding::Deflate => zlib(body, limit),
        Encoding::Zstd => {
            let malformed = InflateError::Malformed(encoding);
            let mut decoder = zstd::stream::read::Decoder::new(body).map_err(|_| malformed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| malformed)?;
            read_bounded(decoder, body.len() * 4, limit, malformed)
        }
        // A stream of no frames.
        Encoding::SnappyFramed if body.is_empty() => Ok(Vec::new()),
        Encoding::Snappy | Encoding::SnappyFramed => snappy(body, limit),
        Encoding::Lz4 => lz4(body, limit),
    }
}

/// How the framing format of snappy begins.
const FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// 32 MiB: what a zstd frame may ask us to keep beside its output. Encoders ask for more only
/// with `--long`; the limit of RFC 8878 for receivers is 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;

/// Deflate cannot expand by more than this (RFC 1951: 258 bytes from 2 bits).
const DEFLATE_RATIO_MAX: usize = 1032;

fn gzip(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = InflateError::Malformed(Encoding::Gzip);
    // 10 bytes header, 2 of data, crc, then the length of the plain data modulo 2^32.
    let [.., a, b, c, d] = *body else { return Err(malformed) };
    if body.len() < 18 {
        return Err(malformed);
    }
    let declared = u32::from_le_bytes([a, b, c, d]) as usize;
    if declared > body.len().saturating_mul(DEFLATE_RATIO_MAX) {
        return Err(malformed);
    }
    if declared > limit {
        return Err(InflateError::TooLarge { limit });
    }
    let mut out = vec![0; declared];
    match Decompressor::new().gzip_decompress(body, &mut out) {
        Ok(length) if length == declared => Ok(out),
        // The trailer is not that of the data: corrupt, or several members, which no OTLP client
        // sends and of which libdeflate would give us only the first.
        _ => Err(malformed),
    }
}

fn zlib(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = InflateError::Malformed(Encoding::Deflate);
    grow(body.len(), limit, malformed, |out| Decompressor::new().zlib_decompress(body, out))
}

/// Tries with growing buffers up to `limit`; at most five tries from 64 KiB to 64 MiB.
fn grow(
    compressed: usize,
    limit: usize,
    malformed: InflateError,
    mut decompress: impl FnMut(&mut [u8]) -> Result<usize, DecompressionError>,
) -> Result<Vec<u8>, InflateError> {
    let mut size = compressed.saturating_mul(8).max(16 << 10).min(limit);
    loop {
        let mut out = vec![0; size];
        match decompress(&mut out) {
            Ok(length) => {
                out.truncate(length);
                return Ok(out);
            }
            Err(DecompressionError::BadData) => return Err(malformed),
            Err(DecompressionError::InsufficientSpace) if size >= limit => {
                return Err(InflateError::TooLarge { limit });
            }
            Err(DecompressionError::InsufficientSpace) => {
                size = size.saturating_mul(8).min(limit);
            }
        }
    }
}

fn lz4(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = InflateError::Malformed(Encoding::Lz4);
    // Magic, flags (4 = a checksum at the end), blocks, four zero bytes. The decoder takes the end
    // of its input for the end of the frame, so that a cut body would pass.
    let has_checksum = body.get(4).is_some_and(|flags| flags & 4 != 0);
    let end = body.len().saturating_sub(if has_checksum { 4 } else { 0 });
    if !body[..end].ends_with(&[0; 4]) {
        return Err(malformed);
    }
    read_bounded(lz4_flex::frame::FrameDecoder::new(body), body.len() * 4, limit, malformed)
}

fn snappy(body: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let malformed = InflateError::Malformed(Encoding::Snappy);
    if body.starts_with(FRAMED) {
        let decoder = snap::read::FrameDecoder::new(body);
        return read_bounded(decoder, body.len() * 4, limit, malformed);
    }
    let length = snap::raw::decompress_len(body).map_err(|_| malformed)?;
    if length > limit {
        return Err(InflateError::TooLarge { limit });
    }
    // Snappy copies at most 64 bytes for 3 of input: a longer claim is a lie, not worth memory.
    if length > body.len().saturating_mul(64) {
        return Err(malformed);
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(|_| malformed)
}

fn read_bounded(
    reader: impl Read,
    guess: usize,
    limit: usize,
    malformed: InflateError,
) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::with_capacity(guess.min(limit));
    reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(|_| malformed)?;
    if out.len() > limit { Err(InflateError::TooLarge { limit }) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn deflate(encoding: Encoding, plain: &[u8]) -> Vec<u8> {
        let mut compressor = libdeflater::Compressor::new(Default::default());
        let mut out = vec![0; plain.len() + 1024];
        match encoding {
            Encoding::Gzip => {
                let n = compressor.gzip_compress(plain, &mut out).expect("fits");
                out.truncate(n);
                out
            }
            Encoding::Deflate => {
                let n = compressor.zlib_compress(plain, &mut out).expect("fits");
                out.truncate(n);
                out
            }
            Encoding::Zstd => zstd::stream::encode_all(plain, 1).expect("in memory"),
            Encoding::Snappy => snap::raw::Encoder::new().compress_vec(plain).expect("in memory"),
            Encoding::SnappyFramed => {
                let mut framed = snap::write::FrameEncoder::new(Vec::new());
                framed.write_all(plain).expect("in memory");
                framed.into_inner().expect("in memory")
            }
            Encoding::Lz4 => {
                let mut frames = lz4_flex::frame::FrameEncoder::new(Vec::new());
                frames.write_all(plain).expect("in memory");
                frames.finish().expect("in memory")
            }
        }
    }

    const ALL: [Encoding; 6] = [
        Encoding::Gzip,
        Encoding::Deflate,
        Encoding::Zstd,
        Encoding::Snappy,
        Encoding::SnappyFramed,
        Encoding::Lz4,
    ];

    #[test]
    fn every_encoding_comes_back_whole_up_to_the_limit() {
        let plain: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        for encoding in ALL {
            for plain in [&plain[..], &plain[..1], b""] {
                let body = deflate(encoding, plain);
                assert_eq!(
                    inflate(encoding, &body, plain.len()).as_deref(),
                    Ok(plain),
                    "{encoding:?}"
                );
            }
            let body = deflate(encoding, &plain);
            let limit = plain.len() - 1;
            assert_eq!(
                inflate(encoding, &body, limit),
                Err(InflateError::TooLarge { limit }),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = vec![0u8; 32 << 20];
        for encoding in ALL {
            let body = deflate(encoding, &bomb);
            assert_eq!(
                inflate(encoding, &body, 1 << 20),
                Err(InflateError::TooLarge { limit: 1 << 20 }),
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn truncated_and_corrupt_bodies_are_malformed_and_never_panic() {
        let plain: Vec<u8> = (0..5000u32).map(|i| ((i * 31) >> 3) as u8).collect();
        for encoding in ALL {
            let body = deflate(encoding, &plain);
            for cut in [0, 1, 5, body.len() / 2, body.len() - 1] {
                let result = inflate(encoding, &body[..cut], 1 << 20);
                // An empty body is a stream of no frames, and of framed snappy so is its head.
                let is_stream =
                    matches!(encoding, Encoding::Zstd | Encoding::Lz4 | Encoding::SnappyFramed);
                if !(is_stream && cut == 0) {
                    assert!(result.is_err(), "{encoding:?} cut at {cut}");
                }
            }
            for at in 0..body.len().min(64) {
                let mut corrupt = body.clone();
                corrupt[at] ^= 0x55;
                let _ = inflate(encoding, &corrupt, 1 << 20);
            }
        }
    }

    #[test]
    fn framed_snappy_is_recognised() {
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(b"framed").expect("in memory");
        let body = framed.into_inner().expect("in memory");
        assert_eq!(inflate(Encoding::Snappy, &body, 100).as_deref(), Ok(&b"framed"[..]));
        assert_eq!(actual(Encoding::Snappy, &body), Encoding::SnappyFramed);
        assert_eq!(actual(Encoding::SnappyFramed, b"\x01\x00a"), Encoding::Snappy);
    }
}
