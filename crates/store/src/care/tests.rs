// SPDX-License-Identifier: Apache-2.0
use std::sync::Arc;

use basics::labels::Labels;
use basics::{Clock, Random};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::blocks::{CatalogOptions, Memory};
use crate::columns::SeriesColumns;
use crate::metrics::{Blocks, CACHE_BYTES, write_block};

fn blocks(memory: &Memory, writer: &str) -> Blocks {
    let writer = Some(writer.to_owned());
    let options = CatalogOptions { tenant: "default".to_owned(), signal: "metrics", writer };
    let (objects, clock) = (Arc::new(memory.clone()), Clock::manual(1));
    let catalog = Catalog::open(objects, options, clock, Random::from_os()).unwrap();
    Blocks::new(Arc::new(catalog), CACHE_BYTES)
}

fn put(blocks: &Blocks, name: &str, value: f64) -> BlockInfo {
    let series = SeriesColumns {
        labels: Labels::new([("__name__", name), ("value", "a label")]),
        times: [1000, 90_000_000].into(),
        values: [value, value + 1.0].into(),
        ..SeriesColumns::default()
    };
    let info = write_block(blocks.catalog(), [series]).unwrap().unwrap();
    blocks.catalog().commit(vec![info.clone()], &[], None).unwrap();
    info
}

#[test]
fn copies_hold_what_is_whole_and_tell_what_is_not() {
    let (memory, other) = (Memory::new(), Memory::new());
    let (from, to) = (blocks(&memory, "a"), blocks(&other, "b"));
    put(&from, "g", 1.0);
    put(&from, "g", 2.0);
    let bad = put(&from, "bad", 3.0);
    assert_eq!(check(from.catalog()).unwrap().blocks, 3);
    memory.flip_bit(&bad.path, 100, 1);
    let checked = check(from.catalog()).unwrap();
    assert_eq!((checked.blocks, checked.damaged.len()), (2, 1));
    assert_eq!(checked.damaged[0].0, bad.path);
    assert_eq!(copy(from.catalog(), to.catalog()).unwrap(), checked);
    let found = blocks(&other, "b").select(&[], 0, i64::MAX, 0, Vec::new()).unwrap();
    assert_eq!((found.len(), &found[0].values[..]), (1, &[2.0, 3.0][..]));
    assert!(copy(from.catalog(), to.catalog()).is_err(), "not into what has blocks");
}

#[test]
fn plain_rows_are_read_by_any_reader() {
    let memory = Memory::new();
    let blocks = blocks(&memory, "a");
    put(&blocks, "g", 1.0);
    put(&blocks, "h", 5.0);
    let mut file = tempfile::tempfile().unwrap();
    assert_eq!(export_plain(&blocks, &mut file).unwrap(), 4);
    let reader = SerializedFileReader::new(file).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr().columns().to_vec();
    let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
    assert_eq!(names, ["__name__", "value", "timestamp", "value_", "histogram"]);
    assert_eq!(reader.metadata().file_metadata().num_rows(), 4);
}
