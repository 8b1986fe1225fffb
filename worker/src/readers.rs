//! The readers of streams that are made on demand: what they want, and whether they are there.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskcore::broker::{BrokerError, Receipt, Reports};
use taskcore::{JobId, error_chain};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::hand::{Hand, Reason};
use crate::pause::Pause;
use crate::speech::Speech;

/// The streams in hand that are made on demand.
#[derive(Default)]
pub(crate) struct Readers {
    /// By delivery: a job may be in hand twice for a while, after its lease was lost.
    streams: Mutex<HashMap<Receipt, Arc<Speech>>>,
    /// Rings when a stream joins.
    joined: Notify,
}

/// A stream that is made on demand, as long as this is held.
pub(crate) struct Reading {
    readers: Arc<Readers>,
    receipt: Receipt,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.lock().remove(&self.receipt);
    }
}

/// One question waits this long at most; a reader ends it sooner.
const WAIT: Duration = Duration::from_secs(10);

impl Readers {
    /// Listens for the readers of a stream.
    pub(crate) fn join(self: &Arc<Self>, speech: Arc<Speech>) -> Reading {
        let receipt = speech.receipt.clone();
        self.lock().insert(receipt.clone(), speech);
        self.joined.notify_one();
        Reading { readers: self.clone(), receipt }
    }

    /// Tells streams what their readers want, and ends those whose readers have left, until the
    /// worker stops.
    pub(crate) async fn listen(
        &self,
        reports: &dyn Reports,
        hand: &Hand,
        stop: &CancellationToken,
    ) {
        let mut pause = Pause::default();
        loop {
            let streams: Vec<_> = self.lock().values().cloned().collect();
            let known = streams.iter().map(|stream| (stream.job, wanted(stream)));
            let known: Vec<(JobId, u64)> = known.collect();
            let answer = tokio::select! {
                () = stop.cancelled() => return,
                () = self.joined.notified() => continue,
                answer = reports.demand(&known, wait_for(&streams)), if !known.is_empty() => answer,
            };
            match answer {
                Ok(demands) => {
                    pause = Pause::default();
                    for (stream, demand) in streams.iter().zip(demands) {
                        let Some(demand) = demand else { continue };
                        if stream.want(demand.until, demand.idle) {
                            hand.interrupt(&stream.receipt, Reason::Abandoned);
                        }
                    }
                }
                Err(BrokerError::Unsupported { .. } | BrokerError::Closed { .. }) => return,
                Err(error) => {
                    tracing::warn!(target: "hereafter::worker", error = error_chain(&error), "cannot ask for the readers of streams; trying again");
                    let rest = pause.next(&mut rand::rng());
                    tokio::time::sleep(rest).await;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Receipt, Arc<Speech>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(stream: &Speech) -> u64 {
    stream.wanted().map_or(u64::MAX, |(until, _)| until)
}

/// Long enough to be idle, short enough to notice in time that a reader has left.
fn wait_for(streams: &[Arc<Speech>]) -> Duration {
    let patience = streams.iter().filter_map(|stream| Some(stream.wanted()?.1.patience)).min();
    let part = patience.unwrap_or(WAIT) / 4;
    part.clamp(Duration::from_millis(50), WAIT)
}
