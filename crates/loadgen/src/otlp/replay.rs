// SPDX-License-Identifier: Apache-2.0
//! Requests of files, one a line in OTLP/JSON as the file exporter writes them, sent again.
//!
//! Times are moved so that the newest of all files is now, at each sending anew; so what lies an
//! hour before it arrives an hour old. From the second time on, ids are others, since a trace that
//! comes twice is one trace.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use basics::Random;
use otlp_wire::{Payload, Places, Signal};

use super::make::Disorder;

/// Most bytes of files: they are kept in memory, parsed.
pub const FILE_BYTES_MAX: u64 = 1 << 30;

/// Recorded requests.
#[derive(Clone, Debug)]
pub struct Replay {
    requests: Vec<Places>,
    /// Items before each request; one more for all.
    before: Vec<u64>,
    newest: u64,
    keeps_times: bool,
    pub(super) repeats: bool,
}

impl Replay {
    /// Reads the requests of `signal` in `files`; lines of other signals are passed over.
    /// `keeps_times` = as they were.
    ///
    /// # Errors
    /// When a file cannot be read, a line is no OTLP/JSON, or there is nothing of that signal.
    pub fn read<'a>(
        signal: Signal,
        files: impl IntoIterator<Item = &'a Path>,
        keeps_times: bool,
    ) -> Result<Replay> {
        let mut replay = Replay {
            requests: Vec::new(),
            before: vec![0],
            newest: 0,
            keeps_times,
            repeats: false,
        };
        let mut left = FILE_BYTES_MAX;
        for file in files {
            let at = || file.display().to_string();
            let length = std::fs::metadata(file).with_context(at)?.len();
            ensure!(length <= left, "{}: more than 1 GiB of files", at());
            left -= length;
            let text = std::fs::read(file).with_context(at)?;
            for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
                replay.add(signal, line).with_context(|| format!("{}, line {number}", at()))?;
            }
        }
        if replay.requests.is_empty() {
            bail!("nothing of {signal} in the files to be replayed");
        }
        Ok(replay)
    }

    /// The same, from the beginning again behind the last request if it `repeats`.
    pub fn repeated(self, repeats: bool) -> Replay {
        Replay { repeats, ..self }
    }

    fn add(&mut self, signal: Signal, line: &[u8]) -> Result<()> {
        let line = line.trim_ascii();
        if line.is_empty() {
            return Ok(());
        }
        // Other signals read as requests with nothing in them.
        let payload = Payload::from_json(signal, line)?;
        if payload.items() == 0 {
            return Ok(());
        }
        let sum = self.items() + u64::from(payload.items());
        let places = Places::of(payload);
        self.newest = self.newest.max(places.newest());
        self.requests.push(places);
        self.before.push(sum);
        Ok(())
    }

    /// Spans, points or records of all files.
    pub(super) fn items(&self) -> u64 {
        self.before.last().copied().unwrap_or(0)
    }

    /// Items before request `index`.
    pub(super) fn before(&self, index: u64) -> Option<u64> {
        let count = self.requests.len() as u64;
        let (pass, at) = (index / count, (index % count) as usize);
        (self.repeats || pass == 0).then(|| pass * self.items() + self.before[at])
    }

    pub(super) fn payload(
        &self,
        index: u64,
        seed: u64,
        now: u64,
        disorder: &Disorder,
        random: &mut Random,
    ) -> Option<Payload> {
        let count = self.requests.len() as u64;
        let pass = index / count;
        let request = self.requests.get((index % count) as usize)?;
        let back = disorder.back(random).min(i64::MAX as u64) as i64;
        let by = if self.keeps_times { 0 } else { now.wrapping_sub(self.newest) as i64 };
        let salt = if pass == 0 { 0 } else { Random::seeded(seed ^ pass).next_u64() };
        let by = by.saturating_sub(back);
        Some(if by == 0 && salt == 0 { request.payload().clone() } else { request.moved(by, salt) })
    }
}
