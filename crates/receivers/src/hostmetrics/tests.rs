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

/// Settings of `cpu` that keep the attribute which is off by default.
const PER_PROCESSOR: &str = r#"{"metrics":{"system.cpu.time":{"attributes":["cpu","state"]}}}"#;

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
    let mut by_processor = reader(&root, all(|s| s.cpu = Some(serde_json_like(PER_PROCESSOR))));
    let reading = by_processor.read(1);
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
    assert_eq!(reading.payload.items(), 17);
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
            r#"{"metrics":{"system.cpu.utilization":{"enabled":true,"attributes":["cpu","state"]},"system.cpu.time":{"enabled":false},"system.cpu.logical.count":{"enabled":false}}}"#,
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

#[test]
fn points_that_are_the_same_without_an_attribute_become_one() {
    let root = root(&[("stat", STAT)]);
    let read = |json: &str| reader(&root, all(|s| s.cpu = Some(serde_json_like(json)))).read(1);
    let with = |keys: &str| format!(r#"{{"metrics":{{"system.cpu.time":{{{keys}}}}}}}"#);
    for (keys, key, value) in [
        ("", "system.cpu.time{state=user} s", 3.0),
        (
            r#""attributes":["state"],"aggregation_strategy":"max""#,
            "system.cpu.time{state=user} s",
            2.0,
        ),
        (
            r#""attributes":["state"],"aggregation_strategy":"min""#,
            "system.cpu.time{state=user} s",
            1.0,
        ),
        (
            r#""attributes":["state"],"aggregation_strategy":"avg""#,
            "system.cpu.time{state=user} s",
            1.5,
        ),
        (r#""attributes":["cpu"]"#, "system.cpu.time{cpu=cpu1} s", 4.5),
        (r#""attributes":[]"#, "system.cpu.time{} s", 10.23),
    ] {
        let found = points(&read(&with(keys)).payload);
        let near = found.get(key).is_some_and(|found| (found - value).abs() < 1e-9);
        assert!(near, "{keys}: {key} is {value} in {found:?}");
    }
    let yaml = "scrapers: {cpu: {metrics: {system.cpu.time: {attributes: [core]}}}}";
    let told = pipeline::config::from_yaml::<Config>(yaml).expect_err("no such attribute");
    assert!(
        told.contains("doesn't have an attribute core, valid attributes: [cpu, state]"),
        "{told}"
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
    assert_eq!(reading.payload.items(), 9);
    let failed: Vec<_> = reading.scrapers.iter().filter(|(_, o)| o.is_err()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "memory");
}

#[test]
fn optional_metrics_come_when_they_are_asked_for() {
    let meminfo = "MemTotal: 1000 kB\nShmem: 3 kB\nHugePages_Total: 8\nHugePages_Free: 6\n\
        HugePages_Rsvd: 1\nHugePages_Surp: 2\nHugepagesize: 2048 kB\n";
    let cpuinfo = "processor\t: 0\ncpu MHz\t\t: 2400.5\nphysical id\t: 0\ncore id\t: 0\n\n\
        processor\t: 1\ncpu MHz\t\t: 2400.5\nphysical id\t: 0\ncore id\t: 0\n";
    let root = root(&[
        ("stat", STAT),
        ("meminfo", meminfo),
        ("cpuinfo", cpuinfo),
        ("net/dev", ""),
        ("sys/net/netfilter/nf_conntrack_count", "5\n"),
        ("sys/net/netfilter/nf_conntrack_max", "10\n"),
        ("swaps", "Filename Type Size Used Priority\n/dev/sdb partition 2048 512 -2\n"),
        ("vmstat", ""),
    ]);
    let on = |names: &[(&str, &[&str])]| {
        let pairs: Vec<_> =
            names.iter().map(|(n, _)| format!("{n:?}:{{\"enabled\":true}}")).collect();
        format!("{{\"metrics\":{{{}}}}}", pairs.join(","))
    };
    let names = super::metrics::of;
    let mut reader = reader(
        &root,
        all(|s| {
            s.cpu = Some(serde_json_like(&on(names("cpu"))));
            s.memory = Some(serde_json_like(&on(names("memory"))));
            s.network = Some(serde_json_like(&on(names("network"))));
            s.paging = Some(serde_json_like(&on(names("paging"))));
        }),
    );
    const STATE: &str = "system.memory.linux.hugepages.state";
    check(
        &reader.read(1),
        &[
            ("system.cpu.frequency{cpu=cpu1} Hz", 2_400_500_000.0),
            ("system.cpu.physical.count{} {cpu}", 1.0),
            ("system.cpu.logical.count{} {cpu}", 2.0),
            ("system.memory.linux.shared{} By", 3072.0),
            ("system.memory.linux.hugepages.limit{} {page}", 8.0),
            ("system.memory.linux.hugepages.page_size{} By", 2048.0 * 1024.0),
            (&format!("system.memory.linux.hugepages.usage{{{STATE}=used}} {{page}}"), 2.0),
            (&format!("system.memory.linux.hugepages.utilization{{{STATE}=free}} 1"), 0.75),
            ("system.network.conntrack.count{} {entries}", 5.0),
            ("system.network.conntrack.max{} {entries}", 10.0),
            ("system.paging.utilization{device=/dev/sdb,state=used} 1", 0.25),
        ],
    );
}

/// A process with the number and the name given; 30 s old at 1,700,000,100 s.
fn process_files(pid: u32, name: &str) -> Vec<(String, String)> {
    let numbers = "7 1 1 0 -1 0 11 0 12 0 150 250 0 0 20 0 3 0 7000 0 0";
    let zeros = "0 ".repeat(17);
    let file = |file: &str, text: String| (format!("{pid}/{file}"), text);
    vec![
        file("stat", format!("{pid} ({name}) S {numbers} {zeros}350 0 0")),
        file("comm", format!("{name}\n")),
        file("statm", "100 25 3 0 0 0 0\n".to_owned()),
        file("io", "rchar: 10\nwchar: 20\nsyscr: 3\nsyscw: 4\n".to_owned()),
        file("cmdline", format!("/bin/{name}\0--flag\0")),
        file("status", "Name: x\nUid:\t1000\t1000\nSigQ:\t2/100\n".to_owned()),
        file("fd/0", String::new()),
        file("task/1/status", "voluntary_ctxt_switches: 8\nnonvoluntary_ctxt_switches: 9\n".into()),
    ]
}

#[test]
fn each_process_is_a_resource_with_its_own_start() {
    let mut files = process_files(42, "shop (1)");
    files.extend(process_files(43, "other"));
    files.push(("stat".into(), STAT.into()));
    files.push(("meminfo".into(), "MemTotal: 4000 kB\n".into()));
    files.push(("../etc/passwd".into(), "root:x:0:0\nshop:x:1000:1000\n".into()));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let root = root(&files);
    let names = super::metrics::of("process");
    let pairs: Vec<_> = names.iter().map(|(n, _)| format!("{n:?}:{{\"enabled\":true}}")).collect();
    let json = format!(
        "{{\"metrics\":{{{}}},\"include\":{{\"names\":[\"^shop\"],\"match_type\":\"regexp\"}}}}",
        pairs.join(",")
    );
    let mut reader = reader(&root, all(|s| s.process = Some(serde_json_like(&json))));
    let reading = reader.read(1_700_000_100_000_000_000);
    let page = rustix::param::page_size() as f64;
    check(
        &reading,
        &[
            ("process.cpu.time{state=user} s", 1.5),
            ("process.cpu.time{state=system} s", 2.5),
            ("process.cpu.time{state=wait} s", 3.5),
            ("process.memory.usage{} By", 25.0 * page),
            ("process.memory.virtual{} By", 100.0 * page),
            ("process.memory.utilization{} 1", 25.0 * page / 4_096_000.0 * 100.0),
            ("process.disk.io{direction=read} By", 10.0),
            ("process.disk.operations{direction=write} {operations}", 4.0),
            ("process.paging.faults{type=minor} {faults}", 11.0),
            ("process.paging.faults{type=major} {faults}", 12.0),
            ("process.threads{} {threads}", 3.0),
            ("process.context_switches{type=voluntary} {count}", 8.0),
            ("process.open_file_descriptors{} {count}", 1.0),
            ("process.signals_pending{} {signals}", 2.0),
            ("process.uptime{} s", 30.0),
        ],
    );
    let resources: Vec<_> = reading.payload.metrics().collect();
    assert_eq!(resources.len(), 1, "the other one is not wanted");
    let attrs = resources[0].attrs();
    let shown: Vec<_> = attrs.iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
    assert_eq!(
        shown,
        [
            "process.pid=42",
            "process.parent_pid=7",
            "process.executable.name=shop (1)",
            "process.executable.path=",
            "process.command=/bin/shop (1)",
            "process.command_line=/bin/shop (1) --flag",
            "process.owner=shop",
        ]
    );
    let metric = resources[0].scopes().next().expect("one").metrics().next().expect("one");
    let Data::Sum { mut points, .. } = metric.data() else { panic!("a sum") };
    assert_eq!(points.next().expect("one").start(), 1_700_000_070_000_000_000);
}

#[test]
fn utilization_of_a_process_is_its_share_of_all_processors() {
    let mut files = process_files(42, "shop");
    files.push(("stat".into(), STAT.into()));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let root = root(&files);
    let json = r#"{"metrics":{"process.cpu.utilization":{"enabled":true}},"mute_process_all_errors":true}"#;
    let mut reader = reader(&root, all(|s| s.process = Some(serde_json_like(json))));
    let first = 1_700_000_100_000_000_000;
    assert!(!points(&reader.read(first).payload).keys().any(|key| key.contains("utilization")));
    let path = root.path().join("proc/42/stat");
    let text = fs::read_to_string(&path).expect("there").replace(" 150 250 ", " 250 250 ");
    fs::write(path, text).expect("written");
    // One more second in two seconds on two processors.
    check(&reader.read(first + 2_000_000_000), &[("process.cpu.utilization{state=user} 1", 0.25)]);
}

#[test]
fn metrics_that_do_not_exist_are_told() {
    let yaml = "scrapers: {cpu: {metrics: {system.cpu.times: {enabled: true}}}}";
    let told = pipeline::config::from_yaml::<Config>(yaml).expect_err("misspelt");
    assert!(told.contains("scraper cpu has no metric \"system.cpu.times\""), "{told}");
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

/// The number behind `key` in a file of this machine, read without the code under test.
#[cfg(target_os = "linux")]
fn kernel_says(file: &str, key: &str) -> f64 {
    let text = fs::read_to_string(file).expect(file);
    let line = text.lines().find(|line| line.starts_with(key)).expect(key);
    let word = line[key.len()..].split_whitespace().next().expect("a number");
    word.parse().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn values_are_what_the_kernel_says() {
    let scrapers = all(|s| {
        s.cpu = Some(serde_json_like(PER_PROCESSOR));
        s.memory = Some(Default::default());
        s.load = Some(Default::default());
        s.processes = Some(Default::default());
        s.system = Some(Default::default());
        s.process = Some(serde_json_like(r#"{"mute_process_all_errors":true}"#));
    });
    let mut reader = Reader::new(&Config { scrapers, ..Config::default() }).expect("valid");
    let forks = kernel_says("/proc/stat", "processes");
    let idle = kernel_says("/proc/stat", "cpu0");
    let reading = reader.read(1);
    let found = points(&reading.payload);
    let sum = |prefix: &str| -> f64 {
        let matching = found.iter().filter(|(key, _)| key.starts_with(prefix));
        let states = matching.filter(|(key, _)| !key.contains("slab"));
        states.map(|(_, value)| value).sum()
    };
    assert_eq!(sum("system.memory.usage{"), kernel_says("/proc/meminfo", "MemTotal:") * 1024.0);
    let between = |key: &str, low: f64, high: f64| {
        let value = found.get(key).copied().expect(key);
        assert!((low..=high).contains(&value), "{key} is {value}, not from {low} to {high}");
    };
    let up = kernel_says("/proc/uptime", "");
    between("system.uptime{} s", up - 5.0, up);
    between(
        "system.processes.created{} {processes}",
        forks,
        kernel_says("/proc/stat", "processes"),
    );
    let user = kernel_says("/proc/stat", "cpu0");
    between("system.cpu.time{cpu=cpu0,state=user} s", idle / 100.0, user / 100.0);
    let count = fs::read_to_string("/proc/stat").expect("there");
    let count = count.lines().filter(|line| line.starts_with("cpu")).count() - 1;
    assert_eq!(found["system.cpu.logical.count{} {cpu}"], count as f64);
    // This process is among those found, under its own number.
    let own = i64::from(std::process::id());
    let ours = |resource: &otlp_wire::ResourceView<'_>| {
        resource.attr("process.pid").is_some_and(|pid| pid.text() == own.to_string())
    };
    assert_eq!(reading.payload.metrics().filter(ours).count(), 1);
}

#[test]
fn nfs_counts_calls_of_client_and_server_by_name() {
    let client = "net 20 0 18 3\nrpc 17857 5 17\nproc3 22 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 \
        18 19 20 21 22\nproc4 3 0 7 9\nnewer 1 2\n";
    let server = "rc 1 2 3\nfh 4 0 0 0 0\nio 500 600\nth 8 0 0.000 0.000\nnet 10 1 9 2\n\
        rpc 30 6 1 2 3\nproc4 2 5 6\nproc4ops 5 9 9 9 11 12\nproc3 22 1 2\n";
    let both = [("net/rpc/nfs", client), ("net/rpc/nfsd", server)];
    let scrapers = || all(|s| s.nfs = Some(Default::default()));
    let reading = reader(&root(&both), scrapers()).read(1);
    check(
        &reading,
        &[
            ("nfs.client.net.count{network.transport=tcp} {record}", 18.0),
            ("nfs.client.net.tcp.connection.accepted{} {connection}", 3.0),
            ("nfs.client.rpc.count{} {request}", 17857.0),
            ("nfs.client.rpc.retransmit.count{} {retransmit}", 5.0),
            ("nfs.client.rpc.authrefresh.count{} {authrefresh}", 17.0),
            (
                "nfs.client.procedure.count{onc_rpc.version=3,onc_rpc.procedure.name=COMMIT} {procedure}",
                22.0,
            ),
            (
                "nfs.client.operation.count{onc_rpc.version=4,nfs.operation.name=WRITE} {operation}",
                9.0,
            ),
            ("nfs.server.repcache.requests{nfs.server.repcache.status=nocache} {request}", 3.0),
            ("nfs.server.fh.stale.count{} {fh}", 4.0),
            ("nfs.server.io{network.io.direction=transmit} By", 600.0),
            ("nfs.server.thread.count{} {thread}", 8.0),
            ("nfs.server.net.count{network.transport=udp} {request}", 1.0),
            ("nfs.server.rpc.count{error.type=client} {request}", 3.0),
            (
                "nfs.server.procedure.count{onc_rpc.version=4,onc_rpc.procedure.name=COMPOUND} {procedure}",
                6.0,
            ),
            (
                "nfs.server.operation.count{onc_rpc.version=4,nfs.operation.name=CLOSE} {operation}",
                12.0,
            ),
        ],
    );
    let found = points(&reading.payload);
    let operations = found.keys().filter(|key| key.starts_with("nfs.server.operation")).count();
    assert_eq!(operations, 2, "numbers that mean nothing are left out");
    let short =
        found.keys().filter(|key| key.contains("nfs.server.procedure.count{onc_rpc.version=3"));
    assert_eq!(short.count(), 0, "a line that does not hold what it says is left out");
    let none = reader(&root(&[("stat", STAT)]), scrapers()).read(1);
    assert_eq!(none.payload.items(), 0, "a machine without NFS says nothing and nothing is wrong");
    assert!(none.scrapers.iter().all(|(_, outcome)| outcome.is_ok()));
}
