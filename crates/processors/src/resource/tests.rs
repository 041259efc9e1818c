// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Payload, write};
use pipeline::config::from_yaml;
use serde_json::json;

use super::*;
use crate::attributes::tests::{edited, put_json, to_json};

#[test]
fn every_resource_is_edited_and_nothing_below_it() {
    let mut w = write::Logs::new();
    w.resource(|r| put_json(r, &json!({"service.name": "a", "password": "x"})));
    w.log(&write::Log { body: "one".into(), ..<_>::default() }, |a| a.str("password", "kept"));
    w.resource(|_| ());
    w.log(&write::Log { body: "two".into(), ..<_>::default() }, |_| ());
    let payload: Payload = w.finish();
    let yaml = "attributes:\n\
                - {key: password, action: delete}\n\
                - {key: environment, value: prod, action: upsert}\n\
                - {key: service, from_attribute: service.name, action: insert}\n";
    let after = edited::<Config>(yaml, build, &payload);
    let resources: Vec<_> = after.logs().map(|resource| to_json(resource.attrs())).collect();
    let expected = [
        json!({"service.name": "a", "environment": "prod", "service": "a"}),
        json!({"environment": "prod"}),
    ];
    assert_eq!(resources, expected);
    let logs = |payload: &Payload| -> Vec<Vec<u8>> {
        payload
            .logs()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.logs())
            .map(|log| log.raw().to_vec())
            .collect()
    };
    assert_eq!(logs(&after), logs(&payload));
}

#[test]
fn a_list_without_actions_is_a_mistake() {
    let errors = from_yaml::<Config>("attributes: []").unwrap_err();
    assert!(errors.contains("missing required field \"attributes\""), "{errors}");
    let errors = from_yaml::<Config>("attributes: [{key: a, action: sort}]").unwrap_err();
    assert!(errors.contains("attributes[0]"), "{errors}");
}
