// SPDX-License-Identifier: Apache-2.0
//! Detector `system`: this machine, from `/etc`, `/proc` and `/sys`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use basics::{Error, Result};

use super::Found;
use super::config::{Attributes, SystemConfig, wanted};
use super::machine::Machine;

/// What it knows; the Collector's list and defaults.
pub(super) const ATTRIBUTES: Attributes = &[
    ("host.name", true),
    ("os.type", true),
    ("host.arch", false),
    ("host.cpu.cache.l2.size", false),
    ("host.cpu.family", false),
    ("host.cpu.model.id", false),
    ("host.cpu.model.name", false),
    ("host.cpu.stepping", false),
    ("host.cpu.vendor.id", false),
    ("host.id", false),
    ("host.interface", false),
    ("host.ip", false),
    ("host.mac", false),
    ("os.build.id", false),
    ("os.description", false),
    ("os.name", false),
    ("os.version", false),
];

/// Where `host.name` comes from unless a key says otherwise.
const HOSTNAME_SOURCES: [&str; 2] = ["dns", "os"];

pub(super) fn detect(config: &SystemConfig, machine: &Machine) -> Result<Found> {
    let mut found = Found::default();
    let on = |key: &str| wanted(&config.resource_attributes, ATTRIBUTES, key);
    let name = hostname(&config.hostname_sources, machine)?;
    if on("host.name") {
        found.text("host.name", name);
    }
    if on("os.type") {
        found.text("os.type", os_type());
    }
    let release = machine.file("/etc/os-release").unwrap_or_default();
    let kernel = machine.file("/proc/sys/kernel/osrelease");
    for (key, value) in [
        ("os.version", setting(&release, "VERSION_ID")),
        ("host.id", machine_id(machine)),
        ("host.arch", Some(arch().to_owned())),
        ("os.description", description(machine, &release)),
        ("os.name", setting(&release, "ID")),
        ("os.build.id", setting(&release, "BUILD_ID").or(kernel)),
    ] {
        if let Some(value) = value.filter(|_| on(key)) {
            found.text(key, value);
        }
    }
    if on("host.ip") {
        found.list("host.ip", addresses(machine).iter().map(IpAddr::to_string).collect());
    }
    let interfaces = interfaces(machine);
    if on("host.mac") {
        let macs = interfaces.iter().filter(|it| it.up && !it.loopback).map(|it| it.mac.clone());
        found.list("host.mac", macs.collect());
    }
    if on("host.interface") {
        found.list("host.interface", interfaces.into_iter().map(|it| it.name).collect());
    }
    cpu(machine, on, &mut found);
    Ok(found)
}

fn hostname(sources: &[String], machine: &Machine) -> Result<String> {
    let chosen: Vec<&str> = match sources {
        [] => HOSTNAME_SOURCES.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let own = machine.file("/proc/sys/kernel/hostname");
    chosen
        .into_iter()
        .find_map(|source| match source {
            "os" => own.clone(),
            // What a name server says is not asked for: it may be slow, and the hosts file is what
            // an administrator writes a full name into.
            _ => full_name(machine, own.as_deref()?),
        })
        .ok_or_else(|| Error::invalid("all hostname sources failed to get hostname"))
}

/// The full name of this host by its hosts file.
fn full_name(machine: &Machine, own: &str) -> Option<String> {
    let hosts = machine.file("/etc/hosts")?;
    hosts.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let names: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
        let full = names.iter().find(|name| name.contains('.'))?;
        names.contains(&own).then(|| (*full).trim_end_matches('.').to_owned())
    })
}

fn os_type() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn machine_id(machine: &Machine) -> Option<String> {
    machine.file("/etc/machine-id").or_else(|| machine.file("/var/lib/dbus/machine-id"))
}

/// A value of `os-release`.
fn setting(release: &str, key: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// The system's name for people with what `uname` says.
fn description(machine: &Machine, release: &str) -> Option<String> {
    let part = |name: &str| machine.file(&format!("/proc/sys/kernel/{name}"));
    let names = ["ostype", "hostname", "osrelease", "version"];
    let mut uname: Vec<String> = names.into_iter().filter_map(part).collect();
    uname.push(std::env::consts::ARCH.to_owned());
    let uname = uname.join(" ");
    match setting(release, "PRETTY_NAME") {
        Some(name) => Some(format!("{name} ({uname})")),
        None => Some(uname),
    }
}

struct Interface {
    name: String,
    /// Hyphenated and in upper case, as the conventions want it.
    mac: String,
    up: bool,
    loopback: bool,
}

fn interfaces(machine: &Machine) -> Vec<Interface> {
    // Bits of the kernel's `net_device` flags.
    const UP: u32 = 1;
    const LOOPBACK: u32 = 8;
    let read = |name: String| {
        let field = |field: &str| machine.file(&format!("/sys/class/net/{name}/{field}"));
        let flags = field("flags").unwrap_or_default();
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
        let mac = field("address").unwrap_or_default().replace(':', "-").to_ascii_uppercase();
        Interface { mac, up: flags & UP != 0, loopback: flags & LOOPBACK != 0, name }
    };
    machine.names("/sys/class/net").into_iter().map(read).collect()
}

/// The addresses of this machine but for loopback, version 4 first.
fn addresses(machine: &Machine) -> Vec<IpAddr> {
    let trie = machine.file("/proc/net/fib_trie").unwrap_or_default();
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last: Option<Ipv4Addr> = None;
    for line in trie.lines() {
        if let Some(address) = line.trim().strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line.contains("/32 host LOCAL")
            && let Some(address) = last.filter(|it| !it.is_loopback())
            && !found.contains(&IpAddr::V4(address))
        {
            found.push(IpAddr::V4(address));
        }
    }
    let six = machine.file("/proc/net/if_inet6").unwrap_or_default();
    let six = six.lines().filter_map(|line| {
        let bits = u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok()?;
        Some(Ipv6Addr::from(bits)).filter(|it| !it.is_loopback())
    });
    found.extend(six.map(IpAddr::V6));
    found
}

/// The first processor.
fn cpu(machine: &Machine, on: impl Fn(&str) -> bool, found: &mut Found) {
    let text = machine.file("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let field = |name: &str| {
        first.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    for (key, name) in [
        ("host.cpu.vendor.id", "vendor_id"),
        ("host.cpu.family", "cpu family"),
        ("host.cpu.model.id", "model"),
        ("host.cpu.model.name", "model name"),
        ("host.cpu.stepping", "stepping"),
    ] {
        if let Some(value) = field(name).filter(|_| on(key)) {
            found.text(key, value);
        }
    }
    let cache = field("cache size").and_then(|it| it.split(' ').next()?.parse().ok());
    if let Some(kilobytes) = cache.filter(|_| on("host.cpu.cache.l2.size")) {
        found.int("host.cpu.cache.l2.size", kilobytes);
    }
}
