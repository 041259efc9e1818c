// SPDX-License-Identifier: Apache-2.0
//! Log records in blocks: which match.
//!
//! Row groups are passed over by time, by trace, and by words that the text must hold; of the others
//! cheap columns are read first, bodies only where they decide, and whole rows for what is given.

use basics::{Error, Result};
use otlp_wire::Signal;

use super::LogMeta;
use super::element::{BODY, SEVERITY, TIME, TRACE};
use super::query::{LogQuery, LogRecord, Newest};
use crate::rows::content_hash;
use crate::rows::element::Shape;
use crate::rows::read::{Block, attribute_in, is_admitted};

/// Rows read whole at a time: the newest of a group come first, and are mostly enough.
const BATCH: usize = 512;

/// Adds a block's matching records.
pub(super) fn search(
    block: &Block<LogMeta>,
    query: &LogQuery,
    newest: &mut Newest<'_>,
) -> Result<()> {
    let groups = block.index.groups.len();
    for step in 0..groups {
        let number = if query.forward { step } else { groups - 1 - step };
        let group = &block.index.groups[number];
        let says = query.contains.is_empty() || group.may_say(&query.contains);
        let traced = query.trace_id.is_none_or(|id| group.may_hold(&id));
        if !newest.wants((group.tmin, group.tmax)) || !says || !traced {
            continue;
        }
        let Some(mut rows) = candidates(block, number, query)? else { continue };
        if rows.is_empty() {
            continue;
        }
        let times = block.own(number, TIME, None)?;
        rows.sort_by_key(|row| times.int(*row));
        if !query.forward {
            rows.reverse();
        }
        for batch in rows.chunks(BATCH) {
            let time = |row: &usize| times.int(*row) as u64;
            let ends = [batch.first().map(time), batch.last().map(time)];
            let (least, most) = (ends.iter().flatten().min(), ends.iter().flatten().max());
            let (Some(least), Some(most)) = (least, most) else { continue };
            if !newest.wants((*least, *most)) {
                break;
            }
            add(block, number, batch, query, newest)?;
        }
    }
    Ok(())
}

/// Rows of a group that may match, by columns; none when no head does.
fn candidates(
    block: &Block<LogMeta>,
    group: usize,
    query: &LogQuery,
) -> Result<Option<Vec<usize>>> {
    let index = &block.index;
    let heads: Vec<bool> = index.heads.iter().map(|head| query.takes_head(head)).collect();
    if !heads.contains(&true) {
        return Ok(None);
    }
    let mut mask = vec![true; block.row_count(group)];
    let mut keep = |is: &dyn Fn(usize) -> bool| {
        mask.iter_mut().enumerate().for_each(|(row, keep)| *keep = *keep && is(row));
    };
    let of = &index.groups[group];
    if of.tmin < query.start || of.tmax > query.end {
        let times = block.own(group, TIME, None)?;
        keep(&|row| (query.start..=query.end).contains(&(times.int(row) as u64)));
    }
    if heads.contains(&false) {
        let cells = block.heads(group, None)?;
        keep(&|row| heads.get(cells.int(row) as usize) == Some(&true));
    }
    if query.severity_min > 0 {
        let cells = block.own(group, SEVERITY, None)?;
        keep(&|row| cells.int(row) >= i64::from(query.severity_min));
    }
    if let Some(trace) = query.trace_id {
        let cells = block.own(group, TRACE, None)?;
        keep(&|row| cells.bytes(row) == trace);
    }
    for (key, value) in &query.attributes {
        let named = index.key(key);
        let in_rest = index.is_cut || named.is_some_and(|key| key.in_rest);
        // An empty text stands for none in a column.
        match named.is_some_and(|key| key.has_column) && !value.is_empty() {
            true => {
                let texts = block.texts(group, key)?;
                let is = |row: usize| texts.bytes(row) == value.as_bytes();
                match in_rest {
                    true => {
                        let rest = block.cells(group, "rest", Shape::Bytes, None)?;
                        let other = |row| attribute_in(rest.bytes(row), 6, key);
                        keep(&|row| is(row) || other(row).is_some_and(|found| found == *value));
                    }
                    false => keep(&is),
                }
            }
            false if in_rest => {
                let rest = block.cells(group, "rest", Shape::Bytes, None)?;
                let found = |row| attribute_in(rest.bytes(row), 6, key);
                keep(&|row| found(row).is_some_and(|found| found == *value));
            }
            false => return Ok(None),
        }
    }
    let rows: Vec<usize> = (0..mask.len()).filter(|row| mask[*row]).collect();
    if query.contains.is_empty() || rows.is_empty() {
        return Ok(Some(rows));
    }
    let some = (rows.len() < mask.len() / 8).then_some(&rows[..]);
    let bodies = block.own(group, BODY, some)?;
    let says = |(at, row): (usize, &usize)| {
        let body = bodies.bytes(if some.is_some() { at } else { *row });
        std::str::from_utf8(body).is_ok_and(|body| query.takes_text(body)).then_some(*row)
    };
    Ok(Some(rows.iter().enumerate().filter_map(says).collect()))
}

fn add(
    block: &Block<LogMeta>,
    group: usize,
    batch: &[usize],
    query: &LogQuery,
    newest: &mut Newest<'_>,
) -> Result<()> {
    let mut rows = batch.to_vec();
    rows.sort_unstable();
    let read = block.read(group, Some(&rows))?;
    let mut damaged = false;
    block.each(&read, |meta, head, raw| {
        damaged |= !is_admitted(Signal::Logs, raw);
        if !damaged && query.takes(&meta, head, raw) {
            let record = || LogRecord::of(&meta, head, raw);
            newest.add(meta.time, content_hash(head, raw), record);
        }
    })?;
    match damaged {
        true => {
            Err(Error::corrupt(format!("block {} has a broken record", block.file.info().path)))
        }
        false => Ok(()),
    }
}
