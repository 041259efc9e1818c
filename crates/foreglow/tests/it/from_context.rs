// SPDX-License-Identifier: Apache-2.0
//! What is known of a request becomes attributes of what it brought.

use serde_json::{Value, json};

use crate::process::{Foreglow, post, wait_for};

const LOGS: &[u8] = br#"{"resourceLogs":[{"resource":{},"scopeLogs":[{"logRecords":[{"body":{"stringValue":"one"}}]}]}]}"#;

/// `ada` with the password `lovelace`.
const AUTHORIZATION: (&str, &str) = ("Authorization", "Basic YWRhOmxvdmVsYWNl");

const CONFIG: &str = "
extensions:
  basicauth: {htpasswd: {inline: 'ada:lovelace'}}
receivers:
  otlp: {protocols: {http: {include_metadata: true, auth: {authenticator: basicauth}}}}
processors:
  resource:
    attributes:
      - {key: team, from_context: metadata.X-Team, default_value: nobody, action: insert}
      - {key: user, from_context: auth.username, action: insert}
  attributes:
    actions:
      - {key: client, from_context: client.address, action: insert}
      - {key: regions, from_context: x-region, action: insert}
exporters:
  file: {path: 'PLACE'}
service:
  extensions: [basicauth]
  pipelines:
    logs: {receivers: [otlp], processors: [resource, attributes], exporters: [file]}
";

/// Attributes in their JSON encoding, as an object.
fn attributes(of: &Value) -> Value {
    let pairs = of["attributes"].as_array().into_iter().flatten();
    let text = |pair: &Value| pair["value"]["stringValue"].clone();
    pairs.map(|pair| (pair["key"].as_str().unwrap_or_default().to_owned(), text(pair))).collect()
}

#[test]
fn headers_user_and_address_of_a_request_become_attributes() {
    let folder = tempfile::tempdir().expect("temp dir");
    let place = folder.path().join("out.jsonl");
    let config = folder.path().join("config.yaml");
    let yaml = CONFIG.replace("PLACE", &place.display().to_string());
    std::fs::write(&config, yaml).expect("written");
    let mut server = Foreglow::launch(folder.path(), &[&format!("--config={}", config.display())]);
    server.wait_until_ready();
    let json = ("Content-Type", "application/json");
    let regions = [("X-Region", "eu"), ("x-region", "us")];
    for more in [&[("x-team", "shop"), regions[0], regions[1]][..], &[]] {
        let headers = [&[json, AUTHORIZATION], more].concat();
        let answer = post(server.http, "/v1/logs", &headers, LOGS).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let written = || std::fs::read_to_string(&place).unwrap_or_default();
    wait_for("two batches", || (written().lines().count() == 2).then_some(()));
    let expected = [
        (
            json!({"team": "shop", "user": "ada"}),
            json!({"client": "127.0.0.1", "regions": "eu;us"}),
        ),
        (json!({"team": "nobody", "user": "ada"}), json!({"client": "127.0.0.1"})),
    ];
    for (line, (resource, record)) in written().lines().zip(expected) {
        let got: Value = serde_json::from_str(line).expect("JSON");
        let group = &got["resourceLogs"][0];
        assert_eq!(attributes(&group["resource"]), resource);
        assert_eq!(attributes(&group["scopeLogs"][0]["logRecords"][0]), record);
    }
    assert!(server.terminate());
}
