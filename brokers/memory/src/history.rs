//! History: what happened.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, EventId, Events, History, TaskStats, Timeline};

use crate::broker::MemoryBroker;

#[async_trait]
impl History for MemoryBroker {
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError> {
        self.step(|state, now_ms| state.timeline(job, now_ms))
    }

    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        self.step(|state, _| state.stats())
    }

    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError> {
        let Some(after) = after else {
            let next = self.step(|state, _| EventId(state.past.last()))?;
            return Ok(Events { missed: 0, events: Vec::new(), next });
        };
        self.look(
            |store| &store.events,
            wait,
            |state, _| {
                let found = state.events(after, max);
                let is_there = !found.events.is_empty() || found.missed > 0;
                (found, is_there)
            },
        )
        .await
    }
}
