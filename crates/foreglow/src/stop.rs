// SPDX-License-Identifier: Apache-2.0
//! What tells a process to end.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// SIGINT and SIGTERM.
pub struct StopSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for stop signals");
        Ok(StopSignals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// Resolves with the next one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Turns true with the first SIGINT or SIGTERM. The second one ends the process at once, with status
/// 1, after `last`: for what would outlive it.
///
/// # Errors
/// When signals cannot be listened for.
pub fn flag(last: impl FnOnce() + Send + 'static) -> Result<watch::Receiver<bool>> {
    let mut signals = StopSignals::listen()?;
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        signals.received().await;
        told.send_replace(true);
        signals.received().await;
        last();
        std::process::exit(1);
    });
    Ok(stop)
}
