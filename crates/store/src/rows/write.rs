// SPDX-License-Identifier: Apache-2.0
//! Writes a block of rows: Parquet, one column for each of an element's own fields and for each
//! frequent attribute, the [`super::index::Index`] in the footer.
//!
//! ```text
//! own columns | head i32 (number in the index) | a.<key>... | rest | more
//! ```
//! Attribute columns are picked by what the rows hold, without settings. Their values are texts (of
//! the type that the index tells), empty where a row has none; a value of another type, an empty
//! text, or one in an unusual encoding stays in `rest`. Memory: one row group.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::Arc;

use basics::{Error, Result};
use hashbrown::{HashMap, HashSet};
use otlp_wire::{AnyValue, Head};
use parquet::basic::{Compression, Encoding, Repetition, Type as Physical, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use super::element::{Cells, Element, Shape};
use super::index::{self, Group, Index, Key, ValueKind};
use super::pack::{field, fields};
use super::{RowHead, Rows};
use crate::blocks::container::{FileWriter, Written};
use crate::blocks::{BlockInfo, Catalog, Target};
use crate::remote_write::wire::Value;

/// Most attributes with a column of their own: what a service's spans have is some twenty, and each
/// column costs a few hundred bytes a row group.
pub(crate) const COLUMNS_MAX: usize = 64;

/// Rows of a row group: what a search reads at a time, and a merge holds in memory.
pub(crate) const GROUP_ROWS: usize = 65_536;

/// Rows of a page: what a lookup inflates of each column for one trace.
const PAGE_ROWS: usize = 4096;

/// A block of these rows, not yet in the catalog; none when there is no row.
///
/// # Errors
/// [`basics::Kind::Retry`] when it cannot be written.
pub(crate) fn write_block<E: Element>(
    catalog: &Catalog,
    rows: &Rows<E>,
) -> Result<Option<BlockInfo>> {
    let mut keys: BTreeMap<String, [u64; 4]> = BTreeMap::new();
    let mut tmin = u64::MAX;
    for (row, raw) in rows.iter() {
        tmin = tmin.min(row.meta.time());
        for (number, value, _) in fields(raw) {
            if let (true, Value::Bytes(attribute)) = (number == E::ATTRIBUTES, value) {
                count_key(&mut keys, attribute);
            }
        }
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let columns = Index::columns(&keys, rows.len() as u64);
    let target = catalog.target(0, (tmin / 1_000_000) as i64)?;
    let mut writer = BlockWriter::create(catalog, target, columns)?;
    for (row, raw) in rows.iter() {
        writer.push(&row.meta, &row.head, raw)?;
    }
    writer.finish().map(Some)
}

fn count_key(keys: &mut BTreeMap<String, [u64; 4]>, attribute: &[u8]) {
    let Some((key, value)) = key_value(attribute) else { return };
    let kind = kind_of(&value).unwrap_or_default() as usize;
    if let Some(counts) = keys.get_mut(key) {
        counts[kind] += 1;
    } else if keys.len() < 16 * index::KEYS_MAX {
        let mut counts = [0; 4];
        counts[kind] = 1;
        keys.insert(key.to_owned(), counts);
    }
}

fn key_value(attribute: &[u8]) -> Option<(&str, AnyValue<'_>)> {
    let (mut key, mut any) = ("", AnyValue::Empty);
    for (number, value, _) in fields(attribute) {
        match (number, value) {
            (1, Value::Bytes(text)) => key = std::str::from_utf8(text).ok()?,
            (2, Value::Bytes(raw)) => any = AnyValue::parse(raw),
            _ => {}
        }
    }
    Some((key, any))
}

fn kind_of(value: &AnyValue<'_>) -> Option<ValueKind> {
    match value {
        AnyValue::Str(_) => Some(ValueKind::Text),
        AnyValue::Int(_) => Some(ValueKind::Int),
        AnyValue::Double(v) if v.is_finite() => Some(ValueKind::Double),
        AnyValue::Bool(_) => Some(ValueKind::Bool),
        _ => None,
    }
}

/// The encoded attribute of a column's text; none when the text is not of the column's type.
pub(crate) fn attribute(key: &str, kind: ValueKind, text: &[u8]) -> Option<Vec<u8>> {
    use super::pack::{field_fixed, field_int};
    let parsed = || std::str::from_utf8(text).ok();
    let mut value = Vec::with_capacity(text.len() + 8);
    match kind {
        ValueKind::Text => field(&mut value, 1, text),
        ValueKind::Bool => field_int(&mut value, 2, u64::from(text == b"true")),
        ValueKind::Int => field_int(&mut value, 3, parsed()?.parse::<i64>().ok()? as u64),
        ValueKind::Double => field_fixed(&mut value, 4, parsed()?.parse::<f64>().ok()?.to_bits()),
    }
    let mut out = Vec::with_capacity(key.len() + value.len() + 8);
    field(&mut out, 1, key.as_bytes());
    field(&mut out, 2, &value);
    Some(out)
}

pub(crate) struct BlockWriter<E> {
    file: FileWriter,
    target: Target,
    columns: Vec<(String, ValueKind)>,
    places: HashMap<String, usize, foldhash::fast::RandomState>,
    own: Vec<Cells>,
    heads_of: Vec<i32>,
    attributes: Vec<Vec<Vec<u8>>>,
    rest: Vec<Vec<u8>>,
    more: Vec<Vec<u8>>,
    notes: Notes,
    tmin: u64,
    tmax: u64,
    rows: u64,
    element: PhantomData<E>,
}

/// What becomes the index.
#[derive(Default)]
struct Notes {
    heads: Vec<Arc<RowHead>>,
    numbers: HashMap<Head, i32, foldhash::fast::RandomState>,
    last: Option<(*const RowHead, i32)>,
    keys: BTreeMap<String, [u64; 4]>,
    in_rest: BTreeSet<String>,
    event_keys: BTreeSet<String>,
    is_cut: bool,
    operations: BTreeSet<(Arc<str>, String, i32)>,
    groups: Vec<Group>,
    group: Group,
    words: HashSet<u64, foldhash::fast::RandomState>,
}

impl<E: Element> BlockWriter<E> {
    pub(crate) fn create(
        catalog: &Catalog,
        target: Target,
        columns: Vec<(String, ValueKind)>,
    ) -> Result<Self> {
        let schema = schema::<E>(&columns)
            .map_err(|e| Error::invalid("no schema for a block of rows").caused_by(e))?;
        let properties = properties::<E>(&columns);
        let file = FileWriter::create(&**catalog.objects(), &target, schema, properties)?;
        let places = columns.iter().enumerate().map(|(at, (name, _))| (name.clone(), at)).collect();
        let mut writer = BlockWriter {
            file,
            target,
            places,
            own: Vec::new(),
            heads_of: Vec::new(),
            attributes: vec![Vec::new(); columns.len()],
            columns,
            rest: Vec::new(),
            more: Vec::new(),
            notes: Notes::default(),
            tmin: u64::MAX,
            tmax: 0,
            rows: 0,
            element: PhantomData,
        };
        writer.begin();
        Ok(writer)
    }

    fn begin(&mut self) {
        self.own = E::COLUMNS.iter().map(|(_, shape)| Cells::new(*shape)).collect();
        self.notes.group = Group { tmin: u64::MAX, ..Group::default() };
    }

    pub(crate) fn push(&mut self, meta: &E, head: &Arc<RowHead>, raw: &[u8]) -> Result<()> {
        if self.more.len() >= GROUP_ROWS {
            self.flush()?;
        }
        self.heads_of.push(self.notes.head(head));
        let (mut rest, mut more) = (Vec::new(), Vec::new());
        let held = meta.put(raw, &mut self.own, &mut more);
        let row = self.more.len();
        for (number, value, bytes) in fields(raw) {
            match value {
                Value::Bytes(attribute) if number == E::ATTRIBUTES => {
                    if !self.shred(row, attribute) {
                        rest.extend_from_slice(bytes);
                    }
                }
                _ if number < 32 && held >> number & 1 == 1 => {}
                _ => more.extend_from_slice(bytes),
            }
        }
        for column in &mut self.attributes {
            column.resize(row + 1, Vec::new());
        }
        self.rest.push(rest);
        self.more.push(more);
        self.notes.element(meta, head, raw);
        self.tmin = self.tmin.min(meta.time());
        self.tmax = self.tmax.max(meta.time());
        self.rows += 1;
        Ok(())
    }

    /// Puts an attribute into its column, if that can give it back as it is.
    fn shred(&mut self, row: usize, raw: &[u8]) -> bool {
        let Some((key, value)) = key_value(raw) else { return false };
        count_key(&mut self.notes.keys, raw);
        let place = self.places.get(key).copied();
        let mine = place.filter(|at| kind_of(&value) == Some(self.columns[*at].1));
        if let Some(at) = mine {
            let (name, kind) = &self.columns[at];
            let (text, column) = (value.text(), &mut self.attributes[at]);
            let is_new = column.len() == row;
            let same = || attribute(name, *kind, text.as_bytes()).is_some_and(|a| a == raw);
            if is_new && !text.is_empty() && same() {
                column.push(text.into_owned().into_bytes());
                return true;
            }
        }
        if !self.notes.in_rest.contains(key) {
            self.notes.in_rest.insert(key.to_owned());
        }
        false
    }

    fn flush(&mut self) -> Result<()> {
        if self.more.is_empty() {
            return Ok(());
        }
        E::seal(&mut self.own, &mut self.more);
        let mut columns = std::mem::take(&mut self.own);
        columns.push(Cells::I32(std::mem::take(&mut self.heads_of)));
        let bytes = |values: &mut Vec<Vec<u8>>| {
            let values = std::mem::take(values).into_iter();
            Cells::Bytes(values.map(parquet::data_type::ByteArray::from).collect())
        };
        columns.extend(self.attributes.iter_mut().map(bytes));
        columns.push(bytes(&mut self.rest));
        columns.push(bytes(&mut self.more));
        self.file.row_group(|group| columns.iter().try_for_each(|column| column.write(group)))?;
        self.notes.end_group();
        self.begin();
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<BlockInfo> {
        self.flush()?;
        let index = self.notes.index(&self.columns).text();
        let Written { bytes, footer_bytes, footer_crc } =
            self.file.finish(vec![(index::KEY, index)])?;
        let Target { id, level, path, writer } = self.target;
        Ok(BlockInfo {
            id,
            level,
            path,
            tmin: (self.tmin / 1_000_000) as i64,
            tmax: (self.tmax / 1_000_000) as i64,
            rows: self.rows,
            items: self.rows,
            bytes,
            footer_bytes,
            footer_crc,
            writer,
        })
    }
}

impl Notes {
    fn head(&mut self, head: &Arc<RowHead>) -> i32 {
        // Neighbours share theirs.
        if let Some((last, number)) = self.last
            && std::ptr::eq(last, Arc::as_ptr(head))
        {
            return number;
        }
        let next = self.heads.len() as i32;
        let number = *self.numbers.entry_ref(&*head.head).or_insert_with(|| {
            self.heads.push(head.clone());
            next
        });
        self.last = Some((Arc::as_ptr(head), number));
        number
    }

    fn element<E: Element>(&mut self, meta: &E, head: &RowHead, raw: &[u8]) {
        self.group.tmin = self.group.tmin.min(meta.time());
        self.group.tmax = self.group.tmax.max(meta.time());
        let trace = meta.trace();
        if trace != [0; 16] {
            let hash = index::trace_hash(&trace);
            if self.group.traces.last() != Some(&hash) {
                self.group.traces.push(hash);
            }
        }
        if E::WORDS {
            self.words.extend(index::word_hashes(&E::words(raw)));
        }
        let (event_keys, is_cut) = (&mut self.event_keys, &mut self.is_cut);
        let operation = E::notes(raw, &mut |key| {
            if !event_keys.contains(key) {
                *is_cut |= event_keys.len() >= index::KEYS_MAX;
                if !*is_cut {
                    event_keys.insert(key.to_owned());
                }
            }
        });
        if let Some((name, kind)) = operation.filter(|_| !head.service.is_empty()) {
            let is_full = self.operations.len() >= index::OPERATIONS_MAX;
            let operation = (head.service.clone(), name.to_owned(), kind);
            if !is_full {
                self.operations.insert(operation);
            }
        }
    }

    fn end_group(&mut self) {
        let mut group = std::mem::take(&mut self.group);
        group.traces.sort_unstable();
        group.traces.dedup();
        if !self.words.is_empty() {
            group.words = index::word_filter(&std::mem::take(&mut self.words));
        }
        self.groups.push(group);
    }

    fn index(self, columns: &[(String, ValueKind)]) -> Index {
        let mut keys: Vec<Key> = Vec::new();
        for (name, kind) in columns {
            let count = self.keys.get(name).map_or(0, |counts| counts.iter().sum());
            let in_rest = self.in_rest.contains(name);
            keys.push(Key { name: name.clone(), kind: *kind, count, has_column: true, in_rest });
        }
        let mut is_cut = self.is_cut;
        for name in self.in_rest {
            if keys.iter().any(|key| key.name == name) {
                continue;
            }
            if keys.len() >= index::KEYS_MAX {
                is_cut = true;
                break;
            }
            let counts = self.keys.get(&name).copied().unwrap_or_default();
            let kind = ValueKind::ALL[(0..4).rev().max_by_key(|at| counts[*at]).unwrap_or(0)];
            let count = counts.iter().sum();
            keys.push(Key { name, kind, count, has_column: false, in_rest: true });
        }
        let operations = self.operations.into_iter();
        Index {
            heads: self.heads,
            keys,
            event_keys: self.event_keys.into_iter().collect(),
            is_cut,
            operations: operations.map(|(s, name, kind)| (s.to_string(), name, kind)).collect(),
            groups: self.groups,
        }
    }
}

/// Name of an attribute's column.
pub(crate) fn column_name(key: &str) -> String {
    format!("a.{key}")
}

/// All columns in order, with how they are written.
fn layout<E: Element>(columns: &[(String, ValueKind)]) -> Vec<(String, Shape)> {
    let own = E::COLUMNS.iter().map(|(name, shape)| ((*name).to_owned(), *shape));
    let head = std::iter::once(("head".to_owned(), Shape::Enum));
    let attributes = columns.iter().map(|(key, _)| (column_name(key), Shape::Text));
    let last = ["rest", "more"].map(|name| (name.to_owned(), Shape::Bytes));
    own.chain(head).chain(attributes).chain(last).collect()
}

fn schema<E: Element>(columns: &[(String, ValueKind)]) -> parquet::errors::Result<TypePtr> {
    let field = |(name, shape): (String, Shape)| {
        let (physical, length) = match shape {
            Shape::Enum | Shape::Near => (Physical::INT32, 0),
            Shape::Time => (Physical::INT64, 0),
            Shape::Text | Shape::Bytes => (Physical::BYTE_ARRAY, 0),
            Shape::Id16 => (Physical::FIXED_LEN_BYTE_ARRAY, 16),
            Shape::Id8 => (Physical::FIXED_LEN_BYTE_ARRAY, 8),
        };
        let built = Type::primitive_type_builder(&name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_length(length)
            .build()?;
        Ok(Arc::new(built))
    };
    let fields = layout::<E>(columns).into_iter().map(field);
    let fields = fields.collect::<parquet::errors::Result<Vec<_>>>()?;
    Ok(Arc::new(Type::group_type_builder("rows").with_fields(fields).build()?))
}

fn properties<E: Element>(columns: &[(String, ValueKind)]) -> WriterProperties {
    let mut all = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(1024);
    for (name, shape) in layout::<E>(columns) {
        let path = ColumnPath::new(vec![name.clone()]);
        let has_dictionary = matches!(shape, Shape::Enum | Shape::Text | Shape::Id16);
        all = all.set_column_dictionary_enabled(path.clone(), has_dictionary);
        match shape {
            Shape::Near | Shape::Time => {
                all = all.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
            Shape::Id8 => all = all.set_column_compression(path, Compression::UNCOMPRESSED),
            // Bodies are most of a log's bytes and inflate as fast at level 3.
            Shape::Bytes if name == "body" => {
                let level = ZstdLevel::try_new(3).unwrap_or_default();
                all = all.set_column_compression(path, Compression::ZSTD(level));
            }
            _ => {}
        }
    }
    all.build()
}
