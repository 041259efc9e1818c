// SPDX-License-Identifier: Apache-2.0
//! The metrics of ten machines with an application each: 2,020 series as `node_exporter` and a web
//! service give them, the workload of size and speed figures.
//!
//! An instance: 64 cpu, 18 memory, 24 disk, 32 network, 20 filesystem, 8 other and 36 application
//! series. Of all: 660 constants, 400 cpu counters of two decimals (150 idle), 220 fast counters (one
//! starts anew), 120 slow ones, 200 gauges of whole pages, 120 decimal gauges and counters, 40
//! full-precision gauges, 240 histogram buckets, 20 full-precision sums. The same seed gives the
//! same bits. Needs no other module: benches take this file by its path.

use std::f64::consts::TAU;

/// Milliseconds between two samples of a series.
pub const STEP_MS: i64 = 15_000;

/// Steps of a day.
pub const DAY_STEPS: usize = 5_760;

/// Upper bounds of the request histogram's buckets.
const BOUNDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

/// A seeded source (SplitMix64).
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In `0.0..1.0`.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// About normal, mean 0, deviation 1.
    fn normal(&mut self) -> f64 {
        (0..4).map(|_| self.unit()).sum::<f64>() * 1.732_050_8 - 3.464_101_6
    }
}

/// How a series' values go on.
#[derive(Clone, Debug)]
enum Shape {
    Constant(f64),
    /// Hundredths: so many a step, give or take.
    Cpu {
        rate: f64,
        deviation: f64,
    },
    /// Whole numbers: so many a step; starts anew at a step.
    Fast {
        rate: f64,
        deviation: f64,
        reset_at: usize,
    },
    /// One more now and then.
    Slow {
        chance: f64,
    },
    /// Pages of 4,096 that come and go.
    Pages {
        mean: f64,
        deviation: f64,
    },
    /// Around a mean, rounded to `1 / unit`; a counter adds that up.
    Decimal {
        mean: f64,
        deviation: f64,
        unit: f64,
        adds: bool,
    },
    /// Around a mean, every bit in use.
    Full {
        mean: f64,
        deviation: f64,
    },
    /// A bucket, the sum or the count of an instance's handler.
    Request {
        handler: usize,
        part: Part,
    },
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Bucket(usize),
    Sum,
    Count,
}

/// One series.
#[derive(Clone, Debug)]
pub struct Series {
    /// Labels sorted by name, `__name__` among them.
    pub labels: Vec<(String, String)>,
    /// Which of the instances it belongs to: series of one are sampled at the same time.
    pub instance: usize,
    shape: Shape,
    /// The value without its rounding.
    state: f64,
}

impl Series {
    /// The metric name.
    pub fn name(&self) -> &str {
        let found = self.labels.iter().find(|(name, _)| name == "__name__");
        found.map_or("", |(_, value)| value)
    }

    /// What its values are like, in one word.
    pub fn kind(&self) -> &'static str {
        match self.shape {
            Shape::Constant(_) => "constant",
            Shape::Cpu { .. } => "cpu",
            Shape::Fast { .. } => "fast counter",
            Shape::Slow { .. } => "slow counter",
            Shape::Pages { .. } => "pages",
            Shape::Decimal { .. } => "decimal",
            Shape::Full { .. } => "full precision",
            Shape::Request { part: Part::Bucket(_), .. } => "bucket",
            Shape::Request { part: Part::Sum, .. } => "sum",
            Shape::Request { part: Part::Count, .. } => "count",
        }
    }
}

/// What a handler has answered so far.
#[derive(Clone, Debug, Default)]
struct Handler {
    buckets: [u64; BOUNDS.len()],
    sum: f64,
}

/// All series, one step after another.
#[derive(Clone, Debug)]
pub struct Workload {
    /// The series, in the order of [`Workload::next`]'s values; those of an instance together.
    pub series: Vec<Series>,
    handlers: Vec<[Handler; 2]>,
    random: Random,
    step: usize,
}

impl Workload {
    /// The workload of `instances` machines (10 are 2,020 series).
    pub fn new(instances: usize, seed: u64) -> Workload {
        let mut workload = Workload {
            series: Vec::new(),
            handlers: vec![Default::default(); instances],
            random: Random(seed),
            step: 0,
        };
        for instance in 0..instances {
            Instance { workload: &mut workload, instance }.add_all();
        }
        workload
    }

    /// When the samples of an instance at step `step` were taken, Unix milliseconds: on a grid of
    /// its own from `start_ms` on, up to `jitter_ms` off it.
    pub fn time_ms(start_ms: i64, instance: usize, step: usize, jitter_ms: u64) -> i64 {
        let mut random = Random((instance as u64) << 32 | step as u64);
        let off = if jitter_ms == 0 { 0 } else { (random.bits() % (2 * jitter_ms + 1)) as i64 };
        let phase = instance as i64 * 1_481 % STEP_MS;
        start_ms + phase + step as i64 * STEP_MS + off - jitter_ms as i64
    }

    /// Writes the values of the next step, one a series.
    pub fn next(&mut self, values: &mut Vec<f64>) {
        let day = (self.step as f64 / DAY_STEPS as f64 * TAU).sin();
        let random = &mut self.random;
        for handlers in &mut self.handlers {
            handlers.iter_mut().for_each(|handler| handler.answer(day, random));
        }
        values.clear();
        for series in &mut self.series {
            let handlers = &self.handlers[series.instance];
            values.push(series.next(self.step, day, handlers, random));
        }
        self.step += 1;
    }

    /// The next `steps` steps as a column a series.
    pub fn columns(&mut self, steps: usize) -> Vec<Vec<f64>> {
        let mut columns = vec![Vec::with_capacity(steps); self.series.len()];
        let mut row = Vec::new();
        for _ in 0..steps {
            self.next(&mut row);
            columns.iter_mut().zip(&row).for_each(|(column, value)| column.push(*value));
        }
        columns
    }
}

impl Handler {
    fn answer(&mut self, day: f64, random: &mut Random) {
        let requests = (60.0 + 25.0 * day + 6.0 * random.normal()).max(0.0) as usize;
        for _ in 0..requests {
            let seconds = 0.04 * (0.9 * random.normal()).exp();
            self.sum += seconds;
            let bucket = BOUNDS.iter().take_while(|bound| **bound < seconds).count();
            self.buckets[bucket] += 1;
        }
    }

    fn value(&self, part: Part) -> f64 {
        match part {
            Part::Bucket(last) => self.buckets[..=last].iter().sum::<u64>() as f64,
            Part::Count => self.buckets.iter().sum::<u64>() as f64,
            Part::Sum => self.sum,
        }
    }
}

impl Series {
    fn next(&mut self, step: usize, day: f64, handlers: &[Handler; 2], random: &mut Random) -> f64 {
        match self.shape {
            Shape::Constant(value) => value,
            Shape::Cpu { rate, deviation } => {
                let rate = rate * (1.0 + 0.3 * day);
                self.state += (rate + deviation * random.normal()).max(0.0).round();
                self.state / 100.0
            }
            Shape::Fast { rate, deviation, reset_at } => {
                let rate = rate * (1.0 + 0.3 * day);
                self.state += (rate + deviation * random.normal()).max(0.0).round();
                if step == reset_at {
                    self.state = 0.0;
                }
                self.state
            }
            Shape::Slow { chance } => {
                self.state += if random.unit() < chance { 1.0 } else { 0.0 };
                self.state
            }
            Shape::Pages { mean, deviation } => {
                // Drawn back to its mean, so that it stays on the machine.
                self.state += deviation * random.normal() - 0.001 * (self.state - mean);
                self.state.max(0.0).round() * 4096.0
            }
            Shape::Decimal { mean, deviation, unit, adds } => {
                let value = (mean * (1.0 + 0.3 * day) + deviation * random.normal()).max(0.0);
                let units = (value * unit).round();
                self.state = if adds { self.state + units } else { units };
                self.state / unit
            }
            Shape::Full { mean, deviation } => mean + deviation * (day + random.normal()),
            Shape::Request { handler, part } => handlers[handler].value(part),
        }
    }
}

/// Adds the series of one instance.
struct Instance<'w> {
    workload: &'w mut Workload,
    instance: usize,
}

impl Instance<'_> {
    fn add(&mut self, job: &str, name: &str, labels: &[(&str, &str)], shape: Shape) {
        let instance = format!("host-{}:9100", self.instance);
        let own = [("__name__", name), ("instance", instance.as_str()), ("job", job)];
        let mut labels: Vec<(String, String)> =
            own.iter().chain(labels).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        labels.sort();
        let random = &mut self.workload.random;
        let state = match shape {
            Shape::Cpu { .. } | Shape::Fast { .. } => (random.unit() * 1e7).round(),
            Shape::Slow { .. } => (random.unit() * 1e4).round(),
            Shape::Pages { mean, .. } => mean,
            Shape::Decimal { adds: true, .. } => (random.unit() * 1e6).round(),
            _ => 0.0,
        };
        self.workload.series.push(Series { labels, instance: self.instance, shape, state });
    }

    fn node(&mut self, name: &str, labels: &[(&str, &str)], shape: Shape) {
        self.add("node", &format!("node_{name}"), labels, shape);
    }

    fn add_all(&mut self) {
        self.cpu();
        self.memory();
        self.disks();
        self.networks();
        self.filesystems();
        self.others();
        self.application();
    }

    fn cpu(&mut self) {
        let modes = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
        for core in 0..8 {
            for mode in modes {
                let busy = |rate, deviation| Shape::Cpu { rate, deviation };
                let shape = match mode {
                    "user" => busy(420.0, 5.0),
                    "system" => busy(130.0, 3.5),
                    "idle" => busy(900.0, 7.0),
                    "iowait" if core == 0 => busy(12.0, 2.0),
                    "iowait" | "softirq" => busy(0.0, 0.0),
                    _ => Shape::Constant(0.0),
                };
                let core = core.to_string();
                self.node("cpu_seconds_total", &[("cpu", &core), ("mode", mode)], shape);
            }
        }
    }

    fn memory(&mut self) {
        let constant = [
            ("MemTotal", 33_568_280_576.0),
            ("SwapTotal", 2_147_479_552.0),
            ("SwapFree", 2_147_479_552.0),
            ("SwapCached", 0.0),
        ];
        for (what, value) in constant {
            self.node(&format!("memory_{what}_bytes"), &[], Shape::Constant(value));
        }
        let moving = [
            "MemFree",
            "MemAvailable",
            "Buffers",
            "Cached",
            "Active",
            "Inactive",
            "Dirty",
            "Writeback",
            "AnonPages",
            "Mapped",
            "Shmem",
            "Slab",
            "PageTables",
            "KernelStack",
        ];
        for (at, what) in moving.into_iter().enumerate() {
            let shape = Shape::Pages { mean: 2e6 / (at + 1) as f64, deviation: 2_500.0 };
            self.node(&format!("memory_{what}_bytes"), &[], shape);
        }
    }

    fn disks(&mut self) {
        let fast = |rate: f64| Shape::Fast { rate, deviation: rate * 0.1, reset_at: usize::MAX };
        let seconds =
            |mean| Shape::Decimal { mean, deviation: mean * 0.2, unit: 1000.0, adds: true };
        for (device, activity) in [("nvme0n1", 2), ("sda", 1), ("sdb", 0)] {
            let whole = |shape: Shape, least| {
                if activity >= least { shape } else { Shape::Constant(0.0) }
            };
            let series = [
                ("reads_completed_total", whole(fast(350.0), 2)),
                ("writes_completed_total", whole(fast(900.0), 1)),
                ("read_bytes_total", whole(fast(9e4), 2)),
                ("written_bytes_total", whole(fast(3e5), 1)),
                ("read_time_seconds_total", seconds(0.4)),
                ("write_time_seconds_total", seconds(1.1)),
                ("io_time_seconds_total", seconds(2.0)),
                ("io_now", Shape::Constant(0.0)),
            ];
            for (what, shape) in series {
                self.node(&format!("disk_{what}"), &[("device", device)], shape);
            }
        }
    }

    fn networks(&mut self) {
        for device in ["eth0", "eth1", "lo", "docker0"] {
            for direction in ["receive", "transmit"] {
                for what in ["bytes", "packets", "errs", "drop"] {
                    let is_first = self.instance == 0 && what == "bytes" && direction == "receive";
                    let reset_at = if is_first && device == "eth0" { 3_000 } else { usize::MAX };
                    let shape = match (device, what) {
                        ("eth0" | "eth1", "bytes") => {
                            Shape::Fast { rate: 4e5, deviation: 2.5e4, reset_at }
                        }
                        ("eth0" | "eth1", "packets") => {
                            Shape::Fast { rate: 2_600.0, deviation: 160.0, reset_at }
                        }
                        ("eth0", _) | ("eth1", "drop") => Shape::Slow { chance: 0.02 },
                        ("lo", "bytes" | "packets") => Shape::Slow { chance: 0.1 },
                        _ => Shape::Constant(0.0),
                    };
                    let name = format!("network_{direction}_{what}_total");
                    self.node(&name, &[("device", device)], shape);
                }
            }
        }
    }

    fn filesystems(&mut self) {
        for (at, mount) in ["/", "/var", "/data", "/boot", "/run"].into_iter().enumerate() {
            let labels = [("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", mount)];
            let pages = match at < 3 {
                true => Shape::Pages { mean: 5e6, deviation: 900.0 },
                false => Shape::Constant(1_073_741_824.0),
            };
            let files = match at < 2 {
                true => Shape::Slow { chance: 0.2 },
                false => Shape::Constant(65_536.0),
            };
            let size = Shape::Constant(42_949_672_960.0);
            self.node("filesystem_size_bytes", &labels, size);
            self.node("filesystem_avail_bytes", &labels, pages.clone());
            self.node("filesystem_free_bytes", &labels, pages);
            self.node("filesystem_files_free", &labels, files);
        }
    }

    fn others(&mut self) {
        for (name, mean) in [("load1", 2.4), ("load5", 2.2), ("load15", 2.1)] {
            let shape = Shape::Decimal { mean, deviation: 0.4, unit: 100.0, adds: false };
            self.node(name, &[], shape);
        }
        let fast = |rate: f64| Shape::Fast { rate, deviation: rate * 0.06, reset_at: usize::MAX };
        self.node("context_switches_total", &[], fast(60_000.0));
        self.node("intr_total", &[], fast(45_000.0));
        self.node("boot_time_seconds", &[], Shape::Constant(1_699_000_000.0));
        self.node("procs_blocked", &[], Shape::Constant(0.0));
        self.node("uname_info", &[("machine", "x86_64")], Shape::Constant(1.0));
    }

    fn application(&mut self) {
        for (handler, path) in ["/api/orders", "/api/items"].into_iter().enumerate() {
            let labels = [("handler", path)];
            for (at, bound) in BOUNDS.into_iter().enumerate() {
                let shape = Shape::Request { handler, part: Part::Bucket(at) };
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".to_owned() };
                let labels = [("handler", path), ("le", bound.as_str())];
                self.add("app", "http_request_duration_seconds_bucket", &labels, shape);
            }
            for (suffix, part) in [("sum", Part::Sum), ("count", Part::Count)] {
                let name = format!("http_request_duration_seconds_{suffix}");
                self.add("app", &name, &labels, Shape::Request { handler, part });
            }
            for code in ["200", "500"] {
                let rate = if code == "200" { 5_000.0 } else { 300.0 };
                let shape = Shape::Fast { rate, deviation: rate * 0.08, reset_at: usize::MAX };
                let labels = [("code", code), ("handler", path)];
                self.add("app", "http_requests_total", &labels, shape);
            }
        }
        for (name, mean) in [
            ("queue_latency_seconds", 0.37),
            ("cache_hit_ratio", 0.83),
            ("pool_utilization", 41.7),
            ("replica_lag_seconds", 1.9),
        ] {
            let shape = Shape::Full { mean, deviation: mean * 0.05 };
            self.add("app", &format!("app_{name}"), &[], shape);
        }
    }
}
