//! Reports: what running jobs say.

use std::time::Duration;

use async_trait::async_trait;
use taskcore::JobId;
use taskcore::broker::{Broker as _, BrokerError};
use taskcore::broker::{Demand, Items, LogLine, ProgressNow, ReadItems, Report, Reports, Settled};

use super::broker::SqliteBroker;

#[async_trait]
impl Reports for SqliteBroker {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        let _ = batch;
        Err(BrokerError::Unsupported { broker: self.name(), operation: "report" })
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        let _ = (job, seen, wait);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "progress" })
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        let _ = job;
        Err(BrokerError::Unsupported { broker: self.name(), operation: "log" })
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        let _ = (read, wait);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "items" })
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        let _ = (job, until);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "pull" })
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        let _ = (known, wait);
        Err(BrokerError::Unsupported { broker: self.name(), operation: "demand" })
    }
}
