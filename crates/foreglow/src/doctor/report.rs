// SPDX-License-Identifier: Apache-2.0
//! What was found, for people and for programs.

use serde_json::json;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but not as one would want; or cannot be told.
    Warn,
    /// Does not work.
    Fail,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        }
    }

    /// As terminals show it.
    fn colored(self) -> String {
        let color = match self {
            Verdict::Ok => 32,
            Verdict::Warn => 33,
            Verdict::Fail => 31,
        };
        format!("\x1b[{color}m{:<4}\x1b[0m", self.name())
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What was looked at.
    pub what: String,
    /// What was seen.
    pub seen: String,
    /// What to do; empty when there is nothing.
    pub advice: String,
}

impl Finding {
    /// All is well.
    pub fn ok(what: impl Into<String>, seen: impl Into<String>) -> Finding {
        Finding::new(Verdict::Ok, what.into(), seen.into(), String::new())
    }

    /// Not as one would want.
    pub fn warn(
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding::new(Verdict::Warn, what.into(), seen.into(), advice.into())
    }

    /// Does not work.
    pub fn fail(
        what: impl Into<String>,
        seen: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        Finding::new(Verdict::Fail, what.into(), seen.into(), advice.into())
    }

    fn new(verdict: Verdict, what: String, seen: String, advice: String) -> Finding {
        Finding { verdict, what, seen, advice }
    }
}

/// Everything that was looked at, by area.
#[derive(Debug, Default)]
pub struct Report(Vec<(&'static str, Vec<Finding>)>);

impl Report {
    /// Adds what was found in an area; none = it was not looked at.
    pub fn add(&mut self, area: &'static str, findings: Vec<Finding>) {
        if !findings.is_empty() {
            self.0.push((area, findings));
        }
    }

    /// True when nothing fails.
    pub fn is_well(&self) -> bool {
        self.count(Verdict::Fail) == 0
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.0.iter().flat_map(|(_, all)| all).filter(|f| f.verdict == verdict).count()
    }

    /// A line a finding, and below it what to do.
    pub fn text(&self, color: bool) -> String {
        let all = self.0.iter().flat_map(|(_, findings)| findings);
        let width = all.map(|finding| finding.what.chars().count()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for (area, findings) in &self.0 {
            match color {
                true => lines.push(format!("\x1b[1m{area}\x1b[0m")),
                false => lines.push((*area).to_owned()),
            }
            for Finding { verdict, what, seen, advice } in findings {
                let verdict =
                    if color { verdict.colored() } else { format!("{:<4}", verdict.name()) };
                let indent = width + 8;
                let seen = plain(seen).replace('\n', &format!("\n  {:indent$}", ""));
                lines.push(format!("  {verdict}  {what:<width$}  {seen}"));
                for line in plain(advice).lines() {
                    lines.push(format!("        -> {line}"));
                }
            }
            lines.push(String::new());
        }
        let [ok, warn, fail] = [Verdict::Ok, Verdict::Warn, Verdict::Fail].map(|v| self.count(v));
        lines.push(format!("{ok} ok, {warn} to look at, {fail} failed"));
        lines.join("\n")
    }

    /// `{"verdict", "findings": [{"area", "verdict", "what", "seen", "advice"}]}`
    pub fn json(&self) -> String {
        let all = self.0.iter().flat_map(|(area, all)| all.iter().map(move |f| (area, f)));
        let worst = all.clone().map(|(_, f)| f.verdict).max().unwrap_or(Verdict::Ok);
        let shown: Vec<_> = all
            .map(|(area, f)| {
                json!({
                    "area": area,
                    "verdict": f.verdict.name(),
                    "what": f.what,
                    "seen": f.seen,
                    "advice": f.advice,
                })
            })
            .collect();
        format!("{:#}", json!({ "verdict": worst.name(), "findings": shown }))
    }
}

/// Without control characters: what strangers say must not move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '.' } else { c }).collect()
}
