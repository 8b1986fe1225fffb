//! [`Outbox`] on a connection to a store in this process.

use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use taskcore::broker::millis::later;
use taskcore::broker::{BrokerError, Claim, Claimed, Outbox, Outgoing, OverLimit};

use crate::broker::{MemoryBroker, refused};

#[async_trait]
impl Outbox for MemoryBroker {
    async fn open_outbox(&self) -> Result<(), BrokerError> {
        self.step(|state, _| state.open_outbox())
    }

    async fn unsent(
        &self,
        max: NonZeroU32,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Outgoing>, BrokerError> {
        let store = self.open()?;
        let over_ms = later(store.clock.now_ms(), wait);
        let mut work = store.work.listen();
        loop {
            let (entries, next_ms, now_ms) = store.step(|state, now_ms| {
                let entries = state.unsent(max.get() as usize, hold, now_ms);
                let next_ms = if entries.is_empty() { state.next_unsent_ms() } else { None };
                (entries, next_ms, now_ms)
            });
            if now_ms >= over_ms || self.closed.is_cancelled() || !entries.is_empty() {
                return Ok(entries);
            }
            let until_ms = next_ms.map_or(over_ms, |next_ms| next_ms.min(over_ms));
            work.wait(&store.clock, until_ms, [&self.closed; 2]).await;
        }
    }

    async fn sent(&self, entries: &[Outgoing]) -> Result<(), BrokerError> {
        self.step(|state, _| state.sent(entries))
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError> {
        OverLimit::check_count(claim.jobs.len(), MAX_CLAIM).map_err(refused)?;
        self.step(|state, now_ms| state.claim_these(claim, now_ms))
    }
}

/// From the contract of `claim`.
const MAX_CLAIM: usize = 10_000;
