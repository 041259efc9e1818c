// SPDX-License-Identifier: Apache-2.0
#![expect(clippy::single_range_in_vec_init, reason = "lists of ranges, some with one")]

use basics::{Clock, Kind, Random};
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::schema::parser::parse_message_type;

use super::super::{Catalog, CatalogOptions, Memory};
use super::*;

const ROWS: usize = 3000;

fn text(row: usize) -> Vec<u8> {
    format!("{row}-{}", "x".repeat(row % 300)).into_bytes()
}

fn write(objects: &Arc<dyn Objects>) -> BlockInfo {
    let writer = Some("a".to_owned());
    let options = CatalogOptions { tenant: "default".to_owned(), signal: "logs", writer };
    let clock = Clock::manual(1);
    let catalog = Catalog::open(objects.clone(), options, clock, Random::seeded(1)).unwrap();
    let target = catalog.target(0, 0).unwrap();
    let schema = "message m { required int64 number; optional binary name; required binary body; }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(Default::default()))
        .set_data_page_size_limit(16 << 10)
        .set_write_batch_size(16)
        .build();
    let mut file = FileWriter::create(&**objects, &target, schema, properties).unwrap();
    for group in 0..2 {
        let rows = group * ROWS..(group + 1) * ROWS;
        file.row_group(|group| {
            let numbers: Vec<i64> = rows.clone().map(|row| row as i64).collect();
            let mut column = group.next_column()?.unwrap();
            column.typed::<Int64Type>().write_batch(&numbers, None, None)?;
            column.close()?;
            let levels: Vec<i16> = rows.clone().map(|row| i16::from(row % 3 == 0)).collect();
            let names = rows.clone().filter(|row| row % 3 == 0);
            let names: Vec<ByteArray> = names.map(|row| text(row % 7).into()).collect();
            let mut column = group.next_column()?.unwrap();
            column.typed::<ByteArrayType>().write_batch(&names, Some(&levels), None)?;
            column.close()?;
            let bodies: Vec<ByteArray> = rows.clone().map(|row| text(row).into()).collect();
            let mut column = group.next_column()?.unwrap();
            column.typed::<ByteArrayType>().write_batch(&bodies, None, None)?;
            column.close()
        })
        .unwrap();
    }
    assert_eq!(file.row_groups(), 2);
    let Written { bytes, footer_bytes, footer_crc } =
        file.finish(vec![("foreglow.test", "here".to_owned())]).unwrap();
    let Target { id, level, path, writer } = target;
    let rows = 2 * ROWS as u64;
    let (tmin, tmax, items) = (0, 0, rows);
    BlockInfo { id, level, path, tmin, tmax, rows, items, bytes, footer_bytes, footer_crc, writer }
}

/// All that the file holds; an error when something does not check out.
fn read(objects: &Arc<dyn Objects>, info: &BlockInfo) -> Result<()> {
    let file = BlockFile::open(objects, info)?;
    assert_eq!(file.key_value("foreglow.test"), Some("here"));
    assert_eq!(file.column("body"), Some(2));
    for group in 0..2 {
        let numbers = file.read_column::<Int64Type>(group, 0)?;
        let expected: Vec<i64> = (0..ROWS).map(|row| (group * ROWS + row) as i64).collect();
        assert_eq!(numbers.values, expected);
        let names = file.read_column::<ByteArrayType>(group, 1)?;
        for (row, name) in names.rows().enumerate() {
            let row = group * ROWS + row;
            let expected = row.is_multiple_of(3).then(|| text(row % 7));
            assert_eq!(name.map(|name| name.data().to_vec()), expected);
        }
        for rows in [vec![0], vec![5, 6, 7, 1999, 2999], (0..ROWS).collect()] {
            let bodies = file.read_rows::<ByteArrayType>(group, 2, &rows)?;
            for (row, body) in rows.iter().zip(bodies) {
                assert_eq!(body.data(), text(group * ROWS + row));
            }
        }
    }
    file.verify()
}

#[test]
fn columns_and_rows_come_back() {
    let objects: Arc<dyn Objects> = Arc::new(Memory::new());
    let info = write(&objects);
    read(&objects, &info).unwrap();
    let file = BlockFile::open(&objects, &info).unwrap();
    assert_eq!(file.read_column::<Int64Type>(0, 1).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn few_rows_are_read_by_few_pieces() {
    let memory = Memory::new();
    let objects: Arc<dyn Objects> = Arc::new(memory.clone());
    let info = write(&objects);
    let file = BlockFile::open(&objects, &info).unwrap();
    let before = memory.reads();
    file.read_rows::<ByteArrayType>(1, 2, &[3, 4]).unwrap();
    assert_eq!(memory.reads(), before + 1);
}

#[test]
fn a_flipped_bit_anywhere_is_told_and_never_a_panic() {
    let memory = Memory::new();
    let objects: Arc<dyn Objects> = Arc::new(memory.clone());
    let info = write(&objects);
    for byte in
        (0..info.bytes as usize).step_by(997).chain(info.bytes as usize - 200..info.bytes as usize)
    {
        assert!(memory.flip_bit(&info.path, byte, (byte % 8) as u8));
        let error = read(&objects, &info).unwrap_err();
        assert_eq!(error.kind(), Kind::Corrupt, "byte {byte}: {error}");
        assert!(memory.flip_bit(&info.path, byte, (byte % 8) as u8));
    }
    memory.put(&info.path, b"short").unwrap();
    assert_eq!(read(&objects, &info).unwrap_err().kind(), Kind::Corrupt);
    memory.delete(&info.path).unwrap();
    assert_eq!(read(&objects, &info).unwrap_err().kind(), Kind::Corrupt);
}

#[test]
fn ranges_become_whole_pieces() {
    let piece = PIECE_BYTES;
    type Ranges<'a> = &'a [Range<u64>];
    let cases: [(Ranges, Option<Ranges>); 5] = [
        (&[], Some(&[])),
        (&[5..5], Some(&[])),
        (&[1..2, piece + 1..piece + 2], Some(&[0..2 * piece])),
        (&[20 * piece + 1..20 * piece + 2, 0..1], Some(&[0..piece, 20 * piece..20 * piece + 7])),
        (&[20 * piece..20 * piece + 8], None),
    ];
    for (ranges, expected) in cases {
        let found = coalesce(ranges.to_vec(), 20 * piece + 7);
        assert_eq!(found.as_deref(), expected);
    }
}
