// SPDX-License-Identifier: Apache-2.0
//! Sums and extremes of long windows: each level joins 16 neighbours of the level below, so that a
//! window takes a few dozen joins, however long it is.
//!
//! Joining compensated sums keeps what rounding lost, so the result is that of adding one by one but
//! for the last bit.

/// Neighbours that a level joins.
const FAN: usize = 16;

pub(super) struct Pyramid<T> {
    /// Whole groups of [`FAN`] only; the lowest level are the values themselves.
    levels: Vec<Vec<T>>,
}

impl<T: Copy> Pyramid<T> {
    pub(super) fn new(values: &[f64], of: impl Fn(f64) -> T, join: impl Fn(T, T) -> T) -> Self {
        let first = values.chunks_exact(FAN).map(|group| {
            group[1..].iter().fold(of(group[0]), |joined, value| join(joined, of(*value)))
        });
        let mut levels = vec![first.collect::<Vec<T>>()];
        while let Some(below) = levels.last().filter(|below| below.len() >= FAN) {
            let groups = below.chunks_exact(FAN);
            let level =
                groups.map(|g| g[1..].iter().fold(g[0], |joined, part| join(joined, *part)));
            let level = level.collect();
            levels.push(level);
        }
        Pyramid { levels }
    }

    /// All of `values[from..to]` joined with `start`; `values` are those it was made of.
    pub(super) fn fold(
        &self,
        values: &[f64],
        (mut from, mut to): (usize, usize),
        start: T,
        of: impl Fn(f64) -> T,
        join: impl Fn(T, T) -> T,
    ) -> T {
        let mut out = start;
        // Up: what sticks out of whole groups on both sides, level by level.
        for level in 0.. {
            let (head, tail) = (from.next_multiple_of(FAN), to - to % FAN);
            let whole = head < tail && self.levels.get(level).is_some();
            let parts = if whole { [(from, head), (tail, to)] } else { [(from, to), (to, to)] };
            for (first, last) in parts {
                match level.checked_sub(1) {
                    None => out = values[first..last].iter().fold(out, |o, v| join(o, of(*v))),
                    Some(below) => {
                        let parts = &self.levels[below][first..last];
                        out = parts.iter().fold(out, |o, part| join(o, *part));
                    }
                }
            }
            if !whole {
                break;
            }
            (from, to) = (head / FAN, tail / FAN);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_is_joined_from_all_of_its_values_and_no_other() {
        let values: Vec<f64> = (0..1_000).map(f64::from).collect();
        let (of, join) = (|v: f64| v as u64, |a: u64, b: u64| a + b);
        let pyramid = Pyramid::new(&values, of, join);
        for from in (0..1_000).step_by(7) {
            for to in (from..=1_000).step_by(13) {
                let expected: u64 = (from as u64..to as u64).sum();
                let got = pyramid.fold(&values, (from, to), 0, of, join);
                assert_eq!(got, expected, "{from}..{to}");
            }
        }
    }
}
