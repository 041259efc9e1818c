// SPDX-License-Identifier: Apache-2.0
//! Spans in blocks: which match, and those of a trace.
//!
//! A search reads only the columns that it asks for, row group by row group, the latest first. What
//! a tag may be besides a column of its own (a resource's attribute, an event's, a rare one) is
//! looked at only where the block's index says that there is one of that key.

use basics::{Error, Result};
use otlp_wire::{FromRaw, Signal, SpanView, TraceId};

use super::element::{DURATION, KIND, NAME, START, STATUS, TRACE};
use super::query::{Hits, SpanQuery, own_tag};
use super::{Found, SpanMeta};
use crate::rows::RowHead;
use crate::rows::element::{Element, Shape};
use crate::rows::read::{Block, attribute_in, is_admitted};
use crate::rows::write::column_name;

/// Adds the traces of a block's matching spans.
pub(super) fn search(block: &Block<SpanMeta>, query: &SpanQuery, hits: &mut Hits) -> Result<()> {
    for (number, group) in block.index.groups.iter().enumerate().rev() {
        if group.tmin > query.end || group.tmax < query.start || hits.is_late_enough(group.tmax) {
            continue;
        }
        let Some(mask) = Search { block, group: number, query }.mask()? else { continue };
        let rows: Vec<usize> = (0..mask.len()).filter(|row| mask[*row]).collect();
        if rows.is_empty() {
            continue;
        }
        // Where most rows match, reading all is less work than skipping between them.
        let some = (rows.len() < mask.len() / 8).then_some(&rows[..]);
        let traces = block.own(number, TRACE, some)?;
        let starts = block.own(number, START, some)?;
        for (at, row) in rows.iter().enumerate() {
            let at = if some.is_some() { at } else { *row };
            hits.add(traces.id(at), starts.int(at) as u64);
        }
    }
    Ok(())
}

struct Search<'a> {
    block: &'a Block<SpanMeta>,
    group: usize,
    query: &'a SpanQuery,
}

impl Search<'_> {
    /// Which rows match; none when no row can.
    fn mask(&self) -> Result<Option<Vec<bool>>> {
        let (query, all) = (self.query, SpanQuery::default());
        let mut mask = vec![true; self.block.row_count(self.group)];
        let of = &self.block.index.groups[self.group];
        if of.tmin < query.start || of.tmax > query.end {
            self.keep(&mut mask, START, |v| (query.start..=query.end).contains(&(v as u64)))?;
        }
        if (query.duration_min, query.duration_max) != (all.duration_min, all.duration_max) {
            let wanted = query.duration_min..=query.duration_max;
            self.keep(&mut mask, DURATION, |v| wanted.contains(&(v as u64)))?;
        }
        if let Some(kind) = query.kind {
            self.keep(&mut mask, KIND, |v| v == kind as i64)?;
        }
        if let Some(status) = query.status {
            self.keep(&mut mask, STATUS, |v| v == i64::from(status))?;
        }
        if let Some(service) = &query.service
            && !self.keep_heads(&mut mask, |head| *head.service == **service)?
        {
            return Ok(None);
        }
        if let Some(name) = &query.operation {
            let is = self.block.equal(self.group, SpanMeta::COLUMNS[NAME].0, name)?;
            keep(&mut mask, |row| is[row]);
        }
        for (key, value) in &query.tags {
            self.keep_tag(&mut mask, key, value)?;
        }
        Ok(Some(mask))
    }

    fn keep(&self, mask: &mut [bool], column: usize, is: impl Fn(i64) -> bool) -> Result<()> {
        let cells = self.block.own(self.group, column, None)?;
        keep(mask, |row| is(cells.int(row)));
        Ok(())
    }

    /// Keeps rows under heads that match; false when there is no such head.
    fn keep_heads(&self, mask: &mut [bool], is: impl Fn(&RowHead) -> bool) -> Result<bool> {
        let heads: Vec<bool> = self.block.index.heads.iter().map(|head| is(head)).collect();
        if heads.iter().all(|is| *is) {
            return Ok(true);
        }
        if !heads.contains(&true) {
            return Ok(false);
        }
        let cells = self.block.heads(self.group, None)?;
        keep(mask, |row| heads.get(cells.int(row) as usize) == Some(&true));
        Ok(true)
    }

    fn keep_tag(&self, mask: &mut [bool], key: &str, value: &str) -> Result<()> {
        let (block, index, group) = (self.block, &self.block.index, self.group);
        let named = index.key(key);
        // An empty text stands for none in a column.
        let has_column = named.is_some_and(|key| key.has_column) && !value.is_empty();
        let mut is = match has_column {
            true => block.equal(group, &column_name(key), value)?,
            false => vec![false; mask.len()],
        };
        if matches!(key, "error" | "span.kind" | "otel.status_code") {
            let kinds = block.own(group, KIND, None)?;
            let statuses = block.own(group, STATUS, None)?;
            for (row, is) in is.iter_mut().enumerate() {
                let (kind, status) = (kinds.int(row) as i32, statuses.int(row) as i32);
                *is |= own_tag(kind, status, key) == Some(value);
            }
        }
        let above = |head: &RowHead| {
            let scope = head.head.scope();
            let is_scope = matches!(key, "otel.scope.name" | "otel.library.name");
            head.head.resource().attr(key).is_some_and(|found| found.text() == value)
                || is_scope && scope.name() == value
        };
        let heads: Vec<bool> = index.heads.iter().map(|head| above(head)).collect();
        if heads.contains(&true) {
            let cells = block.heads(group, None)?;
            for (row, is) in is.iter_mut().enumerate() {
                *is |= heads.get(cells.int(row) as usize) == Some(&true);
            }
        }
        let in_rest = index.is_cut || named.is_some_and(|key| key.in_rest);
        let in_events = index.is_cut || index.event_keys.iter().any(|found| found == key);
        for (column, looked) in [("rest", in_rest), ("more", in_events)] {
            let open: Vec<usize> = (0..mask.len()).filter(|row| mask[*row] && !is[*row]).collect();
            if !looked || open.is_empty() {
                continue;
            }
            let cells = block.cells(group, column, Shape::Bytes, Some(&open))?;
            for (at, row) in open.iter().enumerate() {
                let raw = cells.bytes(at);
                is[*row] = match column {
                    "rest" => attribute_in(raw, 9, key).is_some_and(|found| found == value),
                    _ => SpanView::from_raw(raw).events().any(|event| {
                        event.attrs().get(key).is_some_and(|found| found.text() == value)
                    }),
                };
            }
        }
        keep(mask, |row| is[row]);
        Ok(())
    }
}

fn keep(mask: &mut [bool], is: impl Fn(usize) -> bool) {
    for (row, keep) in mask.iter_mut().enumerate() {
        *keep = *keep && is(row);
    }
}

/// Adds the spans of the wanted traces.
pub(super) fn get(block: &Block<SpanMeta>, ids: &[TraceId], found: &mut Found) -> Result<()> {
    for (number, group) in block.index.groups.iter().enumerate() {
        if !ids.iter().any(|id| group.may_hold(id)) {
            continue;
        }
        let traces = block.own(number, TRACE, None)?;
        let rows: Vec<usize> =
            (0..traces.len()).filter(|row| found.wants(&traces.id(*row))).collect();
        if rows.is_empty() {
            continue;
        }
        let read = block.read(number, Some(&rows))?;
        let mut damaged = false;
        block.each(&read, |meta, head, raw| {
            damaged |= !is_admitted(Signal::Traces, raw);
            if !damaged {
                found.add(&meta, head, raw);
            }
        })?;
        if damaged {
            return Err(Error::corrupt(format!(
                "block {} has a broken span",
                block.file.info().path
            )));
        }
    }
    Ok(())
}
