//! Reports, with a defect.

use std::collections::HashMap;
use std::time::Duration;

use taskconformance::async_trait;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Demand, Items, LogLine, NewItems, ProgressNow, ReadItems, Receipt, Report,
    Reports, Settled,
};

use super::Mutant;
use crate::defect::Defect;

/// What a mutant remembers of what jobs have said.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The delivery that published last.
    publisher: HashMap<JobId, Receipt>,
    logs: HashMap<JobId, Vec<LogLine>>,
    /// How many items were read.
    read: HashMap<JobId, u64>,
    /// The latest pull.
    pulled: HashMap<JobId, u64>,
}

#[async_trait]
impl Reports for Mutant {
    async fn report(&self, batch: &[Report]) -> Result<Vec<Settled>, BrokerError> {
        let mut answers = Vec::new();
        for report in batch {
            let spoilt = self.spoil_report(report).await?;
            let mut answer = self.reports().report(&spoilt).await?.remove(0);
            if self.has(Defect::RecordsHalfOfGaps) && answer == Settled::Stale {
                let half = Report { items: None, ..report.clone() };
                self.reports().report(&[half]).await?;
            }
            if self.has(Defect::FailsBatchesOfReports) && answers.contains(&Settled::Stale) {
                answer = Settled::Stale;
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    async fn progress(
        &self,
        job: JobId,
        seen: Option<u64>,
        wait: Duration,
    ) -> Result<ProgressNow, BrokerError> {
        let seen = if self.has(Defect::ForgetsWhatWasSeen) { None } else { seen };
        let mut found = self.reports().progress(job, seen, wait).await?;
        if self.has(Defect::NeverRenewsVersions) {
            found.version = found.version.min(1);
        }
        Ok(found)
    }

    async fn log(&self, job: JobId) -> Result<Vec<LogLine>, BrokerError> {
        let mut log = self.reports().log(job).await?;
        if self.has(Defect::LosesLogsAtRetry) {
            let latest = log.last().map_or(1, |line| line.attempt);
            log.retain(|line| line.attempt == latest);
        }
        if self.has(Defect::KeepsLogsForEver) {
            let mut notes = self.notes();
            if log.is_empty() {
                return Ok(notes.said.logs.get(&job).cloned().unwrap_or_default());
            }
            notes.said.logs.insert(job, log.clone());
        }
        Ok(log)
    }

    async fn items(&self, read: &ReadItems, wait: Duration) -> Result<Items, BrokerError> {
        let mut read = *read;
        let mut wait = wait;
        match self.defect {
            Defect::IgnoresRuns => read.run = None,
            Defect::ReadsWithoutWaiting => wait = Duration::ZERO,
            Defect::ConsumesItems => {
                read.from += self.notes().said.read.get(&read.job).copied().unwrap_or(0);
            }
            _ => {}
        }
        let found = self.reports().items(&read, wait).await?;
        if !found.items.is_empty() {
            self.notes().said.read.insert(read.job, found.first + found.items.len() as u64);
        }
        Ok(found)
    }

    async fn pull(&self, job: JobId, until: u64) -> Result<(), BrokerError> {
        let before = self.notes().said.pulled.insert(job, until).unwrap_or(0);
        if self.has(Defect::IgnoresLowerPulls) && until < before {
            return Ok(());
        }
        self.reports().pull(job, until).await
    }

    async fn demand(
        &self,
        known: &[(JobId, u64)],
        wait: Duration,
    ) -> Result<Vec<Option<Demand>>, BrokerError> {
        let before = self.reports().demand(known, Duration::ZERO).await?;
        let mut demands = self.reports().demand(known, wait).await?;
        if self.has(Defect::DemandsWhatWasBefore) {
            demands = before;
        }
        if matches!(self.defect, Defect::CountsTheLatestPull | Defect::PullsWhatIsFinal) {
            let notes = self.notes();
            for ((job, _), demand) in known.iter().zip(&mut demands) {
                if let (Some(demand), Some(until)) = (demand, notes.said.pulled.get(job)) {
                    let known = if self.has(Defect::PullsWhatIsFinal) { demand.until } else { 0 };
                    demand.until = known.max(*until);
                }
            }
        }
        Ok(demands)
    }
}

impl Mutant {
    fn reports(&self) -> &dyn Reports {
        self.inner.reports.as_deref().unwrap()
    }

    /// What is recorded in place of a report.
    async fn spoil_report(&self, report: &Report) -> Result<[Report; 1], BrokerError> {
        let mut report = report.clone();
        match self.defect {
            Defect::IgnoresFenceOfReports => {
                if let Some(latest) = self.notes().latest.get(&report.job) {
                    report.receipt = latest.receipt.clone();
                }
            }
            Defect::IgnoresAges => {
                report.log.iter_mut().for_each(|line| line.age = Duration::ZERO);
            }
            Defect::OpensNoEmptyRun => {
                report.items = report.items.filter(|new| !new.items.is_empty());
            }
            _ => {}
        }
        if let Some(new) = &mut report.items {
            let read = ReadItems { job: report.job, run: None, from: 0, max: u32::MAX };
            let stored = self.reports().items(&read, Duration::ZERO).await?;
            self.spoil_items(&report.receipt, new, report.job, stored);
        }
        Ok([report])
    }

    fn spoil_items(&self, receipt: &Receipt, new: &mut NewItems, job: JobId, stored: Items) {
        let before = self.notes().said.publisher.insert(job, receipt.clone());
        let is_of_run = before.as_ref() == Some(receipt);
        match self.defect {
            Defect::AcceptsGaps => new.first = new.first.min(stored.total),
            Defect::AppendsRepeatedItems if is_of_run => new.first = stored.total,
            Defect::MixesRuns if !is_of_run && new.first == 0 => {
                new.items.splice(0..0, stored.items);
            }
            _ => {}
        }
    }
}
