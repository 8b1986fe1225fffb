//! What is wrong with mutants that mishandle jobs that go on as others.

use std::time::Duration;

use taskcore::broker::{BrokerError, Due, Keep, Lookup, NewJob, Settlement, Verdict};
use taskcore::{JobId, Payload, Priority, QueueName};

use super::Mutant;
use crate::defect::Defect;

impl Mutant {
    /// What is recorded in place of a continuation.
    pub(super) fn spoil_continuation(&self, settlement: &mut Settlement) {
        let job = settlement.job;
        let Verdict::Continued { jobs, by, keep } = &mut settlement.verdict else { return };
        self.notes().continued.push(job);
        match self.defect {
            Defect::EndsWhenContinued => {
                settlement.verdict = Verdict::Done { result: None, keep: *keep };
            }
            Defect::ForgetsJobsOfContinuations | Defect::DisownsContinuations => jobs.clear(),
            Defect::ForgetsKeepOfContinued => *keep = Keep::For(Duration::from_secs(60 * 60)),
            // One that is stored is not stored again, but seems to be the verdict's.
            Defect::OwnsEveryContinuation => jobs.push(endless(*by)),
            Defect::ContinuesForEver if jobs.is_empty() => {
                let endless = endless(JobId::new());
                *by = endless.id;
                jobs.push(endless);
            }
            _ => {}
        }
    }

    /// Stores what continues jobs in a step of its own, whether or not their leases are current.
    pub(super) async fn store_jobs_of_continuations(
        &self,
        batch: &[Settlement],
    ) -> Result<(), BrokerError> {
        for settlement in batch {
            if let Verdict::Continued { jobs, .. } = &settlement.verdict {
                self.inner.broker.enqueue(jobs).await?;
            }
        }
        Ok(())
    }

    pub(super) fn spoil_continued(&self, lookup: &mut Lookup) {
        let Lookup::Final(end) = lookup else { return };
        if self.has(Defect::DropsResultsOfContinued) && self.notes().continued.contains(&end.job) {
            end.result = None;
        }
    }
}

/// A job that nobody asks for.
fn endless(id: JobId) -> NewJob {
    NewJob {
        id,
        queue: QueueName::new("endless").unwrap(),
        task: "endless".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::default(),
    }
}
