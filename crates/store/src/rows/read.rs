// SPDX-License-Identifier: Apache-2.0
//! Reads blocks of rows: columns for searches, rows as the elements they were.
//!
//! Bytes come checked from [`BlockFile`]; what does not fit together all the same is
//! [`basics::Kind::Corrupt`], and its block is set aside by [`Blocks`]. Indexes of blocks asked for
//! stay in memory within [`INDEX_BYTES_MAX`].

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;

use basics::{Error, Kind, Result};
use otlp_wire::{Payload, Signal};
use parking_lot::RwLock;
use parquet::data_type::{ByteArrayType, FixedLenByteArrayType, Int32Type, Int64Type};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::RowHead;
use super::element::{Cells, Element, Shape};
use super::index::{self, Index};
use super::pack::{field, fields};
use super::write::{BlockWriter, attribute, column_name};
use crate::blocks::container::BlockFile;
use crate::blocks::plan::Merge;
use crate::blocks::{BlockInfo, Catalog, Objects, Ulid};

/// Most bytes of indexes kept: those of some thousand blocks as a flush leaves them.
pub(crate) const INDEX_BYTES_MAX: u64 = 64 << 20;

/// A block, its footer read.
#[derive(Debug)]
pub(crate) struct Block<E> {
    pub(crate) file: BlockFile,
    pub(crate) index: Index,
    element: PhantomData<fn() -> E>,
}

/// Rows of one group, in columns.
pub(crate) struct Read {
    /// Their numbers in the group, ascending.
    pub rows: Vec<usize>,
    pub own: Vec<Cells>,
    heads: Cells,
    attributes: Vec<(usize, Cells)>,
    rest: Cells,
    more: Cells,
}

impl<E: Element> Block<E> {
    pub(crate) fn open(objects: &Arc<dyn Objects>, info: &BlockInfo) -> Result<Block<E>> {
        let file = BlockFile::open(objects, info)?;
        let index = file.key_value(index::KEY).and_then(Index::from_text);
        let damaged = || Error::corrupt(format!("the index of block {} is damaged", info.path));
        let index = index.ok_or_else(damaged)?;
        if index.groups.len() != file.metadata().num_row_groups() {
            return Err(damaged());
        }
        Ok(Block { file, index, element: PhantomData })
    }

    /// Rows of a group.
    pub(crate) fn row_count(&self, group: usize) -> usize {
        usize::try_from(self.file.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    fn column(&self, name: &str) -> Result<usize> {
        let missing = || Error::corrupt(format!("block {} has no {name}", self.file.info().path));
        self.file.column(name).ok_or_else(missing)
    }

    /// One of the element's own columns; all of it, or of these rows.
    pub(crate) fn own(&self, group: usize, at: usize, rows: Option<&[usize]>) -> Result<Cells> {
        let (name, shape) = E::COLUMNS[at];
        self.cells(group, name, shape, rows)
    }

    pub(crate) fn cells(
        &self,
        group: usize,
        name: &str,
        shape: Shape,
        rows: Option<&[usize]>,
    ) -> Result<Cells> {
        let (file, column) = (&self.file, self.column(name)?);
        macro_rules! read {
            ($data:ty) => {
                match rows {
                    Some(rows) => file.read_rows::<$data>(group, column, rows)?,
                    None => file.read_column::<$data>(group, column)?.values,
                }
            };
        }
        let cells = match shape {
            Shape::Enum | Shape::Near => Cells::I32(read!(Int32Type)),
            Shape::Time => Cells::I64(read!(Int64Type)),
            Shape::Text | Shape::Bytes => Cells::Bytes(read!(ByteArrayType)),
            Shape::Id16 | Shape::Id8 => Cells::Fixed(read!(FixedLenByteArrayType)),
        };
        let expected = rows.map_or(self.row_count(group), <[usize]>::len);
        match cells.len() == expected {
            true => Ok(cells),
            false => Err(Error::corrupt(format!("block {} has lost rows", file.info().path))),
        }
    }

    /// Numbers of the rows' heads.
    pub(crate) fn heads(&self, group: usize, rows: Option<&[usize]>) -> Result<Cells> {
        self.cells(group, "head", Shape::Enum, rows)
    }

    /// The texts of an attribute's column.
    pub(crate) fn texts(&self, group: usize, key: &str) -> Result<Cells> {
        self.cells(group, &column_name(key), Shape::Text, None)
    }

    /// Which rows have this text in a column.
    pub(crate) fn equal(&self, group: usize, name: &str, text: &str) -> Result<Vec<bool>> {
        self.file.equal(group, self.column(name)?, text.as_bytes())
    }

    /// Whole rows of a group: these, ascending, or all.
    pub(crate) fn read(&self, group: usize, rows: Option<&[usize]>) -> Result<Read> {
        let all = || (0..self.row_count(group)).collect();
        let own = (0..E::COLUMNS.len()).map(|at| self.own(group, at, rows));
        let own = own.collect::<Result<Vec<_>>>()?;
        let columns = self.index.keys.iter().enumerate().filter(|(_, key)| key.has_column);
        let attributes = columns.map(|(at, key)| {
            Ok((at, self.cells(group, &column_name(&key.name), Shape::Text, rows)?))
        });
        Ok(Read {
            rows: rows.map_or_else(all, <[usize]>::to_vec),
            own,
            heads: self.heads(group, rows)?,
            attributes: attributes.collect::<Result<Vec<_>>>()?,
            rest: self.cells(group, "rest", Shape::Bytes, rows)?,
            more: self.cells(group, "more", Shape::Bytes, rows)?,
        })
    }

    /// Gives each row as the element it was.
    pub(crate) fn each(
        &self,
        read: &Read,
        mut give: impl FnMut(E, &Arc<RowHead>, &[u8]),
    ) -> Result<()> {
        let damaged =
            || Error::corrupt(format!("block {} has a broken row", self.file.info().path));
        let mut raw = Vec::new();
        for at in 0..read.rows.len() {
            raw.clear();
            let more = read.more.bytes(at);
            let numbers = fields(more).fold(0u32, |bits, (number, ..)| match number {
                0..32 => bits | 1 << number,
                _ => bits,
            });
            E::write(&read.own, &read.rows, at, numbers, &mut raw);
            for (key, cells) in &read.attributes {
                let (text, key) = (cells.bytes(at), &self.index.keys[*key]);
                if !text.is_empty() {
                    let one = attribute(&key.name, key.kind, text).ok_or_else(damaged)?;
                    field(&mut raw, E::ATTRIBUTES, &one);
                }
            }
            raw.extend_from_slice(read.rest.bytes(at));
            raw.extend_from_slice(more);
            let head = usize::try_from(read.heads.int(at)).ok();
            let head = head.and_then(|head| self.index.heads.get(head)).ok_or_else(damaged)?;
            give(E::get(&read.own, at, numbers), head, &raw);
        }
        Ok(())
    }
}

/// True when `raw` is an element that views may be shown.
pub(crate) fn is_admitted(signal: Signal, raw: &[u8]) -> bool {
    let (mut scope, mut resource, mut request) = (Vec::new(), Vec::new(), Vec::new());
    field(&mut scope, 2, raw);
    field(&mut resource, 2, &scope);
    field(&mut request, 1, &resource);
    Payload::admit(signal, request.into()).is_ok()
}

/// The attribute under `key` among encoded ones.
pub(crate) fn attribute_in(raw: &[u8], number: u32, key: &str) -> Option<String> {
    use crate::remote_write::wire::Value;
    fields(raw).find_map(|(found, value, _)| {
        let Value::Bytes(attribute) = value else { return None };
        let view = Named::of(attribute)?;
        (found == number && view.key == key).then(|| view.value.text().into_owned())
    })
}

struct Named<'a> {
    key: &'a str,
    value: otlp_wire::AnyValue<'a>,
}

impl<'a> Named<'a> {
    fn of(raw: &'a [u8]) -> Option<Named<'a>> {
        use crate::remote_write::wire::Value;
        let mut named = Named { key: "", value: otlp_wire::AnyValue::Empty };
        for (number, value, _) in fields(raw) {
            match (number, value) {
                (1, Value::Bytes(text)) => named.key = std::str::from_utf8(text).ok()?,
                (2, Value::Bytes(raw)) => named.value = otlp_wire::AnyValue::parse(raw),
                _ => {}
            }
        }
        Some(named)
    }
}

#[derive(Clone, Debug)]
struct Weigh;

impl<E: Element> Weighter<Ulid, Arc<Block<E>>> for Weigh {
    fn weight(&self, _: &Ulid, block: &Arc<Block<E>>) -> u64 {
        block.index.size() as u64 + 1024
    }
}

/// The live blocks of one signal.
pub(crate) struct Blocks<E: Element> {
    catalog: RwLock<Option<Arc<Catalog>>>,
    open: Cache<Ulid, Arc<Block<E>>, Weigh>,
}

impl<E: Element> std::fmt::Debug for Blocks<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Blocks").field("open", &self.open.len()).finish_non_exhaustive()
    }
}

impl<E: Element> Default for Blocks<E> {
    fn default() -> Self {
        let open = Cache::with_weighter(4096, INDEX_BYTES_MAX, Weigh);
        Blocks { catalog: RwLock::default(), open }
    }
}

impl<E: Element> Blocks<E> {
    pub(crate) fn attach(&self, catalog: Arc<Catalog>) {
        *self.catalog.write() = Some(catalog);
    }

    /// Gives every live block that may hold something of `start..=end` (nanoseconds) to `look`, the
    /// one with the latest rows first; stops when it says so. A damaged block is set aside.
    ///
    /// # Errors
    /// A block cannot be read now.
    pub(crate) fn each(
        &self,
        (start, end): (u64, u64),
        forward: bool,
        mut look: impl FnMut(&Block<E>) -> Result<bool>,
    ) -> Result<()> {
        let Some(catalog) = self.catalog.read().clone() else { return Ok(()) };
        let live = catalog.live();
        let ms = |time: u64| (time / 1_000_000) as i64;
        let mut wanted: Vec<&BlockInfo> =
            live.iter().filter(|block| block.touches(ms(start), ms(end))).collect();
        match forward {
            true => wanted.sort_by_key(|block| block.tmin),
            false => wanted.sort_by_key(|block| std::cmp::Reverse(block.tmax)),
        }
        for info in wanted {
            let open = || Block::open(catalog.objects(), info).map(Arc::new);
            let looked = match self.open.get(&info.id) {
                Some(block) => look(&block),
                None => open().and_then(|block| {
                    self.open.insert(info.id, block.clone());
                    look(&block)
                }),
            };
            match looked {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(error) if error.kind() == Kind::Corrupt => {
                    self.open.remove(&info.id);
                    if let Err(e) = catalog.quarantine(info.id, &error.to_string()) {
                        tracing::warn!(path = info.path, "a damaged block is not set aside: {e}");
                    }
                }
                // Replaced and removed between the list and the read: its rows are elsewhere.
                Err(_) if !catalog.live().iter().any(|block| block.id == info.id) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Numbers for the content of a block's rows, as [`super::content_hash`] gives them.
///
/// # Errors
/// The block cannot be read.
pub(crate) fn hashes<E: Element>(catalog: &Catalog, info: &BlockInfo) -> Result<Vec<u64>> {
    let block = Block::<E>::open(catalog.objects(), info)?;
    let mut all = Vec::with_capacity(usize::try_from(info.rows).unwrap_or(0).min(1 << 24));
    for group in 0..block.index.groups.len() {
        let read = block.read(group, None)?;
        block.each(&read, |_, head, raw| all.push(super::content_hash(head, raw)))?;
    }
    Ok(all)
}

/// Makes one block of what these hold and commits it in their place. None when one of them is
/// damaged, and set aside: the others are merged the next time.
///
/// # Errors
/// A block cannot be read now, or the new one not written.
pub(crate) fn compact<E: Element>(catalog: &Catalog, merge: &Merge) -> Result<Option<BlockInfo>> {
    let mut inputs: Vec<&BlockInfo> = merge.inputs.iter().collect();
    inputs.sort_by_key(|info| (info.tmin, info.id));
    let (mut blocks, mut keys) = (Vec::new(), BTreeMap::<String, [u64; 4]>::new());
    for info in &inputs {
        let Some(block) = sound(catalog, info, Block::<E>::open(catalog.objects(), info))? else {
            return Ok(None);
        };
        for key in &block.index.keys {
            keys.entry(key.name.clone()).or_default()[key.kind as usize] += key.count;
        }
        blocks.push(block);
    }
    let rows: u64 = inputs.iter().map(|info| info.rows).sum();
    let Some(first) = inputs.first() else { return Ok(None) };
    let target = catalog.target(merge.level, first.tmin)?;
    let mut writer = BlockWriter::<E>::create(catalog, target, Index::columns(&keys, rows))?;
    for (block, info) in blocks.iter().zip(&inputs) {
        for group in 0..block.index.groups.len() {
            let mut written = Ok(());
            let read = block.read(group, None).and_then(|read| {
                block.each(&read, |meta, head, raw| {
                    if written.is_ok() {
                        written = writer.push(&meta, head, raw);
                    }
                })
            });
            written?;
            if sound(catalog, info, read)?.is_none() {
                return Ok(None);
            }
        }
    }
    let block = writer.finish()?;
    let removed: Vec<Ulid> = inputs.iter().map(|info| info.id).collect();
    catalog.commit(vec![block.clone()], &removed, None)?;
    Ok(Some(block))
}

/// What was read; none when the block is damaged, which is then set aside.
fn sound<T>(catalog: &Catalog, info: &BlockInfo, read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == Kind::Corrupt => {
            catalog.quarantine(info.id, &error.to_string())?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
