// SPDX-License-Identifier: Apache-2.0
//! Additive damped Holt-Winters as a stream: constant work and memory per point.
//!
//! In: one value per series and time, in any spacing. Out: forecast and interval bounds.
//! The season is wall-clock time (UTC) cut into slots, so gaps and restarts do not shift it, and
//! the smoothing gains follow the time since the last point: a gain is stated per slot, a point
//! that comes after `n` slots moves the state by `1 - (1 - gain)^n`.
//!
//! The season is a line between the middles of slots. Errors that resemble the one before (a wave
//! finer than a slot, a level on the move) are foreseen by their correlation, which is measured.
//!
//! Phases of a series: *cold* (fewer than `min_points`: nothing is answered), *learning* (damped
//! trend only, faster; slot means are gathered), *seasonal* (from one full season on). Points not newer
//! than the last one are counted as late and change nothing.
//!
//! With horizon 0 a row answers what was expected of this very point before it was seen, so that
//! forecast and value compare at the same timestamp. With a horizon `h` it answers the value
//! expected `h` after the point.
//!
//! Bounds: 80 B + 4 B per slot and series (320 B at 60 slots). Deterministic: no clock, no
//! randomness. Source: Hyndman et al., Forecasting with Exponential Smoothing, 2008, ch. 2 and 6;
//! the error term: Taylor, Short-term electricity demand forecasting, 2003.

use crate::{Model, Outputs, Params, Rows};
use basics::{Error, Result};
use std::time::Duration;

/// Series per block of state: blocks are added one by one, so growth copies nothing.
const BLOCK: usize = 1024;
/// Largest correlation of successive errors believed: beyond it an error would hardly fade.
const CORRELATION_MAX: f64 = 0.98;
/// Distinct times between points whose gains are kept ready; a power of two.
const GAINS: usize = 64;
/// Smallest weight of a new squared error: the variance remembers about 100 points.
const ERROR_WEIGHT_MIN: f64 = 0.01;
/// Level gain a point while there is no season yet: the level has to follow it.
const LEARNING_ALPHA: f64 = 0.3;
/// Slots a point may lie after the last one before it counts as that many only.
const GAP_MAX: f64 = 10_000.0;
/// Steps summed exactly for the variance of a far forecast; it grows linearly beyond.
const VARIANCE_STEPS_MAX: usize = 1000;
/// Values beyond this are not looked at: offsets must fit f32, squared errors f64.
const VALUE_MAX: f64 = 1e30;
/// Most slots in a season: one a minute of a day, 5.8 kB a series.
const SLOTS_MAX: f64 = 1440.0;

/// The model; one instance holds the state of all series of a rule.
///
/// Parameters: `season` (1h), `slots` (60), `alpha` level gain (0.1), `beta` trend gain (0.05),
/// `gamma` season gain (0.2), all per slot; `damping` of the trend per slot (0.98), `horizon` (0s),
/// `interval` (0.95), `min_points` (10).
pub struct HoltWinters {
    settings: Settings,
    gains: Box<[GapGains; GAINS]>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
struct Settings {
    slots: usize,
    slot_ns: u64,
    alpha: f64,
    beta: f64,
    gamma: f64,
    damping: f64,
    horizon_ns: u64,
    z: f64,
    min_points: u32,
}

/// State of `BLOCK` series; season `i` is `seasons[i * slots..][..slots]`.
struct Block {
    heads: Vec<Head>,
    seasons: Vec<f32>,
}

/// State of one series besides its season.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    level: f64,
    /// Change per slot, or while learning per gap if that is shorter.
    trend: f64,
    /// Mean squared error of the forecast of the next point.
    variance: f64,
    /// The same of level, trend and season alone, without what the last error tells.
    plain_variance: f64,
    /// Mean product of such an error and the one before.
    covariance: f64,
    /// The last such error.
    error: f64,
    /// First value; while learning, season entries are relative to it so that f32 keeps detail.
    base: f64,
    first_ns: u64,
    last_ns: u64,
    points: u32,
    /// Errors in `variance`, counted anew from each phase; 0 in a fresh series.
    errors: u16,
    seasonal: bool,
}

/// What depends only on the time between two points, per phase.
#[derive(Clone, Copy, Debug, Default)]
struct GapGains {
    gap_ms: u64,
    learning: Gains,
    seasonal: Gains,
}

/// Gains for one phase; a unit is a slot, or while learning the gap if that is shorter.
#[derive(Clone, Copy, Debug, Default)]
struct Gains {
    /// Time between the points in units.
    gap: f64,
    level: f64,
    trend: f64,
    season: f64,
    damping: f64,
    /// Units of trend between the points, damped.
    run: f64,
    /// Units of trend from the point to the horizon, damped.
    run_horizon: f64,
    /// Variance at the horizon over the variance of the next point.
    spread: f64,
}

impl HoltWinters {
    /// Reads the parameters.
    ///
    /// # Errors
    /// `Invalid` for an unknown parameter or a value out of range.
    pub fn new(params: &Params) -> Result<Self> {
        params.only(&[
            "season",
            "slots",
            "alpha",
            "beta",
            "gamma",
            "damping",
            "horizon",
            "interval",
            "min_points",
        ])?;
        let season = params.duration("season", Duration::from_secs(3600))?;
        let slots = params.number_within("slots", 60.0, 1.0, SLOTS_MAX)? as usize;
        let slot_ns = season.as_nanos() as u64 / slots as u64;
        if slot_ns < 1_000_000 {
            return Err(Error::invalid(format!(
                "season {season:?} in {slots} slots leaves less than 1 ms a slot"
            )));
        }
        let interval = params.number_within("interval", 0.95, 0.5, 0.9999)?;
        let settings = Settings {
            slots,
            slot_ns,
            alpha: params.number_within("alpha", 0.1, 0.0, 1.0)?,
            beta: params.number_within("beta", 0.05, 0.0, 1.0)?,
            gamma: params.number_within("gamma", 0.2, 0.0, 1.0)?,
            damping: params.number_within("damping", 0.98, 0.0, 0.9999)?,
            horizon_ns: params.duration("horizon", Duration::ZERO)?.as_nanos() as u64,
            z: normal_quantile(0.5 + interval / 2.0),
            min_points: params.number_within("min_points", 10.0, 2.0, 1e6)? as u32,
        };
        Ok(HoltWinters { settings, gains: Box::new([GapGains::default(); GAINS]), blocks: vec![] })
    }

    fn grow_to(&mut self, slot: usize) {
        while self.blocks.len() <= slot / BLOCK {
            self.blocks.push(Block {
                heads: vec![Head::default(); BLOCK],
                seasons: vec![f32::NAN; BLOCK * self.settings.slots],
            });
        }
    }
}

impl Model for HoltWinters {
    fn outputs(&self) -> &[&'static str] {
        &["predicted", "lower", "upper"]
    }

    fn infer(&mut self, rows: &Rows, out: &mut Outputs) {
        out.reset(self.outputs(), rows.len());
        if let Some(slot) = rows.slots.iter().max() {
            self.grow_to(*slot as usize);
        }
        let settings = &self.settings;
        let [predicted, lower, upper] = out.columns.as_mut_slice() else { return };
        let values = rows.inputs.first().map_or(&[][..], Vec::as_slice);
        for (row, ((&y, &now), &slot)) in
            values.iter().zip(&rows.times).zip(&rows.slots).enumerate()
        {
            let block = &mut self.blocks[slot as usize / BLOCK];
            let at = slot as usize % BLOCK;
            let head = &mut block.heads[at];
            let season = &mut block.seasons[at * settings.slots..][..settings.slots];
            if y.is_nan() || y.abs() > VALUE_MAX {
                continue;
            }
            if head.points > 0 && now <= head.last_ns {
                out.late += 1;
                continue;
            }
            let gains = gains_for(&mut self.gains, settings, now.saturating_sub(head.last_ns));
            match step(settings, gains, head, season, y, now) {
                None => out.cold += 1,
                Some((centre, half)) => {
                    predicted.values[row] = centre;
                    lower.values[row] = centre - half;
                    upper.values[row] = centre + half;
                }
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        if let Some(block) = self.blocks.get_mut(slot as usize / BLOCK) {
            let at = slot as usize % BLOCK;
            block.heads[at] = Head::default();
            block.seasons[at * self.settings.slots..][..self.settings.slots].fill(f32::NAN);
        }
    }

    fn state_bytes(&self) -> usize {
        let series = size_of::<Head>() + self.settings.slots * size_of::<f32>();
        self.blocks.len() * BLOCK * series
    }
}

/// Takes one point into the state. Gives the forecast and half the width of its interval, or
/// nothing while the series is cold.
fn step(
    settings: &Settings,
    gains: &GapGains,
    head: &mut Head,
    season: &mut [f32],
    y: f64,
    now: u64,
) -> Option<(f64, f64)> {
    let place = Place::new(settings, now);
    if head.points == 0 {
        *head = Head { level: y, base: y, first_ns: now, last_ns: now, points: 1, ..*head };
        season[place.slot] = 0.0;
        return None;
    }
    let slot_gap = gains.seasonal.gap;
    let gains = if head.seasonal { &gains.seasonal } else { &gains.learning };
    let plain = head.level + gains.run * head.trend + entry(head, season, place);
    let expected = plain + head.correlation() * head.error;
    let half = settings.z * head.variance.sqrt();
    let error = y - plain;
    head.score(error, y - expected);

    let level_gain = gains.level.max(1.0 / (f64::from(head.points) + 1.0));
    head.level += gains.run * head.trend + level_gain * error;
    head.trend = gains.damping * head.trend + gains.trend * error;
    // Whole seasons since the slot of the first point; the slots themselves tell where we are.
    let seasons =
        (now / settings.slot_ns - head.first_ns / settings.slot_ns) / settings.slots as u64;
    match (head.seasonal, seasons) {
        (false, 0) => gather_season(head, season, place, slot_gap, y),
        (false, _) => start_season(settings, head, season, place.slot, y),
        (true, _) => {
            // The second visit weighs a half, the third a third, until gamma is more.
            let young = gains.gap.min(1.0) / (seasons as f64 + 1.0);
            let change = gains.season.max(young) * (1.0 - level_gain) * error;
            learn_season(season, place, change);
        }
    }
    head.points = head.points.saturating_add(1);
    head.last_ns = now;

    if head.points <= settings.min_points {
        return None;
    }
    if settings.horizon_ns == 0 {
        return Some((expected, half));
    }
    let ahead = entry(head, season, Place::new(settings, now + settings.horizon_ns));
    let centre = head.level + gains.run_horizon * head.trend + ahead;
    Some((centre, settings.z * (head.plain_variance * gains.spread).sqrt()))
}

impl Head {
    /// Correlation of an error with the one before, as far as it is known; never negative.
    fn correlation(&self) -> f64 {
        if self.plain_variance > 0.0 {
            (self.covariance / self.plain_variance).clamp(0.0, CORRELATION_MAX)
        } else {
            0.0
        }
    }

    /// Takes the error of the state alone and the error of the forecast into the statistics.
    fn score(&mut self, plain: f64, forecast: f64) {
        let weight = (1.0 / (f64::from(self.errors) + 1.0)).max(ERROR_WEIGHT_MIN);
        self.variance += weight * (forecast * forecast - self.variance);
        self.plain_variance += weight * (plain * plain - self.plain_variance);
        self.covariance += weight * (plain * self.error - self.covariance);
        self.error = plain;
        self.errors = self.errors.saturating_add(1);
    }
}

/// Where a time lies in the season: between the middles of two slots.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The slot it is in, and how far, 0 to 1.
    slot: usize,
    phase: f64,
    /// The slots whose middles are around it.
    before: usize,
    after: usize,
    /// Weight of `after`.
    share: f64,
}

impl Place {
    fn new(settings: &Settings, time: u64) -> Self {
        let slot = (time / settings.slot_ns) as usize % settings.slots;
        let phase = (time % settings.slot_ns) as f64 / settings.slot_ns as f64;
        let other = |by: usize| (slot + by) % settings.slots;
        if phase < 0.5 {
            let before = other(settings.slots - 1);
            Place { slot, phase, before, after: slot, share: phase + 0.5 }
        } else {
            Place { slot, phase, before: slot, after: other(1), share: phase - 0.5 }
        }
    }
}

/// What the season adds at `place`, on the line between two slots; nothing while it is unknown.
fn entry(head: &Head, season: &[f32], place: Place) -> f64 {
    if !head.seasonal {
        return 0.0;
    }
    let (before, after) = (f64::from(season[place.before]), f64::from(season[place.after]));
    match (before.is_nan(), after.is_nan()) {
        (false, false) => before + place.share * (after - before),
        (false, true) => before,
        (true, false) => after,
        (true, true) => 0.0,
    }
}

/// Changes the season by `change` at `place`, dealt to the two slots around it.
fn learn_season(season: &mut [f32], place: Place, change: f64) {
    let (before, after) = (1.0 - place.share, place.share);
    let norm = before * before + after * after;
    for (slot, share) in [(place.before, before), (place.after, after)] {
        let old = if season[slot].is_nan() { 0.0 } else { season[slot] };
        season[slot] = old + (change * share / norm) as f32;
    }
}

/// While learning, a slot holds the mean of its values relative to the first value ever. `gap` is
/// the time between two points in slots.
fn gather_season(head: &Head, season: &mut [f32], place: Place, gap: f64, y: f64) {
    let offset = (y - head.base) as f32;
    let old = season[place.slot];
    let weight = (gap / (place.phase + gap)).min(1.0) as f32;
    season[place.slot] = if old.is_nan() { offset } else { old + weight * (offset - old) };
}

/// Turns the slot values gathered while learning into a season around its own mean.
///
/// How far the value moved from one visit of this slot to the next is drift, not season: it is
/// taken out evenly along the season, in the order the slots were visited.
fn start_season(settings: &Settings, head: &mut Head, season: &mut [f32], slot: usize, y: f64) {
    let before = f64::from(season[slot]);
    let drift = if before.is_nan() { 0.0 } else { y - head.base - before };
    let first_slot = (head.first_ns / settings.slot_ns) as usize % settings.slots;
    let (mut sum, mut known) = (0.0, 0.0);
    for visit in 0..settings.slots {
        let value = &mut season[(first_slot + visit) % settings.slots];
        *value -= (drift * visit as f64 / settings.slots as f64) as f32;
        if !value.is_nan() {
            sum += f64::from(*value);
            known += 1.0;
        }
    }
    let mean = if known > 0.0 { sum / known } else { 0.0 };
    season.iter_mut().for_each(|value| *value -= mean as f32);
    head.level = head.base + mean + drift;
    head.trend = drift / settings.slots as f64;
    head.seasonal = true;
    head.error = 0.0;
    // The errors of the trend alone say little about the errors from here on.
    head.errors = head.errors.min(10);
}

fn gains_for<'a>(
    cache: &'a mut [GapGains; GAINS],
    settings: &Settings,
    gap_ns: u64,
) -> &'a GapGains {
    let gap_ms = (gap_ns / 1_000_000).max(1);
    let place = &mut cache[gap_ms as usize % GAINS];
    if place.gap_ms != gap_ms {
        let gap_ns = gap_ms as f64 * 1e6;
        let slot_ns = settings.slot_ns as f64;
        *place = GapGains {
            gap_ms,
            learning: Gains::new(settings, LEARNING_ALPHA, gap_ns, slot_ns.min(gap_ns)),
            seasonal: Gains::new(settings, settings.alpha, gap_ns, slot_ns),
        };
    }
    place
}

impl Gains {
    /// For points `gap_ns` apart, with `alpha` and the settings' other gains meant per `unit_ns`.
    fn new(settings: &Settings, alpha: f64, gap_ns: f64, unit_ns: f64) -> Self {
        let gap = (gap_ns / unit_ns).min(GAP_MAX);
        let over = |gain: f64| 1.0 - (1.0 - gain).powf(gap);
        let level = over(alpha);
        let trend = over(settings.beta) * level / gap;
        let horizon = settings.horizon_ns as f64 / unit_ns;
        Gains {
            gap,
            level,
            trend,
            season: over(settings.gamma),
            damping: settings.damping.powf(gap),
            run: damped_run(settings.damping, gap),
            run_horizon: damped_run(settings.damping, horizon),
            spread: spread(settings, level, trend, gap, horizon),
        }
    }
}

/// Sum of the damping's powers over `slots` slots: how far a trend of one per slot carries.
fn damped_run(damping: f64, slots: f64) -> f64 {
    damping * (1.0 - damping.powf(slots)) / (1.0 - damping)
}

/// Variance of the forecast `horizon` slots ahead over that of the next point: one plus the
/// squared weights with which the errors in between will still move the state.
fn spread(settings: &Settings, level: f64, trend: f64, gap: f64, horizon: f64) -> f64 {
    let steps = (horizon / gap).ceil().max(1.0);
    let exact = (steps as usize).min(VARIANCE_STEPS_MAX);
    let weight = |j: usize| level + trend * damped_run(settings.damping, j as f64 * gap);
    let sum: f64 = (1..exact).map(|j| weight(j).powi(2)).sum();
    1.0 + sum + (steps - exact as f64) * weight(exact).powi(2)
}

/// The value below which a standard normal variable lies with probability `p` in `0.5..1`.
/// Error under 4.5e-4: Abramowitz and Stegun, 26.2.23.
fn normal_quantile(p: f64) -> f64 {
    let t = (-2.0 * (1.0 - p).ln()).sqrt();
    t - (2.515_517 + t * (0.802_853 + t * 0.010_328))
        / (1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308)))
}
