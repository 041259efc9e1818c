// SPDX-License-Identifier: Apache-2.0
use basics::files::{Mode, TestFiles, read_all};
use proptest::prelude::*;

use crate::*;

fn filled(count: u8) -> (TestFiles, Vec<Vec<u8>>) {
    let files = TestFiles::new();
    let log = open(&files, small());
    let all: Vec<Vec<u8>> = (0..count).map(|i| vec![i; 10 + usize::from(i) % 50]).collect();
    for body in &all {
        append(&log, body);
    }
    (files, all)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_appending_goes_on() {
    let (files, all) = filled(7);
    let last = segments(&files).pop().unwrap();
    let whole = read_all(&files, &last).unwrap();
    let record_len = 25 + "metrics".len() + all[6].len();
    for torn in 1..record_len {
        let copy = TestFiles::new();
        for path in segments(&files) {
            let file = copy.open(&path, Mode::Append).unwrap();
            file.append(&read_all(&files, &path).unwrap()).unwrap();
        }
        copy.open(&last, Mode::Append).unwrap().truncate((whole.len() - torn) as u64).unwrap();
        let log = open(&copy, small());
        append(&log, b"new");
        let mut expected = all[..6].to_vec();
        expected.push(b"new".to_vec());
        assert_eq!(bodies(&log), expected, "torn by {torn}");
        assert_eq!(log.stats().quarantined_bytes, (record_len - torn) as u64);
        let kept = copy.list(&dir().join("quarantine")).unwrap();
        let kept = read_all(&copy, &dir().join("quarantine").join(&kept[0])).unwrap();
        assert!(
            !kept.is_empty()
                && whole.ends_with(&[&kept[..], &whole[whole.len() - torn..]].concat())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_flipped_bit_costs_at_most_the_record_it_hits(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (files, all) = filled(30);
        let sizes: Vec<(std::path::PathBuf, usize)> = segments(&files)
            .into_iter()
            .map(|path| { let n = read_all(&files, &path).unwrap().len(); (path, n) })
            .collect();
        let mut byte = at.index(sizes.iter().map(|(_, n)| n).sum());
        let (path, _) = sizes.iter().find(|(_, n)| { let here = byte < *n; if !here { byte -= n } here }).unwrap();
        files.flip_bit(path, byte, bit).unwrap();
        for _life in 0..2 {
            let log = open(&files, small());
            let found = bodies(&log);
            prop_assert_eq!(found.len(), all.len() - 1);
            let missing = all.iter().position(|body| !found.contains(body)).unwrap();
            let mut expected = all.clone();
            expected.remove(missing);
            prop_assert_eq!(found, expected);
            drop(log);
        }
        let kept = files.list(&dir().join("quarantine")).unwrap();
        prop_assert_eq!(kept.len(), 1);
    }

    #[test]
    fn any_bytes_for_a_segment_open_and_take_records(junk in proptest::collection::vec(any::<u8>(), 0..600)) {
        let files = TestFiles::new();
        files.open(&dir().join("00000000000000000000.seg"), Mode::Append).unwrap().append(&junk).unwrap();
        let log = open(&files, small());
        append(&log, b"new");
        prop_assert_eq!(bodies(&log), [b"new"]);
    }
}

#[test]
fn a_missing_segment_and_a_damaged_offset_are_passed_over() {
    let (files, all) = filled(30);
    let log = open(&files, small());
    let consumer = log.consumer("c", segment_log::Start::Newest).unwrap();
    assert_eq!(consumer.position(), log.end());
    drop((consumer, log));
    files.remove(&segments(&files)[2]).unwrap();
    files.flip_bit(&dir().join("offsets/c"), 3, 3).unwrap();
    let log = open(&files, small());
    let found = bodies(&log);
    assert!(found.len() < all.len() && found.len() > 20);
    assert!(found.iter().all(|body| all.contains(body)));
    let again = log.consumer("c", segment_log::Start::Newest).unwrap();
    assert_eq!(again.position(), Position(0));
}

#[test]
fn a_record_copied_elsewhere_or_wrapped_in_a_body_is_not_taken_for_one() {
    let files = TestFiles::new();
    let log = open(&files, Options::default());
    append(&log, b"original");
    let bytes = read_all(&files, &segments(&files)[0]).unwrap();
    append(&log, &bytes);
    drop(log);
    let file = files.open(&segments(&files)[0], Mode::Append).unwrap();
    file.append(&bytes).unwrap();
    files.flip_bit(&segments(&files)[0], bytes.len() + 4, 0).unwrap();
    assert_eq!(bodies(&open(&files, Options::default())), [b"original"]);
}
