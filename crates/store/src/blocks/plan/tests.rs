// SPDX-License-Identifier: Apache-2.0
use super::*;

/// A block written at `hour` (of the id) with times from `hour_min` on.
fn block(number: u128, written_hour: u64, level: u8, hour_min: i64) -> BlockInfo {
    let tmin = hour_min * HOUR_MS;
    BlockInfo {
        id: Ulid::from_parts(written_hour * HOUR_MS as u64, number),
        level,
        path: String::new(),
        tmin,
        tmax: tmin + HOUR_MS - 1,
        rows: 1,
        items: 1,
        bytes: 10,
        footer_bytes: 0,
        footer_crc: 0,
        writer: "a".to_owned(),
    }
}

#[track_caller]
fn check(live: &[BlockInfo], now_hours: i64, expected: Option<(u8, &[u128])>) {
    let merge = next_merge(live, now_hours * HOUR_MS + SETTLE_MS);
    let found = merge.map(|merge| {
        let inputs: Vec<u128> = merge.inputs.iter().map(|block| block.id.random()).collect();
        (merge.level, inputs)
    });
    assert_eq!(found, expected.map(|(level, inputs)| (level, inputs.to_vec())));
}

#[test]
fn flushed_blocks_become_windows_and_windows_days() {
    let flushed = [block(1, 0, 0, 0), block(2, 1, 0, 1), block(3, 2, 0, 2)];
    check(&[], 1000, None);
    check(&flushed, 1, None);
    check(&flushed, 2, Some((1, &[1, 2])));
    let windows = [block(4, 2, 1, 0), block(5, 4, 1, 2)];
    check(&windows, 23, None);
    check(&windows, 24, Some((2, &[4, 5])));
    let mut mixed = windows.to_vec();
    mixed.push(block(6, 3, 0, 5));
    check(&mixed, 24, Some((1, &[6])));
    check(&[block(7, 24, 2, 0)], 1000, None);
}

#[test]
fn late_blocks_join_what_is_there_and_days_wait_for_more_of_them() {
    let late = block(2, 3, 0, 1);
    check(&[block(1, 2, 1, 0), late], 3, Some((1, &[1, 2])));
    let day = block(1, 24, 2, 0);
    check(&[day.clone(), block(2, 30, 0, 3)], 30, Some((1, &[2])));
    let late = block(3, 30, 1, 3);
    check(&[day.clone(), late.clone()], 30, None);
    check(&[day, late], 32, Some((2, &[1, 3])));
}

#[test]
fn a_merge_has_a_bounded_number_of_inputs() {
    let flushed: Vec<BlockInfo> = (0..200).map(|number| block(number, 0, 0, 0)).collect();
    let merge = next_merge(&flushed, 100 * HOUR_MS).unwrap();
    assert_eq!(merge.inputs.len(), INPUTS_MAX);
}

#[test]
fn the_oldest_blocks_go_first() {
    let live: Vec<BlockInfo> = (0..5).map(|hour| block(hour, 9, 0, hour as i64)).collect();
    let gone = |age_hours: Option<u64>, bytes: Option<u64>| -> Vec<u128> {
        let age = age_hours.map(|hours| Duration::from_secs(hours * 3600));
        expired(&live, 6 * HOUR_MS, age, bytes).iter().map(|id| id.random()).collect()
    };
    assert_eq!(gone(None, None), [0u128; 0]);
    assert_eq!(gone(Some(4), None), [1, 0]);
    assert_eq!(gone(None, Some(35)), [1, 0]);
    assert_eq!(gone(None, Some(0)), [4, 3, 2, 1, 0]);
    assert_eq!(gone(Some(1_000_000_000), Some(50)), [0u128; 0]);
}
