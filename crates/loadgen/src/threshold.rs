// SPDX-License-Identifier: Apache-2.0
//! What a run must keep: `p95<500ms`, `errors<1%`, `rate>40`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::Tally;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    Percentile(f64),
    Mean,
    Max,
    Errors,
    Rate,
}

/// A bound on one measure.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    measure: Measure,
    is_below: bool,
    /// Seconds, a share, or requests (spans, points, records) a second.
    bound: f64,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Threshold, String> {
        let usage = "expected e.g. p95<500ms, mean<100ms, max<2s, errors<1%, rate>40";
        let wrong = || format!("{text:?}: {usage}");
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, bound) = (text[..at].trim(), text[at + 1..].trim_start_matches('=').trim());
        let measure = match name {
            "mean" => Measure::Mean,
            "max" => Measure::Max,
            "errors" => Measure::Errors,
            "rate" => Measure::Rate,
            _ => {
                let percent = name.strip_prefix('p').and_then(|p| p.parse::<f64>().ok());
                let percent = percent.filter(|p| (0.0..=100.0).contains(p)).ok_or_else(wrong)?;
                Measure::Percentile(percent)
            }
        };
        let bound = match measure {
            Measure::Rate => bound.parse().map_err(|_| wrong())?,
            Measure::Errors => {
                let percent = bound.strip_suffix('%').ok_or_else(wrong)?;
                percent.trim().parse::<f64>().map_err(|_| wrong())? / 100.0
            }
            _ => basics::duration::parse(bound).map_err(|_| wrong())?.as_secs_f64(),
        };
        Ok(Threshold {
            text: text.to_owned(),
            measure,
            is_below: text[at..].starts_with('<'),
            bound,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Threshold {
    /// What was measured, in the bound's unit, for people; and whether it is kept.
    pub fn check(&self, tally: &Tally) -> (String, bool) {
        let seconds =
            |time: Duration| (time.as_secs_f64(), format!("{:.1}ms", time.as_secs_f64() * 1e3));
        let (value, shown) = match self.measure {
            Measure::Percentile(percent) => seconds(tally.percentile(percent)),
            Measure::Mean => seconds(Duration::from_secs_f64(tally.times.mean() / 1e6)),
            Measure::Max => seconds(Duration::from_micros(tally.times.max())),
            Measure::Errors => (tally.error_rate(), format!("{:.2}%", tally.error_rate() * 100.0)),
            Measure::Rate => (tally.rate(), format!("{:.1}/s", tally.rate())),
        };
        // Nothing measured keeps nothing.
        let is_kept = !tally.times.is_empty()
            && if self.is_below { value < self.bound } else { value > self.bound };
        (shown, is_kept)
    }
}
