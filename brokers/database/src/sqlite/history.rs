//! History: what happened.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{Broker as _, BrokerError};
use taskcore::broker::{EventId, Events, History, TaskStats, Timeline};

use super::broker::SqliteBroker;

#[async_trait]
impl History for SqliteBroker {
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError> {
        let _ = job;
        Err(BrokerError::Unsupported { broker: self.name(), operation: "timeline" })
    }

    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        Err(BrokerError::Unsupported { broker: self.name(), operation: "stats" })
    }

    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError> {
        let _ = (after, max, wait);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "events" })
    }
}
