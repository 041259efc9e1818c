// SPDX-License-Identifier: Apache-2.0
//! `info`: adds labels of info metrics (`target_info` unless asked otherwise) to series.
//!
//! Series and info series belong together when `instance` and `job` agree. Info series are read at
//! the time the series itself is, `@` and offset included; of several the newest sample counts.

use basics::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use hashbrown::{HashMap, HashSet};

use super::column::{Column, Columns};
use super::scan::RangeSeries;
use super::select::{Found, Newest};
use super::{Evaluated, Evaluation, failed};
use crate::ast::*;
use crate::engine::Grid;
use crate::source::{Hints, Known, Series};

/// Labels that identify what an info metric is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What `info`'s second argument asks for.
struct Wanted {
    /// Conditions on the info metric's name.
    names: Vec<Matcher>,
    /// Conditions on its labels, which also say which labels to copy; all when empty.
    data: Vec<Matcher>,
    /// True when names were asked for.
    names_given: bool,
}

impl Wanted {
    fn of(selector: Option<&Expr>) -> Evaluated<Self> {
        let matchers: &[Matcher] = match selector.map(|s| &s.kind) {
            Some(ExprKind::Vector(selector)) => &selector.matchers,
            _ => &[],
        };
        let (mut names, data): (Vec<_>, Vec<_>) =
            matchers.iter().cloned().partition(|m| m.name.as_ref() == METRIC_NAME);
        let names_given = !names.is_empty() || selector.is_none();
        let positive = |m: &Matcher| matches!(m.op, MatchOp::Equal | MatchOp::Regex);
        if names_given && !names.is_empty() && !names.iter().any(positive) {
            // Saying only what is not wanted leaves what is named like an info metric.
            names.push(Matcher::new(MatchOp::Regex, METRIC_NAME, ".+_info")?);
        }
        if names.is_empty() {
            names.push(Matcher::new(MatchOp::Equal, METRIC_NAME, "target_info")?);
        }
        Ok(Wanted { names, data, names_given })
    }

    /// True for series that are info series themselves.
    fn is_info(&self, labels: &Labels) -> bool {
        self.names_given && self.names.iter().all(|m| m.matches(labels.name()))
    }

    fn copies(&self, label: &str) -> bool {
        label != METRIC_NAME
            && (self.data.is_empty() || self.data.iter().any(|m| m.name.as_ref() == label))
    }
}

fn identity(labels: &Labels) -> Labels {
    labels.without(|name| !IDENTIFYING.contains(&name))
}

impl Evaluation<'_> {
    pub(super) fn info(&mut self, args: &[Expr], grid: Grid) -> Evaluated<Vec<Column>> {
        let wanted = Wanted::of(args.get(1))?;
        let base = self.vector(&args[0], grid)?;
        let times = grid
            .times()
            .map(|t| Ok(self.read_time(&args[0], t)?.unwrap_or(t)))
            .collect::<Evaluated<Vec<i64>>>()?;
        let series = self.info_series(&wanted, &times)?;
        let identities: Vec<Labels> = series.iter().map(|s| identity(&s.labels)).collect();
        let mut readers: Vec<Newest<'_>> =
            series.iter().map(|s| Newest::new(&as_job(s), self.limits.lookback_ms)).collect();
        let base_identities: Vec<Option<Labels>> = base
            .iter()
            .map(|c| (!wanted.is_info(&c.labels)).then(|| identity(&c.labels)))
            .collect();
        let needs_match = wanted.data.iter().any(|m| !m.matches(""));
        let mut out = Columns::new(grid.count);
        let mut targets: HashMap<(usize, Vec<usize>), usize> = HashMap::new();
        for (step, time) in times.iter().enumerate() {
            let chosen = choose(&series, &identities, &mut readers, *time)?;
            for (at, column) in base.iter().enumerate() {
                let Some(cell) = column.get(step) else { continue };
                let matches: Vec<usize> = match &base_identities[at] {
                    Some(identity) if !identity.is_empty() => {
                        chosen.get(identity).cloned().unwrap_or_default()
                    }
                    _ => vec![],
                };
                if matches.is_empty() && needs_match && base_identities[at].is_some() {
                    continue;
                }
                let target = match targets.get(&(at, matches.clone())) {
                    Some(target) => *target,
                    None => {
                        let labels = enriched(&column.labels, &matches, &series, &wanted)?;
                        let target = out.column(labels, column.drop_name);
                        targets.insert((at, matches), target);
                        target
                    }
                };
                if !out.put(target, step, cell.to_value()) {
                    return Err(super::column::same_labelset());
                }
            }
        }
        Ok(out.finish())
    }

    fn info_series(&mut self, wanted: &Wanted, times: &[i64]) -> Evaluated<Vec<Series>> {
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else {
            return Ok(vec![]);
        };
        let selector = VectorSelector {
            matchers: wanted.names.iter().chain(&wanted.data).cloned().collect(),
            offset: DurationExpr::ZERO,
            at: None,
            edges: Edges::Plain,
        };
        let hints = Hints { function: "info", ..Hints::default() };
        let range = (first - self.limits.lookback_ms + 1, *last);
        let fetched = self.fetch(&selector, range, hints)?;
        self.read_all(&fetched)
    }

    /// When the first selector below reads its samples at a step.
    fn read_time(&self, expr: &Expr, time: i64) -> Evaluated<Option<i64>> {
        Ok(match &expr.kind {
            ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } => {
                Some(self.shift(selector.at, &selector.offset)?.apply(time))
            }
            ExprKind::Subquery(s) => {
                let inner = self.shift(s.at, &s.offset)?.apply(time);
                self.read_time(&s.expr, inner)?
            }
            ExprKind::Call { args, .. } => {
                for arg in args {
                    if let Some(found) = self.read_time(arg, time)? {
                        return Ok(Some(found));
                    }
                }
                None
            }
            ExprKind::Aggregate(a) => self.read_time(&a.expr, time)?,
            ExprKind::Binary(b) => match self.read_time(&b.left, time)? {
                Some(found) => Some(found),
                None => self.read_time(&b.right, time)?,
            },
            ExprKind::Unary { expr, .. } | ExprKind::Paren(expr) => self.read_time(expr, time)?,
            ExprKind::Number { .. } | ExprKind::String(_) => None,
        })
    }
}

fn as_job(series: &Series) -> RangeSeries<'_> {
    RangeSeries {
        labels: &series.labels,
        drop_name: false,
        times: &series.timestamps_ms,
        values: &series.values,
        starts: &series.start_times_ms,
        histograms: &series.histograms,
        known: Known::default(),
        digests: &[],
    }
}

/// For each identity, the newest info series of each name, as indexes.
fn choose(
    series: &[Series],
    identities: &[Labels],
    readers: &mut [Newest<'_>],
    time: i64,
) -> Evaluated<HashMap<Labels, Vec<usize>>> {
    let mut newest: HashMap<(&str, &Labels), (i64, usize)> = HashMap::new();
    for (at, reader) in readers.iter_mut().enumerate() {
        let taken = match reader.at(time) {
            Some(Found::Float(i)) => series[at].timestamps_ms[i],
            Some(Found::Hist(_)) => return failed("info sample should be float"),
            None => continue,
        };
        let best =
            newest.entry((series[at].labels.name(), &identities[at])).or_insert((i64::MIN, at));
        if best.0 == taken {
            return failed(format!(
                "found duplicate series for info metric: existing {} @ {taken}, new {} @ {taken}",
                series[best.1].labels, series[at].labels
            ));
        }
        if best.0 < taken {
            *best = (taken, at);
        }
    }
    let mut out: HashMap<Labels, Vec<usize>> = HashMap::new();
    for ((_, identity), (_, at)) in newest {
        out.entry(identity.clone()).or_default().push(at);
    }
    out.values_mut().for_each(|list| list.sort_unstable());
    Ok(out)
}

/// A series' labels with those of its info series that it does not have itself.
fn enriched(
    base: &Labels,
    matches: &[usize],
    series: &[Series],
    wanted: &Wanted,
) -> Evaluated<Labels> {
    let own: HashSet<&str> = base.iter().map(|(name, _)| name).collect();
    let mut added: HashMap<&str, &str> = HashMap::new();
    for at in matches {
        for (name, value) in series[*at].labels.iter() {
            if !wanted.copies(name) || own.contains(name) {
                continue;
            }
            if added.insert(name, value).is_some_and(|before| before != value) {
                return failed(format!("conflicting label: {name}"));
            }
        }
    }
    Ok(Labels::new(base.iter().chain(added)))
}
