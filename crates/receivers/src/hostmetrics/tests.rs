// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeMap;
use std::fs;

use otlp_wire::{Data, Payload, PointView};

use super::config::{Config, Scrapers};
use super::reader::{Reader, Reading};

const STAT: &str = "cpu  300 0 100 600 0 0 0 0 0 0\n\
    cpu0 200 1 50 300 4 5 6 7 0 0\n\
    cpu1 100 0 50 300 0 0 0 0 0 0\n\
    intr 1\nbtime 1700000000\nprocesses 4242\nprocs_running 1\n";

/// A `/proc` with the given files below a temporary directory.
fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("temp dir");
    for (file, text) in files {
        let path = root.path().join("proc").join(file);
        fs::create_dir_all(path.parent().expect("below proc")).expect("temp dir");
        fs::write(path, text).expect("temp dir");
    }
    root
}

fn reader(root: &tempfile::TempDir, scrapers: Scrapers) -> Reader {
    let root_path = root.path().display().to_string();
    Reader::new(&Config { root_path, scrapers, ..Config::default() }).expect("valid")
}

/// Every number point as `name{k=v,..} unit` -> value.
fn points(payload: &Payload) -> BTreeMap<String, f64> {
    let mut out = BTreeMap::new();
    let scopes = payload.metrics().flat_map(|resource| resource.scopes());
    for metric in scopes.flat_map(|scope| scope.metrics()) {
        let (Data::Gauge { points } | Data::Sum { points, .. }) = metric.data() else { continue };
        for point in points {
            let attrs: Vec<String> =
                point.attrs().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
            let key = format!("{}{{{}}} {}", metric.name(), attrs.join(","), metric.unit());
            out.insert(key, point.value().map_or(f64::NAN, |v| v.as_f64()));
        }
    }
    out
}

fn check(reading: &Reading, expected: &[(&str, f64)]) {
    for (scraper, outcome) in &reading.scrapers {
        assert!(outcome.is_ok(), "{scraper}: {outcome:?}");
    }
    let found = points(&reading.payload);
    for (key, value) in expected {
        assert_eq!(found.get(*key), Some(value), "{key} in {found:#?}");
    }
}

fn all(yaml_like: impl FnOnce(&mut Scrapers)) -> Scrapers {
    let mut scrapers = Scrapers::default();
    yaml_like(&mut scrapers);
    scrapers
}

#[test]
fn processor_time_is_per_processor_and_state_since_boot() {
    let root = root(&[("stat", STAT)]);
    let mut reader = reader(&root, all(|s| s.cpu = Some(Default::default())));
    let reading = reader.read(1);
    check(
        &reading,
        &[
            ("system.cpu.time{cpu=cpu0,state=user} s", 2.0),
            ("system.cpu.time{cpu=cpu0,state=nice} s", 0.01),
            ("system.cpu.time{cpu=cpu0,state=wait} s", 0.04),
            ("system.cpu.time{cpu=cpu0,state=steal} s", 0.07),
            ("system.cpu.time{cpu=cpu1,state=idle} s", 3.0),
        ],
    );
    assert_eq!(reading.payload.items(), 16);
    let metric = reading.payload.metrics().next().expect("one").scopes().next().expect("one");
    let metric = metric.metrics().next().expect("one");
    let Data::Sum { mut points, monotonic, .. } = metric.data() else { panic!("a sum") };
    assert!(monotonic);
    assert_eq!(points.next().expect("one").start(), 1_700_000_000_000_000_000);
}

#[test]
fn utilization_is_the_share_since_the_last_reading() {
    let root = root(&[("stat", "cpu0 100 0 0 100 0 0 0 0\n")]);
    let scrapers = all(|s| {
        s.cpu = Some(serde_json_like(
            r#"{"metrics":{"system.cpu.utilization":{"enabled":true},"system.cpu.time":{"enabled":false}}}"#,
        ));
    });
    let mut reader = reader(&root, scrapers);
    assert_eq!(reader.read(1).payload.items(), 0, "nothing to compare with yet");
    fs::write(root.path().join("proc/stat"), "cpu0 130 0 0 170 0 0 0 0\n").expect("temp dir");
    check(
        &reader.read(2),
        &[
            ("system.cpu.utilization{cpu=cpu0,state=user} 1", 0.3),
            ("system.cpu.utilization{cpu=cpu0,state=idle} 1", 0.7),
        ],
    );
}

fn serde_json_like<T: serde::de::DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).expect("valid")
}

#[test]
fn memory_states_add_up_to_the_whole() {
    let meminfo = "MemTotal: 1000 kB\nMemFree: 100 kB\nMemAvailable: 500 kB\nBuffers: 50 kB\n\
        Cached: 200 kB\nSReclaimable: 30 kB\nSUnreclaim: 20 kB\n";
    let root = root(&[("stat", STAT), ("meminfo", meminfo)]);
    let mut reader = reader(&root, all(|s| s.memory = Some(Default::default())));
    check(
        &reader.read(1),
        &[
            ("system.memory.usage{state=used} By", 620.0 * 1024.0),
            ("system.memory.usage{state=free} By", 100.0 * 1024.0),
            ("system.memory.usage{state=buffered} By", 50.0 * 1024.0),
            ("system.memory.usage{state=cached} By", 230.0 * 1024.0),
            ("system.memory.usage{state=slab_reclaimable} By", 30.0 * 1024.0),
        ],
    );
}

#[test]
fn disks_and_networks_are_filtered_by_name() {
    let root = root(&[
        ("stat", STAT),
        (
            "diskstats",
            "8 0 sda 1 2 3 4000 5 6 7 8000 9 10000 11000 0 0\n7 0 loop0 1 1 1 1 1 1 1 1 1 1 1\nshort\n",
        ),
        (
            "net/dev",
            "Inter-| Receive\n face |bytes\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n    lo: 1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n",
        ),
        ("net/tcp", "sl local rem st\n0: a b 0A x\n1: a b 01 x\n2: a b 01 x\n3: a b ZZ\n"),
    ]);
    let mut reader = reader(
        &root,
        all(|s| {
            s.disk =
                Some(serde_json_like(r#"{"exclude":{"devices":["^loop"],"match_type":"regexp"}}"#));
            s.network = Some(serde_json_like(r#"{"include":{"interfaces":["eth0"]}}"#));
        }),
    );
    let reading = reader.read(1);
    check(
        &reading,
        &[
            ("system.disk.io{device=sda,direction=read} By", 1536.0),
            ("system.disk.operations{device=sda,direction=write} {operations}", 5.0),
            ("system.disk.operation_time{device=sda,direction=write} s", 8.0),
            ("system.disk.io_time{device=sda} s", 10.0),
            ("system.disk.weighted_io_time{device=sda} s", 11.0),
            ("system.disk.pending_operations{device=sda} {operations}", 9.0),
            ("system.network.io{device=eth0,direction=receive} By", 100.0),
            ("system.network.io{device=eth0,direction=transmit} By", 500.0),
            ("system.network.dropped{device=eth0,direction=receive} {packets}", 4.0),
            ("system.network.connections{protocol=tcp,state=ESTABLISHED} {connections}", 2.0),
            ("system.network.connections{protocol=tcp,state=LISTEN} {connections}", 1.0),
        ],
    );
    let found = points(&reading.payload);
    assert!(!found.keys().any(|key| key.contains("loop0") || key.contains("device=lo,")));
}

#[test]
fn only_file_systems_on_devices_are_asked_unless_wished() {
    use super::scrapers::filesystem::parse;
    let mounts = "/dev/sda1 / ext4 rw,relatime 0 0\nproc /proc proc rw 0 0\n\
        /dev/sdb1 /mnt/my\\040disk ext4 ro,noexec 0 0\n/dev/sda1 / ext4 rw 0 0\n";
    let kinds = "nodev\tproc\n\text4\n";
    let found = parse(mounts, kinds, false);
    let shown: Vec<_> = found.iter().map(|m| (m.point.as_str(), m.mode)).collect();
    assert_eq!(shown, [("/", "rw"), ("/mnt/my disk", "ro")]);
    assert_eq!(parse(mounts, kinds, true).len(), 3);
}

#[test]
fn the_rest_reads_as_the_kernel_writes_it() {
    let root = root(&[
        ("stat", STAT),
        ("loadavg", "0.50 1.25 2.00 1/234 5678\n"),
        ("swaps", "Filename Type Size Used Priority\n/dev/sdb partition 2048 1024 -2\n"),
        ("vmstat", "pgpgin 1\npgpgout 2\npswpin 3\npswpout 4\npgfault 100\npgmajfault 10\n"),
        ("uptime", "350735.47 234388.90\n"),
        ("12/stat", "12 (a) b) S 1 2 3"),
        ("13/stat", "13 (x) R 1 2 3"),
    ]);
    let mut reader = reader(
        &root,
        all(|s| {
            s.load = Some(serde_json_like(r#"{"cpu_average":true}"#));
            s.paging = Some(Default::default());
            s.processes = Some(Default::default());
            s.system = Some(Default::default());
        }),
    );
    check(
        &reader.read(1),
        &[
            ("system.cpu.load_average.1m{} {thread}", 0.25),
            ("system.cpu.load_average.15m{} {thread}", 1.0),
            ("system.paging.usage{device=/dev/sdb,state=free} By", 1024.0 * 1024.0),
            ("system.paging.operations{direction=page_out,type=major} {operations}", 4.0),
            ("system.paging.faults{type=minor} {faults}", 90.0),
            ("system.processes.count{status=sleeping} {processes}", 1.0),
            ("system.processes.count{status=running} {processes}", 1.0),
            ("system.processes.created{} {processes}", 4242.0),
            ("system.uptime{} s", 350735.47),
        ],
    );
}

#[test]
fn a_missing_file_costs_only_its_scraper() {
    let root = root(&[("stat", STAT)]);
    let mut reader = reader(
        &root,
        all(|s| {
            s.cpu = Some(Default::default());
            s.memory = Some(Default::default());
        }),
    );
    let reading = reader.read(1);
    assert_eq!(reading.payload.items(), 16);
    let failed: Vec<_> = reading.scrapers.iter().filter(|(_, o)| o.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "memory");
}

#[cfg(target_os = "linux")]
#[test]
fn this_machine_gives_points_of_every_scraper() {
    let scrapers = all(|s| {
        s.cpu = Some(Default::default());
        s.load = Some(Default::default());
        s.memory = Some(Default::default());
        s.network = Some(Default::default());
        s.processes = Some(Default::default());
    });
    let mut reader = Reader::new(&Config { scrapers, ..Config::default() }).expect("valid");
    for (scraper, outcome) in reader.read(1).scrapers {
        assert!(outcome.is_ok_and(|points| points > 0), "{scraper}");
    }
}
