// SPDX-License-Identifier: Apache-2.0
//! Which services have been heard of, and how much came from each.
//!
//! Bound: [`SERVICES_MAX`] names; later ones are not listed.

use std::collections::BTreeMap;

use basics::UnixNano;
use otlp_wire::{Payload, ResourceView, Signal};
use parking_lot::Mutex;

/// Most services listed: far more than a page can show; a label that varies must not fill memory.
pub const SERVICES_MAX: usize = 10_000;

/// What came from one service since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// When something of it was received last, Unix nanoseconds.
    pub last_seen: UnixNano,
    /// Spans.
    pub spans: u64,
    /// Data points.
    pub points: u64,
    /// Log records.
    pub logs: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Services(Mutex<BTreeMap<String, Service>>);

impl Services {
    /// Counts what a payload holds; resources without a service name are left out.
    pub(crate) fn saw(&self, payload: &Payload, received: UnixNano) {
        for resource in payload.resources() {
            let Some(name) = resource.attr("service.name") else { continue };
            let name = name.text();
            let count = items(resource, payload.signal());
            let mut services = self.0.lock();
            if !services.contains_key(&*name) && services.len() < SERVICES_MAX {
                let service = Service { name: name.clone().into_owned(), ..Service::default() };
                services.insert(name.clone().into_owned(), service);
            }
            let Some(service) = services.get_mut(&*name) else { continue };
            service.last_seen = service.last_seen.max(received);
            match payload.signal() {
                Signal::Traces => service.spans += count,
                Signal::Metrics => service.points += count,
                Signal::Logs => service.logs += count,
            }
        }
    }

    /// All, ascending by name.
    pub(crate) fn list(&self) -> Vec<Service> {
        self.0.lock().values().cloned().collect()
    }
}

fn items(resource: ResourceView<'_>, signal: Signal) -> u64 {
    let scopes = resource.scopes();
    let count: usize = match signal {
        Signal::Traces => scopes.map(|scope| scope.spans().count()).sum(),
        Signal::Logs => scopes.map(|scope| scope.logs().count()).sum(),
        Signal::Metrics => {
            scopes.flat_map(|scope| scope.metrics()).map(|metric| metric.points_count()).sum()
        }
    };
    count as u64
}
