//! What is wrong with mutants that mishandle unique keys.

use taskcore::JobId;
use taskcore::broker::{
    BrokerError, CancelScope, Enqueued, JobFilter, NewJob, OnConflict, UniqueScope,
};

use super::Mutant;
use crate::defect::Defect;

impl Mutant {
    /// What is stored in place of the key of a job.
    pub(super) fn spoil_key(&self, job: &mut NewJob) {
        match self.defect {
            Defect::IgnoresKeys => job.unique = None,
            Defect::IgnoresGroups => job.with_next = false,
            Defect::GroupsAll => job.with_next = true,
            _ => {}
        }
        let Some(unique) = &mut job.unique else { return };
        match (self.defect, unique.scope) {
            (Defect::FoldsKeyCase, _) => unique.key = unique.key.to_lowercase(),
            (Defect::SharesKeys, _) => job.task = "suite::plain".into(),
            (Defect::FreesKeysAtHandOut, UniqueScope::Unfinished) => {
                unique.scope = UniqueScope::Queued;
            }
            (Defect::KeepsKeysWhileRunning, UniqueScope::Queued) => {
                unique.scope = UniqueScope::Unfinished;
            }
            (Defect::HoldsKeysTooShort, UniqueScope::For(span)) => {
                unique.scope = UniqueScope::For(span / 2);
            }
            (Defect::FreesTimedKeysAtTheEnd, UniqueScope::For(_)) => {
                unique.scope = UniqueScope::Unfinished;
            }
            (Defect::NeverReplaces, _) if unique.on_conflict == OnConflict::Replace => {
                unique.on_conflict = OnConflict::Fail;
            }
            _ => {}
        }
    }

    /// What is answered, and done, in place of an answer to what has a key.
    pub(super) async fn spoil_conflicts(
        &self,
        jobs: &[NewJob],
        answers: &mut [Enqueued],
    ) -> Result<(), BrokerError> {
        for (job, answer) in jobs.iter().zip(answers) {
            let Some(unique) = &job.unique else { continue };
            match (self.defect, *answer) {
                (Defect::ConflictsWithItself, Enqueued::Duplicate) => {
                    *answer = Enqueued::Conflict(job.id);
                }
                (Defect::ReplacesAnything, Enqueued::Conflict(holder))
                    if unique.on_conflict == OnConflict::Replace =>
                {
                    self.operate().cancel(&[holder], CancelScope::WithInputs).await?;
                    *answer = Enqueued::Stored;
                }
                (Defect::NamesNoHolder, Enqueued::Conflict(_)) => {
                    *answer = Enqueued::Conflict(job.id);
                }
                (Defect::ReplacesForNothing, Enqueued::Withheld) => {
                    let holding =
                        JobFilter { task: Some(job.task.to_string()), ..JobFilter::default() };
                    let records = self.operate().jobs(&holding).await?;
                    let key = Some(&unique.key);
                    let holders: Vec<JobId> = records
                        .iter()
                        .filter(|record| record.unique.as_ref() == key)
                        .map(|record| record.id)
                        .collect();
                    self.operate().cancel(&holders, CancelScope::WithInputs).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
