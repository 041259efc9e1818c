// SPDX-License-Identifier: Apache-2.0
//! Detector `process`: this process, from `/proc/self`.

use std::path::Path;

use super::Found;
use super::config::{Attributes, ProcessConfig, wanted};
use super::machine::Machine;

/// What it knows; its identity is on unless a key says otherwise.
pub(super) const ATTRIBUTES: Attributes = &[
    ("process.pid", true),
    ("process.executable.name", true),
    ("process.executable.path", false),
    ("process.command", false),
    ("process.command_args", false),
    ("process.command_line", false),
    ("process.owner", false),
    ("process.parent_pid", false),
];

pub(super) fn detect(config: &ProcessConfig, machine: &Machine) -> Found {
    let mut found = Found::default();
    let on = |key: &str| wanted(&config.resource_attributes, ATTRIBUTES, key);
    if on("process.pid") {
        found.int("process.pid", i64::from(std::process::id()));
    }
    if let Some(path) = machine.link("/proc/self/exe") {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if on("process.executable.name") {
            found.text("process.executable.name", name);
        }
        if on("process.executable.path") {
            found.text("process.executable.path", Path::new(&path).to_string_lossy());
        }
    }
    let line = machine.file("/proc/self/cmdline").unwrap_or_default();
    let arguments: Vec<String> =
        line.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    if let Some(command) = arguments.first().filter(|it| on("process.command") && !it.is_empty()) {
        found.text("process.command", command);
    }
    if on("process.command_line") {
        found.text("process.command_line", arguments.join(" "));
    }
    if on("process.command_args") {
        found.list("process.command_args", arguments);
    }
    let status = machine.file("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().next()
    };
    if on("process.owner")
        && let Some(owner) = field("Uid:").and_then(|uid| user(machine, uid))
    {
        found.text("process.owner", owner);
    }
    if on("process.parent_pid")
        && let Some(parent) = field("PPid:").and_then(|pid| pid.parse().ok())
    {
        found.int("process.parent_pid", parent);
    }
    found
}

/// The name of the user with this number.
fn user(machine: &Machine, uid: &str) -> Option<String> {
    let users = machine.file("/etc/passwd")?;
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number == uid).then(|| name.to_owned())
    })
}
