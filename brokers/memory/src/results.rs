//! What became of jobs.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, Cursor, Finished, Lookup, ResultStore};

use crate::broker::MemoryBroker;
use crate::state::State;

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
        let (ids, next) = self.read(|store| &store.ends, |state| &state.ended, after, wait).await?;
        Ok(Finished { ids, next })
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
