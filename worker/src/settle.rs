//! The settler: verdicts that come while one batch is under way make the next.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use taskcore::broker::{Broker, BrokerError, Guarded, Settled, Settlement, Verdict};
use taskcore::{Failure, FailureKind, JobId, error_chain};
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

/// A verdict, and whose it is.
#[derive(Debug)]
pub(crate) struct Concluded {
    pub(crate) settlement: Settlement,
    pub(crate) run: Run,
}

/// What a failure says of the run that it is about.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) task: String,
    pub(crate) attempt: NonZeroU32,
}

impl Run {
    fn too_large(&self, job: JobId, reason: &str) -> Failure {
        Failure {
            kind: FailureKind::Result,
            task: self.task.clone(),
            job,
            attempt: self.attempt.get(),
            error_type: None,
            message: format!("what the task came to cannot be stored: {reason}"),
            causes: Vec::new(),
            permanent: true,
        }
    }
}

impl Settler {
    /// Settles until every executor has gone.
    pub(crate) async fn run(self, mut concluded: mpsc::Receiver<Concluded>) {
        let mut received = Vec::with_capacity(BATCH);
        while concluded.recv_many(&mut received, BATCH).await > 0 {
            let (mut batch, runs): (Vec<_>, Vec<_>) =
                received.drain(..).map(|Concluded { settlement, run }| (settlement, run)).unzip();
            self.settle(&mut batch, &runs).await;
            self.hand.give_up(batch.iter().map(|settlement| &settlement.receipt));
        }
    }

    /// Repeats a batch until the broker has it: verdicts are fenced, so a repetition after a
    /// lost answer changes nothing. Its leases are renewed meanwhile. What is too large together is
    /// settled in parts, and a job whose verdict is too large alone fails.
    async fn settle(&self, batch: &mut [Settlement], runs: &[Run]) {
        let mut tries = 0;
        let whole = 0..batch.len();
        let mut parts = vec![whole];
        while let Some(part) = parts.pop() {
            let first = part.start;
            match self.broker.settle(&batch[part.clone()]).await {
                Ok(settled) => {
                    self.count(&batch[part], &settled);
                    tries = 0;
                    continue;
                }
                Err(error @ BrokerError::Closed { .. }) => {
                    let left: usize = parts.iter().map(Range::len).sum();
                    return report::verdicts_dropped(part.len() + left, &error);
                }
                Err(BrokerError::TooLarge { .. }) if part.len() > 1 => {
                    let middle = first + part.len() / 2;
                    parts.extend([middle..part.end, first..middle]);
                    continue;
                }
                Err(error) => {
                    let reason = error_chain(&error);
                    let is_too_large = matches!(error, BrokerError::TooLarge { .. });
                    if is_too_large && !matches!(batch[first].verdict, Verdict::Failed { .. }) {
                        let failure = runs[first].too_large(batch[first].job, &reason);
                        report::verdict_too_large(&failure);
                        batch[first].verdict = Verdict::Failed { failure }.shortened();
                        parts.push(part);
                        continue;
                    }
                    tracing::error!(target: "hereafter::worker", error = reason, jobs = part.len(), "cannot write verdicts; trying again");
                    parts.push(part);
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
