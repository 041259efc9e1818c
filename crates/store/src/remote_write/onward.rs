// SPDX-License-Identifier: Apache-2.0
//! What is written past all pipelines, for whoever sends it on.
//!
//! A request becomes OTLP as a scrape does: `job` and `instance` are its resource, every other label
//! an attribute, the name stays as it is; so an exporter that leaves names alone gives the series back
//! as it was written. Native histograms with custom buckets are histograms with bounds and a mark
//! ([`NHCB`]); those whose buckets lie too far apart ([`SPREAD_MAX`]) are left out.

use otlp_series::{CUSTOM_SCHEMA, NativeHistogram};
use otlp_wire::write::{AttrWriter, ExponentialBuckets, ExponentialHistogram, Histogram, Metrics};
use otlp_wire::{NHCB, Number, Payload, Temporality};

use super::read::{Exemplar, Part, Request, labels_of};

/// Most buckets from the first to the last of a side, empty ones among them: OTLP lists all.
const SPREAD_MAX: i64 = 4096;

type Labels<'r> = [(&'r str, &'r str)];

/// The request as a payload; none without a sample that can be told.
pub(super) fn payload(request: &Request) -> Option<Payload> {
    let mut w = Metrics::new();
    let mut resource = None;
    let mut told = false;
    for part in &request.series {
        let Some(labels) = labels_of(&request.keys[part.key.clone()]) else { continue };
        let of = |name: &str| labels.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v);
        let own = (of("job").to_owned(), of("instance").to_owned());
        if resource.as_ref() != Some(&own) {
            w.resource(|r| {
                for (key, value) in [("service.name", &own.0), ("service.instance.id", &own.1)] {
                    if !value.is_empty() {
                        r.str(key, value);
                    }
                }
            });
            resource = Some(own);
        }
        told |= numbers(&mut w, request, part, of("__name__"), &labels);
        told |= histograms(&mut w, request, part, of("__name__"), &labels);
        told |= custom(&mut w, request, part, of("__name__"), &labels);
    }
    told.then(|| w.finish())
}

fn attributes(attrs: &mut AttrWriter<'_>, labels: &Labels<'_>) {
    let rest = labels.iter().filter(|(name, _)| !matches!(*name, "__name__" | "job" | "instance"));
    rest.for_each(|(name, value)| attrs.str(name, value));
}

fn nanos(time_ms: i64) -> u64 {
    u64::try_from(time_ms).unwrap_or(0).saturating_mul(1_000_000)
}

fn numbers(
    w: &mut Metrics,
    request: &Request,
    part: &Part,
    name: &str,
    labels: &Labels<'_>,
) -> bool {
    let samples = &request.samples[part.samples.clone()];
    if samples.is_empty() {
        return false;
    }
    w.gauge(name, "", "", |p| {
        for (time_ms, value) in samples {
            p.double(nanos(*time_ms), *value, |attrs| attributes(attrs, labels));
        }
        for exemplar in &request.exemplars[part.exemplars.clone()] {
            let Exemplar { labels, value, time_ms } = exemplar;
            p.exemplar(nanos(*time_ms), Number::Double(*value), None, |attrs| {
                labels.iter().for_each(|(name, value)| attrs.str(name, value));
            });
        }
    });
    true
}

fn histograms(
    w: &mut Metrics,
    request: &Request,
    part: &Part,
    name: &str,
    labels: &Labels<'_>,
) -> bool {
    let all = &request.histograms[part.histograms.clone()];
    let told: Vec<_> = all
        .iter()
        .filter(|(_, histogram)| histogram.schema != CUSTOM_SCHEMA && !histogram.is_stale())
        .filter_map(|(time, histogram)| Some((*time, histogram, sides(histogram)?)))
        .collect();
    if told.is_empty() {
        return false;
    }
    w.exponential_histogram(name, "", "", Temporality::Cumulative, |p| {
        for (time_ms, histogram, [positive, negative]) in &told {
            let side = |(offset, counts): &'_ (i32, Vec<u64>)| (*offset, counts.clone());
            let ((up, above), (down, below)) = (side(positive), side(negative));
            let value = ExponentialHistogram {
                count: histogram.count as u64,
                sum: Some(histogram.sum),
                scale: histogram.schema,
                zero_count: histogram.zero_count as u64,
                zero_threshold: histogram.zero_threshold,
                positive: ExponentialBuckets { offset: up, counts: &above },
                negative: ExponentialBuckets { offset: down, counts: &below },
                ..ExponentialHistogram::default()
            };
            p.exponential_histogram(nanos(*time_ms), &value, |attrs| attributes(attrs, labels));
        }
    });
    true
}

/// Histograms with custom buckets, as a scrape that makes them gives them on.
fn custom(
    w: &mut Metrics,
    request: &Request,
    part: &Part,
    name: &str,
    labels: &Labels<'_>,
) -> bool {
    let all = &request.histograms[part.histograms.clone()];
    let is_told =
        |histogram: &NativeHistogram| histogram.schema == CUSTOM_SCHEMA && !histogram.is_stale();
    if !all.iter().any(|(_, histogram)| is_told(histogram)) {
        return false;
    }
    w.metadata(|attrs| attrs.bool(NHCB, true));
    w.histogram(name, "", "", Temporality::Cumulative, |p| {
        for (time_ms, histogram) in all.iter().filter(|(_, histogram)| is_told(histogram)) {
            let mut bucket_counts = vec![0; histogram.bounds.len() + 1];
            for (index, count) in &histogram.positive {
                // Within the bounds: checked when it was read.
                if let Some(bucket) = bucket_counts.get_mut(*index as usize) {
                    *bucket = *count as u64;
                }
            }
            let value = Histogram {
                count: histogram.count as u64,
                sum: Some(histogram.sum),
                explicit_bounds: &histogram.bounds,
                bucket_counts: &bucket_counts,
                ..Histogram::default()
            };
            p.histogram(nanos(*time_ms), &value, |attrs| attributes(attrs, labels));
        }
    });
    true
}

/// Both sides as OTLP lists them: its bucket `i` is Prometheus' `i + 1`.
fn sides(histogram: &NativeHistogram) -> Option<[(i32, Vec<u64>); 2]> {
    let dense = |buckets: &[(i32, f64)]| {
        let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else {
            return Some((0, Vec::new()));
        };
        let spread = i64::from(*last) - i64::from(*first) + 1;
        if spread > SPREAD_MAX {
            return None;
        }
        let mut counts = vec![0; spread as usize];
        for (index, count) in buckets {
            counts[(i64::from(*index) - i64::from(*first)) as usize] = *count as u64;
        }
        Some((first.checked_sub(1)?, counts))
    };
    Some([dense(&histogram.positive)?, dense(&histogram.negative)?])
}
