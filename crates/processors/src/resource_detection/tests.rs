// SPDX-License-Identifier: Apache-2.0

use std::path::Path;

use otlp_wire::{Payload, Scratch, write};
use pipeline::config::{from_yaml, from_yaml_told};
use serde_json::{Value as Json, json};

use super::*;
use crate::attributes::tests::{put_json, to_json};

fn resource_with(attributes: &Json) -> Payload {
    let mut w = write::Logs::new();
    w.resource(|a| put_json(a, attributes));
    w.log(&write::Log::default(), |_| ());
    w.finish()
}

/// The attributes of a resource after the processor.
fn after(config: &str, machine: Machine, before: &Json) -> Json {
    let known = known(config, machine, &Clock::manual(0));
    run(&known, before)
}

fn known(config: &str, machine: Machine, clock: &Clock) -> Arc<Known> {
    let config = from_yaml::<Config>(config).expect("a right configuration");
    Arc::new(Known::new(Arc::new(config), machine, clock.clone()))
}

fn run(known: &Arc<Known>, before: &Json) -> Json {
    let how = if known.config.overrides() { Put::Upsert } else { Put::Insert };
    let payload = resource_with(before);
    let mut passes: Vec<Box<dyn Pass>> = vec![Box::new(Detection { known: known.clone(), how })];
    let edited = payload.edit(&mut passes, &mut Scratch::new()).or(&payload).expect("something");
    to_json(edited.logs().next().expect("a resource").attrs())
}

const VARIABLES: &[(&str, &str)] =
    &[("OTEL_RESOURCE_ATTRIBUTES", " team = shop , region=eu%2Dwest+1,host.name=from-env, ")];

fn nowhere(variables: &'static [(&'static str, &'static str)]) -> Machine {
    Machine::fake(Path::new("/not/there"), variables)
}

#[test]
fn the_environment_says_what_resources_get() {
    let all = json!({"team": "shop", "region": "eu-west 1", "host.name": "from-env"});
    assert_eq!(after("{}", nowhere(VARIABLES), &json!({})), all);
    let before = json!({"team": "own", "x": 1});
    let mut overridden = all.clone();
    overridden["x"] = json!(1);
    assert_eq!(after("{}", nowhere(VARIABLES), &before), overridden);
    let mut kept = overridden;
    kept["team"] = json!("own");
    assert_eq!(after("override: false", nowhere(VARIABLES), &before), kept);
    assert_eq!(
        after("{}", nowhere(&[("OTEL_RESOURCE", "a=b=c")]), &json!({})),
        json!({"a": "b=c"})
    );
    assert_eq!(after("{}", nowhere(&[]), &before), before);
}

#[test]
fn an_environment_that_cannot_be_read_adds_nothing() {
    for text in ["a", "=b", "a=%zz", "a=%4", "a=b,,c=d"] {
        let machine = Machine::fake(
            Path::new("/not/there"),
            Vec::leak(vec![("OTEL_RESOURCE_ATTRIBUTES", &*String::leak(text.to_owned()))]),
        );
        assert!(env::detect(&machine).is_err(), "{text}");
    }
}

/// Files of a machine that is not this one.
fn files() -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a directory");
    for (path, text) in [
        ("proc/sys/kernel/hostname", "web-1\n"),
        ("proc/sys/kernel/ostype", "Linux\n"),
        ("proc/sys/kernel/osrelease", "6.1.0\n"),
        ("proc/sys/kernel/version", "#1 SMP\n"),
        (
            "etc/hosts",
            "127.0.0.1 localhost.localdomain localhost\n10.0.0.7 web-1.example.com web-1\n",
        ),
        ("etc/machine-id", "0123\n"),
        ("etc/os-release", "PRETTY_NAME=\"Debian 12\"\nID=debian\nVERSION_ID=\"12\"\n"),
        (
            "proc/cpuinfo",
            "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t: 17\nmodel name\t: EPYC\n\
             stepping\t: 1\ncache size\t: 512 KB\n\nvendor_id\t: Second\n",
        ),
        (
            "proc/net/fib_trie",
            "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.7\n        /32 host LOCAL\n     \
             |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host \
             LOCAL\n",
        ),
        (
            "proc/net/if_inet6",
            "00000000000000000000000000000001 01 80 10 80 lo\n\
             fe800000000000000000000000000001 02 40 20 80 eth0\n",
        ),
        ("sys/class/net/eth0/address", "02:42:ac:11:00:02\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth1/address", "02:42:ac:11:00:03\n"),
        ("sys/class/net/eth1/flags", "0x1002\n"),
        ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
        ("sys/class/net/lo/flags", "0x9\n"),
    ] {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    }
    root
}

#[test]
fn the_system_says_what_is_switched_on() {
    let root = files();
    let system = |keys: &str| {
        let config = format!("{{detectors: [system], system: {{{keys}}}}}");
        after(&config, Machine::fake(root.path(), &[]), &json!({}))
    };
    let basic = json!({"host.name": "web-1.example.com", "os.type": std::env::consts::OS});
    assert_eq!(system(""), basic);
    let own = json!({"host.name": "web-1"});
    let off = "os.type: {enabled: false}";
    assert_eq!(system(&format!("hostname_sources: [os], resource_attributes: {{{off}}}")), own);
    let on: Vec<String> =
        system::ATTRIBUTES.iter().map(|(name, _)| format!("{name}: {{enabled: true}}")).collect();
    let all = system(&format!("resource_attributes: {{{}}}", on.join(", ")));
    let wanted = json!({
        "host.id": "0123", "host.ip": ["10.0.0.7", "fe80::1"], "host.mac": ["02-42-AC-11-00-02"],
        "host.interface": ["eth0", "eth1", "lo"], "os.name": "debian", "os.version": "12",
        "os.build.id": "6.1.0", "host.cpu.vendor.id": "AuthenticAMD", "host.cpu.family": "25",
        "host.cpu.model.id": "17", "host.cpu.model.name": "EPYC", "host.cpu.stepping": "1",
        "host.cpu.cache.l2.size": 512,
    });
    for (key, value) in wanted.as_object().expect("an object") {
        assert_eq!(&all[key], value, "{key}");
    }
    let description = all["os.description"].as_str().expect("a text");
    assert!(description.starts_with("Debian 12 (Linux web-1 6.1.0 #1 SMP "), "{description}");
    assert_eq!(all.as_object().expect("an object").len(), system::ATTRIBUTES.len());
}

#[test]
fn this_machine_and_this_process_are_known() {
    let config = "{detectors: [system, process], system: {hostname_sources: [os]}, \
                  process: {resource_attributes: {process.executable.path: {enabled: true}, \
                  process.command_args: {enabled: true}, process.owner: {enabled: true}, \
                  process.parent_pid: {enabled: true}}}}";
    let found = after(config, Machine::this(), &json!({"process.pid": 0}));
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    assert_eq!(found["host.name"], json!(name));
    assert_eq!(found["os.type"], json!(std::env::consts::OS));
    assert_eq!(found["process.pid"], json!(std::process::id()));
    let exe = std::env::current_exe().expect("a path");
    assert_eq!(found["process.executable.path"], json!(exe.to_string_lossy()));
    assert_eq!(
        found["process.executable.name"],
        json!(exe.file_name().expect("a name").to_string_lossy())
    );
    let arguments: Vec<String> = std::env::args().collect();
    assert_eq!(found["process.command_args"], json!(arguments));
    assert_eq!(found["process.parent_pid"], json!(std::os::unix::process::parent_id()));
    assert!(found["process.owner"].is_string());
}

#[test]
fn the_first_detector_of_the_list_wins() {
    let root = files();
    for (detectors, name) in [("env, system", "from-env"), ("system, env", "web-1.example.com")] {
        let config = format!("detectors: [{detectors}]");
        let found = after(&config, Machine::fake(root.path(), VARIABLES), &json!({}));
        assert_eq!(found["host.name"], json!(name), "{detectors}");
    }
}

#[test]
fn what_is_known_is_asked_for_again_when_it_is_old_and_kept_when_nobody_answers() {
    let root = files();
    let clock = Clock::manual(0);
    let config = "{detectors: [system], refresh_interval: 1m, system: {hostname_sources: [os]}}";
    let known = known(config, Machine::fake(root.path(), &[]), &clock);
    let name = || run(&known, &json!({}))["host.name"].clone();
    assert_eq!(name(), json!("web-1"));
    let file = root.path().join("proc/sys/kernel/hostname");
    std::fs::write(&file, "web-2").expect("a file");
    clock.advance(Duration::from_secs(59));
    assert_eq!(name(), json!("web-1"));
    clock.advance(Duration::from_secs(1));
    assert_eq!(name(), json!("web-2"));
    std::fs::remove_file(&file).expect("removed");
    clock.advance(Duration::from_secs(60));
    assert_eq!(name(), json!("web-2"));
}

#[test]
fn mistakes_are_told() {
    let cases = [
        ("detectors: [ec2]", "detectors[0]: detector \"ec2\" is not supported yet"),
        ("detectors: [env, weather]", "detectors[1]: invalid detector key: weather"),
        (
            "system: {hostname_sources: [phone]}",
            "hostname_sources contains invalid value: \"phone\"",
        ),
        ("system: {resource_attributes: {host.nam: {enabled: true}}}", "unknown attribute"),
        ("process: {resource_attributes: {host.name: {enabled: true}}}", "unknown attribute"),
    ];
    for (yaml, wanted) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(wanted), "{yaml}: {errors}");
    }
    let (_, told) = from_yaml_told::<Config>("{timeout: 2s, system: {hostname_sources: [lookup]}}")
        .expect("loads");
    assert_eq!(told.len(), 2, "{told:?}");
}
