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
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};

use super::Program;
use super::stack::{Ports, Seen, Stack, foreglow, service};
use crate::cli::Options;

/// What there is unless `planes.txt` says otherwise.
const PLANES: &str =
    "# A data plane a line: its name and the port of its shop.\nprod 8081\ndev 8082\nqa 8083\n";

/// Port of the first shop; the collectors' ports are counted from there.
const FIRST: u16 = 8081;

/// Planes at most: their ports must not run into each other.
const PLANES_MAX: usize = 40;

/// Port of the control plane.
const CONTROL: u16 = 7070;

/// A data plane and its ports.
#[derive(Debug, PartialEq, Eq)]
pub struct Plane {
    pub name: String,
    pub shop: u16,
    grpc: u16,
    http: u16,
    /// Of the page that the control plane scrapes.
    exporter: u16,
    metrics: u16,
}

impl Plane {
    fn new(name: String, shop: u16, ports: Ports) -> Result<Plane> {
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
            shop: ports.at(shop),
            grpc: ports.at(14317 + 10 * number),
            http: ports.at(14318 + 10 * number),
            exporter: ports.at(8889 + number),
            metrics: ports.at(18888 + number),
        })
    }

    fn id(&self) -> String {
        format!("dp-{}-01", self.name)
    }

    /// The document's collector, with these ports; traces and logs go on to the control plane.
    fn collector(&self, ports: Ports) -> String {
        let Plane { name, grpc, http, exporter, metrics, .. } = self;
        let (id, control) = (self.id(), ports.address(4317));
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
    endpoint: {control}
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
        let Plane { name, shop, grpc, http, exporter, metrics } = self;
        let collector = Program {
            about: format!("http://127.0.0.1:{exporter}/metrics"),
            ports: vec![*grpc, *http, *exporter, *metrics],
            ready: Some((*exporter, "/metrics")),
            ..foreglow(folder, &format!("{name}-collector"), "off", &[])
        };
        let id = self.id();
        let environment = [("ENV", name.as_str()), ("DATA_PLANE_ID", &id)];
        let mut service = Program {
            name: format!("{name}-shop"),
            about: format!("http://127.0.0.1:{shop}/"),
            ports: vec![*shop],
            ready: Some((*shop, "/health")),
            ..service("shop", ("http/protobuf", *http), &environment)
        };
        service.arguments.push(format!("--listen=127.0.0.1:{shop}"));
        [collector, service]
    }
}

/// The planes of a file's text.
fn planes(text: &str, ports: Ports) -> Result<Vec<Plane>> {
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
        let plane = Plane::new(name.to_owned(), shop, ports);
        let plane = plane.with_context(|| format!("line {number}"))?;
        let is_same = |known: &&Plane| known.shop == plane.shop || known.name == plane.name;
        if let Some(same) = planes.iter().find(is_same) {
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
fn control_plane(ports: Ports) -> String {
    let (grpc, http) = (ports.address(4317), ports.address(4318));
    format!(
        "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: {grpc}
      http:
        endpoint: {http}
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
"
    )
}

/// The planes of `planes.txt` below the data directory, which is written if there is none, and all
/// of it as a table.
///
/// # Errors
/// When the file cannot be read or a line of it is no plane.
pub fn table(options: &Options, ports: Ports) -> Result<(Vec<Plane>, Stack)> {
    let folder = options.data.join("planes");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let file = folder.join("planes.txt");
    if !file.exists() {
        fs::write(&file, PLANES)?;
    }
    let planes = planes(&fs::read_to_string(&file)?, ports);
    let planes = planes.map_err(|error| anyhow!("error: {}: {error:#}", file.display()))?;
    let (listen, page) = ports.page(options, CONTROL)?;
    let metrics = ports.address(8888);
    let mut files = vec![
        ("prometheus.yml".to_owned(), prometheus(&planes)),
        ("control-plane.yaml".to_owned(), control_plane(ports)),
    ];
    let mut control = Program {
        about: format!("http://127.0.0.1:{page}/"),
        ports: vec![page, ports.at(4317), ports.at(4318), ports.at(8888)],
        ready: Some((page, "/-/ready")),
        ..foreglow(
            &folder,
            "control-plane",
            &listen,
            &[("service.telemetry.metrics.address", metrics)],
        )
    };
    let scrapes = folder.join("prometheus.yml");
    control.arguments.push(format!("--prometheus-config={}", scrapes.display()));
    let mut programs = vec![control];
    for plane in &planes {
        files.push((format!("{}-collector.yaml", plane.name), plane.collector(ports)));
        programs.extend(plane.programs(&folder));
    }
    let count = planes.len();
    let stack = Stack {
        files,
        programs,
        page,
        seen: vec![Seen::Query(format!("count(up{{job=~\"dataplane-.+\"}} == 1) == {count}"))],
        told: format!("All {count} data planes are scraped"),
        look: vec![
            format!("Another plane is a line of {}.", file.display()),
            "Load: foreglow load http --environment prod --environment dev --environment qa \
             --duration 5m"
                .to_owned(),
            "Something happening: foreglow load scenario prod-latency".to_owned(),
        ],
        folder,
    };
    Ok((planes, stack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_plane_and_wrong_lines_are_told() {
        let three = planes(PLANES, Ports(0)).expect("fine");
        let names: Vec<_> =
            three.iter().map(|plane| (plane.name.as_str(), plane.exporter)).collect();
        assert_eq!(names, [("prod", 8889), ("dev", 8890), ("qa", 8891)]);
        assert_eq!(
            planes(&format!("{PLANES}staging 8084 # new\n"), Ports(0)).expect("fine").len(),
            4
        );
        for (text, told) in [
            ("# none", "no plane"),
            ("prod 80", "line 1: plane prod: its shop's port 80 is not between 8081"),
            ("\na 8081\nb 8081", "line 3: b 8081: there is a 8081"),
            ("a:b 8081", "letters"),
            ("prod x", "no name and port"),
        ] {
            let error = format!("{:#}", planes(text, Ports(0)).expect_err(text));
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
