//! Reports, with a defect.

use std::time::Duration;

use taskconformance::async_trait;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Demand, Items, LogLine, ProgressNow, ReadItems, Report, Reports, Settled,
};

use super::Mutant;

#[async_trait]
impl Reports for Mutant {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        self.reports().report(batch).await
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        self.reports().progress(job, seen, wait).await
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        self.reports().log(job).await
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        self.reports().items(read, wait).await
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        self.reports().pull(job, until).await
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        self.reports().demand(known, wait).await
    }
}

impl Mutant {
    fn reports(&self) -> &dyn Reports {
        self.inner.reports.as_deref().unwrap()
    }
}
