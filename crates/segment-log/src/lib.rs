// SPDX-License-Identifier: Apache-2.0
//! An append-only log of raw requests in checksummed segments: the store's write-ahead log and
//! every exporter's persistent queue.
//!
//! In: a [`Record`] (a request body as admitted, with where it belongs). Out: a [`Ticket`] that
//! resolves once the record is on the disk, and later the records again, in order, to any number of
//! [`Reader`]s and named [`Consumer`]s with a durable offset each. Between the two [`Hold`]s say what
//! is on its way, and [`Log::settled`] up to where nothing is.
//!
//! ```text
//! <dir>/LOCK                      held while a process writes here
//!       VERSION                   format number, decimal, on three lines; a newer one is refused
//!       WRITER                    16 hex digits, on three lines, made once: who wrote this log
//!       00000000000000000000.seg  records; the name is the position of its first byte, decimal
//!       offsets/<consumer>        position u64, crc32c of it u32
//!       quarantine/<from>-<to>    damaged bytes, copied as found
//!
//! record, all numbers little endian
//!  0        4        8        12       13      14         15         16          24          25
//!  +--------+--------+--------+--------+-------+----------+----------+-----------+-----------+--
//!  | marker | length | crc32c | signal | entry | encoding | tenant n | received  | pipeline n|
//!  +--------+--------+--------+--------+-------+----------+----------+-----------+-----------+--
//!  tenant (n bytes, UTF-8), pipeline (n bytes, UTF-8), body (the rest)
//!  length: bytes after the crc. crc: over position (u64), length, and all bytes after the crc.
//! ```
//!
//! A position counts bytes since the log began and is never reused by a record that was durable.
//! Because the checksum covers it, a record found anywhere else than where it was written is not
//! valid, nor is one that someone put into a body.
//!
//! Guarantees: a resolved ticket's record is read back, in append order, once. Start-up never fails
//! on damaged bytes: they are copied to `quarantine/`, counted and skipped up to the next valid
//! record. A failed fsync poisons the log: nobody knows what the disk holds, so all waiting and
//! later appends fail with [`basics::Kind::Closed`].
//!
//! Bounds: [`Options::bytes_max`], [`RECORD_BYTES_MAX`], [`QUARANTINE_BYTES_MAX`]. What happens at
//! the cap is [`Full`]: the oldest segment goes (a ring), or new data is refused as overloaded.
//! Source: group commit and poisoning as in Rebello et al., "Can Applications Recover from fsync
//! Failures?", ATC 2020.

mod commit;
mod consumer;
mod cursor;
mod hold;
mod home;
mod inspect;
mod log;
mod options;
mod reader;
mod record;
mod segments;
mod stats;
mod syncer;

pub use commit::Ticket;
pub use consumer::{Consumer, Start};
pub use hold::Hold;
pub use inspect::{Inspection, SegmentReport, inspect, is_log, repair};
pub use log::{Dropped, Log};
pub use options::{Durability, Full, Options};
pub use reader::Reader;
pub use record::{Record, Stored};
pub use stats::{FSYNC_BOUNDS_US, Latency, Stats};

/// Where a record starts: bytes since the log began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Largest record: twice the largest request a receiver takes (64 MiB), so none is refused here.
pub const RECORD_BYTES_MAX: usize = 128 << 20;

/// Most bytes kept in `quarantine/`: one segment; more damage is counted, not copied.
pub const QUARANTINE_BYTES_MAX: u64 = 64 << 20;
