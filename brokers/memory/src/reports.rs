//! Reports: what running jobs say.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Demand, Items, JobState, LogLine, ProgressNow, ReadItems, Report, Reports, Settled,
};

use crate::broker::MemoryBroker;
use crate::said::is_over;

#[async_trait]
impl Reports for MemoryBroker {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        self.step(|state, now_ms| state.report(batch, now_ms))
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        self.look(
            |store| &store.reports,
            wait,
            |state, now_ms| {
                let found = state.progress(job, now_ms);
                let is_there = found.version > seen.unwrap_or(0) || is_settled(found.state);
                (found, is_there)
            },
        )
        .await
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        self.step(|state, _| state.log(job))
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        self.look(
            |store| &store.reports,
            wait,
            |state, now_ms| {
                let found = state.items(read, now_ms);
                let is_there = !found.items.is_empty()
                    || is_over(read.run, found.run)
                    || is_settled(found.state);
                (found, is_there)
            },
        )
        .await
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        self.step(|state, now_ms| state.pull(job, until, now_ms))
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        self.look(
            |store| &store.pulls,
            wait,
            |state, now_ms| {
                let found: Vec<_> =
                    known.iter().map(|(job, _)| state.demand(*job, now_ms)).collect();
                let wants_more = |((_, known), demand): (&(JobId, u64), &Option<Demand>)| {
                    demand.is_some_and(|demand| demand.until > *known)
                };
                let is_there = known.is_empty() || known.iter().zip(&found).any(wants_more);
                (found, is_there)
            },
        )
        .await
    }
}

/// Whether nothing more comes of a job in this state, `None` if it is unknown.
fn is_settled(state: Option<JobState>) -> bool {
    state.is_none_or(JobState::is_final)
}
