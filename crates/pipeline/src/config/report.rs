// SPDX-License-Identifier: Apache-2.0
//! What of a configuration works here, component by component and key by key.
//!
//! In: what [`load`](super::load) takes; files with many unknown components are welcome. Out: a
//! [`Report`] with a row for every configured component and every key under it, in the order of
//! the file. A key's status is that of what was found at its place; keys of a component that does
//! not exist are not judged. No value is shown, so no secret is.

use std::fmt::Write;

use serde::Serialize;

use super::diagnostics::{Found, Topic};
use super::node::{Entry, Node};
use super::{Environment, Input, expand, merged, resolve};
use crate::component::Components;

/// What works here, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As written.
    Supported,
    /// Under an old spelling.
    Aliased,
    /// Loads and changes nothing.
    Ignored,
    /// Exists, but not with this value.
    Wrong,
    /// Does not exist here.
    Missing,
}

/// All rows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// True if the configuration would run.
    pub usable: bool,
    /// Every configured component, and `service`.
    pub components: Vec<ComponentRow>,
    /// What belongs to no component: mistakes in pipelines, unreadable files.
    pub problems: Vec<String>,
}

/// One component.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentRow {
    /// `receivers`, ..., `service`.
    pub section: &'static str,
    /// As written.
    pub id: String,
    /// How well the component is supported; its keys have their own.
    pub status: Status,
    /// `file:line:column`.
    pub place: String,
    /// What to know.
    pub note: String,
    /// Pipelines that name it.
    pub pipelines: Vec<String>,
    /// Every key written under it.
    pub keys: Vec<KeyRow>,
}

/// One key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyRow {
    /// `protocols::grpc::endpoint`, `actions[0]::key`.
    pub key: String,
    /// How well it is supported.
    pub status: Status,
    /// `file:line:column`; empty if there is nothing to say.
    pub place: String,
    /// What to know.
    pub note: String,
}

const SECTIONS: [&str; 5] = ["receivers", "processors", "connectors", "exporters", "extensions"];

/// Reads everything that can be read and says what of it works.
pub fn report(input: &Input, components: &Components, environment: Environment<'_>) -> Report {
    let (mut root, mut diagnostics) = match merged(input, environment) {
        Ok(read) => read,
        Err(diagnostics) => {
            return Report { problems: diagnostics.error_lines(), ..Report::default() };
        }
    };
    expand::expand(&mut root, environment, &mut diagnostics);
    resolve::resolve(&root, input, components, &mut diagnostics);
    let mut open = Open { found: diagnostics.found() };
    let mut rows = Vec::new();
    for section in SECTIONS {
        for entry in root.get(section).map(Node::entries).unwrap_or_default() {
            let id = entry.key.text.trim();
            let users = resolve::pipelines_naming(&root, section, id);
            let pipelines = users.into_iter().map(|(name, _)| name).collect();
            rows.push(open.component(section, entry, pipelines));
        }
    }
    let telemetry = root.get("service").map(Node::entries).unwrap_or_default();
    for entry in telemetry.iter().filter(|entry| entry.key.text == "telemetry") {
        rows.push(open.component("service", entry, Vec::new()));
    }
    let problems = open.found.iter().filter(|found| found.is_error).map(Found::line).collect();
    Report { usable: !diagnostics.has_errors(), components: rows, problems }
}

/// What has been found and is not yet in a row.
struct Open<'d> {
    found: Vec<Found<'d>>,
}

impl<'d> Open<'d> {
    fn component(
        &mut self,
        section: &'static str,
        entry: &Entry,
        pipelines: Vec<String>,
    ) -> ComponentRow {
        let judged = self.judge(entry);
        let mut keys = Vec::new();
        if judged.status != Status::Missing {
            self.keys(&entry.value, String::new(), &mut keys);
        }
        let id = entry.key.text.trim().to_owned();
        let Judged { status, place, note } = judged;
        ComponentRow { section, id, status, place, note, pipelines, keys }
    }

    fn keys(&mut self, node: &Node, path: String, rows: &mut Vec<KeyRow>) {
        for entry in node.entries() {
            let separator = if path.is_empty() { "" } else { "::" };
            let key = format!("{path}{separator}{}", entry.key.text);
            let Judged { status, place, note } = self.judge(entry);
            let is_leaf = entry.value.entries().is_empty() && entry.value.items().is_empty();
            let is_closed = matches!(status, Status::Missing | Status::Ignored);
            if is_leaf || status != Status::Supported || !note.is_empty() {
                rows.push(KeyRow { key: key.clone(), status, place, note });
            }
            if !is_closed {
                self.keys(&entry.value, key, rows);
            }
        }
        for (index, item) in node.items().iter().enumerate() {
            let key = format!("{path}[{index}]");
            if let Some(Judged { status, place, note }) = self.take(|found| found.is_at(item.span))
            {
                rows.push(KeyRow { key: key.clone(), status, place, note });
            }
            self.keys(item, key, rows);
        }
    }

    fn judge(&mut self, entry: &Entry) -> Judged {
        let here = |found: &Found<'_>| found.is_at(entry.key.span) || found.is_at(entry.value.span);
        self.take(here).unwrap_or(Judged {
            status: Status::Supported,
            place: String::new(),
            note: String::new(),
        })
    }

    /// Takes all that was found where `here` says, worst first.
    fn take(&mut self, here: impl Fn(&Found<'_>) -> bool) -> Option<Judged> {
        let (mut taken, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.found).into_iter().partition(here);
        self.found = left;
        taken.sort_by_key(|found| std::cmp::Reverse(status_of(found)));
        let worst = taken.first()?;
        let note = taken.iter().map(Found::note).collect::<Vec<_>>().join("; ");
        Some(Judged { status: status_of(worst), place: worst.place(), note })
    }
}

struct Judged {
    status: Status,
    place: String,
    note: String,
}

fn status_of(found: &Found<'_>) -> Status {
    match (found.is_error, found.topic) {
        (true, Topic::Unknown) => Status::Missing,
        (true, _) => Status::Wrong,
        (false, Topic::NoEffect) => Status::Ignored,
        (false, Topic::Renamed) => Status::Aliased,
        (false, _) => Status::Supported,
    }
}

impl Status {
    const ALL: [Status; 5] =
        [Status::Supported, Status::Aliased, Status::Ignored, Status::Wrong, Status::Missing];

    fn name(self) -> &'static str {
        match self {
            Status::Supported => "supported",
            Status::Aliased => "aliased",
            Status::Ignored => "ignored",
            Status::Wrong => "wrong",
            Status::Missing => "missing",
        }
    }
}

impl Report {
    /// One more thing that keeps the configuration from running.
    pub fn problem(&mut self, text: String) {
        self.usable = false;
        self.problems.push(text);
    }

    /// For programs.
    ///
    /// # Errors
    /// Never in practice: the rows are text.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self)
    }

    /// For people: every component, and the keys that are not simply supported.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        // Writing into a String cannot fail, here and below.
        for row in &self.components {
            if row.section != section {
                section = row.section;
                let _ = writeln!(text, "{section}");
            }
            row.write(&mut text);
        }
        if !self.problems.is_empty() {
            text.push_str("problems\n");
            for problem in &self.problems {
                let _ = writeln!(text, "  {problem}");
            }
        }
        let components = self.components.iter().filter(|row| row.section != "service");
        let keys = self.components.iter().flat_map(|row| &row.keys);
        let _ = writeln!(
            text,
            "\ncomponents: {}\nkeys: {}\n{}",
            counts(components.map(|row| row.status)),
            counts(keys.map(|row| row.status)),
            if self.usable { "this configuration runs" } else { "this configuration does not run" },
        );
        text
    }
}

impl ComponentRow {
    fn write(&self, text: &mut String) {
        let pipelines = match self.pipelines.as_slice() {
            [] => String::new(),
            names => format!("  [{}]", names.join(", ")),
        };
        let keys = match self.keys.len() {
            0 => String::new(),
            1 => ", 1 key".to_owned(),
            many => format!(", {many} keys"),
        };
        let status = format!("{}{keys}", self.status.name());
        let line = format!("  {:<28} {status:<20}{pipelines}", self.id);
        let _ = writeln!(text, "{}", line.trim_end());
        detail(text, 6, &self.note, &self.place);
        for key in self.keys.iter().filter(|key| key.status != Status::Supported) {
            let _ = writeln!(text, "    {:<26} {}", key.key, key.status.name());
            detail(text, 8, &key.note, &key.place);
        }
    }
}

fn detail(text: &mut String, indent: usize, note: &str, place: &str) {
    if !note.is_empty() {
        let _ = writeln!(text, "{:indent$}{note} ({place})", "");
    }
}

fn counts(all: impl Iterator<Item = Status>) -> String {
    let all: Vec<Status> = all.collect();
    let of = |status: Status| (status, all.iter().filter(|other| **other == status).count());
    let some = Status::ALL.into_iter().map(of).filter(|(_, count)| *count > 0);
    let parts: Vec<String> = some.map(|(status, n)| format!("{n} {}", status.name())).collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}
