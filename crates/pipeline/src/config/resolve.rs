// SPDX-License-Identifier: Apache-2.0
//! The merged tree to a plan: component types, ids, pipelines, references.
//!
//! Goes on after every mistake. A component of an unknown type counts as configured, so that a
//! pipeline naming it is not a second mistake. Wording follows the collector's, which people search
//! for; the places and suggestions are ours.

use std::sync::Arc;

use hashbrown::HashMap;
use otlp_wire::Signal;

use super::decode::{decode_checked, unknown_key_advice};
use super::diagnostics::{Diagnostics, Topic, did_you_mean};
use super::merge::merge;
use super::node::{Entry, Node, Span, Value};
use super::plan::{Instance, PipelinePlan, Plan, Telemetry};
use super::renamed::other_spelling;
use super::telemetry::TelemetryConfig;
use super::{Input, read};
use crate::component::{Components, Factory};

const TOP_LEVEL: [&str; 6] =
    ["receivers", "processors", "exporters", "connectors", "extensions", "service"];
const SERVICE_KEYS: [&str; 3] = ["extensions", "pipelines", "telemetry"];
const PIPELINE_KEYS: [&str; 3] = ["receivers", "processors", "exporters"];

/// The components of one role as configured; `None` = configured, but wrong.
type Section<B> = HashMap<String, Option<Instance<Factory<B>>>>;

/// Turns `root` into a plan; every mistake goes to `diagnostics`.
pub(crate) fn resolve(
    root: &Node,
    input: &Input,
    components: &Components,
    diagnostics: &mut Diagnostics,
) -> Plan {
    unknown_keys(root, "", &TOP_LEVEL, diagnostics);
    let of = Reading { root, tells_renames: !input.configs.is_empty() };
    let receivers = of.section("receivers", &components.receivers, diagnostics);
    let processors = of.section("processors", &components.processors, diagnostics);
    let exporters = of.section("exporters", &components.exporters, diagnostics);
    let connectors = of.section::<()>("connectors", &[], diagnostics);
    let extensions = of.section("extensions", &components.extensions, diagnostics);
    for (name, is_empty) in [("receiver", receivers.is_empty()), ("exporter", exporters.is_empty())]
    {
        if is_empty && connectors.is_empty() {
            let span = root.get(&format!("{name}s")).map_or(root.span, |node| node.span);
            diagnostics.error(span, format!("no {name} configuration specified in config"));
        }
    }
    let nothing = Node::new(root.span, Value::Null);
    let service = root.get("service").unwrap_or(&nothing);
    unknown_keys(service, "service", &SERVICE_KEYS, diagnostics);
    let pipelines = Pipelines {
        receivers: &receivers,
        processors: &processors,
        exporters: &exporters,
        connectors: &connectors,
    };
    let pipelines = pipelines.resolve(service, diagnostics);
    let used = |role: fn(&PipelinePlan) -> &Vec<Arc<str>>| {
        let mut ids: Vec<Arc<str>> = Vec::new();
        for id in pipelines.iter().flat_map(|pipeline| role(pipeline).clone()) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    };
    let telemetry = telemetry(service, diagnostics);
    let listed = service_extensions(service, input, &extensions, components, diagnostics);
    authenticators(&listed, &extensions, diagnostics);
    let plan = Plan {
        receivers: instances(&used(|pipeline| &pipeline.receivers), &receivers),
        processors: instances(&used(|pipeline| &pipeline.processors), &processors),
        exporters: instances(&used(|pipeline| &pipeline.exporters), &exporters),
        extensions: listed,
        telemetry,
        pipelines,
    };
    storages(root, &plan, diagnostics);
    plan
}

/// What keeps the queue of an exporter must be an extension that runs.
fn storages(root: &Node, plan: &Plan, diagnostics: &mut Diagnostics) {
    let entries = root.get("exporters").map_or(&[][..], Node::entries);
    let used = entries.iter().filter(|entry| plan.exporter(entry.key.text.trim()).is_some());
    for entry in used {
        let queue = entry.value.get("sending_queue");
        let Some(storage) = queue.and_then(|queue| queue.get("storage")) else { continue };
        let Some(id) = storage.text().filter(|id| !id.is_empty()) else { continue };
        let problem = match plan.extensions.iter().find(|extension| &*extension.id == id) {
            Some(extension) if extension.factory.kind == "file_storage" => continue,
            Some(_) => "which is not a storage",
            None => "which is not among service::extensions",
        };
        let place = format!("exporters::{}::sending_queue::storage", entry.key.text.trim());
        let message = format!("{place}: references extension \"{id}\" {problem}");
        let diagnostic = diagnostics.error(storage.span, message);
        let known = plan.extensions.iter().map(|extension| &*extension.id);
        if let Some(meant) = did_you_mean(id, known) {
            diagnostic.label(format!("did you mean \"{meant}\"?"));
        }
    }
}

fn instances<B>(ids: &[Arc<str>], section: &Section<B>) -> Vec<Instance<Factory<B>>> {
    ids.iter().filter_map(|id| section.get(&**id).cloned().flatten()).collect()
}

fn telemetry(service: &Node, diagnostics: &mut Diagnostics) -> Telemetry {
    let Some(node) = service.get("telemetry") else {
        return TelemetryConfig::default().into_telemetry();
    };
    let config = diagnostics
        .within("service::telemetry", |inner| decode_checked::<TelemetryConfig>(node, inner));
    config.map(TelemetryConfig::into_telemetry).unwrap_or_default()
}

fn unknown_keys(node: &Node, path: &str, known: &[&str], diagnostics: &mut Diagnostics) {
    if !matches!(node.value, Value::Mapping(_) | Value::Null) {
        let message =
            diagnostics.prefixed(path, &format!("expected a mapping, found {}", node.describe()));
        diagnostics.error(node.span, message);
    }
    for entry in node.entries().iter().filter(|entry| !known.contains(&&*entry.key.text)) {
        let message = diagnostics.prefixed(path, &format!("unknown key \"{}\"", entry.key.text));
        let diagnostic = diagnostics.error(entry.key.span, message).about(Topic::Unknown);
        unknown_key_advice(diagnostic, &entry.key.text, known);
    }
}

// === components ===

/// The document while its components are decoded.
struct Reading<'a> {
    root: &'a Node,
    /// False for the built-in configuration: nobody can be asked to change it.
    tells_renames: bool,
}

impl Reading<'_> {
    /// Decodes every component of one role.
    fn section<B>(
        &self,
        name: &str,
        factories: &[Factory<B>],
        diagnostics: &mut Diagnostics,
    ) -> Section<B> {
        let mut found = Section::new();
        let mut warned: Vec<String> = Vec::new();
        let Some(node) = self.root.get(name) else { return found };
        if !matches!(node.value, Value::Mapping(_) | Value::Null) {
            let message = format!("{name}: expected a mapping, found {}", node.describe());
            diagnostics.error(node.span, message);
        }
        for entry in node.entries() {
            let Some(id) = component_id(&entry.key.text, name, entry.key.span, diagnostics) else {
                continue;
            };
            if found.contains_key(&id.whole) {
                diagnostics
                    .error(entry.key.span, format!("'{name}' duplicate name \"{}\"", id.whole));
                continue;
            }
            let instance = match find_factory(name, factories, &id.kind) {
                None => {
                    unknown_type(self.root, name, &id, entry, factories, diagnostics);
                    None
                }
                Some((factory, warning)) => {
                    if let Some(warning) = warning
                        && self.tells_renames
                        && !warned.contains(&warning)
                    {
                        let message = format!("{name}::{}: {warning}", id.whole);
                        diagnostics.warning(entry.key.span, message).about(Topic::Renamed);
                        warned.push(warning);
                    }
                    let place = format!("{name}::{}", id.whole);
                    let config =
                        diagnostics.within(&place, |inner| (factory.decode)(&entry.value, inner));
                    config.map(|config| Instance {
                        id: Arc::from(&*id.whole),
                        factory: *factory,
                        config,
                        body: Some(Arc::new(entry.value.clone())),
                    })
                }
            };
            found.insert(id.whole, instance);
        }
        found
    }
}

/// The factory for `kind`, with what to say about the spelling.
fn find_factory<'f, B>(
    section: &str,
    factories: &'f [Factory<B>],
    kind: &str,
) -> Option<(&'f Factory<B>, Option<String>)> {
    let listed = |kind: &str| {
        factories.iter().find_map(|factory| {
            let alias = factory.aliases.iter().find(|alias| alias.kind == kind);
            match alias {
                _ if factory.kind == kind => Some((factory, None)),
                Some(alias) => Some((factory, alias.warning.map(str::to_owned))),
                None => None,
            }
        })
    };
    let Some((other, is_old)) = other_spelling(section, kind) else { return listed(kind) };
    let (factory, warning) = listed(kind).or_else(|| listed(other))?;
    let renamed = || format!("\"{kind}\" alias is deprecated; use \"{other}\" instead");
    Some((factory, warning.or_else(|| is_old.then(renamed))))
}

struct Id {
    kind: String,
    /// `type` or `type/name`, trimmed.
    whole: String,
}

/// `type[/name]` by the collector's rules.
fn component_id(
    text: &str,
    section: &str,
    span: Span,
    diagnostics: &mut Diagnostics,
) -> Option<Id> {
    let (kind, name) = match text.split_once('/') {
        Some((kind, name)) => (kind.trim(), Some(name.trim())),
        None => (text.trim(), None),
    };
    let problem = if kind.is_empty() {
        Some("the part before / should not be empty".to_owned())
    } else if name == Some("") {
        Some("the part after / should not be empty".to_owned())
    } else if !is_type(kind) {
        Some(format!("invalid character(s) in type \"{kind}\""))
    } else if name.is_some_and(|name| name.contains(char::is_whitespace) || name.len() > 1024) {
        Some("invalid character(s) in the name after /".to_owned())
    } else {
        None
    };
    if let Some(problem) = problem {
        diagnostics.error(span, format!("'{section}' in \"{text}\" id: {problem}"));
        return None;
    }
    let whole = name.map_or_else(|| kind.to_owned(), |name| format!("{kind}/{name}"));
    Some(Id { kind: kind.to_owned(), whole })
}

fn is_type(kind: &str) -> bool {
    kind.starts_with(|c: char| c.is_ascii_alphabetic())
        && kind.len() <= 63
        && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Names what is missing, who needs it, and what we have instead.
fn unknown_type<B>(
    root: &Node,
    section: &str,
    id: &Id,
    entry: &Entry,
    factories: &[Factory<B>],
    diagnostics: &mut Diagnostics,
) {
    let singular = section.strip_suffix('s').unwrap_or(section);
    let users = pipelines_naming(root, section, &id.whole);
    let kinds: Vec<&str> = factories.iter().map(|factory| factory.kind).collect();
    let aliases = factories.iter().flat_map(|factory| factory.aliases).map(|alias| alias.kind);
    let nearest = did_you_mean(&id.kind, kinds.iter().copied().chain(aliases));
    let message = format!("'{section}' unknown type: \"{}\" for id: \"{}\"", id.kind, id.whole);
    let diagnostic = diagnostics.error(entry.key.span, message).about(Topic::Unknown);
    diagnostic.label(format!("this build has no {singular} \"{}\"", id.kind));
    match users.as_slice() {
        [] => {}
        users => {
            let names: Vec<&str> = users.iter().map(|(name, _)| name.as_str()).collect();
            for (name, span) in users {
                diagnostic.secondary(*span, format!("pipeline {name} needs it"));
            }
            diagnostic.help(format!("pipelines affected: {}", names.join(", ")));
        }
    }
    if let Some(nearest) = nearest {
        diagnostic.help(format!("the nearest there is: {nearest}"));
    }
    if !kinds.is_empty() {
        diagnostic.help(format!("{section} there are: {}", kinds.join(", ")));
    }
}

/// Pipelines that name component `id` of `section`, with the place where they do.
pub(crate) fn pipelines_naming(root: &Node, section: &str, id: &str) -> Vec<(String, Span)> {
    let Some(pipelines) = root.get("service").and_then(|service| service.get("pipelines")) else {
        return Vec::new();
    };
    let mut users = Vec::new();
    for pipeline in pipelines.entries() {
        let lists: &[&str] = match section {
            "connectors" => &["receivers", "exporters"],
            _ => &[section],
        };
        let names = lists.iter().filter_map(|list| pipeline.value.get(list)).flat_map(references);
        if let Some((_, span)) = names.into_iter().find(|(name, _)| name == id) {
            users.push((pipeline.key.text.clone(), span));
        }
    }
    users
}

/// The ids of a list, or of a string separated by commas, with their places.
fn references(list: &Node) -> Vec<(String, Span)> {
    match &list.value {
        Value::String(text) => {
            text.split(',').map(|id| (id.trim().to_owned(), list.span)).collect()
        }
        _ => {
            let named = |item: &Node| Some((item.text()?.trim().to_owned(), item.span));
            list.items().iter().filter_map(named).collect()
        }
    }
}

// === pipelines ===

/// What pipelines may refer to.
struct Pipelines<'s> {
    receivers: &'s Section<ReceiverBuild>,
    processors: &'s Section<crate::component::Processor>,
    exporters: &'s Section<Arc<dyn crate::component::Exporter>>,
    connectors: &'s Section<()>,
}

type ReceiverBuild =
    Box<dyn FnOnce(crate::component::Inlets) -> Arc<dyn crate::component::Receiver>>;

impl Pipelines<'_> {
    fn resolve(&self, service: &Node, diagnostics: &mut Diagnostics) -> Vec<PipelinePlan> {
        let entries = service.get("pipelines").map_or(&[][..], Node::entries);
        if entries.is_empty() {
            let span = service.get("pipelines").map_or(service.span, |node| node.span);
            diagnostics.error(span, "service must have at least one pipeline");
        }
        entries.iter().filter_map(|entry| self.pipeline(entry, diagnostics)).collect()
    }

    fn pipeline(&self, entry: &Entry, diagnostics: &mut Diagnostics) -> Option<PipelinePlan> {
        let signal = pipeline_signal(entry, diagnostics)?;
        let place = format!("service::pipelines::{}", entry.key.text);
        unknown_keys(&entry.value, &place, &PIPELINE_KEYS, diagnostics);
        let mut list = List { place: &place, entry, signal, diagnostics };
        let receivers = list.resolve("receiver", self.receivers, Some(self.connectors));
        let processors = list.resolve("processor", self.processors, None);
        let exporters = list.resolve("exporter", self.exporters, Some(self.connectors));
        Some(PipelinePlan {
            id: Arc::from(entry.key.text.trim()),
            signal,
            receivers,
            processors,
            exporters,
        })
    }
}

fn pipeline_signal(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Signal> {
    let id = component_id(&entry.key.text, "service.pipelines", entry.key.span, diagnostics)?;
    match id.kind.as_str() {
        "traces" => Some(Signal::Traces),
        "metrics" => Some(Signal::Metrics),
        "logs" => Some(Signal::Logs),
        kind => {
            let message = format!(
                "'service.pipelines' in \"{}\" id: unknown pipeline signal: \"{kind}\"",
                id.whole
            );
            let known = ["traces", "metrics", "logs"];
            let diagnostic = diagnostics.error(entry.key.span, message);
            unknown_key_advice(diagnostic, kind, &[]);
            if let Some(meant) = did_you_mean(kind, known) {
                diagnostic.label(format!("did you mean \"{meant}\"?"));
            }
            diagnostic
                .help("a pipeline is called traces, metrics or logs, or one of these and /name");
            None
        }
    }
}

/// Resolves the three lists of one pipeline.
struct List<'a> {
    place: &'a str,
    entry: &'a Entry,
    signal: Signal,
    diagnostics: &'a mut Diagnostics,
}

impl List<'_> {
    fn resolve<B>(
        &mut self,
        role: &str,
        section: &Section<B>,
        connectors: Option<&Section<()>>,
    ) -> Vec<Arc<str>> {
        let list = self.entry.value.get(&format!("{role}s"));
        let references = list.map(references).unwrap_or_default();
        if references.is_empty() && role != "processor" {
            let span = list.map_or(self.entry.key.span, |list| list.span);
            self.error(span, format!("must have at least one {role}"));
        }
        let mut ids: Vec<Arc<str>> = Vec::new();
        for (name, span) in references {
            if ids.iter().any(|id| **id == *name) {
                self.error(span, format!("references {role} \"{name}\" multiple times"));
                continue;
            }
            match section.get(&name) {
                Some(Some(instance)) => {
                    self.check_signal(role, &name, instance.factory.signals, span)
                }
                Some(None) => {}
                None if connectors.is_some_and(|all| all.contains_key(&name)) => {}
                None => self.not_configured(role, &name, span, section),
            }
            ids.push(Arc::from(name));
        }
        ids
    }

    fn check_signal(&mut self, role: &str, name: &str, signals: &[Signal], span: Span) {
        if !signals.contains(&self.signal) {
            let signal = self.signal.name();
            let can: Vec<&str> = signals.iter().map(|signal| signal.name()).collect();
            self.error(span, format!("{role} \"{name}\" does not support {signal}"))
                .help(format!("it works with {}", can.join(", ")));
        }
    }

    fn not_configured<B>(&mut self, role: &str, name: &str, span: Span, section: &Section<B>) {
        let mut known: Vec<&str> = section.keys().map(String::as_str).collect();
        known.sort_unstable();
        let meant = did_you_mean(name, known.iter().copied()).map(str::to_owned);
        let message = format!("references {role} \"{name}\" which is not configured");
        let diagnostic = self.error(span, message);
        if let Some(meant) = meant {
            diagnostic.label(format!("did you mean \"{meant}\"?"));
        }
        if !known.is_empty() {
            diagnostic.help(format!("{role}s configured: {}", known.join(", ")));
        }
    }

    fn error(&mut self, span: Span, message: String) -> &mut super::diagnostics::Diagnostic {
        self.diagnostics.error(span, format!("{}: {message}", self.place))
    }
}

// === extensions ===

type Extensions = Section<Arc<dyn crate::component::Extension>>;

fn service_extensions(
    service: &Node,
    input: &Input,
    section: &Extensions,
    components: &Components,
    diagnostics: &mut Diagnostics,
) -> Vec<Instance<crate::component::ExtensionFactory>> {
    let mut listed = Vec::new();
    for (name, span) in service.get("extensions").map(references).unwrap_or_default() {
        match section.get(&name) {
            Some(instance) => listed.extend(instance.clone()),
            None => {
                let message = format!(
                    "service::extensions: references extension \"{name}\" which is not configured"
                );
                let diagnostic = diagnostics.error(span, message);
                if let Some(meant) = did_you_mean(&name, section.keys().map(String::as_str)) {
                    diagnostic.label(format!("did you mean \"{meant}\"?"));
                }
            }
        }
    }
    for (id, body) in &input.extensions {
        let kind = id.split('/').next().unwrap_or(id);
        let Some((factory, _)) = find_factory("extensions", &components.extensions, kind) else {
            continue;
        };
        if listed.iter().any(|instance| instance.factory.kind == factory.kind) {
            continue;
        }
        let source = diagnostics.add_source(format!("built-in {id}"), body.as_str());
        let mut node = read::read(body, source, 0, diagnostics);
        // Configured without being listed: these keys, over the binary's.
        let own = section.get(id).and_then(|instance| instance.as_ref()?.body.clone());
        if let (Some(node), Some(own)) = (&mut node, own.filter(|own| own.value != Value::Null)) {
            merge(node, (*own).clone());
        }
        let place = format!("extensions::{id}");
        let body = node.clone().map(Arc::new);
        let config = node
            .and_then(|node| diagnostics.within(&place, |inner| (factory.decode)(&node, inner)));
        listed.extend(config.map(|config| Instance {
            id: Arc::from(&**id),
            factory: *factory,
            config,
            body,
        }));
    }
    listed
}

/// Checks that every extension which settings name as an authenticator runs.
fn authenticators(
    listed: &[Instance<crate::component::ExtensionFactory>],
    configured: &Extensions,
    diagnostics: &mut Diagnostics,
) {
    for named in diagnostics.take_authenticators() {
        let id = named.id.trim();
        if listed.iter().any(|instance| &*instance.id == id) {
            continue;
        }
        // Configured, listed and wrong in itself: told there.
        if configured.get(id).is_some_and(Option::is_none) {
            continue;
        }
        let message = format!(
            "{}: failed to resolve authenticator \"{id}\": authenticator not found",
            named.place
        );
        let diagnostic = diagnostics.error(named.span, message);
        if configured.contains_key(id) {
            diagnostic.help(format!("add {id} to service.extensions"));
        } else if let Some(meant) = did_you_mean(id, configured.keys().map(String::as_str)) {
            diagnostic.label(format!("did you mean \"{meant}\"?"));
        }
    }
}
