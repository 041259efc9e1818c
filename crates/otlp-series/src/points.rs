// SPDX-License-Identifier: Apache-2.0
//! The points of each type: which series they have and which value goes to which.
//!
//! Order of a point's series: histogram = buckets ascending, `+Inf`, `_count`, `_sum` if given;
//! summary = quantiles as sent, `_count`, `_sum`; all others one.

use otlp_wire::{
    Data, ExemplarView, ExponentialHistogramPoint, HistogramPoint, MetricView, NHCB, NumberPoint,
    PackedF64, PointView, SummaryPoint, Temporality, Views,
};

use crate::cache::{Place, Resolved, Run};
use crate::names::number_label;
use crate::native::NativeHistogram;
use crate::{CustomBuckets, MetricKind, Refusal, STALE, Sink, Stamp};

/// The type of a metric's series; none without data.
pub(crate) fn kind_of(data: &Data<'_>) -> Option<MetricKind> {
    Some(match data {
        Data::Empty => return None,
        Data::Gauge { .. } | Data::Sum { monotonic: false, .. } => MetricKind::Gauge,
        Data::Sum { monotonic: true, .. } => MetricKind::Counter,
        Data::Histogram { .. } | Data::ExponentialHistogram { .. } => MetricKind::Histogram,
        Data::Summary { .. } => MetricKind::Summary,
    })
}

/// An OTLP gauge, as opposed to a sum that is stored as one.
pub(crate) fn is_gauge(data: &Data<'_>) -> bool {
    matches!(data, Data::Gauge { .. })
}

/// Whether a metric's histograms become native ones with custom buckets.
pub(crate) fn is_custom(metric: MetricView<'_>, data: &Data<'_>, which: CustomBuckets) -> bool {
    matches!(data, Data::Histogram { .. })
        && match which {
            CustomBuckets::Never => false,
            CustomBuckets::Marked => metric
                .metadata()
                .into_iter()
                .any(|(key, value)| key == NHCB && value.as_bool() == Some(true)),
            CustomBuckets::Always => true,
        }
}

/// Writes all points of a metric.
pub(crate) fn write<K: Sink>(
    run: &mut Run<'_, K>,
    place: &mut Place<'_, K::Family, K::Series>,
    data: Data<'_>,
) {
    match data {
        Data::Empty => {}
        Data::Gauge { points } => each(run, points, Some(false), |run, point, delta| {
            number(run, place, point, delta, false)
        }),
        Data::Sum { points, temporality, monotonic } => {
            let delta = delta(run, temporality);
            each(run, points, delta, |run, point, delta| {
                number(run, place, point, delta, monotonic)
            });
        }
        Data::Histogram { points, temporality } => {
            let delta = delta(run, temporality);
            each(run, points, delta, |run, point, delta| histogram(run, place, point, delta));
        }
        Data::ExponentialHistogram { points, temporality } => {
            let delta = delta(run, temporality);
            each(run, points, delta, |run, point, delta| exponential(run, place, point, delta));
        }
        Data::Summary { points } => {
            each(run, points, Some(false), |run, point, _| summary(run, place, point))
        }
    }
}

/// Whether values are deltas; none when the temporality is not taken.
fn delta<K: Sink>(run: &Run<'_, K>, temporality: Temporality) -> Option<bool> {
    match temporality {
        Temporality::Cumulative => Some(false),
        Temporality::Delta if run.accepts_deltas() => Some(true),
        Temporality::Delta | Temporality::Unspecified => None,
    }
}

fn each<'a, K: Sink, P: PointView<'a>>(
    run: &mut Run<'_, K>,
    points: Views<'a, P>,
    delta: Option<bool>,
    mut write: impl FnMut(&mut Run<'_, K>, &P, bool) -> Result<(), Refusal>,
) where
    Views<'a, P>: Iterator<Item = P>,
{
    for point in points {
        let written = delta.ok_or(Refusal::Temporality).and_then(|delta| write(run, &point, delta));
        // A point that is refused was taken all the same: `target_info` is as new.
        run.saw(ms(point.time()));
        match written {
            Ok(()) => run.report.points += 1,
            Err(reason) => run.report.refused.add(reason, 1),
        }
        run.sink.point(written);
    }
}

fn ms(nanos: u64) -> i64 {
    (nanos / 1_000_000) as i64
}

fn stamp<'a>(point: &impl PointView<'a>, delta: bool) -> Stamp {
    let (time_ms, start_ms) = (ms(point.time()), ms(point.start()));
    Stamp { time_ms, start_ms, delta, from_zero: !point.no_recorded_value() }
}

fn number<'a, K: Sink>(
    run: &mut Run<'_, K>,
    place: &mut Place<'_, K::Family, K::Series>,
    point: &NumberPoint<'a>,
    delta: bool,
    counter: bool,
) -> Result<(), Refusal> {
    let parts = point.parts();
    let stale = parts.flags & 1 != 0;
    let value = match parts.value {
        _ if stale => STALE,
        Some(value) => value.as_f64(),
        None => return Err(Refusal::NoData),
    };
    let resolved = place.resolve(run, parts.attrs_raw, || point.attrs(), &Shape::One);
    let series = resolved.series[0].as_ref().map_err(|reason| *reason)?;
    if counter && parts.has_exemplars {
        point.exemplars().for_each(|exemplar| run.sink.exemplar(exemplar));
    }
    let (time_ms, start_ms) = (ms(parts.time), ms(parts.start));
    let (delta, from_zero) = (delta && !stale, counter && !stale);
    run.sink.sample(series, Stamp { time_ms, start_ms, delta, from_zero }, value);
    Ok(())
}

fn histogram<K: Sink>(
    run: &mut Run<'_, K>,
    place: &mut Place<'_, K::Family, K::Series>,
    point: &HistogramPoint<'_>,
    delta: bool,
) -> Result<(), Refusal> {
    let parts = point.parts();
    let (bounds, counts) = (parts.explicit_bounds, parts.bucket_counts);
    let stale = parts.flags & 1 != 0;
    if !stale && counts.len() != 0 && counts.len() != bounds.len() + 1 {
        return Err(Refusal::Buckets);
    }
    let (time_ms, start_ms) = (ms(parts.time), ms(parts.start));
    let stamp = Stamp { time_ms, start_ms, delta: delta && !stale, from_zero: !stale };
    if place.custom {
        let histogram = match stale {
            true => NativeHistogram::stale(),
            false => NativeHistogram::with_bounds(bounds, counts, (parts.count, parts.sum)),
        };
        let resolved = place.resolve(run, parts.attrs_raw, || point.attrs(), &Shape::One);
        let series = resolved.series[0].as_ref().map_err(|reason| *reason)?;
        point.exemplars().for_each(|exemplar| run.sink.exemplar(exemplar));
        run.sink.histogram(series, stamp, histogram);
        return Ok(());
    }
    // A stale point usually comes without buckets: it ends whatever was there.
    let shape = Shape::Buckets { bounds, sum: parts.sum.is_some(), any: stale };
    let resolved = place.resolve(run, parts.attrs_raw, || point.attrs(), &shape);
    if stale {
        return all_stale(run, resolved, stamp);
    }
    let mut running = 0u64;
    let buckets = bounds.zip(counts.chain(std::iter::repeat(0)));
    let finite = buckets.map(|(_, count)| {
        running = running.saturating_add(count);
        running as f64
    });
    let count = parts.count as f64;
    let values = finite.chain([count, count]).chain(parts.sum);
    if !parts.has_exemplars {
        return write_values(run, resolved, stamp, 0, values);
    }
    let exemplars = bucket_exemplars(bounds, point.exemplars());
    let mut outcome = Ok(());
    for (at, value) in values.enumerate() {
        let (Some(series), Ok(())) = (resolved.series.get(at), outcome) else { break };
        match series {
            Ok(series) => {
                let mine = exemplars.iter().filter(|(bucket, _)| *bucket == at);
                mine.for_each(|(_, exemplar)| run.sink.exemplar(*exemplar));
                run.sink.sample(series, stamp, value);
            }
            Err(reason) => outcome = Err(*reason),
        }
    }
    outcome
}

/// Each exemplar with the first bucket that holds its value.
fn bucket_exemplars<'a>(
    bounds: PackedF64<'_>,
    exemplars: Views<'a, ExemplarView<'a>>,
) -> Vec<(usize, ExemplarView<'a>)> {
    let bucket = |value: f64| bounds.take_while(|bound| *bound < value).count();
    let found = exemplars.map(|exemplar| (exemplar.value(), exemplar));
    found.filter_map(|(value, exemplar)| Some((bucket(value?.as_f64()), exemplar))).collect()
}

fn summary<K: Sink>(
    run: &mut Run<'_, K>,
    place: &mut Place<'_, K::Family, K::Series>,
    point: &SummaryPoint<'_>,
) -> Result<(), Refusal> {
    let quantiles: Vec<(f64, f64)> = point.quantiles().collect();
    let stale = point.no_recorded_value();
    let shape = Shape::Quantiles { quantiles: &quantiles, any: stale };
    let resolved = place.resolve(run, point.attrs().raw(), || point.attrs(), &shape);
    if stale {
        return all_stale(run, resolved, stamp(point, false));
    }
    let totals = [point.count() as f64, point.sum()];
    let values = quantiles.iter().map(|(_, value)| *value).chain(totals);
    write_values(run, resolved, stamp(point, false), quantiles.len(), values)
}

fn exponential<K: Sink>(
    run: &mut Run<'_, K>,
    place: &mut Place<'_, K::Family, K::Series>,
    point: &ExponentialHistogramPoint<'_>,
    delta: bool,
) -> Result<(), Refusal> {
    let stale = point.no_recorded_value();
    let histogram =
        if stale { NativeHistogram::stale() } else { NativeHistogram::from_point(*point)? };
    let resolved = place.resolve(run, point.attrs().raw(), || point.attrs(), &Shape::One);
    let series = resolved.series[0].as_ref().map_err(|reason| *reason)?;
    point.exemplars().for_each(|exemplar| run.sink.exemplar(exemplar));
    run.sink.histogram(series, stamp(point, delta && !stale), histogram);
    Ok(())
}

/// Writes the values of a point to its series, in order; the first refusal counts for the point. The
/// first `gauges` of them count nothing.
fn write_values<K: Sink>(
    run: &mut Run<'_, K>,
    resolved: &Resolved<K::Series>,
    stamp: Stamp,
    gauges: usize,
    values: impl Iterator<Item = f64>,
) -> Result<(), Refusal> {
    let mut outcome = Ok(());
    for (at, (series, value)) in resolved.series.iter().zip(values).enumerate() {
        let stamp = Stamp { from_zero: stamp.from_zero && at >= gauges, ..stamp };
        match series {
            Ok(series) => run.sink.sample(series, stamp, value),
            Err(reason) => outcome = outcome.and(Err(*reason)),
        }
    }
    outcome
}

fn all_stale<K: Sink>(
    run: &mut Run<'_, K>,
    resolved: &Resolved<K::Series>,
    stamp: Stamp,
) -> Result<(), Refusal> {
    write_values(run, resolved, stamp, 0, std::iter::repeat(STALE))
}

/// Which series a point has beside what its attributes say.
pub(crate) enum Shape<'a> {
    One,
    /// `any`: whatever was resolved last will do.
    Buckets {
        bounds: PackedF64<'a>,
        sum: bool,
        any: bool,
    },
    Quantiles {
        quantiles: &'a [(f64, f64)],
        any: bool,
    },
}

impl Shape<'_> {
    /// Number of series.
    pub(crate) fn count(&self) -> usize {
        match self {
            Shape::One => 1,
            Shape::Buckets { bounds, sum, .. } => bounds.len() + 2 + usize::from(*sum),
            Shape::Quantiles { quantiles, .. } => quantiles.len() + 2,
        }
    }

    /// Whether the series resolved before are this shape's.
    pub(crate) fn fits<S>(&self, resolved: &Resolved<S>) -> bool {
        match self {
            Shape::One => true,
            Shape::Buckets { any: true, .. } | Shape::Quantiles { any: true, .. } => true,
            Shape::Buckets { bounds, .. } => {
                resolved.series.len() == self.count() && resolved.shape() == bounds.raw()
            }
            Shape::Quantiles { quantiles, .. } => {
                let known = resolved.shape().chunks_exact(8);
                let wanted = quantiles.iter().map(|(quantile, _)| quantile.to_le_bytes());
                resolved.series.len() == self.count()
                    && known.zip(wanted).all(|(known, wanted)| known == wanted)
            }
        }
    }

    /// Bytes to compare the next point's shape with.
    pub(crate) fn key(&self) -> Box<[u8]> {
        match self {
            Shape::One => Box::default(),
            Shape::Buckets { bounds, .. } => bounds.raw().into(),
            Shape::Quantiles { quantiles, .. } => {
                quantiles.iter().flat_map(|(quantile, _)| quantile.to_le_bytes()).collect()
            }
        }
    }

    /// Each series' name suffix and extra label.
    pub(crate) fn each(&self, mut series: impl FnMut(&str, Option<(&str, &str)>)) {
        match self {
            Shape::One => series("", None),
            Shape::Buckets { bounds, sum, .. } => {
                for bound in bounds.chain([f64::INFINITY]) {
                    series("_bucket", Some(("le", &number_label(bound))));
                }
                series("_count", None);
                if *sum {
                    series("_sum", None);
                }
            }
            Shape::Quantiles { quantiles, .. } => {
                for (quantile, _) in *quantiles {
                    series("", Some(("quantile", &number_label(*quantile))));
                }
                series("_count", None);
                series("_sum", None);
            }
        }
    }
}
