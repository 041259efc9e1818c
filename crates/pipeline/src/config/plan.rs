// SPDX-License-Identifier: Apache-2.0
//! What a configuration means, ready to be built: every reference resolved, every body decoded.
//!
//! Out of [`load`](super::load) comes a [`Plan`] in which nothing can be wrong any more except
//! what only the machine knows (ports, files, peers). The runtime turns it into a running graph.
//! Components that no pipeline names are decoded and checked but are not in the plan.

use std::sync::Arc;

use otlp_wire::Signal;

use super::Decoded;
use super::shared::{Auth, TlsServer};
use crate::component::{ExporterFactory, ExtensionFactory, ProcessorFactory, ReceiverFactory};

/// One component as configured: how to make it, and with what.
#[derive(Clone)]
pub struct Instance<F> {
    /// Its id as written: `type` or `type/name`.
    pub id: Arc<str>,
    /// How to make it. Factories are tables of functions, so this is a copy.
    pub factory: F,
    /// Its settings, for [`Factory::build`](crate::component::Factory::build).
    pub config: Decoded,
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
    /// Attributes of the process's own telemetry, as set under `resource`; `None` removes one.
    pub resource: Vec<(String, Option<String>)>,
}

/// How much is counted and where it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsTelemetry {
    /// How much.
    pub level: Level,
    /// Every Prometheus page (`GET /metrics`); default `localhost:8888` alone.
    pub pages: Vec<MetricsPage>,
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
}

impl From<String> for MetricsPage {
    fn from(address: String) -> Self {
        MetricsPage { address, tls: None, auth: None }
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
}

impl Default for Telemetry {
    fn default() -> Self {
        Telemetry {
            metrics: MetricsTelemetry {
                level: Level::Normal,
                pages: vec!["localhost:8888".to_owned().into()],
            },
            logs: LogsTelemetry { level: "info".to_owned(), json: false },
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
