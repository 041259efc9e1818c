// SPDX-License-Identifier: Apache-2.0
//! A gate in its place: asked in the task of whoever brings a batch, before anything is done.
//!
//! Gates that a pipeline begins with are asked at its door: what they refuse is in no log and no
//! account, and its sender keeps it. A later gate refuses what was received, so that counts as
//! dropped, as with any other processor. What the log gives again was let on before.
//! A panic refuses the batch.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use basics::{Error, Result};

use crate::batch::Batch;
use crate::component::Gate;
use crate::telemetry::{Counter, ProcessorMeter};

/// One gate of one pipeline.
pub(crate) struct GateNode {
    pub id: Arc<str>,
    pub gate: Arc<dyn Gate>,
    pub meter: ProcessorMeter,
    pub panics: Counter,
}

impl GateNode {
    /// Lets `batch` on.
    ///
    /// # Errors
    /// The gate's; the batch is untouched and its acks wait.
    pub fn admit(&self, batch: &Batch) -> Result<()> {
        if batch.meta.replay {
            return Ok(());
        }
        self.meter.incoming(batch.items());
        match catch_unwind(AssertUnwindSafe(|| self.meter.timed(|| self.gate.admit(batch)))) {
            Ok(Ok(())) => {
                self.meter.outgoing(batch.items());
                Ok(())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                self.panics.inc();
                tracing::error!(processor = &*self.id, "panicked on a batch, which is refused");
                Err(Error::rejected(format!("processor {} panicked", self.id)))
            }
        }
    }
}
