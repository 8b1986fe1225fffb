//! [`Shutdown`]: how a worker is asked to stop.

use tokio_util::sync::CancellationToken;

/// Asks a worker to stop; a clone asks the same worker.
///
/// The phases: stop asking for jobs and give back what has not started; let running jobs
/// finish for `grace`; cancel their `Context`; drop them and give them back; write all
/// verdicts; close.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    abort: CancellationToken,
}

impl Shutdown {
    /// A worker that was not asked yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts the first phase; asked again, skips to dropping what runs.
    pub fn request(&self) {
        if self.stop.is_cancelled() {
            self.abort.cancel();
        }
        self.stop.cancel();
    }

    /// Whether the worker was asked.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Waits until the worker is asked. Cancel-safe.
    pub async fn requested(&self) {
        self.stop.cancelled().await;
    }

    pub(crate) fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn abort_token(&self) -> &CancellationToken {
        &self.abort
    }
}
