// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo live`: what a newcomer sees, by `make demo-start`.
//!
//! ```text
//! load --> shop prod, dev, qa :8081 ... :8083 --.
//! load --> inference :9000 ---------------------+--OTLP--> foreglow :4318, its page on :7070
//!          worker ------------------------------'
//! ```
//! The built-in configuration receives, predicts, keeps and shows. It begins with an hour of the
//! simulated shop, so that charts have a past and forecasts something to learn from.

use anyhow::Result;

use super::Program;
use super::stack::{Ports, Seen, Stack, service};
use crate::cli::Options;

/// Environments of the shop and their usual ports.
const SHOPS: [(&str, u16); 3] = [("prod", 8081), ("dev", 8082), ("qa", 8083)];

/// How long one load goes on; it is started again then.
const A_DAY: &str = "--duration=24h";

/// All of it.
///
/// # Errors
/// When `--listen` has no port.
pub fn table(options: &Options, ports: Ports) -> Result<Stack> {
    let folder = options.data.join("live");
    let (listen, page) = ports.page(options, 7070)?;
    let otlp = ports.at(4318);
    let to = ("http/protobuf", otlp);
    let set = |key: &str, usual| format!("--set={key}={}", ports.address(usual));
    let foreglow = Program {
        name: "foreglow".to_owned(),
        about: format!("http://127.0.0.1:{page}/"),
        arguments: vec![
            "demo".to_owned(),
            format!("--endpoint=http://127.0.0.1:{otlp}"),
            format!("--data={}", folder.join("foreglow").display()),
            format!("--listen={listen}"),
            set("receivers.otlp.protocols.grpc.endpoint", 4317),
            set("receivers.otlp.protocols.http.endpoint", 4318),
            set("extensions.health_check.endpoint", 13133),
            set("service.telemetry.metrics.address", 8888),
        ],
        ports: vec![page, ports.at(4317), otlp, ports.at(8888), ports.at(13133)],
        ready: Some((page, "/-/ready")),
        ..Program::default()
    };
    let shop = |(name, usual): (&str, u16)| {
        let address = ports.address(usual);
        let errors = if name == "qa" { "0.1" } else { "0" };
        let mut program = service("shop", to, &[("ENV", name), ("ERROR_RATE", errors)]);
        program.arguments.push(format!("--listen={address}"));
        Program {
            name: format!("shop {name}"),
            about: format!("http://{address}/"),
            ports: vec![ports.at(usual)],
            ready: Some((ports.at(usual), "/health")),
            ..program
        }
    };
    let mut inference = service("inference", to, &[("DEFAULT_LATENCY_MS", "20")]);
    inference.arguments.push(format!("--listen={}", ports.address(9000)));
    let inference = Program {
        about: format!("http://{}/predict", ports.address(9000)),
        ports: vec![ports.at(9000)],
        ready: Some((ports.at(9000), "/health")),
        ..inference
    };
    let worker = Program { about: "a lively day".to_owned(), ..service("worker", to, &[]) };
    let mut programs = vec![foreglow];
    programs.extend(SHOPS.map(shop));
    programs.extend([inference, worker, load_of_shops(ports), load_of_inference(ports)]);
    let shops = "count(count by (deployment_environment_name) (http_server_request_duration_seconds_count{job=\"api-service\",http_route=~\"/api/.+\"})) == 3";
    Ok(Stack {
        files: Vec::new(),
        programs,
        page,
        seen: vec![
            Seen::Query(shops.to_owned()),
            Seen::Query("sum(predictions_total) > 0".to_owned()),
            Seen::Query("scotty_tasks_total".to_owned()),
            Seen::Query("system_cpu_utilization_predicted".to_owned()),
            Seen::Traces("api-service"),
        ],
        told: "Data of all of them is on the page".to_owned(),
        look: vec![
            "More load: make demo-load, or foreglow load http --environment prod --duration 5m"
                .to_owned(),
        ],
        folder,
    })
}

/// Every environment at its own pace. In qa the shop itself lets a tenth of the requests fail.
fn load_of_shops(ports: Ports) -> Program {
    let targets = SHOPS.map(|(_, usual)| format!("--target=http://{}", ports.address(usual)));
    let names = SHOPS.map(|(name, _)| format!("--environment={name}"));
    let fixed = ["load", "http", A_DAY, "--output=json", "--no-faults"].map(str::to_owned);
    Program {
        name: "load of the shops".to_owned(),
        about: "prod 50/s, dev 5 to 20/s, qa 20/s".to_owned(),
        arguments: fixed.into_iter().chain(targets).chain(names).collect(),
        ..Program::default()
    }
}

fn load_of_inference(ports: Ports) -> Program {
    let target = format!("--target=http://{}/predict", ports.address(9000));
    let fixed = ["load", "http", A_DAY, "--output=json", "--rate=10", "--rate-scope=total"];
    Program {
        name: "load of inference".to_owned(),
        about: "10/s".to_owned(),
        arguments: fixed.map(str::to_owned).into_iter().chain([target]).collect(),
        ..Program::default()
    }
}
