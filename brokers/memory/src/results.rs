//! What became of jobs.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};

use crate::broker::MemoryBroker;
use crate::state::State;
use taskcore::broker::millis::later;

/// From the contract of `finished`.
const MAX_IDS: usize = 10_000;

#[async_trait]
impl ResultStore for MemoryBroker {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        self.step(|state, now_ms| ids.iter().map(|id| state.look_up(*id, now_ms)).collect())
    }

    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError> {
        let store = self.open()?;
        let Some(Cursor(from)) = after else {
            let next = store.step(|state, _| state.ended.next());
            return Ok(Finished { ids: Vec::new(), next: Cursor(next) });
        };
        let over_ms = later(store.clock.now_ms(), wait);
        let mut ends = store.ends.listen();
        loop {
            let (ids, next) = store.step(|state, _| state.ended.since(from, MAX_IDS));
            let is_over = store.clock.now_ms() >= over_ms || self.closed().is_cancelled();
            if is_over || !ids.is_empty() {
                return Ok(Finished { ids, next: Cursor(next) });
            }
            ends.wait(&store.clock, over_ms, [self.closed(); 2]).await;
        }
    }
}

impl State {
    fn look_up(&self, id: JobId, now_ms: i64) -> Lookup {
        let Some(job) = self.jobs.get(&id) else { return Lookup::Unknown };
        match job.outcome() {
            Some(outcome) => Lookup::Final(Box::new(outcome)),
            None => Lookup::Pending(job.state(now_ms)),
        }
    }
}
