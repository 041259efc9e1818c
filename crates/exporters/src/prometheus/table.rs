// SPDX-License-Identifier: Apache-2.0
//! The last value of every series, in families and points as a page shows them.
//!
//! A *group* is what one OTLP point became: all series that differ in name suffix, `le` and
//! `quantile` only. It lives while points come: [`Table::render`] leaves out groups that were not
//! updated for the time of expiry, and members that the newest point did not have (other bounds).
//! Deltas are added up while each begins where the one before ended. What has ended keeps its place
//! until [`Table::sweep`], since the translator may still know it and bring it back.
//! Bound: [`SERIES_MAX`]; further series are refused and counted.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use otlp_series::{
    Family, MetricKind, NativeHistogram, Options, Refusal, Refused, Report, STALE, Sink, Stamp,
    Translator,
};
use otlp_wire::{ExemplarView, Payload};

use super::text::{self, Form};

/// Series on the page. A scrape of so many is 100 MB of text; beyond it nobody scrapes in time.
const SERIES_MAX: usize = 500_000;

/// Not yet seen.
const NEVER: i64 = i64::MIN;

/// Last values, and the translator that finds them.
pub(super) struct Table {
    translator: Translator<FamilyRef, u32>,
    series: Series,
}

/// A family by its number; refused when its type contradicts the first one of the name.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamilyRef {
    number: u32,
    conflict: bool,
}

struct Series {
    names: BTreeMap<Box<str>, u32>,
    families: Vec<Held>,
    groups: Vec<Group>,
    members: Vec<Member>,
    /// The group that shows `target_info` of a job and instance: the newest one.
    infos: HashMap<Box<str>, u32>,
    info_name: String,
    /// Exemplar of the next value.
    exemplar: Option<Box<str>>,
    refused: Refused,
    now_ms: u64,
    dead: usize,
    /// Most series.
    series_max: usize,
}

/// A family that is held.
struct Held {
    name: Box<str>,
    kind: MetricKind,
    help: Box<str>,
    /// By their labels, ended ones too.
    groups: BTreeMap<Box<str>, u32>,
    /// Groups that live, and whether there ever was one.
    alive: usize,
    shown: bool,
}

struct Group {
    family: u32,
    /// `a="b",c="d"`: what all members share.
    labels: Box<str>,
    /// Sorted by rank.
    members: Vec<u32>,
    /// Time of the newest point.
    time_ms: i64,
    /// When it came, on our clock.
    updated_ms: u64,
    alive: bool,
    /// A member was added: what was added up so far has other bounds.
    grown: bool,
    /// Time of the point that began anew because of that.
    restarted_ms: i64,
    /// Job and instance, of a `target_info`.
    info: Option<Box<str>>,
}

struct Member {
    group: u32,
    rank: Rank,
    value: f64,
    time_ms: i64,
    native: Option<Box<NativeHistogram>>,
    exemplar: Option<Box<str>>,
}

/// Place of a series within its group.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// The only one.
    Value,
    /// Up to this bound.
    Bucket(f64),
    /// This quantile.
    Quantile(f64),
    /// `_sum`
    Sum,
    /// `_count`
    Count,
}

impl Table {
    pub fn new(options: Options) -> Self {
        let info_name = match options.namespace.as_str() {
            "" => "target_info".to_owned(),
            namespace => format!("{namespace}_target_info"),
        };
        Table { translator: Translator::new(options), series: Series::new(info_name, SERIES_MAX) }
    }

    #[cfg(test)]
    pub fn limit(&mut self, series_max: usize) {
        self.series.series_max = series_max;
    }

    /// Takes the points of a payload that came at `now_ms`; says what was not taken.
    pub fn take(&mut self, payload: &Payload, now_ms: u64) -> Report {
        self.series.now_ms = now_ms;
        let mut report = self.translator.translate(payload, &mut self.series);
        report.refused.merge(&std::mem::take(&mut self.series.refused));
        report
    }

    /// Series that were shown at `now_ms`.
    pub fn len(&self) -> usize {
        self.series.members.len() - self.series.dead
    }

    /// Ends what was not updated since `oldest_ms`, and forgets what has ended when it is much.
    pub fn sweep(&mut self, oldest_ms: u64) {
        let series = &mut self.series;
        for number in 0..series.groups.len() {
            let group = &series.groups[number];
            if group.alive && group.updated_ms < oldest_ms {
                series.end(number as u32);
            }
        }
        let is_gone = series.families.iter().any(|family| family.shown && family.alive == 0);
        if is_gone || series.dead > DEAD_MIN.max(self.len()) {
            self.translator.clear();
            self.series.compact();
        }
    }

    /// The page: what was updated at `oldest_ms` or later.
    pub fn render(&self, form: Form, timestamps: bool, oldest_ms: u64) -> String {
        let mut out = String::new();
        let series = &self.series;
        for family in series.names.values().map(|number| &series.families[*number as usize]) {
            let shown = family.groups.values().map(|number| &series.groups[*number as usize]);
            let fresh = |group: &&Group| group.alive && group.updated_ms >= oldest_ms;
            let mut shown = shown.filter(fresh).peekable();
            if shown.peek().is_none() {
                continue;
            }
            let name = text::Name::new(&family.name, family.kind, form);
            name.head(&mut out, &family.help);
            for group in shown {
                let time = (timestamps && group.info.is_none()).then_some(group.time_ms);
                let newest = group.members.iter().map(|number| &series.members[*number as usize]);
                for member in newest.filter(|member| member.time_ms == group.time_ms) {
                    let labels = &group.labels;
                    match &member.native {
                        Some(native) => name.native(&mut out, labels, native, time),
                        None => {
                            let exemplar = member.exemplar.as_deref();
                            name.line(&mut out, labels, member.rank, member.value, time, exemplar);
                        }
                    }
                }
            }
        }
        if form.open_metrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

/// Ended series that are kept in any case: too few to be worth resolving all others again.
const DEAD_MIN: usize = 10_000;

impl Series {
    fn new(info_name: String, series_max: usize) -> Self {
        Series {
            names: BTreeMap::new(),
            families: Vec::new(),
            groups: Vec::new(),
            members: Vec::new(),
            infos: HashMap::new(),
            info_name,
            exemplar: None,
            refused: Refused::default(),
            now_ms: 0,
            dead: 0,
            series_max,
        }
    }

    /// Takes a group off the page.
    fn end(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        if !std::mem::replace(&mut group.alive, false) {
            return;
        }
        self.dead += group.members.len();
        group.time_ms = NEVER;
        for member in &group.members {
            self.members[*member as usize].time_ms = NEVER;
        }
        self.families[group.family as usize].alive -= 1;
    }

    /// Puts a group on the page.
    fn revive(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        if std::mem::replace(&mut group.alive, true) {
            return;
        }
        self.dead -= group.members.len();
        let family = &mut self.families[group.family as usize];
        (family.alive, family.shown) = (family.alive + 1, true);
        if let Some(identity) = group.info.clone()
            && let Some(older) = self.infos.insert(identity, number).filter(|o| *o != number)
        {
            self.end(older);
        }
    }

    /// Forgets what has ended; numbers change.
    fn compact(&mut self) {
        let mut kept = Series::new(std::mem::take(&mut self.info_name), self.series_max);
        for mut family in std::mem::take(&mut self.families) {
            family.groups.retain(|_, group| self.groups[*group as usize].alive);
            if family.groups.is_empty() {
                continue;
            }
            let number = kept.families.len() as u32;
            for place in family.groups.values_mut() {
                let group = kept.groups.len() as u32;
                let old = &mut self.groups[*place as usize];
                let mut members = Vec::with_capacity(old.members.len());
                for member in std::mem::take(&mut old.members) {
                    let old = &mut self.members[member as usize];
                    // Of bounds that the newest point does not have, nothing is kept.
                    members.push(kept.members.len() as u32);
                    kept.members.push(Member {
                        group,
                        native: old.native.take(),
                        exemplar: old.exemplar.take(),
                        ..*old
                    });
                }
                if let Some(identity) = &old.info {
                    kept.infos.insert(identity.clone(), group);
                }
                kept.groups.push(Group {
                    family: number,
                    labels: std::mem::take(&mut old.labels),
                    members,
                    info: old.info.take(),
                    ..*old
                });
                *place = group;
            }
            kept.names.insert(family.name.clone(), number);
            kept.families.push(family);
        }
        kept.now_ms = self.now_ms;
        *self = kept;
    }

    /// The group of a point's labels; made when missing.
    fn group(&mut self, family: u32, labels: &[(&str, &str)]) -> u32 {
        let held = &self.families[family as usize];
        let histogram = held.kind == MetricKind::Histogram;
        let summary = held.kind == MetricKind::Summary;
        let own = |name: &str| {
            name == "__name__" || histogram && name == "le" || summary && name == "quantile"
        };
        let shared = labels.iter().filter(|(name, _)| !own(name));
        let key = text::labels(shared.copied());
        if let Some(known) = held.groups.get(key.as_str()) {
            return *known;
        }
        let info = (*held.name == *self.info_name).then(|| {
            let named =
                |wanted: &str| labels.iter().find(|(n, _)| *n == wanted).map_or("", |l| l.1);
            format!("{}\n{}", named("job"), named("instance")).into()
        });
        let number = self.groups.len() as u32;
        self.groups.push(Group {
            family,
            labels: key.as_str().into(),
            members: Vec::new(),
            time_ms: NEVER,
            updated_ms: 0,
            alive: false,
            grown: false,
            restarted_ms: NEVER,
            info,
        });
        self.families[family as usize].groups.insert(key.into(), number);
        number
    }

    /// Whether a point of `stamp` is taken by a group, and what its member's value is then.
    fn accept(&mut self, number: u32, stamp: Stamp, value: f64) -> Option<f64> {
        let member = &self.members[number as usize];
        let group = &mut self.groups[member.group as usize];
        // What a target is does not come with a time of its own.
        if stamp.time_ms < group.time_ms && group.info.is_none() {
            return None;
        }
        if !stamp.delta {
            return Some(value);
        }
        let kind = self.families[group.family as usize].kind;
        if kind == MetricKind::Gauge {
            self.refused.add(Refusal::Temporality, 1);
            return None;
        }
        if std::mem::take(&mut group.grown) {
            group.restarted_ms = stamp.time_ms;
        }
        let restarts = group.restarted_ms == stamp.time_ms || member.time_ms == NEVER;
        if restarts || stamp.start_ms > member.time_ms {
            return Some(value);
        }
        if stamp.start_ms == member.time_ms {
            return Some(member.value + value);
        }
        // It covers time that was counted: of a histogram it is dropped, a sum begins anew.
        (kind == MetricKind::Counter).then_some(value)
    }

    /// Notes that a member has a value of `stamp`.
    fn touch(&mut self, number: u32, stamp: Stamp) -> &mut Member {
        let group = self.members[number as usize].group;
        if !self.groups[group as usize].alive {
            self.revive(group);
        }
        let held = &mut self.groups[group as usize];
        (held.time_ms, held.updated_ms) = (stamp.time_ms, self.now_ms);
        let member = &mut self.members[number as usize];
        member.time_ms = stamp.time_ms;
        member.exemplar = self.exemplar.take();
        member
    }
}

impl Sink for Series {
    type Family = FamilyRef;
    type Series = u32;

    fn family(&mut self, family: Family<'_>) -> FamilyRef {
        if let Some(number) = self.names.get(family.name) {
            let held = &self.families[*number as usize];
            let conflict = held.kind != family.kind;
            if conflict {
                tracing::warn!(
                    metric = family.name,
                    has = held.kind.name(),
                    dropped = family.kind.name(),
                    "two metrics of one name have different types, the first one stays"
                );
            }
            return FamilyRef { number: *number, conflict };
        }
        let number = self.families.len() as u32;
        self.names.insert(family.name.into(), number);
        let (name, help) = (family.name.into(), family.help.into());
        self.families.push(Held {
            name,
            kind: family.kind,
            help,
            groups: BTreeMap::new(),
            alive: 0,
            shown: false,
        });
        FamilyRef { number, conflict: false }
    }

    fn series(&mut self, family: &FamilyRef, labels: &[(&str, &str)]) -> Result<u32, Refusal> {
        if family.conflict {
            return Err(Refusal::TypeConflict);
        }
        let alive = self.members.len() - self.dead;
        // Ended ones are kept for a while, but not more of them than of the others.
        if alive >= self.series_max || self.members.len() >= 2 * self.series_max {
            return Err(Refusal::SeriesLimit);
        }
        let group = self.group(family.number, labels);
        let held = &self.families[family.number as usize];
        let rank = rank(held, labels);
        let members = &self.groups[group as usize].members;
        let known = members.iter().find(|m| self.members[**m as usize].rank == rank);
        if let Some(known) = known {
            return Ok(*known);
        }
        let number = self.members.len() as u32;
        self.members.push(Member {
            group,
            rank,
            value: 0.0,
            time_ms: NEVER,
            native: None,
            exemplar: None,
        });
        let place = &mut self.groups[group as usize];
        place.grown = place.time_ms != NEVER;
        self.dead += usize::from(!place.alive);
        let all = &self.members;
        let at = place.members.partition_point(|m| all[*m as usize].rank < rank);
        place.members.insert(at, number);
        Ok(number)
    }

    fn sample(&mut self, series: &u32, stamp: Stamp, value: f64) {
        if value.to_bits() == STALE.to_bits() {
            self.exemplar = None;
            return self.end(self.members[*series as usize].group);
        }
        match self.accept(*series, stamp, value) {
            Some(value) => self.touch(*series, stamp).value = value,
            None => self.exemplar = None,
        }
    }

    fn histogram(&mut self, series: &u32, stamp: Stamp, histogram: NativeHistogram) {
        if histogram.is_stale() {
            self.exemplar = None;
            return self.end(self.members[*series as usize].group);
        }
        let count = histogram.count;
        let Some(total) = self.accept(*series, stamp, count) else {
            self.exemplar = None;
            return;
        };
        let member = self.touch(*series, stamp);
        member.native = Some(Box::new(match member.native.take() {
            Some(before) if stamp.delta && total != count => before.plus(&histogram),
            _ => histogram,
        }));
        member.value = total;
    }

    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let Some(value) = exemplar.value() else { return };
        let mut labels = Vec::new();
        let mut id = |name: &'static str, bytes: &[u8]| {
            let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            labels.push((name, hex));
        };
        exemplar.span_id().inspect(|bytes| id("span_id", bytes.as_ref()));
        exemplar.trace_id().inspect(|bytes| id("trace_id", bytes.as_ref()));
        let shared = text::labels(labels.iter().map(|(name, hex)| (*name, hex.as_str())));
        let mut out = format!("{{{shared}}} ");
        text::value(&mut out, value.as_f64());
        let ms = exemplar.time() / 1_000_000;
        if ms > 0 {
            let _ = write!(out, " {}.{:03}", ms / 1000, ms % 1000);
        }
        self.exemplar = Some(out.into());
    }
}

/// Which member of its group a series is.
fn rank(family: &Held, labels: &[(&str, &str)]) -> Rank {
    let named = |wanted: &str| labels.iter().find(|(name, _)| *name == wanted).map(|l| l.1);
    let number = |text: &str| match text {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        text => text.parse().unwrap_or(f64::NAN),
    };
    let suffix = named("__name__").and_then(|name| name.strip_prefix(&*family.name));
    match (family.kind, suffix.unwrap_or_default()) {
        (MetricKind::Histogram, "_bucket") => Rank::Bucket(number(named("le").unwrap_or("+Inf"))),
        (MetricKind::Histogram | MetricKind::Summary, "_sum") => Rank::Sum,
        (MetricKind::Histogram | MetricKind::Summary, "_count") => Rank::Count,
        (MetricKind::Summary, _) => Rank::Quantile(number(named("quantile").unwrap_or_default())),
        _ => Rank::Value,
    }
}
