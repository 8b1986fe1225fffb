//! [`Parts`]: the running parts of a worker, and the order in which they end.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::WorkerConfig;
use crate::error::WorkerError;
use crate::hand::{Hand, Reason};
use crate::shutdown::Shutdown;

/// Ends the parts of a worker whose `run` was dropped: they are tasks of their own, and would
/// go on without anybody to stop them.
pub(crate) struct Leaving {
    pub(crate) hand: Arc<Hand>,
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) last: CancellationToken,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.stop.cancel();
        self.hand.interrupt_all(Reason::Stopping);
        self.abort.cancel();
        self.last.cancel();
    }
}

/// Tells when a part of a worker panics: the others cannot work without it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alarm {
    part: Arc<OnceLock<&'static str>>,
    rung: CancellationToken,
}

impl Alarm {
    pub(crate) fn spawn(
        &self,
        part: &'static str,
        run: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let alarm = self.clone();
        tokio::spawn(async move {
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                // The first to panic is the cause; its text was printed by the panic hook.
                let _ = alarm.part.set(part);
                alarm.rung.cancel();
            }
        })
    }
}

/// The running parts of a worker, and the order in which they end.
pub(crate) struct Parts {
    pub(crate) fetch: JoinHandle<()>,
    pub(crate) dispatch: JoinHandle<()>,
    pub(crate) settler: JoinHandle<()>,
    pub(crate) upkeep: JoinHandle<()>,
    /// None where the store keeps no schedules.
    pub(crate) ticker: Option<JoinHandle<()>>,
    /// None where the store takes no reports.
    pub(crate) reporter: Option<JoinHandle<()>>,
    /// Ends what jobs need until the last of them has ended.
    pub(crate) last: CancellationToken,
    /// Every job under way.
    pub(crate) running: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) abort: CancellationToken,
    pub(crate) all_stuck: CancellationToken,
    pub(crate) alarm: Alarm,
}

/// How long the last verdicts may take to be written after everything else has ended.
const FLUSH: Duration = Duration::from_secs(20);

/// How long anything may take once the worker was told to stop at once.
const ABORT: Duration = Duration::from_secs(5);

impl Parts {
    pub(crate) async fn run(
        mut self,
        config: &WorkerConfig,
        hand: &Hand,
        shutdown: &Shutdown,
    ) -> Result<(), WorkerError> {
        let error = tokio::select! {
            // The fetch loop ends when it is told to, or when there is nothing more to do.
            _ = &mut self.fetch => None,
            () = self.alarm.rung.cancelled() => None,
            () = self.all_stuck.cancelled() => {
                Some(WorkerError::AllSlotsStuck { slots: config.concurrency.get() })
            }
        };
        self.stop.cancel();
        let is_panicked = self.alarm.rung.is_cancelled();
        if error.is_some() || is_panicked {
            self.abort.cancel();
        }
        self.end_jobs(config, hand, shutdown).await;
        self.last.cancel();
        if let Some(reporter) = &mut self.reporter
            && tokio::time::timeout(ABORT, &mut *reporter).await.is_err()
        {
            reporter.abort();
        }
        if tokio::time::timeout(ABORT, &mut self.upkeep).await.is_err() {
            // Its call to the broker goes on in a task of its own.
            self.upkeep.abort();
        }
        if let Some(ticker) = &mut self.ticker
            && tokio::time::timeout(ABORT, &mut *ticker).await.is_err()
        {
            ticker.abort();
        }
        self.flush().await;
        match self.alarm.part.get() {
            Some(part) => Err(WorkerError::Panicked { part }),
            None => error.map_or(Ok(()), Err),
        }
    }

    /// Lets jobs finish, then tells them to, then drops them.
    async fn end_jobs(&mut self, config: &WorkerConfig, hand: &Hand, shutdown: &Shutdown) {
        let (dispatch, running) = (&mut self.dispatch, &self.running);
        let mut ended = std::pin::pin!(async {
            // Its panic rang the alarm.
            let _ = dispatch.await;
            running.close();
            running.wait().await;
        });
        let phases = [(config.grace, None), (config.cancel_grace, Some(Reason::Stopping))];
        for (span, reason) in phases {
            if let Some(reason) = reason {
                hand.interrupt_all(reason);
            }
            tokio::select! {
                () = &mut ended => return,
                () = tokio::time::sleep(span) => {}
                () = shutdown.abort_token().cancelled() => {}
                () = self.abort.cancelled() => {}
            }
        }
        hand.interrupt_all(Reason::Stopping);
        self.abort.cancel();
        if tokio::time::timeout(ABORT, ended).await.is_err() {
            tracing::error!(
                target: "hereafter::worker",
                jobs = hand.open(),
                "some jobs block their thread and cannot be dropped; they run again when their leases end"
            );
        }
    }

    /// Waits until the last verdicts are written.
    async fn flush(&mut self) {
        let aborted = async {
            self.abort.cancelled().await;
            tokio::time::sleep(ABORT).await;
        };
        tokio::select! {
            _ = &mut self.settler => return,
            () = tokio::time::sleep(FLUSH) => {}
            () = aborted => {}
        }
        self.settler.abort();
        tracing::error!(
            target: "hereafter::worker",
            "the last verdicts could not be written in time; their jobs run again when the leases end"
        );
    }
}
