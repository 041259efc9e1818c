// SPDX-License-Identifier: Apache-2.0
//! One rule: gathers the points of its inputs into rows and asks an embedded model about them.
//!
//! Rows of a series are in order of time. State belongs to (rule, series): two rules with the same
//! model share nothing. A model that panics is made anew without its state and counted; the batch
//! gives no results for that rule, everything else goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use basics::{Clock, Result};
use models::{Model, Outputs, Rows};
use otlp_wire::write::Metrics;
use otlp_wire::{Attrs, Number, NumberPoint, PointView};

use super::answer::{self, Results, Written};
use super::config::{Config, RuleConfig};
use super::join::Join;
use super::meters::{Meters, Outcome, Skip};
use super::selector::Selector;
use super::series::{Moment, Origin, Table, Target};

/// How a rule's embedded model is made, and made anew after a panic.
pub type MakeModel = Box<dyn Fn() -> Result<Box<dyn Model>> + Send>;

/// A rule and what it remembers.
pub struct Rule {
    /// One per input, in order.
    pub selectors: Vec<Selector>,
    /// What results are called.
    pub results: Arc<Results>,
    /// Counters.
    pub meters: Meters,
    points_max: usize,
    /// Who the rows are about; a row's slot is its slot here.
    table: Table,
    /// Set when there are several inputs.
    join: Option<Join>,
    rows: Rows,
    gone: Vec<u32>,
    /// Unit of the first input.
    unit: String,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// `Invalid` for a malformed selector or pattern.
    pub fn new(rule: &RuleConfig, config: &Config, meters: Meters) -> Result<Self> {
        let selectors = rule.selectors()?;
        let table = || Table::new(config.state.max_series, config.state.ttl());
        let inputs = selectors.len();
        let tolerance_ns = config.data_handling.tolerance().as_nanos() as u64;
        Ok(Rule {
            results: Arc::new(Results::new(rule, &config.naming, &selectors)?),
            meters,
            points_max: config.data_handling.points_max(),
            table: table(),
            join: (inputs > 1).then(|| Join::new(&selectors, tolerance_ns, table)),
            rows: Rows::new(inputs),
            gone: Vec::new(),
            unit: String::new(),
            selectors,
        })
    }

    /// Takes a point of input `input` if the rule means it.
    pub fn see(
        &mut self,
        input: usize,
        origin: &Arc<Origin>,
        point: &NumberPoint<'_>,
        resource: Attrs<'_>,
        moment: Moment,
    ) {
        let attrs = point.attrs();
        if !self.selectors[input].matches(attrs, resource) {
            return;
        }
        let value = point.value().map(Number::as_f64).filter(|value| !value.is_nan());
        let Some(value) = value.filter(|_| !point.no_recorded_value()) else {
            return self.meters.skip(Skip::NoValue, 1);
        };
        let time = if point.time() == 0 { moment.now } else { point.time() };
        let room = match &mut self.join {
            Some(join) => join.push(input, origin, attrs.raw(), (time, value), moment),
            None => match self.table.slot(origin, attrs.raw(), moment, &mut self.gone) {
                Some(slot) => {
                    self.rows.push(&[value], time, slot);
                    true
                }
                None => false,
            },
        };
        if !room {
            self.meters.skip(Skip::SeriesLimit, 1);
        }
    }

    /// Notes the unit of input `input`.
    pub fn see_unit(&mut self, input: usize, unit: &str) {
        if input == 0 && self.unit != unit {
            unit.clone_into(&mut self.unit);
        }
    }

    /// Unit of the first input.
    pub fn unit(&self) -> &str {
        &self.unit
    }

    /// The rows that are complete, in order of time. Slots whose series are gone since the last
    /// call go to `forget` first.
    pub fn rows(&mut self, moment: Moment, mut forget: impl FnMut(u32)) -> &Rows {
        if let Some(join) = &mut self.join {
            let (table, rows, gone) = (&mut self.table, &mut self.rows, &mut self.gone);
            let mut no_room = 0;
            join.drain(|target, values, time| {
                match table.slot(&target.origin, &target.attrs, moment, gone) {
                    Some(slot) => rows.push(values, time, slot),
                    None => no_room += 1,
                }
            });
            let left = std::mem::take(&mut join.left);
            self.meters.skip(Skip::Unmatched, left.unmatched);
            self.meters.skip(Skip::Ambiguous, left.ambiguous);
            self.meters.skip(Skip::SeriesLimit, no_room);
            join.expire(moment.now, self.rows.len() + 1);
        }
        self.table.expire(moment.now, self.rows.len() + 1, &mut self.gone);
        self.gone.drain(..).for_each(&mut forget);
        self.meters.series.set(self.table.len() as f64);
        arrange(&mut self.rows, self.points_max);
        &self.rows
    }

    /// Forgets the rows of this batch.
    pub fn clear(&mut self) {
        self.rows.clear();
    }

    /// Who the rows are about, by row; to take along where the answer comes later.
    pub fn targets(&self) -> Vec<Target> {
        self.rows.slots.iter().filter_map(|slot| self.table.get(*slot).cloned()).collect()
    }
}

/// Brings rows in order of time, keeping at most the `newest` of each slot.
fn arrange(rows: &mut Rows, newest: usize) {
    let in_order = rows.times.is_sorted();
    if in_order && newest == usize::MAX {
        return;
    }
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|row| rows.times[*row]);
    if newest != usize::MAX {
        let mut counts = hashbrown::HashMap::new();
        order.reverse();
        order.retain(|row| {
            let count = counts.entry(rows.slots[*row]).or_insert(0usize);
            *count += 1;
            *count <= newest
        });
        order.reverse();
    }
    let pick = |column: &Vec<f64>| order.iter().map(|row| column[*row]).collect();
    *rows = Rows {
        inputs: rows.inputs.iter().map(pick).collect(),
        times: order.iter().map(|row| rows.times[*row]).collect(),
        slots: order.iter().map(|row| rows.slots[*row]).collect(),
    };
}

/// The embedded model of a rule.
pub struct Embedded {
    model: Box<dyn Model>,
    make: MakeModel,
    out: Outputs,
    written: Vec<Written>,
    written_unit: Option<String>,
}

impl Embedded {
    /// Makes the model.
    ///
    /// # Errors
    /// What `make` says.
    pub fn new(make: MakeModel) -> Result<Self> {
        let model = make()?;
        let out = Outputs::default();
        Ok(Embedded { model, make, out, written: Vec::new(), written_unit: None })
    }

    /// Answers the rule's rows into `to`; in a replay only the state moves on.
    pub fn answer(
        &mut self,
        rule: &mut Rule,
        moment: Moment,
        clock: &Clock,
        replay: bool,
        to: &mut Metrics,
    ) {
        let model = &mut self.model;
        rule.rows(moment, |slot| model.forget(slot));
        if rule.rows.is_empty() {
            return;
        }
        let started = clock.monotonic();
        let infer = AssertUnwindSafe(|| self.model.infer(&rule.rows, &mut self.out));
        if catch_unwind(infer).is_err() {
            self.restart(rule);
            return;
        }
        let took = clock.monotonic().saturating_sub(started);
        if !replay {
            rule.meters.duration.observe(took as f64 / 1e9);
            rule.meters.request(Outcome::Ok);
            self.write(rule, to);
        }
        rule.clear();
    }

    fn write(&mut self, rule: &Rule, to: &mut Metrics) {
        if self.written_unit.as_deref() != Some(rule.unit()) {
            self.written = rule.results.written(&self.out.columns, rule.unit());
            self.written_unit = Some(rule.unit().to_owned());
        }
        let slots = &rule.rows.slots;
        let tally = answer::write(
            to,
            &rule.results,
            &self.written,
            &self.out.columns,
            &rule.rows.times,
            |row| rule.table.get(slots[row]),
        );
        let (cold, late) = (u64::from(self.out.cold), u64::from(self.out.late));
        rule.meters.points.add(tally.points);
        rule.meters.skip(Skip::ColdStart, cold);
        rule.meters.skip(Skip::OutOfOrder, late);
        rule.meters.skip(Skip::NoAnswer, tally.empty_rows.saturating_sub(cold + late));
    }

    fn restart(&mut self, rule: &mut Rule) {
        rule.meters.request(Outcome::Panic);
        rule.clear();
        match (self.make)() {
            Ok(model) => self.model = model,
            Err(error) => tracing::error!(%error, "model cannot be made anew after a panic"),
        }
    }
}
