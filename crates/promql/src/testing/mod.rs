// SPDX-License-Identifier: Apache-2.0
//! A source in memory, filled in promqltest's loading notation. For tests only.
//!
//! ```
//! let mut source = promql::testing::MemorySource::default();
//! source.load("1m", &[r#"up{job="a"} 1 0 _ stale 1+1x3"#]).expect("valid notation");
//! ```

mod buckets;
mod notation;

use std::collections::BTreeMap;
use std::sync::Arc;

use basics::labels::Labels;

use crate::histogram::{FloatHistogram, ResetHint};
use crate::number::stale;
use crate::source::{HistogramSample, Select, Series, SeriesSource};
pub use notation::{Item, SeriesLine, parse_histogram, parse_line, parse_time};

/// A stored sample.
#[derive(Clone, Debug)]
enum Stored {
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// One series' points by time, with start times where given.
#[derive(Clone, Debug, Default)]
struct Points {
    samples: BTreeMap<i64, Stored>,
    starts: BTreeMap<i64, i64>,
}

/// Series in memory.
#[derive(Clone, Debug, Default)]
pub struct MemorySource {
    series: BTreeMap<Labels, Points>,
}

impl MemorySource {
    /// Adds series lines such as `up{job="a"} 1 2 _ 3+1x5`, points `interval` apart from time 0.
    ///
    /// # Errors
    /// A message naming the line that is not in the notation.
    pub fn load<S: AsRef<str>>(&mut self, interval: &str, lines: &[S]) -> Result<(), String> {
        let step = parse_time(interval).ok_or_else(|| format!("bad interval {interval:?}"))?;
        for line in lines {
            let SeriesLine { labels, items, start_times } = parse_line(line.as_ref())?;
            let points = self.series.entry(labels).or_default();
            for (index, item) in items.into_iter().enumerate() {
                let time = step * index as i64;
                match item {
                    Item::Blank => {}
                    Item::Float(ms) if start_times => {
                        points.starts.insert(time, time + (ms * 1000.0).round() as i64);
                    }
                    Item::Float(value) => {
                        points.samples.insert(time, Stored::Float(value));
                    }
                    Item::Stale => {
                        points.samples.insert(time, Stored::Float(stale()));
                    }
                    Item::Histogram { histogram, .. } => {
                        points.samples.insert(time, Stored::Histogram(Arc::new(histogram)));
                    }
                }
            }
        }
        self.set_hints();
        Ok(())
    }

    /// Adds, for every classic histogram, the native one with custom bounds that equals it.
    pub fn add_native_from_classic(&mut self) {
        let made = buckets::native_from_classic(self);
        for (labels, time, histogram) in made {
            let points = self.series.entry(labels).or_default();
            points.samples.insert(time, Stored::Histogram(Arc::new(histogram)));
        }
        self.set_hints();
    }

    /// Removes everything.
    pub fn clear(&mut self) {
        self.series.clear();
    }

    /// Sets reset hints as a store does that compares each histogram with the one before: known
    /// inside a run, unknown at its first.
    fn set_hints(&mut self) {
        for points in self.series.values_mut() {
            let mut before: Option<Arc<FloatHistogram>> = None;
            for sample in points.samples.values_mut() {
                let Stored::Histogram(now) = sample else {
                    before = None;
                    continue;
                };
                if now.hint != ResetHint::Gauge {
                    let mut histogram = now.as_ref().clone();
                    histogram.hint = ResetHint::Unknown;
                    let continues = before
                        .as_ref()
                        .is_some_and(|b| b.hint != ResetHint::Gauge && !histogram.drops_below(b));
                    if continues {
                        histogram.hint = ResetHint::NotReset;
                    }
                    *now = Arc::new(histogram);
                }
                before = Some(Arc::clone(now));
            }
        }
    }
}

impl SeriesSource for MemorySource {
    fn select(&self, select: &Select<'_>) -> basics::Result<Vec<Series>> {
        let mut out = vec![];
        for (labels, points) in &self.series {
            if !select.matchers.iter().all(|m| m.matches(labels.get(&m.name))) {
                continue;
            }
            let (mut times, mut values, mut starts) = (vec![], vec![], vec![]);
            let mut histograms = vec![];
            if select.start_ms > select.end_ms {
                continue;
            }
            for (time, sample) in points.samples.range(select.start_ms..=select.end_ms) {
                let start = points.starts.get(time).copied().unwrap_or(0);
                match sample {
                    Stored::Float(value) => {
                        times.push(*time);
                        values.push(*value);
                        starts.push(start);
                    }
                    Stored::Histogram(histogram) => histograms.push(HistogramSample {
                        timestamp_ms: *time,
                        start_time_ms: start,
                        histogram: Arc::clone(histogram),
                    }),
                }
            }
            if times.is_empty() && histograms.is_empty() {
                continue;
            }
            if points.starts.is_empty() {
                starts.clear();
            }
            out.push(Series {
                labels: labels.clone(),
                timestamps_ms: times.into(),
                values: values.into(),
                start_times_ms: starts.into(),
                histograms: histograms.into(),
            });
        }
        Ok(out)
    }
}
