//! The heartbeat: renews the leases in hand and hears of cancellations, from a thread of its own.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use taskcore::broker::{Broker, BrokerError, Extended, Guarded};
use taskcore::error_chain;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::cancels;
use crate::error::WorkerError;
use crate::hand::{Hand, Reason};
use crate::report;

/// Renews leases on its own thread, runtime and connection, so that a task which blocks the
/// worker's runtime costs no lease, and is told of its cancellation all the same.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    stop: CancellationToken,
    thread: Option<thread::JoinHandle<()>>,
}

/// Receipts of one `extend`.
const BATCH: usize = 5_000;

impl Heartbeat {
    /// Connects and starts; the answer says whether the connection was had.
    pub(crate) async fn start(
        broker: Guarded,
        hand: Arc<Hand>,
        lease: Duration,
    ) -> Result<Self, WorkerError> {
        let stop = CancellationToken::new();
        let (started, is_started) = oneshot::channel();
        let stopping = stop.clone();
        let thread = thread::Builder::new()
            .name("hereafter-heartbeat".to_owned())
            .spawn(move || beat_until(&stopping, &broker, &hand, lease, started))
            .map_err(WorkerError::Thread)?;
        match is_started.await {
            Ok(Ok(())) => Ok(Self { stop, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(WorkerError::Thread(std::io::Error::other("the thread panicked"))),
        }
    }

    /// Stops and waits for the thread; it is between two beats, or ends one.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by the panic hook.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn beat_until(
    stop: &CancellationToken,
    broker: &Guarded,
    hand: &Hand,
    lease: Duration,
    started: oneshot::Sender<Result<(), WorkerError>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Nobody listens only if the worker was dropped meanwhile.
            let _ = started.send(Err(WorkerError::Thread(error)));
            return;
        }
    };
    runtime.block_on(async {
        let own = match broker.duplicate().await {
            Ok(own) => own,
            Err(error) => {
                let _ = started.send(Err(WorkerError::Broker(error)));
                return;
            }
        };
        // Before the first job is taken, so that none is cancelled unheard.
        let heard = cancels::position(&*own).await;
        if started.send(Ok(())).is_ok() {
            tokio::join!(
                beat(stop, &*own, hand, lease),
                cancels::listen(stop, &*own, hand, heard)
            );
        }
        if let Err(error) = own.close().await {
            tracing::debug!(target: "hereafter::worker", error = error_chain(&error), "cannot close the heartbeat's connection");
        }
    });
}

async fn beat(stop: &CancellationToken, broker: &dyn Broker, hand: &Hand, lease: Duration) {
    let pace = lease / 3;
    let mut pause = pace;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = match renew(broker, hand, lease).await {
            Ok(()) => pace,
            Err(BrokerError::Closed { .. }) => return,
            Err(error) => {
                tracing::warn!(target: "hereafter::worker", error = error_chain(&error), "cannot renew leases; trying again");
                // Often enough for several tries before the leases end.
                pace / 8
            }
        };
    }
}

async fn renew(broker: &dyn Broker, hand: &Hand, lease: Duration) -> Result<(), BrokerError> {
    for receipts in hand.receipts().chunks(BATCH) {
        let extended = broker.extend(receipts, lease).await?;
        for (receipt, extended) in receipts.iter().zip(extended) {
            match extended {
                Extended::Held => {}
                Extended::Cancelled => {
                    hand.interrupt(receipt, Reason::Cancelled);
                }
                // A verdict that was settled meanwhile ended its lease, too: nothing was lost.
                Extended::Lost => {
                    if hand.interrupt(receipt, Reason::Lost) {
                        report::lease_lost();
                    }
                }
            }
        }
    }
    Ok(())
}
