//! History, with a defect.

use std::time::Duration;

use taskconformance::async_trait;
use taskcore::JobId;
use taskcore::broker::{BrokerError, EventId, Events, History, TaskStats, Timeline};

use super::Mutant;

#[async_trait]
impl History for Mutant {
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError> {
        self.history().timeline(job).await
    }

    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        self.history().stats().await
    }

    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError> {
        self.history().events(after, max, wait).await
    }
}

impl Mutant {
    fn history(&self) -> &dyn History {
        self.inner.history.as_deref().unwrap()
    }
}
