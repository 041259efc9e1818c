// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo planes`: the system of the second document as processes of this host.
//!
//! ```text
//! shop prod :8081 --OTLP--> collector prod :8889 <--scrape-- control plane :7070
//! shop dev  :8082 --OTLP--> collector dev  :8890 <--scrape--       |
//! shop qa   :8083 --OTLP--> collector qa   :8891 <--scrape--       |
//!                               `---- traces and logs by OTLP -----'
//! ```
//! The collectors run the document's YAML, the control plane its Prometheus file; both are written
//! below the data directory, with the ports of this host. A plane is one line of `planes.txt`
//! there: its name and its shop's port, from which its collector's follow.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use super::{Program, System, answer};
use crate::cli::Options;
use crate::stop;

/// What there is unless `planes.txt` says otherwise.
const PLANES: &str =
    "# A data plane a line: its name and the port of its shop.\nprod 8081\ndev 8082\nqa 8083\n";

/// Port of the first shop; the collectors' ports are counted from there.
const FIRST: u16 = 8081;

/// Planes at most: their ports must not run into each other.
const PLANES_MAX: usize = 40;

/// Port of the control plane unless `--listen` says otherwise.
const CONTROL: &str = "127.0.0.1:7070";

/// Longest wait for all planes to be seen by the control plane: three scrapes.
const VISIBLE: Duration = Duration::from_secs(30);

/// A data plane and its ports.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plane {
    pub name: String,
    pub shop: u16,
    grpc: u16,
    http: u16,
    /// Of the page that the control plane scrapes.
    exporter: u16,
    metrics: u16,
}

impl Plane {
    fn new(name: String, shop: u16) -> Result<Plane> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || !name.chars().all(is_plain) {
            bail!("plane {name:?}: a name is letters, digits, - and _");
        }
        let number = shop.checked_sub(FIRST).filter(|number| usize::from(*number) < PLANES_MAX);
        let Some(number) = number else {
            let last = FIRST + PLANES_MAX as u16 - 1;
            bail!("plane {name}: its shop's port {shop} is not between {FIRST} and {last}");
        };
        Ok(Plane {
            name,
            shop,
            grpc: 14317 + 10 * number,
            http: 14318 + 10 * number,
            exporter: 8889 + number,
            metrics: 18888 + number,
        })
    }

    fn id(&self) -> String {
        format!("dp-{}-01", self.name)
    }

    /// The document's collector, with these ports; traces and logs go on to the control plane.
    fn collector(&self) -> String {
        let Plane { name, grpc, http, exporter, metrics, .. } = self;
        let id = self.id();
        format!(
            "receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:{http}
      grpc:
        endpoint: 127.0.0.1:{grpc}
processors:
  batch:
  resource:
    attributes:
      - key: environment
        value: {name}
        action: upsert
  attributes:
    actions:
      - key: data_plane_id
        value: {id}
        action: insert
      - key: environment
        value: {name}
        action: insert
exporters:
  prometheus:
    endpoint: 127.0.0.1:{exporter}
  logging:
  otlp/control:
    endpoint: 127.0.0.1:4317
    tls:
      insecure: true
service:
  telemetry:
    metrics:
      address: 127.0.0.1:{metrics}
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [batch, resource, attributes]
      exporters: [prometheus, logging]
    traces:
      receivers: [otlp]
      processors: [batch, resource, attributes]
      exporters: [otlp/control]
    logs:
      receivers: [otlp]
      processors: [batch, resource, attributes]
      exporters: [otlp/control]
"
        )
    }

    fn programs(&self, folder: &Path) -> [Program; 2] {
        let data = folder.join(format!("{}-collector", self.name));
        let config = folder.join(format!("{}.yaml", self.name));
        let collector = Program {
            name: format!("{}-collector", self.name),
            arguments: vec![
                format!("--config={}", config.display()),
                format!("--data={}", data.display()),
                "--listen=off".to_owned(),
            ],
            environment: Vec::new(),
            ready: (self.exporter, "/metrics"),
        };
        let shop = Program {
            name: format!("{}-shop", self.name),
            arguments: ["demo", "shop"]
                .map(str::to_owned)
                .into_iter()
                .chain([format!("--listen=127.0.0.1:{}", self.shop)])
                .collect(),
            environment: vec![
                ("ENV", self.name.clone()),
                ("DATA_PLANE_ID", self.id()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", self.http)),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
            ],
            ready: (self.shop, "/health"),
        };
        [collector, shop]
    }
}

/// The planes of a file's text.
fn planes(text: &str) -> Result<Vec<Plane>> {
    let mut planes: Vec<Plane> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let parts = line.split_once(char::is_whitespace);
        let parts = parts.and_then(|(name, port)| Some((name, port.trim().parse().ok()?)));
        let (name, shop) =
            parts.with_context(|| format!("line {number}: {line:?} is no name and port"))?;
        let plane = Plane::new(name.to_owned(), shop).with_context(|| format!("line {number}"))?;
        if let Some(same) = planes.iter().find(|known| known.shop == shop || known.name == name) {
            bail!("line {number}: {name} {shop}: there is {} {} already", same.name, same.shop);
        }
        planes.push(plane);
    }
    if planes.is_empty() {
        bail!("no plane");
    }
    Ok(planes)
}

/// The document's Prometheus file, with the addresses of this host.
fn prometheus(planes: &[Plane]) -> String {
    let mut out = "global:\n  scrape_interval: 10s\nscrape_configs:\n".to_owned();
    for plane in planes {
        let (name, id, port) = (&plane.name, plane.id(), plane.exporter);
        let _ = write!(
            out,
            "  - job_name: dataplane-{name}
    static_configs:
      - targets: [\"127.0.0.1:{port}\"]
        labels: {{environment: {name}, data_plane_id: {id}}}
"
        );
    }
    out
}

/// What the control plane has beside its Prometheus file: traces and logs of the planes.
const CONTROL_PLANE: &str = "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:4317
      http:
        endpoint: 127.0.0.1:4318
exporters:
  embedded_store:
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [embedded_store]
    logs:
      receivers: [otlp]
      exporters: [embedded_store]
";

/// Planes, where their files are, and the control plane's address.
pub(super) struct Setting {
    pub planes: Vec<Plane>,
    pub folder: PathBuf,
    pub port: u16,
    listen: String,
}

impl Setting {
    /// Reads the planes below the data directory, and writes the files of all processes there.
    pub fn of(options: &Options) -> Result<Setting> {
        let folder = options.data.join("planes");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let file = folder.join("planes.txt");
        if !file.exists() {
            fs::write(&file, PLANES)?;
        }
        let planes = planes(&fs::read_to_string(&file)?);
        let planes = planes.map_err(|error| anyhow!("error: {}: {error:#}", file.display()))?;
        for plane in &planes {
            fs::write(folder.join(format!("{}.yaml", plane.name)), plane.collector())?;
        }
        fs::write(folder.join("prometheus.yml"), prometheus(&planes))?;
        fs::write(folder.join("control.yaml"), CONTROL_PLANE)?;
        let listen = options.listen.clone().unwrap_or_else(|| CONTROL.to_owned());
        let port = listen.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.with_context(|| format!("error: --listen {listen}: no port"))?;
        Ok(Setting { planes, folder, port, listen })
    }
}

/// Runs it until SIGINT or SIGTERM.
pub fn run(options: &Options) -> Result<()> {
    let setting = Setting::of(options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut system = System::new(&setting.folder);
        let stopped = stop::flag(system.killer())?;
        let go_on = || !*stopped.borrow();
        let outcome = start(&mut system, &setting, go_on).await;
        if outcome.is_ok() {
            println!("Load: foreglow load http --environment prod --environment dev --environment qa --duration 5m");
            println!("Something happening: foreglow load scenario prod-latency");
            println!("Ctrl-C stops all of them, twice at once.");
            system.watch(go_on).await;
        }
        println!("Stopping.");
        system.stop().await;
        outcome.map_err(|error| anyhow!("error: {error:#}"))
    })
}

/// Starts all of them and waits until the control plane has scraped them.
pub(super) async fn start(
    system: &mut System,
    setting: &Setting,
    go_on: impl Fn() -> bool + Copy,
) -> Result<()> {
    let begun = Instant::now();
    let Setting { planes, folder, port, listen } = setting;
    let port = *port;
    let path = |name: &str| folder.join(name).display().to_string();
    let control = Program {
        name: "control-plane".to_owned(),
        arguments: vec![
            format!("--prometheus-config={}", path("prometheus.yml")),
            format!("--config={}", path("control.yaml")),
            format!("--data={}", path("control-plane")),
            format!("--listen={listen}"),
        ],
        environment: Vec::new(),
        ready: (port, "/-/ready"),
    };
    system.start(control, go_on).await?;
    println!("control plane        http://127.0.0.1:{port}/");
    for plane in planes {
        for program in plane.programs(folder) {
            system.start(program, go_on).await?;
        }
        let Plane { name, shop, exporter, .. } = plane;
        println!(
            "data plane {name:<9} http://127.0.0.1:{shop}/  collector http://127.0.0.1:{exporter}/metrics"
        );
    }
    let deadline = Instant::now() + VISIBLE;
    while !are_scraped(port, planes.len()) {
        if Instant::now() > deadline {
            bail!(
                "the control plane does not see all data planes, see {}",
                path("control-plane.log")
            );
        }
        if !go_on() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    println!(
        "All {} data planes are scraped after {:.1} s. Another one is a line of {}.",
        planes.len(),
        begun.elapsed().as_secs_f64(),
        path("planes.txt"),
    );
    Ok(())
}

/// True when the control plane has scraped so many data planes.
fn are_scraped(port: u16, count: usize) -> bool {
    let query = "/api/v1/query?query=count(up%7Bjob%3D~%22dataplane-.%2B%22%7D%20%3D%3D%201)";
    let Some((200, body)) = answer(port, query) else { return false };
    body.contains(&format!(",\"{count}\"]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_plane_and_wrong_lines_are_told() {
        let three = planes(PLANES).expect("fine");
        let names: Vec<_> =
            three.iter().map(|plane| (plane.name.as_str(), plane.exporter)).collect();
        assert_eq!(names, [("prod", 8889), ("dev", 8890), ("qa", 8891)]);
        assert_eq!(planes(&format!("{PLANES}staging 8084 # new\n")).expect("fine").len(), 4);
        for (text, told) in [
            ("# none", "no plane"),
            ("prod 80", "line 1: plane prod: its shop's port 80 is not between 8081"),
            ("\na 8081\nb 8081", "line 3: b 8081: there is a 8081"),
            ("a:b 8081", "letters"),
            ("prod x", "no name and port"),
        ] {
            let error = format!("{:#}", planes(text).expect_err(text));
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
