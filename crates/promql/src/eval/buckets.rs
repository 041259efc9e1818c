// SPDX-License-Identifier: Apache-2.0
//! `histogram_*`: native histograms, and classic ones made of `_bucket` series with an `le` label.

use basics::labels::Labels;
use hashbrown::HashMap;

use super::column::{Cell, Column, merge_equal};
use super::labels::label_name;
use super::{Evaluated, Evaluation};
use crate::ast::*;
use crate::engine::Grid;
use crate::histogram::FloatHistogram;
use crate::notes::{MIXED_CLASSIC_NATIVE, for_metric};
use crate::number;

/// The upper bound label of classic buckets.
const BUCKET: &str = "le";

/// One classic bucket: upper bound and how many observations are at or below it.
#[derive(Clone, Copy, Debug)]
struct Cumulative {
    upper: f64,
    count: f64,
}

/// A group's histogram at one step.
enum Found<'a> {
    Native(&'a FloatHistogram),
    /// Ascending by bound.
    Classic(&'a mut Vec<Cumulative>),
}

/// Series that make up one histogram.
struct Family {
    labels: Labels,
    drop_name: bool,
    /// Column and upper bound of each classic bucket, ascending by bound.
    classic: Vec<(usize, f64)>,
    native: Vec<usize>,
}

impl Evaluation<'_> {
    pub(super) fn histogram_call(
        &mut self,
        name: &str,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        let only_totals = matches!(name, "histogram_count" | "histogram_sum" | "histogram_avg");
        self.tracking_resets(only_totals, |this| this.histogram_function(name, args, grid))
    }

    fn histogram_function(
        &mut self,
        name: &str,
        args: &[Expr],
        grid: Grid,
    ) -> Evaluated<Vec<Column>> {
        match name {
            "histogram_quantile" => {
                let q = self.scalar(&args[0], grid)?;
                self.warn_quantiles(&q, args[0].span);
                self.measured(&args[1], grid, |this, step, found, family, span| {
                    this.quantile_of(q[step], found, family, span)
                })
            }
            "histogram_quantiles" => self.quantile_family(args, grid),
            "histogram_fraction" => {
                let (low, high) = (self.scalar(&args[0], grid)?, self.scalar(&args[1], grid)?);
                self.measured(&args[2], grid, |this, step, found, family, span| match found {
                    Found::Native(histogram) => {
                        let share = histogram.fraction(low[step], high[step]);
                        if share.has_nan {
                            let text = "input to histogram_fraction has NaN observations, which \
                                        are excluded from all fractions";
                            this.notes.info(span, for_metric(text, family.labels.name()));
                        }
                        Some(share.value)
                    }
                    Found::Classic(buckets) => Some(fraction(low[step], high[step], buckets)),
                })
            }
            _ => self.part(name, &args[0], grid),
        }
    }

    /// Functions of native histograms alone.
    fn part(&mut self, name: &str, arg: &Expr, grid: Grid) -> Evaluated<Vec<Column>> {
        let mut columns = self.vector(arg, grid)?;
        for column in &mut columns {
            column.drop_name = true;
            column.map(|_, cell| match cell {
                Cell::Float(_) => None,
                Cell::Hist(h) => Some(
                    match name {
                        "histogram_count" => h.count,
                        "histogram_sum" => h.sum,
                        "histogram_avg" => h.sum / h.count,
                        "histogram_stddev" => h.variance().sqrt(),
                        _ => h.variance(),
                    }
                    .into(),
                ),
            });
        }
        Ok(columns)
    }

    fn quantile_family(&mut self, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let label = label_name(&args[1], "label name")?.to_owned();
        let columns = self.vector(&args[0], grid)?;
        if let Some(taken) = columns.iter().find(|c| !c.labels.get(&label).is_empty()) {
            return super::failed(format!(
                "conflicting label {label:?} in histogram_quantiles(): {} has it already",
                taken.labels
            ));
        }
        let mut out = vec![];
        for arg in &args[2..] {
            let q = self.scalar(arg, grid)?;
            self.warn_quantiles(&q, arg.span);
            let span = args[0].span;
            let measure =
                |this: &mut Self, step: usize, found: Found<'_>, family: &Family, span| {
                    this.quantile_of(q[step], found, family, span)
                };
            let made = self.measured_columns(&columns, span, grid, measure);
            for column in made {
                // A quantile may differ from step to step; each has its own label.
                let mut texts: Vec<String> = q.iter().map(|q| quantile_label(*q)).collect();
                texts.dedup();
                for text in texts {
                    let mut one = column.clone();
                    one.map(|step, cell| {
                        (quantile_label(q[step]) == text).then(|| cell.to_value())
                    });
                    one.labels = one.labels.with(&label, &text);
                    out.push(one);
                }
            }
        }
        super::prune(&mut out);
        merge_equal(out)
    }

    fn quantile_of(
        &mut self,
        q: f64,
        found: Found<'_>,
        family: &Family,
        span: Span,
    ) -> Option<f64> {
        let name = family.labels.name();
        match found {
            Found::Native(histogram) => {
                let quantile = histogram.quantile(q);
                if quantile.has_nan {
                    let what = if quantile.value.is_nan() { "NaN" } else { "skewed higher" };
                    let text = format!(
                        "input to histogram_quantile has NaN observations, result is {what}"
                    );
                    self.notes.info(span, for_metric(&text, name));
                }
                Some(quantile.value)
            }
            Found::Classic(buckets) => {
                let (value, forced) = classic_quantile(q, buckets);
                if forced {
                    let text = "input to histogram_quantile needed to be fixed for monotonicity \
                                (see https://prometheus.io/docs/prometheus/latest/querying/\
                                functions/#histogram_quantile)";
                    self.notes.info(span, for_metric(text, name));
                }
                Some(value)
            }
        }
    }

    fn measured(
        &mut self,
        arg: &Expr,
        grid: Grid,
        measure: impl FnMut(&mut Self, usize, Found<'_>, &Family, Span) -> Option<f64>,
    ) -> Evaluated<Vec<Column>> {
        let columns = self.vector(arg, grid)?;
        Ok(self.measured_columns(&columns, arg.span, grid, measure))
    }

    /// One number per histogram and step.
    fn measured_columns(
        &mut self,
        columns: &[Column],
        span: Span,
        grid: Grid,
        mut measure: impl FnMut(&mut Self, usize, Found<'_>, &Family, Span) -> Option<f64>,
    ) -> Vec<Column> {
        let mut out = vec![];
        let mut classic = vec![];
        for family in self.families(columns, span) {
            let mut column = Column::empty(family.labels.clone(), true, grid.count);
            column.drop_name = family.drop_name;
            for step in 0..grid.count {
                let native = family.native.iter().find_map(|at| match columns[*at].get(step) {
                    Some(Cell::Hist(histogram)) => Some(histogram),
                    _ => None,
                });
                let bucket = |(at, upper): &(usize, f64)| {
                    let count = columns[*at].float(step)?;
                    Some(Cumulative { upper: *upper, count })
                };
                classic.clear();
                classic.extend(family.classic.iter().filter_map(bucket));
                let found = match (native, classic.is_empty()) {
                    (Some(histogram), true) => Found::Native(histogram),
                    (Some(_), false) => {
                        let text = for_metric(MIXED_CLASSIC_NATIVE, family.labels.name());
                        self.notes.warn(span, text);
                        continue;
                    }
                    (None, false) => Found::Classic(&mut classic),
                    (None, true) => continue,
                };
                if let Some(value) = measure(self, step, found, &family, span) {
                    column.set(step, value.into());
                }
            }
            out.push(column);
        }
        out
    }

    /// Puts the series of each histogram together. The name stays part of the identity until the
    /// end, so two metrics never mix.
    fn families(&mut self, columns: &[Column], span: Span) -> Vec<Family> {
        let mut index: HashMap<Labels, usize> = HashMap::new();
        let mut families: Vec<Family> = vec![];
        let mut at_family = |labels: Labels| {
            *index.entry(labels).or_insert_with_key(|labels| {
                let labels = labels.clone();
                families.push(Family { labels, drop_name: true, classic: vec![], native: vec![] });
                families.len() - 1
            })
        };
        let mut places = vec![];
        for (at, column) in columns.iter().enumerate() {
            let any_float = (0..column.len()).any(|s| column.float(s).is_some());
            let any_native = column.plain().is_none()
                && (0..column.len()).any(|s| matches!(column.get(s), Some(Cell::Hist(_))));
            if any_float {
                let text = column.labels.get(BUCKET);
                match crate::parse::parse_number(text) {
                    Some(upper) => {
                        let family = at_family(column.labels.without(|l| l == BUCKET));
                        places.push((family, at, Some(upper)));
                    }
                    None => self.warn_bad_bucket(&column.labels, span),
                }
            }
            if any_native {
                places.push((at_family(column.labels.clone()), at, None));
            }
        }
        for (family, at, upper) in places {
            match upper {
                Some(upper) => families[family].classic.push((at, upper)),
                None => families[family].native.push(at),
            }
        }
        for family in &mut families {
            family.classic.sort_by(|a, b| a.1.total_cmp(&b.1));
        }
        families
    }

    fn warn_bad_bucket(&mut self, labels: &Labels, span: Span) {
        let text = format!(
            "bucket label \"{BUCKET}\" is missing or has a malformed value of {:?}",
            labels.get(BUCKET)
        );
        self.notes.warn(span, for_metric(&text, labels.name()));
    }
}

/// A quantile as a label value, with a fraction even when whole: `0.0`, `0.25`, `1.0`.
fn quantile_label(q: f64) -> String {
    let text = number::format(q);
    if q.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}

/// Differences between buckets below this share are rounding, as in Prometheus.
const SMALL_DELTA: f64 = 1e-12;

/// Joins equal bounds of sorted buckets and makes counts non-decreasing; tells whether that took
/// more than undoing rounding. None without a `+Inf` bucket or with fewer than two.
fn prepared(buckets: &mut Vec<Cumulative>) -> (Option<&[Cumulative]>, bool) {
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return (None, false);
    }
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
    let mut forced = false;
    let mut before = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let now = bucket.count;
        // Far enough above: what most buckets are.
        let clear = now - before > (now + before.abs()) * (2.0 * SMALL_DELTA);
        if !clear && now != before {
            if almost_equal(now, before, SMALL_DELTA) {
                bucket.count = before;
            } else if now < before {
                bucket.count = before;
                forced = true;
            }
        }
        before = bucket.count;
    }
    ((buckets.len() >= 2).then_some(buckets), forced)
}

fn almost_equal(a: f64, b: f64, share: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let size = a.abs() + b.abs();
    let difference = (a - b).abs();
    if a == 0.0 || b == 0.0 || size < f64::MIN_POSITIVE {
        return difference < share * f64::MIN_POSITIVE;
    }
    difference / size.min(f64::MAX) < share
}

fn classic_quantile(q: f64, buckets: &mut Vec<Cumulative>) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    let (Some(buckets), forced) = prepared(buckets) else { return (f64::NAN, false) };
    let last = buckets.len() - 1;
    let all = buckets[last].count;
    if all == 0.0 || all.is_nan() {
        return (f64::NAN, forced);
    }
    let mut rank = q * all;
    let at = buckets[..last].partition_point(|b| b.count < rank);
    if at == last {
        return (buckets[last - 1].upper, forced);
    }
    if at == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let (mut start, end, mut count) = (0.0, buckets[at].upper, buckets[at].count);
    if at > 0 {
        start = buckets[at - 1].upper;
        count -= buckets[at - 1].count;
        rank -= buckets[at - 1].count;
    }
    (start + (end - start) * (rank / count), forced)
}

/// Share of observations between two values, linear inside buckets.
fn fraction(low: f64, high: f64, buckets: &mut Vec<Cumulative>) -> f64 {
    let (Some(buckets), _) = prepared_any(buckets) else { return f64::NAN };
    let all = buckets[buckets.len() - 1].count;
    if all == 0.0 || low.is_nan() || high.is_nan() {
        return f64::NAN;
    }
    if low >= high {
        return 0.0;
    }
    let rank = |value: f64| {
        let mut before = 0.0;
        for (i, bucket) in buckets.iter().enumerate() {
            let lower = match i {
                0 if bucket.upper > 0.0 => 0.0,
                0 => f64::NEG_INFINITY,
                _ => buckets[i - 1].upper,
            };
            if lower >= value {
                return before;
            }
            if bucket.upper > value {
                let inside = bucket.count - before;
                return match (lower.is_infinite(), bucket.upper.is_infinite()) {
                    (true, _) => bucket.count,
                    (_, true) => before,
                    _ => before + inside * (value - lower) / (bucket.upper - lower),
                };
            }
            before = bucket.count;
        }
        before
    };
    (rank(high).min(all) - rank(low).min(all)) / all
}

/// As [`prepared`], but a single `+Inf` bucket is enough.
fn prepared_any(buckets: &mut Vec<Cumulative>) -> (Option<&[Cumulative]>, bool) {
    match buckets[..] {
        [only] if only.upper == f64::INFINITY => (Some(buckets), false),
        _ => prepared(buckets),
    }
}
