// SPDX-License-Identifier: Apache-2.0
//! One target over time: what each of its scrapes becomes as OTLP.
//!
//! Out of a page (or a failed scrape) comes one payload: the page's points, a stale marker for each
//! series that was there before and is not now, and the series about the scrape itself (`up`,
//! `scrape_*`). A series seen before is found by its text and costs one lookup; labels, relabelling
//! and attributes are worked out once.
//! Bounds: an entry a series of the last page, which the size limit of a page bounds.

use std::sync::Arc;

use basics::{Error, Result};
use hashbrown::{HashMap, HashSet};
use otlp_wire::Payload;
use otlp_wire::write::{AttrWriter, EncodedAttrs, Metrics};
use pipeline::relabel::{LabelSet, Relabel};

use super::otlp;
use super::page::names::{self, NAME};
use super::page::{self, Entry, Kind, Reading, Sample, Value};
use super::place::{Families, Group, Meta, Place, Role, place};
use super::round::{Round, Said};

/// Samples of the page may be this far in the future, as in Prometheus.
const AHEAD_MAX_MS: i64 = 10 * 60 * 1000;

/// What a job does to all pages of its targets.
#[derive(Debug, Default)]
pub struct Rules {
    /// Scraped labels win over the target's instead of being renamed `exported_*`.
    pub honor_labels: bool,
    /// Take the page's timestamps.
    pub honor_timestamps: bool,
    /// Mark series that have timestamps of their own as stale too.
    pub track_timestamps: bool,
    /// Rewrites and drops samples.
    pub relabel: Relabel,
    /// Put on everything.
    pub external_labels: Vec<(String, String)>,
    /// Most samples after relabelling; 0 = any.
    pub sample_limit: usize,
    /// Most labels of a sample; 0 = any.
    pub label_limit: usize,
    /// Longest label name; 0 = any.
    pub name_length_limit: usize,
    /// Longest label value; 0 = any.
    pub value_length_limit: usize,
    /// Take native histograms.
    pub native: bool,
    /// Take the classic histogram beside a native one too.
    pub classic_too: bool,
    /// Mark classic histograms as native ones with custom buckets.
    pub custom_buckets: bool,
    /// Most buckets of a native histogram; 0 = any.
    pub bucket_limit: usize,
    /// Finest scale of a native histogram.
    pub scale_max: i32,
    /// Names lose unit and `_total`.
    pub trim_suffixes: bool,
    /// Say more about each scrape: `scrape_timeout_seconds` and others.
    pub extra_metrics: bool,
}

/// Who is scraped.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// Labels put on every sample, `job` and `instance` among them.
    pub labels: LabelSet,
    /// `http` or `https`, as configured.
    pub scheme: String,
    /// What a scrape may take, in seconds.
    pub timeout: f64,
}

/// A page that was fetched.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Its bytes, inflated.
    pub bytes: &'a [u8],
    /// How it is written.
    pub format: page::Format,
}

/// What is told about a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// When it began, Unix nanoseconds.
    pub time: u64,
    /// How long it took in seconds.
    pub seconds: f64,
}

/// A target with what its last pages held.
#[derive(Debug)]
pub struct Target {
    rules: Arc<Rules>,
    identity: Identity,
    series: HashMap<Box<str>, Series>,
    families: Families,
    /// Resources and scopes; the first is the target's own.
    groups: Vec<Grouped>,
    by_group: HashMap<Group, u32>,
    free: Vec<u32>,
    /// The series `target_info` of each job and instance.
    target_info: HashMap<(String, String), Arc<Place>>,
    /// Attributes of the series about the scrape.
    own: EncodedAttrs,
    round: u64,
    /// Changes when the type of a family does: places found before may be wrong then.
    generation: u64,
    ever: bool,
}

#[derive(Debug)]
struct Series {
    /// The last round with it.
    round: u64,
    generation: u64,
    /// The last round that sent it without a time of its own.
    sent: u64,
    /// Was sent so in the round before: marked when it is gone.
    tracked: bool,
    native: bool,
    /// `None` if relabelling drops it.
    place: Option<Arc<Place>>,
}

#[derive(Debug, Default)]
struct Grouped {
    group: Group,
    scope_info: Option<Arc<Place>>,
}

/// How many samples a scrape had.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    scraped: usize,
    kept: usize,
    added: usize,
    repeated: usize,
}

impl Target {
    /// A target never scraped.
    pub fn new(rules: Arc<Rules>, identity: Identity) -> Self {
        let mut labels = identity.labels.clone();
        rules.external_labels.iter().for_each(|(key, value)| labels.set(key, value));
        labels.sort();
        let (job, instance) = (labels.get("job"), labels.get("instance"));
        let group = Group { job: job.into(), instance: instance.into(), ..Group::default() };
        let own = EncodedAttrs::new(|attrs| {
            let rest = labels.iter().filter(|(key, _)| !matches!(*key, "job" | "instance"));
            rest.for_each(|(key, value)| attrs.str(key, value));
        });
        Target {
            rules,
            identity,
            series: HashMap::new(),
            families: Families::new(),
            groups: vec![Grouped { group: group.clone(), scope_info: None }],
            by_group: HashMap::from_iter([(group, 0)]),
            free: Vec::new(),
            target_info: HashMap::new(),
            own,
            round: 0,
            generation: 0,
            ever: false,
        }
    }

    /// What a scrape gave (`None`: no page), and what was wrong with the page.
    pub fn observe(&mut self, page: Option<Page<'_>>, facts: Facts) -> (Payload, Option<Error>) {
        self.round += 1;
        self.ever = true;
        let mut round = Round::default();
        let mut counts = Counts::default();
        let outcome = page.map(|page| self.read(page, facts, &mut round, &mut counts));
        let good = matches!(outcome, Some(Ok(())));
        if !good {
            // Half a page is no page.
            round = Round::default();
        }
        self.end_series(&mut round, (facts.time / 1_000_000) as i64, good);
        let report = [
            ("up", "", "The scraping was successful", f64::from(u8::from(good))),
            ("scrape_duration_seconds", "s", "Duration of the scrape", facts.seconds),
            ("scrape_samples_scraped", "", SCRAPED, counts.scraped as f64),
            ("scrape_samples_post_metric_relabeling", "", KEPT, counts.kept as f64),
            ("scrape_series_added", "", ADDED, counts.added as f64),
        ];
        let size = page.map_or(0.0, |page| page.bytes.len() as f64);
        let extra = [
            ("scrape_timeout_seconds", "", "", self.identity.timeout),
            ("scrape_sample_limit", "", "", self.rules.sample_limit as f64),
            ("scrape_body_size_bytes", "", "", size),
        ];
        let extra = if self.rules.extra_metrics { &extra[..] } else { &[] };
        let values: Vec<_> =
            report.iter().chain(extra).map(|r| (r.0, r.1, r.2, Some(r.3))).collect();
        if counts.repeated > 0 {
            tracing::debug!(count = counts.repeated, "samples that stand twice on a page left out");
        }
        (self.write(round, facts.time, &values), outcome.and_then(Result::err))
    }

    /// The target is gone: everything it told ends. `None` if it was never scraped.
    pub fn end(&mut self, time: u64) -> Option<Payload> {
        if !std::mem::take(&mut self.ever) {
            return None;
        }
        self.round += 1;
        let mut round = Round::default();
        self.end_series(&mut round, (time / 1_000_000) as i64, true);
        let report = [
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
            "scrape_samples_post_metric_relabeling",
            "scrape_series_added",
        ];
        let values = report.map(|name| (name, "", "", None));
        Some(self.write(round, time, &values))
    }

    fn read(
        &mut self,
        page: Page<'_>,
        facts: Facts,
        round: &mut Round,
        counts: &mut Counts,
    ) -> Result<()> {
        let Rules { native, classic_too, .. } = *self.rules;
        let reading = Reading { format: page.format, native, classic_too };
        let now = (facts.time / 1_000_000) as i64;
        page::read(page.bytes, reading, &mut |entry| {
            match entry {
                Entry::Help(name, help) => {
                    self.describe(&name, |m| m.help == help, |m| m.help = help.clone().into());
                }
                Entry::Unit(name, unit) => {
                    self.describe(&name, |m| m.unit == unit, |m| m.unit = unit.into());
                }
                Entry::Type(name, kind) => {
                    self.describe(&name, |m| m.kind == kind, |m| m.kind = kind);
                }
                Entry::Sample(sample) => self.sample(sample, now, round, counts)?,
            }
            Ok(())
        })?;
        match self.rules.sample_limit {
            limit if limit > 0 && counts.kept > limit => {
                let kept = counts.kept;
                Err(Error::invalid(format!("the page has {kept} samples, sample_limit is {limit}")))
            }
            _ => Ok(()),
        }
    }

    /// Notes what the page says about a family.
    fn describe(
        &mut self,
        name: &str,
        known: impl Fn(&Meta) -> bool,
        note: impl FnOnce(&mut Meta),
    ) {
        let family = match self.families.get_mut(name) {
            Some(family) => family,
            None => {
                self.generation += 1;
                self.families.entry(name.into()).or_default()
            }
        };
        family.round = self.round;
        if !known(&family.meta) {
            self.generation += 1;
            note(Arc::make_mut(&mut family.meta));
        }
    }

    fn sample(
        &mut self,
        mut sample: Sample<'_>,
        now: i64,
        round: &mut Round,
        counts: &mut Counts,
    ) -> Result<()> {
        counts.scraped += 1;
        let own_time = sample.time_ms.filter(|_| self.rules.honor_timestamps);
        let known = self.series.get_mut(sample.series);
        let current = known.filter(|s| s.generation == self.generation || s.place.is_none());
        let series = match current {
            Some(series) => {
                if std::mem::replace(&mut series.round, self.round) == self.round {
                    counts.repeated += 1;
                    counts.kept += usize::from(series.place.is_some());
                    return Ok(());
                }
                series
            }
            None => {
                let place = self.find_place(sample.series)?;
                let (round, generation) = (self.round, self.generation);
                let before = self.series.get(sample.series);
                let limit = self.rules.sample_limit;
                let within = limit == 0 || counts.kept < limit;
                counts.added += usize::from(before.is_none() && place.is_some() && within);
                let (tracked, native) = before.map_or((false, false), |b| (b.tracked, b.native));
                let fresh = Series { round, generation, sent: 0, tracked, native, place };
                self.series.insert(sample.series.into(), fresh);
                self.series.get_mut(sample.series).expect("put there just now")
            }
        };
        let Some(place) = &series.place else {
            // Dropped series are remembered, but were never added.
            return Ok(());
        };
        counts.kept += 1;
        match place.role {
            Role::TargetInfo => {
                let Group { job, instance, .. } = &self.groups[place.group as usize].group;
                self.target_info.insert((job.clone(), instance.clone()), place.clone());
                return Ok(());
            }
            Role::ScopeInfo => {
                self.groups[place.group as usize].scope_info = Some(place.clone());
                return Ok(());
            }
            _ => {}
        }
        let time = own_time.unwrap_or(now);
        if time > now.saturating_add(AHEAD_MAX_MS) {
            return Ok(());
        }
        series.native = matches!(sample.value, Value::Native(_));
        if let Value::Native(native) = &mut sample.value {
            let Rules { scale_max, bucket_limit, .. } = *self.rules;
            if !native.coarsen(scale_max, bucket_limit) {
                return Err(Error::invalid(format!(
                    "native_histogram_bucket_limit exceeded: {} has more than {bucket_limit} buckets",
                    sample.series
                )));
            }
        }
        if own_time.is_none() || self.rules.track_timestamps {
            series.sent = self.round;
        }
        let said = Said::Value(sample.value, sample.exemplars, sample.created_ms);
        counts.repeated += usize::from(!round.add(place, time, said));
        Ok(())
    }

    /// Labels, relabelled and within their limits; `None` if they are dropped.
    fn find_place(&mut self, series: &str) -> Result<Option<Arc<Place>>> {
        let wrong =
            |what: &str| Error::invalid(format!("the page is not in its format: {what}: {series}"));
        let labels = names::labels(series).map_err(wrong)?;
        let mut labels: LabelSet = labels.into_iter().collect();
        self.plain_bounds(&mut labels);
        self.join_labels(&mut labels);
        if !self.rules.relabel.apply(&mut labels) || labels.is_empty() {
            return Ok(None);
        }
        if labels.get(NAME).is_empty() {
            return Err(Error::invalid(format!("relabelling leaves no metric name: {series}")));
        }
        self.check_limits(&labels)?;
        for (key, value) in &self.rules.external_labels {
            labels.set(key, value);
        }
        labels.sort();
        let identity = &self.identity.labels;
        let group = Group::of(&labels, identity.get("job"), identity.get("instance"));
        let group = self.group(group);
        Ok(Some(Arc::new(place(&labels, &self.families, group))))
    }

    /// Bounds are written one way, `1.0` for `1`, so that rules can name them.
    fn plain_bounds(&self, labels: &mut LabelSet) {
        let name = labels.get(NAME);
        let stem = name.strip_suffix("_bucket").unwrap_or(name);
        let kind = self.families.get(stem).map_or(Kind::Unknown, |family| family.meta.kind);
        let key = match kind {
            Kind::Histogram => "le",
            Kind::Summary => "quantile",
            _ => return,
        };
        if let Ok(bound) = labels.get(key).parse::<f64>() {
            labels.set(key, &page::float_text(bound));
        }
    }

    /// The sample's own labels and the target's in one.
    fn join_labels(&self, labels: &mut LabelSet) {
        let mut moved = Vec::new();
        for (key, value) in self.identity.labels.iter() {
            let theirs = labels.get(key);
            if self.rules.honor_labels {
                if theirs.is_empty() {
                    labels.set(key, value);
                }
                continue;
            }
            if !theirs.is_empty() {
                moved.push((key.to_owned(), theirs.to_owned()));
            }
            labels.set(key, value);
        }
        moved.sort_by_key(|(key, _)| key.len());
        for (key, value) in moved {
            let mut name = format!("exported_{key}");
            while !labels.get(&name).is_empty() {
                name.insert_str(0, "exported_");
            }
            labels.set(&name, &value);
        }
    }

    fn check_limits(&self, labels: &LabelSet) -> Result<()> {
        let Rules { label_limit, name_length_limit, value_length_limit, .. } = *self.rules;
        let over = |count: usize, limit: usize| limit > 0 && count > limit;
        let metric = labels.get(NAME);
        if over(labels.len(), label_limit) {
            let count = labels.len();
            return Err(Error::invalid(format!(
                "label_limit exceeded: {metric} has {count} labels, the limit is {label_limit}"
            )));
        }
        for (key, value) in labels.iter() {
            if over(key.len(), name_length_limit) {
                return Err(Error::invalid(format!(
                    "label_name_length_limit exceeded: a label name of {metric} has {} bytes, the \
                     limit is {name_length_limit}",
                    key.len()
                )));
            }
            if over(value.len(), value_length_limit) {
                return Err(Error::invalid(format!(
                    "label_value_length_limit exceeded: label {key} of {metric} has {} bytes, the \
                     limit is {value_length_limit}",
                    value.len()
                )));
            }
        }
        Ok(())
    }

    fn group(&mut self, group: Group) -> u32 {
        if let Some(at) = self.by_group.get(&group) {
            return *at;
        }
        let at = self.free.pop().unwrap_or(self.groups.len() as u32);
        self.by_group.insert(group.clone(), at);
        let grouped = Grouped { group, scope_info: None };
        match self.groups.get_mut(at as usize) {
            Some(slot) => *slot = grouped,
            None => self.groups.push(grouped),
        }
        at
    }

    /// Marks what is gone; after a good page also forgets it.
    fn end_series(&mut self, round: &mut Round, time_ms: i64, good: bool) {
        let mut ended: Vec<(Arc<Place>, bool)> = Vec::new();
        let now = self.round;
        self.series.retain(|_, series| {
            let goes_on = good && series.sent == now;
            if std::mem::replace(&mut series.tracked, goes_on) && !goes_on {
                ended.extend(series.place.clone().map(|place| (place, series.native)));
            }
            !good || series.round == now
        });
        if good {
            self.families.retain(|_, family| family.round == now);
            self.forget_groups();
        }
        ended.sort_by(|(a, _), (b, _)| (&a.name, &a.attrs).cmp(&(&b.name, &b.attrs)));
        for (place, native) in ended {
            round.add(&place, time_ms, Said::Ended(native));
        }
    }

    /// Pages that name ever new instances (federation) must not make the list grow.
    fn forget_groups(&mut self) {
        if self.groups.len() <= 64 {
            return;
        }
        let mut used = vec![false; self.groups.len()];
        used[0] = true;
        let places = self.series.values().filter_map(|series| series.place.as_ref());
        places.for_each(|place| used[place.group as usize] = true);
        let free = &mut self.free;
        let mut instances: HashSet<(String, String)> = HashSet::new();
        self.by_group.retain(|group, at| {
            if used[*at as usize] {
                instances.insert((group.job.clone(), group.instance.clone()));
                return true;
            }
            free.push(*at);
            false
        });
        self.target_info.retain(|instance, _| instances.contains(instance));
    }

    fn write(
        &self,
        mut round: Round,
        time: u64,
        report: &[(&str, &str, &str, Option<f64>)],
    ) -> Payload {
        let mut order: Vec<usize> = (0..self.groups.len()).collect();
        order.sort_by_key(|at| {
            let Group { job, instance, .. } = &self.groups[*at].group;
            (*at != 0 && !self.same_resource(*at, 0), job, instance, *at)
        });
        round.metrics.sort_by_key(|metric| metric.place.group);
        let mut out = Metrics::new();
        let mut last = None;
        for at in order {
            let begin = round.metrics.partition_point(|m| (m.place.group as usize) < at);
            let end = round.metrics.partition_point(|m| m.place.group as usize <= at);
            if begin == end && at != 0 {
                continue;
            }
            if !last.is_some_and(|last| self.same_resource(last, at)) {
                out.resource(|attrs| self.resource(at, attrs));
            }
            last = Some(at);
            self.scope(at, &mut out);
            for metric in &mut round.metrics[begin..end] {
                otlp::write_metric(&mut out, metric, &self.rules);
            }
            if at == 0 {
                self.report(time, report, &mut out);
            }
        }
        out.finish()
    }

    fn same_resource(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.groups[a].group, &self.groups[b].group);
        a.job == b.job && a.instance == b.instance
    }

    fn report(&self, time: u64, values: &[(&str, &str, &str, Option<f64>)], out: &mut Metrics) {
        for (name, unit, help, value) in values {
            // What the Collector has a description of, it knows the type of.
            let kind = if help.is_empty() && value.is_some() { "unknown" } else { "gauge" };
            out.metadata(|attrs| attrs.str("prometheus.type", kind));
            let attrs = |attrs: &mut AttrWriter<'_>| attrs.copy(self.own.attrs());
            out.gauge(name, unit, help, |points| match value {
                Some(value) => points.double(time, *value, attrs),
                None => points.stale(time, attrs),
            });
        }
    }

    fn resource(&self, at: usize, attrs: &mut AttrWriter<'_>) {
        let Group { job, instance, .. } = &self.groups[at].group;
        attrs.str("service.name", job);
        let (host, port) = instance.rsplit_once(':').unwrap_or((instance, ""));
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if tells_the_host(host) {
            attrs.str("server.address", host);
        }
        attrs.str("service.instance.id", instance);
        attrs.str("server.port", port);
        attrs.str("url.scheme", &self.identity.scheme);
        if let Some(info) = self.target_info.get(&(job.clone(), instance.clone())) {
            attrs.copy(info.attrs.attrs());
        }
    }

    fn scope(&self, at: usize, out: &mut Metrics) {
        let Grouped { group, scope_info, .. } = &self.groups[at];
        if group.is_own_scope() {
            return out.scope("foreglow/receivers/prometheus", env!("CARGO_PKG_VERSION"));
        }
        let [name, version, schema_url] = &group.scope;
        out.scope_with((name, version, schema_url), |attrs| {
            group.scope_attrs.iter().for_each(|(key, value)| attrs.str(key, value));
            if let Some(info) = scope_info {
                attrs.copy(info.attrs.attrs());
            }
        });
    }
}

const SCRAPED: &str = "The number of samples the target exposed";
const KEPT: &str = "The number of samples remaining after metric relabeling was applied";
const ADDED: &str = "The approximate number of new series in this scrape";

/// The address of a target on this machine says nothing elsewhere.
fn tells_the_host(host: &str) -> bool {
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => !address.is_loopback() && !address.is_unspecified(),
        Err(_) => host != "localhost",
    }
}
