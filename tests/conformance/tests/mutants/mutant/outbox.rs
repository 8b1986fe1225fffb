//! The outbox, with a defect.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use taskconformance::async_trait;
use taskcore::broker::{BrokerError, Claim, Claimed, Outbox, Outgoing};
use taskcore::{JobId, QueueName};

use super::Mutant;
use crate::defect::Defect;

const ALL: NonZeroU32 = NonZeroU32::MAX;

#[async_trait]
impl Outbox for Mutant {
    async fn open_outbox(&self) -> Result<(), BrokerError> {
        self.outbox().open_outbox().await?;
        if self.has(Defect::EntersNothingReady) {
            let entered = self.outbox().unsent(ALL, Duration::ZERO, Duration::ZERO).await?;
            self.outbox().sent(&entered).await?;
        }
        Ok(())
    }

    async fn unsent(
        &self,
        max: NonZeroU32,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Outgoing>, BrokerError> {
        let hold = if self.has(Defect::IgnoresHolds) { Duration::ZERO } else { hold };
        let mut entries = self.outbox().unsent(max, hold, wait).await?;
        match self.defect {
            Defect::ForgetsTaken => self.outbox().sent(&entries).await?,
            Defect::SendsBackwards => entries.reverse(),
            _ => {}
        }
        Ok(entries)
    }

    async fn sent(&self, entries: &[Outgoing]) -> Result<(), BrokerError> {
        self.outbox().sent(entries).await?;
        if self.has(Defect::SendsByJob) {
            let mut others = self.outbox().unsent(ALL, Duration::ZERO, Duration::ZERO).await?;
            others.retain(|other| entries.iter().any(|sent| sent.job == other.job));
            self.outbox().sent(&others).await?;
        }
        Ok(())
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError> {
        if self.has(Defect::ClaimsPaused) {
            return self.claim_paused(claim).await;
        }
        let mut answers = self.outbox().claim(claim).await?;
        if self.has(Defect::ClaimsTwice) {
            let mut leased: HashMap<JobId, Claimed> = HashMap::new();
            for (id, answer) in claim.jobs.iter().zip(&mut answers) {
                match answer {
                    Claimed::Leased(_) => drop(leased.insert(*id, answer.clone())),
                    _ => *answer = leased.get(id).cloned().unwrap_or_else(|| answer.clone()),
                }
            }
        }
        Ok(answers)
    }
}

impl Mutant {
    fn outbox(&self) -> &dyn Outbox {
        self.inner.outbox.as_deref().unwrap()
    }

    /// Lets the queues go on for as long as it takes.
    async fn claim_paused(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError> {
        let queues = self.operate().queues().await?;
        let paused = queues.into_iter().filter(|queue| queue.paused);
        let paused: Vec<QueueName> = paused.map(|queue| queue.depth.queue).collect();
        for queue in &paused {
            self.operate().pause(queue, false).await?;
        }
        let answers = self.outbox().claim(claim).await?;
        for queue in &paused {
            self.operate().pause(queue, true).await?;
        }
        Ok(answers)
    }
}
