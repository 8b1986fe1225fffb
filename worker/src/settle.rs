//! The settler: verdicts that come while one batch is under way make the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use taskcore::broker::{Broker, BrokerError, Guarded, Settled, Settlement};
use taskcore::error_chain;
use tokio::sync::mpsc;

use crate::hand::Hand;
use crate::report;
use crate::status::Status;

/// Owns the verdicts from the executor until the broker has them.
#[derive(Debug)]
pub(crate) struct Settler {
    pub(crate) broker: Guarded,
    pub(crate) hand: Arc<Hand>,
    pub(crate) status: Arc<Status>,
}

/// Verdicts of one batch, and the bound of the channel before it: when the broker does not
/// take verdicts, execution waits.
pub(crate) const BATCH: usize = 1_000;

/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_secs(5);

impl Settler {
    /// Settles until every executor has gone.
    pub(crate) async fn run(self, mut settlements: mpsc::Receiver<Settlement>) {
        let mut batch = Vec::with_capacity(BATCH);
        while settlements.recv_many(&mut batch, BATCH).await > 0 {
            self.settle(&batch).await;
            self.hand.give_up(batch.iter().map(|settlement| &settlement.receipt));
            batch.clear();
        }
    }

    /// Repeats a batch until the broker has it: verdicts are fenced, so a repetition after a
    /// lost answer changes nothing. Its leases are renewed meanwhile. What is refused is halved, and
    /// tried again after the rest, so that a verdict that cannot be stored is in no other's way.
    async fn settle(&self, batch: &[Settlement]) {
        let mut tries = 0;
        let mut parts = VecDeque::from([batch]);
        while let Some(part) = parts.pop_front() {
            match self.broker.settle(part).await {
                Ok(settled) => {
                    self.count(part, &settled);
                    tries = 0;
                    continue;
                }
                Err(error @ BrokerError::Closed { .. }) => {
                    let left: usize = parts.iter().map(|part| part.len()).sum();
                    return report::verdicts_dropped(part.len() + left, &error);
                }
                Err(BrokerError::Refused { .. }) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([first, second]);
                    continue;
                }
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::error!(target: "hereafter::worker", error, jobs = part.len(), first = %part[0].job, "cannot write verdicts; trying again");
                    parts.push_back(part);
                }
            }
            let pause = Duration::from_millis(50).saturating_mul(1 << tries.min(10));
            let jitter = rand::rng().random_range(0.5..1.0);
            tokio::time::sleep(pause.min(MAX_PAUSE).mul_f64(jitter)).await;
            tries += 1;
        }
    }

    fn count(&self, batch: &[Settlement], settled: &[Settled]) {
        let stale = batch.iter().zip(settled).filter(|(settlement, settled)| {
            // The task has ended its delivery itself, so this verdict comes second.
            **settled == Settled::Stale && !self.hand.is_completing(&settlement.receipt)
        });
        let mut count = 0;
        for (settlement, _) in stale {
            report::stale(settlement);
            count += 1;
        }
        if count > 0 {
            self.status.add_stale(count);
        }
    }
}
