// SPDX-License-Identifier: Apache-2.0
//! A Prometheus configuration file as one of ours.
//!
//! In: the tree of the file. Out: a tree with the receiver `prometheus`, the exporters
//! `embedded_store` and `prometheusremotewrite`, the extension `rules`, and the pipeline between
//! them. Values stay the nodes that were read, so a mistake is told at its place in the file;
//! what has no counterpart is refused by name. `$` is text there, but for `external_labels`, in
//! which Prometheus puts environment variables.
//! Source: Prometheus' configuration page.

use std::path::Path;

use super::diagnostics::Diagnostics;
use super::node::{Entry, Key, Node, Span, Value};

/// Keys whose values are paths relative to the file.
const PATHS: [&str; 10] = [
    "ca_file",
    "cert_file",
    "key_file",
    "password_file",
    "username_file",
    "credentials_file",
    "bearer_token_file",
    "client_secret_file",
    "files",
    "rule_files",
];

/// Translates `root`, which was read from a file in `folder`.
pub(super) fn translate(mut root: Node, folder: &Path, diagnostics: &mut Diagnostics) -> Node {
    literal(&mut root);
    anchor(&mut root, "", folder);
    let mut out = Translation { diagnostics, span: root.span, remote: Vec::new() };
    let mut scraping = Vec::new();
    let mut rules = Vec::new();
    let plain = Node::new(root.span, Value::Bool(true));
    let mut store = vec![pair(root.span, "plain_labels", plain)];
    let mut external = None;
    for entry in take(&mut root) {
        match entry.key.text.as_str() {
            "global" => {
                let mut global = Vec::new();
                for one in take(&mut { entry.value }) {
                    match one.key.text.as_str() {
                        "evaluation_interval" => rules.push(renamed(one, "evaluation_interval")),
                        "rule_query_offset" => rules.push(renamed(one, "query_offset")),
                        "external_labels" => external = Some(out.external(one)),
                        _ => global.push(one),
                    }
                }
                rules.iter_mut().for_each(|entry| duration(&mut entry.value));
                scraping.push(Entry { key: entry.key, value: map(out.span, global) });
            }
            "scrape_configs" | "scrape_config_files" => scraping.push(entry),
            "rule_files" => rules.push(renamed(entry, "files")),
            "alerting" => out.alerting(entry.value, &mut rules),
            "remote_write" => out.remote_writes(entry.value),
            "storage" => out.storage(entry.value, &mut store),
            "runtime" | "otlp" => {
                let message = format!("{} has no effect here", entry.key.text);
                out.diagnostics.warning(entry.key.span, message);
            }
            other => out.refuse(entry.key.span, other),
        }
    }
    if let Some(labels) = &external {
        rules.push(renamed(labels.clone(), "external_labels"));
    }
    out.plan(scraping, rules, store, external)
}

struct Translation<'d> {
    diagnostics: &'d mut Diagnostics,
    /// Of the whole file: where a mistake is shown in what is made here.
    span: Span,
    remote: Vec<Remote>,
}

/// A remote write endpoint: its exporter, and the extension that says who we are.
struct Remote {
    id: String,
    exporter: Vec<Entry>,
    authenticator: Option<(String, Node)>,
}

impl Translation<'_> {
    fn refuse(&mut self, span: Span, name: &str) {
        self.diagnostics
            .error(span, format!("{name} of a Prometheus configuration is not supported"));
    }

    /// `${NAME}` and `$NAME` stand for environment variables.
    fn external(&self, mut entry: Entry) -> Entry {
        for one in entries(&mut entry.value) {
            if let Value::String(text) = &mut one.value.value {
                *text = environment(text);
            }
        }
        entry
    }

    fn alerting(&mut self, mut alerting: Node, rules: &mut Vec<Entry>) {
        for entry in take(&mut alerting) {
            match entry.key.text.as_str() {
                "alert_relabel_configs" => rules.push(entry),
                "alertmanagers" => {
                    let mut managers = Vec::new();
                    for manager in list(entry.value) {
                        self.alertmanager(manager, &mut managers);
                    }
                    let value = Node::new(entry.key.span, Value::Sequence(managers));
                    rules.push(Entry { key: entry.key, value });
                }
                other => self.refuse(entry.key.span, &format!("alerting.{other}")),
            }
        }
    }

    fn alertmanager(&mut self, mut manager: Node, out: &mut Vec<Node>) {
        let (mut scheme, mut prefix) = ("http".to_owned(), String::new());
        let mut targets = Vec::new();
        let mut common = Vec::new();
        for mut entry in take(&mut manager) {
            match entry.key.text.as_str() {
                "scheme" => scheme = entry.value.text().unwrap_or("http").to_owned(),
                "path_prefix" => prefix = entry.value.text().unwrap_or_default().to_owned(),
                "timeout" => {
                    duration(&mut entry.value);
                    common.push(entry);
                }
                "tls_config" => common.push(self.tls(entry)),
                "api_version" if entry.value.text() == Some("v2") => {}
                "static_configs" => {
                    for mut group in list(entry.value) {
                        for one in take(&mut group) {
                            match one.key.text.as_str() {
                                "targets" => targets.extend(list(one.value)),
                                other => self.refuse(
                                    one.key.span,
                                    &format!("alertmanagers.static_configs.{other}"),
                                ),
                            }
                        }
                    }
                }
                other => self.refuse(entry.key.span, &format!("alertmanagers.{other}")),
            }
        }
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        for target in targets {
            let address = target.text().unwrap_or_default().to_owned();
            let mut one = common.clone();
            one.push(pair(
                target.span,
                "endpoint",
                text(target.span, &format!("{scheme}://{address}{prefix}")),
            ));
            out.push(map(target.span, one));
        }
    }

    fn remote_writes(&mut self, list_of: Node) {
        for (number, mut remote) in list(list_of).into_iter().enumerate() {
            let span = remote.span;
            let mut id = format!("prometheusremotewrite/{}", number + 1);
            // Names are what they were when they were scraped.
            let off = |span| Node::new(span, Value::Bool(false));
            let mut exporter = vec![
                pair(span, "add_metric_suffixes", off(span)),
                pair(span, "disable_scope_info", Node::new(span, Value::Bool(true))),
                pair(span, "forward_written", Node::new(span, Value::Bool(true))),
                pair(span, "target_info", map(span, vec![pair(span, "enabled", off(span))])),
            ];
            let mut authenticator = None;
            for mut entry in take(&mut remote) {
                match entry.key.text.as_str() {
                    "url" => exporter.push(renamed(entry, "endpoint")),
                    "name" => {
                        id =
                            format!("prometheusremotewrite/{}", entry.value.text().unwrap_or("one"))
                    }
                    "remote_timeout" => {
                        duration(&mut entry.value);
                        exporter.push(renamed(entry, "timeout"));
                    }
                    "headers" | "protobuf_message" => exporter.push(entry),
                    "tls_config" => exporter.push(self.tls(entry)),
                    "basic_auth" => {
                        let login = vec![pair(entry.key.span, "client_auth", entry.value)];
                        authenticator = Some(("basicauth", map(entry.key.span, login)));
                    }
                    "authorization" => {
                        let mut bearer = Vec::new();
                        for one in take(&mut { entry.value }) {
                            match one.key.text.as_str() {
                                "type" => bearer.push(renamed(one, "scheme")),
                                "credentials" => bearer.push(renamed(one, "token")),
                                "credentials_file" => bearer.push(renamed(one, "filename")),
                                other => self.refuse(
                                    one.key.span,
                                    &format!("remote_write.authorization.{other}"),
                                ),
                            }
                        }
                        authenticator = Some(("bearertokenauth", map(entry.key.span, bearer)));
                    }
                    "metadata_config" => {
                        let send = entry.value.get("send").cloned();
                        exporter.push(pair(
                            entry.key.span,
                            "send_metadata",
                            send.unwrap_or_else(|| Node::new(span, Value::Bool(true))),
                        ));
                    }
                    "queue_config"
                    | "send_exemplars"
                    | "send_native_histograms"
                    | "round_robin_dns"
                    | "follow_redirects"
                    | "enable_http2" => {
                        let message = format!("remote_write.{} has no effect here", entry.key.text);
                        self.diagnostics.warning(entry.key.span, message);
                    }
                    other => self.refuse(entry.key.span, &format!("remote_write.{other}")),
                }
            }
            let authenticator = authenticator.map(|(kind, body)| {
                let name = format!("{kind}/remote_write_{}", number + 1);
                let auth = map(span, vec![pair(span, "authenticator", text(span, &name))]);
                exporter.push(pair(span, "auth", auth));
                (name, body)
            });
            self.remote.push(Remote { id, exporter, authenticator });
        }
    }

    /// `tls_config` as the collector names its keys.
    fn tls(&mut self, mut entry: Entry) -> Entry {
        let mut tls = Vec::new();
        for one in take(&mut entry.value) {
            match one.key.text.as_str() {
                "ca_file" | "cert_file" | "key_file" | "insecure_skip_verify" => tls.push(one),
                "server_name" => tls.push(renamed(one, "server_name_override")),
                "min_version" => tls.push(one),
                other => self.refuse(one.key.span, &format!("tls_config.{other}")),
            }
        }
        let span = entry.key.span;
        pair(span, "tls", map(span, tls))
    }

    fn storage(&mut self, mut storage: Node, store: &mut Vec<Entry>) {
        for mut part in take(&mut storage) {
            if part.key.text != "tsdb" {
                let message = format!("storage.{} has no effect here", part.key.text);
                self.diagnostics.warning(part.key.span, message);
                continue;
            }
            for mut entry in take(&mut part.value) {
                let span = entry.key.span;
                match entry.key.text.as_str() {
                    "out_of_order_time_window" => {
                        duration(&mut entry.value);
                        let limits = vec![renamed(entry, "out_of_order")];
                        store.push(pair(span, "limits", map(span, limits)));
                    }
                    "retention" => {
                        let mut kept = Vec::new();
                        for mut one in take(&mut entry.value) {
                            match one.key.text.as_str() {
                                "time" => {
                                    duration(&mut one.value);
                                    kept.push(one);
                                }
                                "size" => kept.push(one),
                                other => self.refuse(
                                    one.key.span,
                                    &format!("storage.tsdb.retention.{other}"),
                                ),
                            }
                        }
                        let blocks = vec![pair(span, "metrics", map(span, kept))];
                        store.push(pair(span, "blocks", map(span, blocks)));
                    }
                    other => {
                        self.diagnostics
                            .warning(span, format!("storage.tsdb.{other} has no effect here"));
                    }
                }
            }
        }
    }

    /// Everything together.
    fn plan(
        self,
        scraping: Vec<Entry>,
        rules: Vec<Entry>,
        store: Vec<Entry>,
        external: Option<Entry>,
    ) -> Node {
        let span = self.span;
        let names = |names: &[&str]| {
            Node::new(span, Value::Sequence(names.iter().map(|name| text(span, name)).collect()))
        };
        let mut exporters = vec![pair(span, "embedded_store", map(span, store))];
        let mut sinks = vec!["embedded_store".to_owned()];
        let mut extensions = Vec::new();
        for remote in self.remote {
            let mut body = remote.exporter;
            body.extend(external.clone());
            exporters.push(pair(span, &remote.id, map(span, body)));
            sinks.push(remote.id);
            extensions.extend(remote.authenticator.map(|(name, body)| pair(span, &name, body)));
        }
        if rules.iter().any(|entry| entry.key.text == "files") {
            extensions.push(pair(span, "rules", map(span, rules)));
        }
        let running: Vec<String> = extensions.iter().map(|entry| entry.key.text.clone()).collect();
        let running: Vec<&str> = running.iter().map(String::as_str).collect();
        let sinks: Vec<&str> = sinks.iter().map(String::as_str).collect();
        // Without a job there is still what is written to us.
        let scrapes = scraping.iter().any(|entry| entry.key.text == "scrape_configs");
        let mut receivers = Vec::new();
        let receiver = if scrapes { "prometheus" } else { "otlp" };
        receivers.push(match scrapes {
            true => {
                let config = vec![pair(span, "config", map(span, scraping))];
                pair(span, receiver, map(span, config))
            }
            false => {
                let http = vec![pair(span, "http", Node::new(span, Value::Null))];
                pair(span, receiver, map(span, vec![pair(span, "protocols", map(span, http))]))
            }
        });
        let pipeline = vec![
            pair(span, "receivers", names(&[receiver])),
            pair(span, "exporters", names(&sinks)),
        ];
        let service = vec![
            pair(span, "extensions", names(&running)),
            pair(span, "pipelines", map(span, vec![pair(span, "metrics", map(span, pipeline))])),
        ];
        map(
            span,
            vec![
                pair(span, "receivers", map(span, receivers)),
                pair(span, "exporters", map(span, exporters)),
                pair(span, "extensions", map(span, extensions)),
                pair(span, "service", map(span, service)),
            ],
        )
    }
}

fn entries(node: &mut Node) -> &mut [Entry] {
    match &mut node.value {
        Value::Mapping(entries) => entries,
        _ => &mut [],
    }
}

fn take(node: &mut Node) -> Vec<Entry> {
    match std::mem::replace(&mut node.value, Value::Null) {
        Value::Mapping(entries) => entries,
        _ => Vec::new(),
    }
}

fn list(node: Node) -> Vec<Node> {
    match node.value {
        Value::Sequence(items) => items,
        _ => Vec::new(),
    }
}

fn map(span: Span, entries: Vec<Entry>) -> Node {
    Node::new(span, Value::Mapping(entries))
}

fn text(span: Span, text: &str) -> Node {
    Node::new(span, Value::String(text.to_owned()))
}

fn pair(span: Span, key: &str, value: Node) -> Entry {
    Entry { key: Key { span, text: key.to_owned() }, value }
}

fn renamed(mut entry: Entry, key: &str) -> Entry {
    entry.key.text = key.to_owned();
    entry
}

/// Prometheus' durations know days and weeks; ours are Go's.
fn duration(node: &mut Node) {
    let parsed = node.text().and_then(|text| basics::duration::parse_prometheus(text).ok());
    if let Some(parsed) = parsed {
        node.value = Value::String(basics::duration::format(parsed));
    }
}

/// Doubles every `$`: it is nothing but itself.
fn literal(node: &mut Node) {
    match &mut node.value {
        Value::String(text) if text.contains('$') => *text = text.replace('$', "$$"),
        Value::Sequence(items) => items.iter_mut().for_each(literal),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| literal(&mut entry.value)),
        _ => {}
    }
}

/// `$${NAME}` and `$$NAME` (doubled by [`literal`]) as `${env:NAME}`.
fn environment(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("$$");
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (variable, rest) = match part.strip_prefix('{').and_then(|inner| inner.split_once('}'))
        {
            Some(found) => found,
            None => part.split_at(part.find(|c| !name(c)).unwrap_or(part.len())),
        };
        match variable.is_empty() || !variable.chars().all(name) {
            true => out.push_str(&format!("$${part}")),
            false => out.push_str(&format!("${{env:{variable}}}{rest}")),
        }
    }
    out
}

/// Makes paths that are relative to the file's folder ones that are not.
fn anchor(node: &mut Node, key: &str, folder: &Path) {
    match &mut node.value {
        Value::String(path) if PATHS.contains(&key) && !path.is_empty() => {
            // Joining an absolute path gives that path.
            *path = folder.join(&*path).to_string_lossy().into_owned();
        }
        Value::Sequence(items) => items.iter_mut().for_each(|item| anchor(item, key, folder)),
        Value::Mapping(entries) => {
            entries.iter_mut().for_each(|entry| anchor(&mut entry.value, &entry.key.text, folder));
        }
        _ => {}
    }
}
