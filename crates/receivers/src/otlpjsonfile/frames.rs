// SPDX-License-Identifier: Apache-2.0
//! Messages in a file: lines, or bytes behind their length.
//!
//! In: a file and where to begin. Out: the messages that are complete, each with the place behind
//! it. What is not complete yet is left for later; what never can be is told, with the place where
//! reading goes on.

use std::io::{self, Read, Seek, SeekFrom};

use bytes::Bytes;
use otlp_wire::Signal;

use super::config::Format;

/// Read at a time; a message larger than this is read alone.
const CHUNK: usize = 1 << 20;

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its bytes.
    pub bytes: Bytes,
    /// Where the next one begins.
    pub end: u64,
}

/// What a look into a file gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// All that was read, from the given offset on.
    pub bytes: Bytes,
    /// Complete messages.
    pub frames: Vec<Frame>,
    /// What follows them is no message: where to go on, and why.
    pub broken: Option<(u64, &'static str)>,
}

/// What the bytes at one place are.
enum Next {
    Message {
        from: usize,
        to: usize,
        end: usize,
    },
    /// So many bytes are needed to tell.
    More(usize),
    Broken(&'static str),
}

/// Reads messages from `offset` on.
///
/// # Errors
/// When the file cannot be read.
pub fn read(
    file: &mut (impl Read + Seek),
    offset: u64,
    format: Format,
    message_max: usize,
) -> io::Result<Chunk> {
    let mut buffer = Vec::new();
    let mut wanted = CHUNK;
    loop {
        let complete = fill(file, offset, &mut buffer, wanted)?;
        let (chunk, more) = split(&buffer, offset, format, message_max);
        match more {
            _ if !chunk.frames.is_empty() || chunk.broken.is_some() || complete => {
                return Ok(chunk);
            }
            Some(more) => wanted = more.max(wanted * 2),
            None => return Ok(chunk),
        }
    }
}

/// Reads up to `wanted` bytes from `offset` on; true if the file has no more.
fn fill(
    file: &mut (impl Read + Seek),
    offset: u64,
    buffer: &mut Vec<u8>,
    wanted: usize,
) -> io::Result<bool> {
    file.seek(SeekFrom::Start(offset + buffer.len() as u64))?;
    let missing = (wanted - buffer.len()) as u64;
    file.by_ref().take(missing).read_to_end(buffer)?;
    Ok(buffer.len() < wanted)
}

/// Cuts messages out of a buffer; also says how many bytes the first incomplete one needs.
fn split(buffer: &[u8], offset: u64, format: Format, max: usize) -> (Chunk, Option<usize>) {
    let whole = Bytes::copy_from_slice(buffer);
    let mut chunk = Chunk { bytes: whole.clone(), ..Chunk::default() };
    let mut at = 0;
    loop {
        let rest = &buffer[at..];
        let next = match format {
            Format::Json => line(rest, max),
            Format::Proto => message(rest, max),
        };
        match next {
            Next::Message { from, to, end } => {
                if from < to {
                    let bytes = whole.slice(at + from..at + to);
                    chunk.frames.push(Frame { bytes, end: offset + (at + end) as u64 });
                } else if let Some(last) = chunk.frames.last_mut() {
                    last.end = offset + (at + end) as u64;
                } else {
                    // Empty lines at the beginning: nothing, but they are behind us.
                    let end = offset + (at + end) as u64;
                    chunk.frames.push(Frame { bytes: Bytes::new(), end });
                }
                at += end;
            }
            Next::More(bytes) => return (chunk, Some(bytes)),
            Next::Broken(what) => {
                let line = rest.iter().position(|byte| *byte == b'\n');
                let skipped = match (format, line) {
                    (Format::Json, Some(line)) => line + 1,
                    (Format::Json, None) => rest.len(),
                    // Behind a wrong length nothing can be found again.
                    (Format::Proto, _) => rest.len(),
                };
                if skipped > 0 {
                    chunk.broken = Some((offset + (at + skipped) as u64, what));
                }
                return (chunk, None);
            }
        }
    }
}

fn line(rest: &[u8], max: usize) -> Next {
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) if end > max => Next::Broken("a line is larger than max_log_size"),
        None if rest.len() > max => Next::Broken("a line is larger than max_log_size"),
        Some(end) => {
            let text = &rest[..end];
            let from = text.len() - text.trim_ascii_start().len();
            Next::Message { from, to: from + text.trim_ascii().len(), end: end + 1 }
        }
        None => Next::More(rest.len() + 1),
    }
}

fn message(rest: &[u8], max: usize) -> Next {
    let Some((length, _)) = rest.split_first_chunk::<4>() else { return Next::More(4) };
    let length = u32::from_be_bytes(*length) as usize;
    if length > max {
        return Next::Broken("a message is longer than max_log_size: the rest of the file is lost");
    }
    match rest.len() >= 4 + length {
        true => Next::Message { from: 4, to: 4 + length, end: 4 + length },
        false => Next::More(4 + length),
    }
}

/// The signal that the first key of a JSON message names.
pub fn signal(json: &[u8]) -> Option<Signal> {
    let inside = json.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    let key = inside.strip_prefix(b"\"")?;
    let key = &key[..key.iter().position(|byte| *byte == b'"')?];
    match key {
        b"resourceSpans" | b"resource_spans" => Some(Signal::Traces),
        b"resourceMetrics" | b"resource_metrics" => Some(Signal::Metrics),
        b"resourceLogs" | b"resource_logs" => Some(Signal::Logs),
        _ => None,
    }
}
