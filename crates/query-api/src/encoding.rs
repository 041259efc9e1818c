// SPDX-License-Identifier: Apache-2.0
//! gzip, in and out.

use basics::{Error, Result};

/// Inflates `body` to at most `bytes_max` bytes.
///
/// # Errors
/// [`basics::Kind::Invalid`] when it is no gzip or larger.
pub fn gunzip(body: &[u8], bytes_max: usize) -> Result<Vec<u8>> {
    // The last four bytes tell the size; they may lie, but only about how much is set aside here.
    let told = body.last_chunk::<4>().map_or(0, |tail| u32::from_le_bytes(*tail) as usize);
    let mut out = vec![0; told.clamp(1, bytes_max)];
    let length = libdeflater::Decompressor::new()
        .gzip_decompress(body, &mut out)
        .map_err(|e| Error::invalid(format!("cannot inflate the body: {e}")))?;
    out.truncate(length);
    Ok(out)
}

/// `plain`, compressed.
pub fn gzip(plain: &[u8], level: i32) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(level).unwrap_or_default();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    // The bound is what it may take at most.
    let length = compressor.gzip_compress(plain, &mut out).unwrap_or(0);
    out.truncate(length);
    out
}
