// SPDX-License-Identifier: Apache-2.0
use std::path::Path;

use basics::Clock;
use basics::files::TestFiles;
use basics::labels::MatchOp;
use otlp_wire::Signal;
use otlp_wire::write::Metrics;

use super::*;
use crate::columns::SeriesColumns;
use crate::metrics::write_block;
use crate::{StorageOptions, StoreOptions};

const NOW_MS: i64 = 1_800_000_000_000;

fn store() -> Store {
    let storage = StorageOptions { interval: None, ..StorageOptions::default() };
    let options = StoreOptions { storage, ..StoreOptions::default() };
    let clock = Clock::manual(NOW_MS as u64 * 1_000_000);
    Store::open(Path::new("/data"), options, TestFiles::new().shared(), clock).unwrap()
}

fn is(name: &str, value: &str) -> Matcher {
    Matcher::new(MatchOp::Equal, name, value).unwrap()
}

#[test]
fn memory_and_blocks_are_one() {
    let store = store();
    let block = |name: &str, label: &str, value: f64| SeriesColumns {
        labels: Labels::new([("__name__", name), ("l", label)]),
        times: [NOW_MS - 60_000, NOW_MS].into(),
        values: [value, value].into(),
        ..SeriesColumns::default()
    };
    let catalog = store.storage().catalog(Signal::Metrics);
    let written = [block("g", "old", 1.0), block("g", "both", 2.0), block("t_seconds", "old", 3.0)];
    let info = write_block(catalog, written).unwrap().unwrap();
    catalog.commit(vec![info], &[], None).unwrap();
    let mut w = Metrics::new();
    let now = NOW_MS as u64 * 1_000_000;
    w.gauge("g", "", "", |p| p.double(now, 9.0, |a| a.str("l", "both")));
    w.gauge("t", "s", "", |p| p.double(now, 9.0, |a| a.str("l", "new")));
    store.ingest(&w.finish(), now);

    let values = |matchers: &[Matcher], from_ms: i64| -> Vec<(String, Vec<f64>)> {
        let opened = store.select(matchers, from_ms, NOW_MS, 0, None).unwrap();
        let (mut values, mut starts) = <_>::default();
        let mut read =
            |at: usize| opened.read(at, &mut values, &mut starts).unwrap().values.to_vec();
        let label = |at: usize| opened.labels(at).get("l").to_owned();
        let mut found: Vec<_> = (0..opened.len()).map(|at| (label(at), read(at))).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    };
    let (both, old) = ("both".to_owned(), "old".to_owned());
    let g = [is("__name__", "g")];
    let expected = [(both.clone(), vec![2.0, 9.0]), (old.clone(), vec![1.0, 1.0])];
    assert_eq!(values(&g, 0), expected);
    assert_eq!(values(&g, NOW_MS), [(both, vec![9.0]), (old, vec![1.0])]);
    assert_eq!(values(&[is("__name__", "t")], 0).len(), 2, "by its name of before");
    assert_eq!(store.series(&g, 0, NOW_MS).unwrap().len(), 2);
    let values = store.label_values("l", &[], 0, NOW_MS).unwrap();
    assert_eq!(values.iter().map(|v| &**v).collect::<Vec<_>>(), ["both", "new", "old"]);
    let values = store.label_values("l", &g, 0, NOW_MS - 1).unwrap();
    assert_eq!(values.iter().map(|v| &**v).collect::<Vec<_>>(), ["both", "old"]);
    let names = store.label_names(&g, 0, NOW_MS).unwrap();
    assert_eq!(names.iter().map(|v| &**v).collect::<Vec<_>>(), ["__name__", "l"]);
    assert_eq!(store.time_range(), Some((NOW_MS - 60_000, NOW_MS)));
    assert!(store.select(&[], 0, NOW_MS, 3, None).is_err());
}
