// SPDX-License-Identifier: Apache-2.0
//! Selections that are read series by series, by one thread and by several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use basics::labels::Labels;
use promql::{
    Buffer, Context, Engine, Limits, QueryError, QueryResult, QueryValue, Sample, Samples, Select,
    Selection, Series, SeriesSource,
};

/// Series that are computed when they are read.
struct Lazy {
    series: usize,
    times: Arc<[i64]>,
    reads: AtomicUsize,
}

struct Found<'a> {
    of: &'a Lazy,
    labels: Vec<Labels>,
}

impl Lazy {
    fn new(series: usize, samples: i64) -> Self {
        let times = (0..samples).map(|i| i * 1_000).collect();
        Lazy { series, times, reads: AtomicUsize::new(0) }
    }
}

impl SeriesSource for Lazy {
    fn select(&self, _: &Select<'_>) -> basics::Result<Vec<Series>> {
        Err(basics::Error::invalid("asked for all series at once"))
    }

    fn open<'a>(&'a self, _: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
        let labels = |i: usize| {
            let (i, group) = (i.to_string(), (i % 3).to_string());
            Labels::new([("__name__", "m_total"), ("group", group.as_str()), ("i", i.as_str())])
        };
        Ok(Box::new(Found { of: self, labels: (0..self.series).map(labels).collect() }))
    }
}

impl Selection for Found<'_> {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn labels(&self, at: usize) -> &Labels {
        &self.labels[at]
    }

    fn samples(&self, _: usize) -> usize {
        self.of.times.len()
    }

    fn read<'a>(&'a self, at: usize, buffer: &'a mut Buffer) -> basics::Result<Samples<'a>> {
        self.of.reads.fetch_add(1, Ordering::Relaxed);
        buffer.values.clear();
        // Thirds, so that the order of additions shows; every series falls now and then.
        let value = |i: usize| (i * (at + 1) % (5_000 + at)) as f64 / 3.0;
        buffer.values.extend((0..self.of.times.len()).map(value));
        Ok(Samples {
            timestamps_ms: Arc::clone(&self.of.times),
            values: &buffer.values,
            start_times_ms: &[],
            histograms: &[],
            known: promql::Known::default(),
            digests: &[],
        })
    }
}

fn run(source: &Lazy, query: &str, limits: Limits) -> Result<QueryResult, QueryError> {
    let end = source.times.last().copied().unwrap_or(0);
    Engine::new(limits).range(source, query, (0, end), 60_000, &Context::default())
}

fn bits(result: QueryResult) -> Vec<(String, i64, u64)> {
    let QueryValue::Matrix(matrix) = result.value else { panic!("not a matrix") };
    let points = matrix.iter().flat_map(|entry| {
        let name = entry.labels.to_string();
        entry.points.iter().map(move |point| {
            let Sample::Float(value) = point.sample else { panic!("not a number") };
            (name.clone(), point.timestamp_ms, value.to_bits())
        })
    });
    points.collect()
}

#[test]
fn several_threads_answer_as_one_does() {
    // More than the million samples from which threads are used.
    let source = Lazy::new(150, 8_000);
    for query in [
        "sum by (group) (rate(m_total[5m]))",
        "avg(m_total)",
        "topk(3, increase(m_total[10m]))",
        "max_over_time(m_total[2m]) > 400",
    ] {
        let with = |threads_max| run(&source, query, Limits { threads_max, ..Limits::default() });
        let (one, four) = (with(1).expect("answers"), with(4).expect("answers"));
        assert_eq!(one.stats.samples_read, 150 * 8_000, "{query}");
        assert_eq!(one.stats.samples_read, four.stats.samples_read, "{query}");
        assert_eq!(one.stats.samples_per_step, four.stats.samples_per_step, "{query}");
        let (one, four) = (bits(one), bits(four));
        assert!(!one.is_empty() && one == four, "{query} differs");
    }
}

#[test]
fn an_aggregation_holds_groups_and_not_series() {
    let source = Lazy::new(300, 100);
    // Each series has 100 samples and 2 steps; three groups are held.
    let limits = Limits { samples_max: 150, threads_max: 1, ..Limits::default() };
    let result = run(&source, "sum by (group) (rate(m_total[1m]))", limits.clone());
    let stats = result.expect("answers").stats;
    assert!(stats.samples_peak <= 150, "{stats:?}");
    assert_eq!((stats.series_read, stats.samples_read), (300, 30_000));
    let result = run(&source, "rate(m_total[1m])", limits);
    assert!(matches!(result, Err(QueryError::TooMuch(_))), "{result:?}");
}

#[test]
fn a_read_that_fails_fails_the_query() {
    struct Failing(Vec<Labels>);
    impl Selection for Failing {
        fn len(&self) -> usize {
            self.0.len()
        }
        fn labels(&self, at: usize) -> &Labels {
            &self.0[at]
        }
        fn samples(&self, _: usize) -> usize {
            1 << 20
        }
        fn read<'a>(&'a self, at: usize, _: &'a mut Buffer) -> basics::Result<Samples<'a>> {
            match at {
                20.. => Err(basics::Error::invalid("block is gone")),
                _ => Ok(Samples {
                    timestamps_ms: Arc::new([0]),
                    values: &[1.0],
                    start_times_ms: &[],
                    histograms: &[],
                    known: promql::Known::default(),
                    digests: &[],
                }),
            }
        }
    }
    struct Source;
    impl SeriesSource for Source {
        fn select(&self, _: &Select<'_>) -> basics::Result<Vec<Series>> {
            Ok(vec![])
        }
        fn open<'a>(&'a self, _: &Select<'_>) -> basics::Result<Box<dyn Selection + 'a>> {
            let labels = |i: u32| Labels::new([("i", i.to_string())]);
            Ok(Box::new(Failing((0..200).map(labels).collect())))
        }
    }
    for threads_max in [1, 4] {
        let engine = Engine::new(Limits { threads_max, ..Limits::default() });
        let result =
            engine.range(&Source, "sum({i!=\"\"})", (0, 60_000), 60_000, &Context::default());
        assert!(matches!(&result, Err(QueryError::Source(_))), "{threads_max}: {result:?}");
    }
}

#[test]
fn explain_tells_what_each_node_took() {
    let source = Lazy::new(6, 600);
    let query = "sum by (group) (rate(m_total[5m])) / 2 + max(m_total)";
    let (result, tree) = Engine::default()
        .explain(&source, query, (0, 590_000), 10_000, &Context::default())
        .expect("answers");
    assert_eq!(result.stats.series_read, 12);
    let shape: Vec<(String, usize, u64)> = flat(&tree)
        .into_iter()
        .map(|node| (node.node.clone(), node.series, node.samples))
        .collect();
    let expected = [
        ("+", 0, 7200),
        ("sum by (group)", 3, 3600),
        ("rate(m_total[5m])", 6, 3600),
        ("2", 1, 0),
        ("max", 1, 3600),
        ("m_total", 6, 3600),
    ];
    let expected = expected.map(|(node, series, samples)| (node.to_owned(), series, samples));
    assert_eq!(shape, expected);
    assert_eq!(tree.to_string().lines().count(), 6);
}

fn flat(tree: &promql::Explain) -> Vec<&promql::Explain> {
    std::iter::once(tree).chain(tree.children.iter().flat_map(flat)).collect()
}
