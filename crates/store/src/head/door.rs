// SPDX-License-Identifier: Apache-2.0
//! Where metrics enter: translation, then the samples of one resource shard by shard.

use std::sync::atomic::Ordering;

use basics::UnixNano;
use basics::labels::Labels;
use otlp_series::{
    Family, NativeHistogram, Options, Refusal, Refused, Report, Sink, Stamp, Translator,
    exemplar_labels,
};
use otlp_wire::{ExemplarView, ResourceView};

use super::series::Appended;
use super::shard::Shard;
use super::{Head, HeadOptions, IngestReport, SHARDS, place_of};
use crate::columns::Exemplar;

/// A resolution cache and the samples on their way to the shards.
#[derive(Debug)]
pub(super) struct Door {
    translator: Translator<(), SeriesRef>,
    pending: [Vec<Pending>; SHARDS],
}

/// A resolved series.
#[derive(Clone, Copy, Debug)]
pub(super) struct SeriesRef {
    /// Of the series; where it overflows, of its metric among those that do.
    pub id: u32,
    pub forecast: bool,
    /// There was no room for it.
    pub overflows: bool,
}

impl SeriesRef {
    /// Number of the shard that holds its samples.
    pub fn shard(self) -> usize {
        place_of(self.id).0
    }

    /// Where it stands in its shard.
    pub fn slot(self) -> u32 {
        place_of(self.id).1
    }
}

#[derive(Debug)]
struct Pending {
    slot: u32,
    /// Number of the point it belongs to, within the resource.
    point: u32,
    time_ms: i64,
    value: Value,
}

#[derive(Debug)]
enum Value {
    /// No value: what comes next started counting at this time.
    Start,
    Sample(f64),
    Delta(f64),
    Histogram(Box<NativeHistogram>),
    HistogramDelta(Box<NativeHistogram>),
}

impl Door {
    pub(super) fn new(options: Options) -> Self {
        Door { translator: Translator::new(options), pending: Default::default() }
    }

    /// Forgets what series resolve to.
    pub(super) fn forget(&mut self) {
        self.translator.clear();
    }

    pub(super) fn cache_bytes(&self) -> usize {
        self.translator.cache_bytes()
    }

    /// Takes the metrics of one resource.
    pub(super) fn ingest(
        &mut self,
        head: &Head,
        resource: ResourceView<'_>,
        hash: u64,
        received: UnixNano,
    ) -> IngestReport {
        let mut entering = Entering {
            head,
            shard: hash as usize % SHARDS,
            times: Times::around(received, &head.options),
            pending: &mut self.pending,
            point: 0,
            refusals: Refusals::default(),
            exemplars: Vec::new(),
            overflow: Vec::new(),
        };
        let mut translated = Report::default();
        self.translator.translate_resource(resource, &mut entering, &mut translated);
        let mut report = IngestReport {
            points: translated.points,
            cache_misses: translated.misses,
            rejected: translated.refused,
            ..IngestReport::default()
        };
        let (points, mut refusals) = (entering.point, entering.refusals);
        let overflow = entering.overflow;
        let unseen = translated.refused.total() - refusals.untranslated;
        let window_ms = head.options.out_of_order.as_millis() as i64;
        for (number, pending) in self.pending.iter_mut().enumerate() {
            if pending.is_empty() {
                continue;
            }
            let mut shard = head.shards[number].write();
            let mut start = None;
            for sample in pending.drain(..) {
                let point = sample.point;
                if matches!(sample.value, Value::Start) {
                    start = Some(sample.time_ms);
                    continue;
                }
                let appended = match start.take() {
                    None => append(&mut shard, hash, sample, window_ms),
                    Some(start) => {
                        let since = append_since(&mut shard, hash, sample, window_ms, start);
                        report.accepted += u64::from(since.1);
                        since.0
                    }
                };
                count(&mut report, &mut refusals, appended, point);
            }
        }
        report.rejected.merge(&refusals.samples);
        report.rejected_points = unseen + refusals.points_below(points);
        if !overflow.is_empty() {
            head.overflowed(&overflow, received);
        }
        head.samples.fetch_add(report.accepted, Ordering::Relaxed);
        report
    }
}

#[inline]
fn append(shard: &mut Shard, resource: u64, sample: Pending, window_ms: i64) -> Appended {
    let Pending { slot, time_ms, value, .. } = sample;
    match value {
        Value::Sample(value) => shard.append(slot, resource, time_ms, value, window_ms),
        Value::Delta(delta) => match shard.of(slot).add_delta(time_ms, delta) {
            Ok(total) => shard.append(slot, resource, time_ms, total, 0),
            Err(refused) => refused,
        },
        Value::Histogram(histogram) => {
            shard.of(slot).append_histogram(time_ms, *histogram, false, window_ms)
        }
        Value::HistogramDelta(delta) => {
            shard.of(slot).append_histogram(time_ms, *delta, true, window_ms)
        }
        Value::Start => Appended::Duplicate,
    }
}

#[cold]
fn append_since(
    shard: &mut Shard,
    resource: u64,
    sample: Pending,
    window_ms: i64,
    start: i64,
) -> (Appended, bool) {
    let Pending { slot, time_ms, value, .. } = sample;
    match value {
        Value::Sample(value) => {
            shard.append_since(slot, resource, (start, time_ms), value, window_ms)
        }
        Value::Histogram(histogram) => {
            shard.of(slot).append_histogram_since((start, time_ms), *histogram, window_ms)
        }
        value => (append(shard, resource, Pending { value, ..sample }, window_ms), false),
    }
}

fn count(report: &mut IngestReport, refusals: &mut Refusals, appended: Appended, point: u32) {
    match appended {
        Appended::InOrder => report.accepted += 1,
        Appended::OutOfOrder => {
            report.accepted += 1;
            report.out_of_order += 1;
        }
        Appended::Duplicate => report.duplicates += 1,
        Appended::Conflict => refusals.add(Refusal::Conflict, point),
        Appended::TooOld => refusals.add(Refusal::TooOld, point),
    }
}

/// Which sample times are believed, Unix milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Times {
    oldest: i64,
    newest: i64,
    newest_forecast: i64,
}

impl Times {
    pub fn around(received: UnixNano, options: &HeadOptions) -> Times {
        let now = (received / 1_000_000) as i64;
        Times {
            oldest: now - options.past_max.as_millis() as i64,
            newest: now + options.future_max.as_millis() as i64,
            newest_forecast: now + options.forecast_max.as_millis() as i64,
        }
    }

    pub fn check(&self, time_ms: i64, forecast: bool) -> Result<(), Refusal> {
        let newest = if forecast { self.newest_forecast } else { self.newest };
        if time_ms > newest {
            Err(Refusal::TooNew)
        } else if time_ms < self.oldest {
            Err(Refusal::TooOld)
        } else {
            Ok(())
        }
    }
}

/// What was refused of one resource.
#[derive(Default)]
struct Refusals {
    samples: Refused,
    /// Points the sender hears of; one may be here several times.
    points: Vec<u32>,
    /// Points the translation refused after it had begun with them.
    untranslated: u64,
}

impl Refusals {
    fn add(&mut self, reason: Refusal, point: u32) {
        self.samples.add(reason, 1);
        // A second value within a millisecond is below the resolution of a series, no mistake of the
        // sender, and senders take a partial success for a failed export.
        if reason != Refusal::Conflict {
            self.points.push(point);
        }
    }

    /// How many points are concerned; what has no point (`target_info`) has the number `end`.
    fn points_below(mut self, end: u32) -> u64 {
        self.points.sort_unstable();
        self.points.dedup();
        self.points.partition_point(|point| *point < end) as u64
    }
}

/// The sink of one resource's translation.
struct Entering<'e> {
    head: &'e Head,
    /// Where new series go.
    shard: usize,
    times: Times,
    pending: &'e mut [Vec<Pending>; SHARDS],
    /// Number of the point under way.
    point: u32,
    refusals: Refusals,
    /// Of the value that is passed next.
    exemplars: Vec<Exemplar>,
    /// What came for series there is no room for, by place in [`super::overflow::Overflow`].
    overflow: Vec<(u32, u64)>,
}

impl Entering<'_> {
    #[inline]
    fn push(&mut self, series: SeriesRef, time_ms: i64, value: Value) {
        match self.times.check(time_ms, series.forecast) {
            _ if series.overflows => self.overflow(series.id),
            Err(reason) => self.refusals.add(reason, self.point),
            Ok(()) => {
                let point = self.point;
                let (shard, slot) = place_of(series.id);
                self.pending[shard].push(Pending { slot, point, time_ms, value });
            }
        }
        if !self.exemplars.is_empty() {
            self.put_exemplars(series);
        }
    }

    /// Tells when what is passed next started counting.
    #[inline]
    fn start(&mut self, series: SeriesRef, stamp: Stamp) {
        let is_told = stamp.start_ms != 0 && stamp.from_zero && !stamp.delta;
        if self.head.options.zero_at_start
            && is_told
            && !series.overflows
            && self.times.check(stamp.time_ms, series.forecast).is_ok()
        {
            let (shard, slot) = place_of(series.id);
            let (point, time_ms) = (self.point, stamp.start_ms);
            self.pending[shard].push(Pending { slot, point, time_ms, value: Value::Start });
        }
    }

    #[cold]
    fn put_exemplars(&mut self, series: SeriesRef) {
        let mut known = self.head.exemplars.lock();
        for exemplar in self.exemplars.drain(..) {
            let is_believed = self.times.check(exemplar.time_ms, series.forecast).is_ok();
            if is_believed && !series.overflows {
                known.add(series.id, exemplar);
            }
        }
    }

    #[cold]
    fn overflow(&mut self, name: u32) {
        self.refusals.add(Refusal::SeriesLimit, self.point);
        match self.overflow.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.overflow.push((name, 1)),
        }
    }
}

impl Sink for Entering<'_> {
    type Family = ();
    type Series = SeriesRef;

    fn series(&mut self, _: &(), labels: &[(&str, &str)]) -> Result<SeriesRef, Refusal> {
        self.head.series_ref(labels, self.shard)
    }

    fn family(&mut self, family: Family<'_>) {
        self.head.describe(family);
    }

    fn sample(&mut self, series: &SeriesRef, stamp: Stamp, value: f64) {
        self.start(*series, stamp);
        let value = if stamp.delta { Value::Delta(value) } else { Value::Sample(value) };
        self.push(*series, stamp.time_ms, value);
    }

    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let Some(value) = exemplar.value() else { return };
        let labels = Labels::new(exemplar_labels(exemplar));
        let time_ms = (exemplar.time() / 1_000_000) as i64;
        self.exemplars.push(Exemplar { labels, value: value.as_f64(), time_ms });
    }

    fn point(&mut self, outcome: Result<(), Refusal>) {
        if outcome.is_err() {
            self.refusals.untranslated += 1;
            self.refusals.points.push(self.point);
        }
        self.point += 1;
    }

    fn histogram(&mut self, series: &SeriesRef, stamp: Stamp, histogram: NativeHistogram) {
        self.start(*series, stamp);
        let histogram = Box::new(histogram);
        let value = if stamp.delta {
            Value::HistogramDelta(histogram)
        } else {
            Value::Histogram(histogram)
        };
        self.push(*series, stamp.time_ms, value);
    }
}
