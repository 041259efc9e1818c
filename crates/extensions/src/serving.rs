// SPDX-License-Identifier: Apache-2.0
//! A router on a listener until told to stop: no new connections then, open requests may end
//! within a time.

use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

/// A server that runs.
pub(crate) struct Serving {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Serves `router` on `listener`; `name` is for the log.
    pub(crate) fn start(name: &'static str, listener: TcpListener, router: axum::Router) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let served = axum::serve(listener, router).with_graceful_shutdown(async move {
                // A dropped sender means stop as well.
                let _ = stopped.wait_for(|stop| *stop).await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "{name} ended");
            }
        });
        Serving { stop, task }
    }

    /// Stops; requests that are open get `drain` to end.
    pub(crate) async fn stop(mut self, drain: Duration) {
        let _ = self.stop.send(true);
        if tokio::time::timeout(drain, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}
