// SPDX-License-Identifier: Apache-2.0
//! Embedded files and the choice among their encodings.
//!
//! The build of the page writes `name.br` and `name.gz` beside each file. Scripts and styles are
//! embedded in these two forms only: who takes neither gets the gzip form inflated here.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;

use super::encoding::{Encoding, Wishes};

/// Largest inflated file; the largest today is 0.6 MB. A bound on what a broken build can cost.
const INFLATED_BYTES_MAX: usize = 16 << 20;

#[derive(rust_embed::RustEmbed)]
#[folder = "../../web/dist/"]
#[allow_missing = true]
#[exclude = "assets/*.js"]
#[exclude = "assets/*.css"]
struct Dist;

/// A file as it is stored: bytes and a hash of them.
pub(super) struct Stored {
    pub(super) bytes: Cow<'static, [u8]>,
    pub(super) hash: [u8; 32],
}

/// Finds a stored file by its path below `web/dist`, without leading slash.
pub(super) type Lookup = fn(&str) -> Option<Stored>;

/// [`Lookup`] in the binary.
pub(super) fn embedded(name: &str) -> Option<Stored> {
    let file = Dist::get(name)?;
    Some(Stored { bytes: file.data, hash: file.metadata.sha256_hash() })
}

/// A file as it is sent.
pub(super) struct Asset {
    pub(super) bytes: Bytes,
    pub(super) encoding: Encoding,
    hash: [u8; 32],
}

impl Asset {
    /// The representation of `name` that the client likes best; `None` when there is no such file.
    pub(super) fn choose(lookup: Lookup, name: &str, headers: &HeaderMap) -> Option<Self> {
        let wishes = Wishes::of(headers.get_all(header::ACCEPT_ENCODING));
        for encoding in wishes.in_order() {
            if let Some(stored) = lookup(&format!("{name}{}", encoding.ending())) {
                return Some(Self::new(stored, encoding));
            }
        }
        // Whatever the client said, the file's own form is the last resort.
        match lookup(name) {
            Some(stored) => Some(Self::new(stored, Encoding::Identity)),
            None => inflated(lookup, name),
        }
    }

    fn new(stored: Stored, encoding: Encoding) -> Self {
        let bytes = match stored.bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Self { bytes, encoding, hash: stored.hash }
    }

    /// A strong tag: 128 bits of the hash, and the encoding, since representations differ.
    pub(super) fn etag(&self) -> HeaderValue {
        let digits: String = self.hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        let suffix = self.encoding.ending().replace('.', "-");
        HeaderValue::try_from(format!("\"{digits}{suffix}\""))
            .expect("hex digits and a dash are legal in a header")
    }
}

fn inflated(lookup: Lookup, name: &str) -> Option<Asset> {
    let stored = lookup(&format!("{name}{}", Encoding::Gzip.ending()))?;
    // The last four bytes of gzip are the length of what it holds.
    let tail = *stored.bytes.last_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(tail)).ok()?;
    if length > INFLATED_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; length];
    libdeflater::Decompressor::new().gzip_decompress(&stored.bytes, &mut bytes).ok()?;
    Some(Asset { bytes: Bytes::from(bytes), encoding: Encoding::Identity, hash: stored.hash })
}
