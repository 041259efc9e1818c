// SPDX-License-Identifier: Apache-2.0
//! What a configuration means, ready to be built: every reference resolved, every body decoded.
//!
//! Out of [`load`](super::load) comes a [`Plan`] in which nothing can be wrong any more except
//! what only the machine knows (ports, files, peers). The runtime turns it into a running graph.
//! Components that no pipeline names are decoded and checked but are not in the plan.

use std::sync::Arc;

use otlp_wire::Signal;

use super::shared::{Auth, TlsServer};
use super::{Decoded, Node};
use crate::component::{
    ExporterFactory, ExtensionFactory, Factory, ProcessorFactory, ReceiverFactory,
};

/// One component as configured: how to make it, and with what.
#[derive(Clone)]
pub struct Instance<F> {
    /// Its id as written: `type` or `type/name`.
    pub id: Arc<str>,
    /// How to make it. Factories are tables of functions, so this is a copy.
    pub factory: F,
    /// Its settings, for [`Factory::build`](crate::component::Factory::build).
    pub config: Decoded,
    /// The same as written, to tell whether a reload changes it.
    pub body: Option<Arc<Node>>,
}

impl<B> Instance<Factory<B>> {
    /// True if `other` would make the same component.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let same_body = self.body.is_some() && self.body == other.body;
        self.id == other.id
            && self.factory.kind == other.factory.kind
            && (same_body || Arc::ptr_eq(&self.config, &other.config))
    }

    /// True if some value of its settings is `id`.
    pub(crate) fn mentions(&self, id: &str) -> bool {
        self.body.as_ref().is_some_and(|body| body.mentions(id))
    }
}

/// A configuration that has been read, checked and resolved.
#[derive(Clone, Default)]
pub struct Plan {
    /// Receivers that some pipeline names, in the order of the file.
    pub receivers: Vec<Instance<ReceiverFactory>>,
    /// Processors that some pipeline names; each pipeline gets an instance of its own.
    pub processors: Vec<Instance<ProcessorFactory>>,
    /// Exporters that some pipeline names; one instance per id and signal.
    pub exporters: Vec<Instance<ExporterFactory>>,
    /// Extensions in the order of `service.extensions`, which is the order of their start.
    pub extensions: Vec<Instance<ExtensionFactory>>,
    /// Pipelines in the order of the file.
    pub pipelines: Vec<PipelinePlan>,
    /// What the process tells about itself.
    pub telemetry: Telemetry,
}

/// One pipeline. Its ids are all found in the lists of the [`Plan`], its components all work with
/// its signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelinePlan {
    /// `traces`, `metrics` or `logs`, with `/name` if it has one.
    pub id: Arc<str>,
    /// The signal that flows through it.
    pub signal: Signal,
    /// Ids of its receivers, at least one.
    pub receivers: Vec<Arc<str>>,
    /// Ids of its processors in the order data passes them.
    pub processors: Vec<Arc<str>>,
    /// Ids of its exporters, at least one.
    pub exporters: Vec<Arc<str>>,
}

/// `service.telemetry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Telemetry {
    /// Own metrics.
    pub metrics: MetricsTelemetry,
    /// Own log lines.
    pub logs: LogsTelemetry,
    /// Where own spans are sent.
    pub traces: Vec<Push>,
    /// Attributes of the process's own telemetry: the defaults and those set under `resource`.
    pub resource: Vec<(String, String)>,
}

/// How much is counted and where it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsTelemetry {
    /// How much.
    pub level: Level,
    /// Every Prometheus page (`GET /metrics`); default `localhost:8888` alone.
    pub pages: Vec<MetricsPage>,
    /// Where they are sent, and how often.
    pub pushes: Vec<Push>,
}

/// A page with own metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsPage {
    /// `host:port`.
    pub address: String,
    /// TLS; `None` = plain text.
    pub tls: Option<TlsServer>,
    /// Who may look.
    pub auth: Option<Auth>,
    /// How it looks.
    pub style: PageStyle,
}

/// How names and labels of own metrics are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageStyle {
    /// How much is shown.
    pub level: Level,
    /// Counters end in `_total`.
    pub type_suffix: bool,
    /// Names end in their unit.
    pub units: bool,
    /// Series tell the instrumentation scope.
    pub scope_info: bool,
    /// On every series.
    pub labels: Vec<(String, String)>,
}

/// Own telemetry that is sent out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Between two sendings.
    pub every: std::time::Duration,
    /// Where to.
    pub to: OtlpTarget,
}

/// An OTLP server for own telemetry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpTarget {
    /// Over gRPC; else HTTP with protobuf.
    pub is_grpc: bool,
    /// As written.
    pub endpoint: String,
    /// Sent along.
    pub headers: Vec<(String, String)>,
    /// In plain text.
    pub insecure: bool,
    /// `gzip`, `none`, or empty for the default.
    pub compression: String,
    /// Of one request.
    pub timeout: Option<std::time::Duration>,
    /// Whom to trust; empty: the system's.
    pub ca_file: String,
    /// Our own certificate, if the server wants one.
    pub cert_file: String,
    /// Its key.
    pub key_file: String,
}

impl MetricsPage {
    /// The same at `address`.
    pub(crate) fn at(self, address: &str) -> Self {
        MetricsPage { address: address.to_owned(), ..self }
    }
}

impl From<String> for MetricsPage {
    fn from(address: String) -> Self {
        MetricsPage { address, tls: None, auth: None, style: PageStyle::default() }
    }
}

/// `service.telemetry.metrics.level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is shown.
    None,
    /// The essential.
    Basic,
    /// The usual.
    #[default]
    Normal,
    /// Everything.
    Detailed,
}

/// `service.telemetry.logs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsTelemetry {
    /// `debug`, `info`, `warn` or `error`; default `info`.
    pub level: String,
    /// True for one JSON object per line instead of text.
    pub json: bool,
    /// `stderr`, `stdout` or files.
    pub outputs: Vec<String>,
    /// On every line.
    pub fields: Vec<(String, String)>,
    /// How repeated lines are thinned out; `None` = not at all.
    pub sampling: Option<LogSampling>,
    /// Where they are sent, and how often.
    pub pushes: Vec<Push>,
}

/// Of equal lines within a tick the first ones are written, then every n-th.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSampling {
    /// After it counting begins anew.
    pub tick: std::time::Duration,
    /// Written at once.
    pub initial: u32,
    /// Every n-th of the rest; 0 = none.
    pub thereafter: u32,
}

impl Default for LogsTelemetry {
    fn default() -> Self {
        let sampling =
            LogSampling { tick: std::time::Duration::from_secs(10), initial: 10, thereafter: 100 };
        LogsTelemetry {
            level: "info".to_owned(),
            json: false,
            outputs: vec!["stderr".to_owned()],
            fields: Vec::new(),
            sampling: Some(sampling),
            pushes: Vec::new(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            metrics: MetricsTelemetry {
                level: Level::Normal,
                pages: vec!["localhost:8888".to_owned().into()],
                pushes: Vec::new(),
            },
            logs: LogsTelemetry::default(),
            traces: Vec::new(),
            resource: Vec::new(),
        }
    }
}

impl Plan {
    /// The receiver called `id`.
    pub fn receiver(&self, id: &str) -> Option<&Instance<ReceiverFactory>> {
        self.receivers.iter().find(|instance| &*instance.id == id)
    }

    /// The processor called `id`.
    pub fn processor(&self, id: &str) -> Option<&Instance<ProcessorFactory>> {
        self.processors.iter().find(|instance| &*instance.id == id)
    }

    /// The exporter called `id`.
    pub fn exporter(&self, id: &str) -> Option<&Instance<ExporterFactory>> {
        self.exporters.iter().find(|instance| &*instance.id == id)
    }
}
