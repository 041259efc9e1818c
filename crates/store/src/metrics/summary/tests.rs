// SPDX-License-Identifier: Apache-2.0
use super::*;

#[test]
fn a_row_is_cut_when_a_window_has_some_of_it_and_not_all() {
    for (length_ms, step_ms, start, count) in
        [(10, 0, 5, 1), (10, 3, 5, 4), (10, 10, -7, 5), (4, 10, 0, 5), (30, 7, 2, 6), (1, 1, 0, 9)]
    {
        let windows = Windows { length_ms, step_ms, one_sign: false };
        // The windows are `(end - length, end]`.
        let ends: Vec<i64> = (0..count).map(|at| start - 1 + length_ms + at * step_ms).collect();
        let range = (start, ends[ends.len() - 1]);
        for tmin in -40..90 {
            for tmax in tmin..90 {
                let some = ends.iter().any(|end| {
                    let inside = |time: &i64| *time > end - length_ms && *time <= *end;
                    let count = (tmin..=tmax).filter(inside).count() as i64;
                    count > 0 && count < tmax - tmin + 1
                });
                let row = (tmin, tmax);
                // The samples between the first and the last one may be anywhere.
                assert_eq!(windows.cut(range, row), some, "{windows:?} {range:?} {row:?}");
            }
        }
    }
}

#[test]
fn times_at_the_end_of_all_numbers_are_no_harm() {
    let windows = Windows { length_ms: i64::MAX, step_ms: i64::MAX, one_sign: true };
    for range in [(i64::MIN, i64::MAX), (0, 0), (i64::MAX, i64::MAX)] {
        for row in [(i64::MIN, i64::MAX), (i64::MIN, i64::MIN), (i64::MAX, i64::MAX)] {
            let is_point = row.0 == row.1;
            assert!(!is_point || !windows.cut(range, row), "{range:?} {row:?}");
        }
    }
}
