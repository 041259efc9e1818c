// SPDX-License-Identifier: Apache-2.0
//! `/api/v1/rules` and `/api/v1/alerts`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, Response};
use basics::labels::{Labels, Matcher};
use serde_json::{Map, Value, json};

use super::Board;
use super::alert::{Alert, State as AlertState};
use super::board::{ShownGroup, ShownRule};
use crate::Api;
use crate::answer::{Failure, success};
use crate::params::Params;

type Answer = Result<Response<Body>, Failure>;

/// `/api/v1/alerts`.
pub async fn alerts((State(api), _): (State<Api>, Request<Body>)) -> Answer {
    let groups = Board::of(&api.host).groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts: Vec<Value> = rules.flat_map(active).collect();
    Ok(success(&json!({ "alerts": alerts }).to_string()))
}

/// `/api/v1/rules`: `type`, `rule_name[]`, `rule_group[]`, `file[]`, `match[]`, `exclude_alerts`,
/// `group_limit`, `group_next_token`.
pub async fn rules((State(api), request): (State<Api>, Request<Body>)) -> Answer {
    let params = Params::read(request).await?;
    let wanted = Wanted::of(&params)?;
    let limit: usize = match params.get("group_limit") {
        "" => 0,
        text => text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| {
            Failure::parameter("group_limit", "group_limit needs to be greater than 0")
        })?,
    };
    let from = params.get("group_next_token");
    if limit == 0 && !from.is_empty() {
        return Err(Failure::parameter(
            "group_limit",
            "group_limit needs to be present in order to paginate over the groups",
        ));
    }
    let groups = Board::of(&api.host).groups();
    let mut rest = groups.iter().skip_while(|g| !from.is_empty() && token(g) != from).peekable();
    if !from.is_empty() && rest.peek().is_none() {
        return Err(Failure::parameter(
            "group_next_token",
            format!("invalid group_next_token '{from}'. were rule groups changed?"),
        ));
    }
    let mut shown = Vec::new();
    let mut data = Map::new();
    for group in rest {
        let Some(value) = wanted.group(group) else { continue };
        if limit > 0 && shown.len() == limit {
            data.insert("groupNextToken".into(), json!(token(group)));
            break;
        }
        shown.push(value);
    }
    data.insert("groups".into(), Value::Array(shown));
    Ok(success(&Value::Object(data).to_string()))
}

fn token(group: &ShownGroup) -> String {
    format!("{};{}", group.file, group.name)
}

/// Which rules are asked for.
struct Wanted {
    names: Vec<String>,
    groups: Vec<String>,
    files: Vec<String>,
    matchers: Vec<Vec<Matcher>>,
    alerting: bool,
    recording: bool,
    with_alerts: bool,
}

impl Wanted {
    fn of(params: &Params) -> Result<Self, Failure> {
        let list = |name| params.all(name).map(str::to_owned).collect();
        let kind = params.get("type").to_lowercase();
        if !matches!(kind.as_str(), "" | "alert" | "record") {
            return Err(Failure::parameter("type", format!("not supported value {kind:?}")));
        }
        let with_alerts = match params.get("exclude_alerts") {
            "" | "false" | "0" | "f" => true,
            "true" | "1" | "t" => false,
            other => {
                return Err(Failure::parameter(
                    "exclude_alerts",
                    format!("error converting exclude_alerts: {other:?}"),
                ));
            }
        };
        Ok(Wanted {
            names: list("rule_name[]"),
            groups: list("rule_group[]"),
            files: list("file[]"),
            matchers: crate::prometheus::selectors(params)?,
            alerting: kind != "record",
            recording: kind != "alert",
            with_alerts,
        })
    }

    fn group(&self, group: &ShownGroup) -> Option<Value> {
        let named =
            |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        if !named(&self.groups, &group.name) || !named(&self.files, &group.file) {
            return None;
        }
        let fits = |rule: &&ShownRule| {
            let of_kind = if rule.rule.alert.is_some() { self.alerting } else { self.recording };
            let label = |name: &str| rule.rule.labels.get(name).map_or("", String::as_str);
            let matched = |set: &Vec<Matcher>| set.iter().all(|m| m.matches(label(&m.name)));
            of_kind
                && named(&self.names, &rule.rule.name)
                && (self.matchers.is_empty() || self.matchers.iter().any(matched))
        };
        let rules: Vec<Value> =
            group.rules.iter().filter(fits).map(|rule| shown(rule, self.with_alerts)).collect();
        (!rules.is_empty()).then(|| {
            json!({
                "name": group.name, "file": group.file, "rules": rules,
                "interval": group.interval.as_secs_f64(), "limit": group.limit,
                "evaluationTime": group.seconds, "lastEvaluation": time(group.last_ms),
            })
        })
    }
}

fn shown(shown: &ShownRule, with_alerts: bool) -> Value {
    let rule = &shown.rule;
    let health = match (&shown.error, shown.last_ms) {
        (Some(_), _) => "err",
        (None, 0) => "unknown",
        (None, _) => "ok",
    };
    let mut value = json!({
        "name": rule.name, "query": rule.query, "labels": rule.labels, "health": health,
        "evaluationTime": shown.seconds, "lastEvaluation": time(shown.last_ms),
        "type": if rule.alert.is_some() { "alerting" } else { "recording" },
    });
    if let Some(error) = &shown.error {
        value["lastError"] = json!(error);
    }
    if let Some(alert) = &rule.alert {
        let state = shown.alerts.iter().map(|(_, alert)| alert.state).max();
        value["state"] = json!(state.unwrap_or(AlertState::Inactive).name());
        value["duration"] = json!(alert.hold.as_secs_f64());
        value["keepFiringFor"] = json!(alert.keep_firing.as_secs_f64());
        value["annotations"] = json!(alert.annotations);
        value["alerts"] = match with_alerts {
            true => Value::Array(active(shown).collect()),
            false => Value::Null,
        };
    }
    value
}

fn active(rule: &ShownRule) -> impl Iterator<Item = Value> {
    let active = rule.alerts.iter().filter(|(_, alert)| alert.state != AlertState::Inactive);
    active.map(|(labels, alert)| one(labels, alert))
}

fn one(labels: &Labels, alert: &Alert) -> Value {
    let labels: Map<String, Value> =
        labels.iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    let mut value = json!({
        "labels": labels, "annotations": alert.annotations, "state": alert.state.name(),
        "activeAt": time(alert.active_ms), "value": scientific(alert.value),
    });
    if alert.keeping_ms > 0 {
        value["keepFiringSince"] = json!(time(alert.keeping_ms));
    }
    value
}

/// As Go's `%e` with the shortest digits.
fn scientific(value: f64) -> String {
    if !value.is_finite() {
        let mut text = String::new();
        crate::answer::float(&mut text, value);
        return text;
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

fn time(ms: i64) -> String {
    match ms {
        0 => "0001-01-01T00:00:00Z".to_owned(),
        ms => jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string(),
    }
}
