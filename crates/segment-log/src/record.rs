// SPDX-License-Identifier: Apache-2.0
//! One record: to bytes and back. The layout is drawn in the crate's head.

use basics::{Error, Result, UnixNano};
use bytes::Bytes;

use crate::{Position, RECORD_BYTES_MAX};

/// First bytes of every record, to find the next one after damage. None is valid UTF-8, so text in
/// a body never looks like it.
pub(crate) const MARKER: [u8; 4] = [0xf1, 0xfe, 0x60, 0xff];
/// Marker, length, crc.
const PREFIX: usize = 12;
/// Up to the variable part.
pub(crate) const HEADER: usize = 25;

/// What is appended: a request body and where it belongs.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Signal, numbered by the caller.
    pub signal: u8,
    /// Where replay puts it in: 0 = at the pipeline's door; k = behind its k-th processor, which
    /// generated it.
    pub entry: u8,
    /// Encoding of the body: 0 = OTLP protobuf, plain; 3 = the same behind what the pipeline's
    /// processors ask of its request; others are the store's own (1, 2 = remote write).
    pub encoding: u8,
    /// Tenant, at most 255 bytes.
    pub tenant: &'a str,
    /// Pipeline name as in the YAML (`metrics/main`), at most 255 bytes.
    pub pipeline: &'a str,
    /// When the request was received.
    pub received: UnixNano,
    /// The body.
    pub body: &'a [u8],
}

impl Record<'_> {
    /// Bytes it takes in the log.
    pub fn size(&self) -> usize {
        HEADER + self.tenant.len() + self.pipeline.len() + self.body.len()
    }

    /// # Errors
    /// [`basics::Kind::Rejected`] when a bound is passed.
    pub(crate) fn check(&self) -> Result<()> {
        if self.tenant.len() > 255 || self.pipeline.len() > 255 {
            return Err(Error::rejected("tenant or pipeline name longer than 255 bytes"));
        }
        if self.size() > RECORD_BYTES_MAX {
            return Err(Error::rejected(format!(
                "record of {} bytes, the log takes at most {RECORD_BYTES_MAX}",
                self.size()
            )));
        }
        Ok(())
    }

    /// Appends the record's bytes, as they stand at `position`, to `out`.
    pub(crate) fn encode(&self, position: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let length = (self.size() - PREFIX) as u32;
        out.extend_from_slice(&MARKER);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&[self.signal, self.entry, self.encoding, self.tenant.len() as u8]);
        out.extend_from_slice(&self.received.to_le_bytes());
        out.push(self.pipeline.len() as u8);
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(self.pipeline.as_bytes());
        out.extend_from_slice(self.body);
        let crc = checksum(position, length, &out[start + PREFIX..]);
        out[start + 8..start + PREFIX].copy_from_slice(&crc.to_le_bytes());
    }
}

fn checksum(position: u64, length: u32, rest: &[u8]) -> u32 {
    let mut front = [0; 12];
    front[..8].copy_from_slice(&position.to_le_bytes());
    front[8..].copy_from_slice(&length.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&front), rest)
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Where it starts.
    pub position: Position,
    /// Where the next one starts at the earliest: what a consumer commits once done with this one.
    pub next: Position,
    /// As in [`Record::signal`].
    pub signal: u8,
    /// As in [`Record::entry`].
    pub entry: u8,
    /// As in [`Record::encoding`].
    pub encoding: u8,
    /// As in [`Record::tenant`].
    pub tenant: String,
    /// As in [`Record::pipeline`].
    pub pipeline: String,
    /// As in [`Record::received`].
    pub received: UnixNano,
    /// As in [`Record::body`].
    pub body: Bytes,
}

/// Size of the record whose first bytes `header` is, if that can be one.
pub(crate) fn size_of(header: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(header.get(4..8)?.try_into().ok()?) as usize;
    let plausible = header.starts_with(&MARKER)
        && (HEADER - PREFIX..=RECORD_BYTES_MAX - PREFIX).contains(&length);
    plausible.then_some(PREFIX + length)
}

/// True when `bytes` is, whole, the record that was written at `position`.
pub(crate) fn is_valid(bytes: &[u8], position: u64) -> bool {
    size_of(bytes) == Some(bytes.len())
        && bytes.len() >= HEADER + usize::from(bytes[15]) + usize::from(bytes[24])
        && le_u32(bytes, 8) == checksum(position, le_u32(bytes, 4), &bytes[PREFIX..])
}

/// Receive time of a valid record.
pub(crate) fn received(bytes: &[u8]) -> UnixNano {
    u64::from(le_u32(bytes, 16)) | u64::from(le_u32(bytes, 20)) << 32
}

/// Takes a valid record apart; the body is copied.
pub(crate) fn decode(bytes: &[u8], position: u64) -> Stored {
    let tenant_end = HEADER + usize::from(bytes[15]);
    let pipeline_end = tenant_end + usize::from(bytes[24]);
    Stored {
        position: Position(position),
        next: Position(position + bytes.len() as u64),
        signal: bytes[12],
        entry: bytes[13],
        encoding: bytes[14],
        tenant: String::from_utf8_lossy(&bytes[HEADER..tenant_end]).into_owned(),
        pipeline: String::from_utf8_lossy(&bytes[tenant_end..pipeline_end]).into_owned(),
        received: received(bytes),
        body: Bytes::copy_from_slice(&bytes[pipeline_end..]),
    }
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
