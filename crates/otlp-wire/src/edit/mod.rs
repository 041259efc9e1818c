// SPDX-License-Identifier: Apache-2.0
//! One-pass edits: every pass sees every element once, what nobody touches is copied verbatim.
//!
//! In: a payload and the passes, in their order. Out: the same payload (nothing changed), a new
//! one, or nothing (all dropped). A resource is shown to ALL passes before its elements, and so is
//! a scope; a metric before its points. Scopes and resources left without elements go too, and metrics left without
//! points. Lengths are the engine's work; no edit can make a malformed payload.
//! Bounds: at most one output buffer and what [`Scratch`] already holds; no allocation an element.
//!
//! ```
//! use otlp_wire::{Context, Edited, Pass, Payload, Record, Scratch, Verdict, write};
//!
//! struct Redact;
//! impl Pass for Redact {
//!     fn log(&mut self, log: &mut Record<'_>, _: &Context<'_>) -> Verdict {
//!         log.attrs().map("user", |v| format!("{}***", &v.text()[..1]));
//!         log.attrs().remove("thread.name");
//!         Verdict::Keep
//!     }
//! }
//!
//! let mut w = write::Logs::new();
//! w.log(&write::Log::default(), |a| a.str("user", "ada"));
//! let payload = w.finish();
//! let mut passes: Vec<Box<dyn Pass>> = vec![Box::new(Redact)];
//! let Edited::Changed(payload) = payload.edit(&mut passes, &mut Scratch::new()) else { panic!() };
//! let resource = payload.logs().next().expect("resource");
//! let log = resource.scopes().flat_map(|s| s.logs()).next().expect("log");
//! assert_eq!(log.attr("user").and_then(|v| v.as_str()), Some("a***"));
//! ```

mod attrs;
mod cow;
mod engine;
mod record;

pub use attrs::{AttrsMut, IntoAny, Put};
pub use record::{Element, Record};

use std::net::SocketAddr;

use record::State;

use crate::payload::Payload;
use crate::value::{Resource, Scope};
use crate::view::MetricView;
use crate::wire::find_str;

/// What becomes of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, edited or not.
    Keep,
    /// It is left out; later passes do not see it.
    Drop,
}

/// Which elements a pass wants to see; what no pass wants is copied without a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visits(u8);

impl Visits {
    /// Resources only.
    pub const RESOURCES: Visits = Visits(1);
    /// Spans, log records and metrics (as a whole).
    pub const ITEMS: Visits = Visits(2);
    /// Data points.
    pub const POINTS: Visits = Visits(4);
    /// Scopes only.
    pub const SCOPES: Visits = Visits(8);
    /// Everything.
    pub const ALL: Visits = Visits(15);

    /// Both.
    pub const fn and(self, other: Visits) -> Visits {
        Visits(self.0 | other.0)
    }

    fn has(self, other: Visits) -> bool {
        self.0 & other.0 != 0
    }
}

/// A processor that sees elements one by one. All methods default to keeping, untouched.
#[expect(unused_variables, reason = "the defaults ignore what they are shown")]
pub trait Pass: Send {
    /// What the pass wants to see; an optimisation, a pass may be shown more.
    fn visits(&self) -> Visits {
        Visits::ALL
    }

    /// True when the pass looks at its [`Context`]: since resources and scopes are edited by all
    /// fused passes first, no pass after it may edit them in the same scan.
    fn reads_context(&self) -> bool {
        false
    }

    /// True when what the pass drops is left out to keep a sample, not because nobody wants it.
    /// The accounts tell the two apart.
    fn is_sampler(&self) -> bool {
        false
    }

    /// Once for a payload, before its elements: the request it came with. Not called where nothing
    /// is known of a request, so what it leaves behind must do for none.
    fn begin(&mut self, origin: &Origin<'_>) {}

    /// What it looks at in [`Pass::begin`]: a log keeps that beside the payload, so that it is there
    /// again after a restart.
    fn asks(&self) -> Vec<Asked> {
        Vec::new()
    }

    /// A resource, before its elements.
    fn resource(&mut self, resource: &mut Record<'_>) {}

    /// A scope, before its elements.
    fn scope(&mut self, scope: &mut Record<'_>) {}

    /// A span.
    fn span(&mut self, span: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        Verdict::Keep
    }

    /// A log record.
    fn log(&mut self, log: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        Verdict::Keep
    }

    /// A metric with its points, before they are shown one by one.
    fn metric(&mut self, metric: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        Verdict::Keep
    }

    /// A data point of any type.
    fn point(&mut self, point: &mut Record<'_>, at: &Context<'_>) -> Verdict {
        Verdict::Keep
    }
}

/// What is known of the request that brought a payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Address of the client.
    pub client: Option<SocketAddr>,
    /// Request headers that were kept, one entry a value; names in lower case.
    pub headers: &'a [(String, String)],
    /// Who the client is, one entry a value.
    pub auth: &'a [(String, String)],
}

/// One thing that is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The request header of this name, in lower case.
    Header(String),
    /// What the authenticator says under this name.
    Auth(String),
    /// The client's address.
    Client,
}

/// Where an element is: its resource (as edited so far), its scope, its metric.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    resource: &'a [u8],
    resource_group: &'a [u8],
    scope: &'a [u8],
    scope_group: &'a [u8],
    metric: Option<&'a [u8]>,
}

impl<'a> Context<'a> {
    /// The resource, with the edits of all passes.
    pub fn resource(&self) -> Resource<'a> {
        Resource::new(self.resource)
    }

    /// The schema of the resource.
    pub fn resource_schema_url(&self) -> &'a str {
        find_str(self.resource_group, 3)
    }

    /// The scope, with the edits of all passes.
    pub fn scope(&self) -> Scope<'a> {
        Scope::new(self.scope)
    }

    /// The schema of the scope's elements.
    pub fn scope_schema_url(&self) -> &'a str {
        find_str(self.scope_group, 3)
    }

    /// For a point: its metric, with the edits of all passes.
    pub fn metric(&self) -> Option<MetricView<'a>> {
        self.metric.map(crate::view::FromRaw::from_raw)
    }
}

/// What an edit made of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Nothing changed: use the payload that was edited.
    Unchanged,
    /// The edited payload.
    Changed(Payload),
    /// Every element was dropped.
    Empty,
}

impl Edited {
    /// The payload to go on with, given the one that was edited; `None` when all was dropped.
    pub fn or(self, original: &Payload) -> Option<Payload> {
        match self {
            Edited::Unchanged => Some(original.clone()),
            Edited::Changed(payload) => Some(payload),
            Edited::Empty => None,
        }
    }
}

/// Buffers that live from edit to edit: keep one per worker.
#[derive(Debug, Default)]
pub struct Scratch {
    out: Vec<u8>,
    resource: State,
    scope: State,
    element: State,
    point: State,
    dropped: Vec<u32>,
}

impl Scratch {
    /// Empty buffers; they grow to the largest element and payload seen.
    pub fn new() -> Self {
        Self::default()
    }

    /// Items (spans, points, records) that each pass of the last edit dropped, in pass order. A
    /// dropped metric counts its points.
    pub fn dropped(&self) -> &[u32] {
        &self.dropped
    }
}

impl Payload {
    /// Shows every element to every pass, in order, and gives what they make of it.
    pub fn edit(&self, passes: &mut [Box<dyn Pass>], scratch: &mut Scratch) -> Edited {
        engine::edit(self, passes, scratch)
    }
}

#[cfg(test)]
mod tests;
