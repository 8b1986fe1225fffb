//! [`Standing`]: jobs that stand in for calls whose unique keys they hold.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::broker::{Enqueued, NewJob, OnConflict, Unique};
use crate::error::DelayError;
use crate::id::JobId;
use crate::plan::Plan;

/// Jobs that stand in for calls which say [`OnConflict::Reuse`], learned from the answers of the
/// broker: what it stores next is planned around them.
#[derive(Debug, Default)]
pub(super) struct Standing {
    jobs: HashMap<Name, JobId>,
    tries: u32,
}

/// A unique key with its task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    task: Cow<'static, str>,
    key: String,
}

/// Unique keys of the jobs of one batch.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// `None` until the job is added, after the calls inside it: none of these can reuse it.
    jobs: HashMap<Name, Option<JobId>>,
    /// Whether a job of the store may stand in for one of the batch.
    pub(super) may_reuse: bool,
}

/// Each try learns of at least one more job, and one tells of all conflicts at once; more than
/// two happen only if keys change hands meanwhile.
const TRIES: u32 = 16;

impl Name {
    fn of(task: Cow<'static, str>, unique: &Unique) -> Self {
        Self { task, key: unique.key.clone() }
    }
}

impl Standing {
    /// The job that stands in for this call, if one was found.
    fn job(&self, name: &Name, unique: &Unique) -> Option<JobId> {
        let may = unique.on_conflict == OnConflict::Reuse;
        self.jobs.get(name).copied().filter(|_| may)
    }

    /// Reads the answers to a batch; whether to plan it anew.
    ///
    /// # Errors
    ///
    /// [`DelayError::Duplicate`] for the first conflict that cannot be planned around.
    pub(super) fn learn(
        &mut self,
        jobs: &[NewJob],
        answers: &[Enqueued],
    ) -> Result<bool, DelayError> {
        self.tries += 1;
        let mut has_conflict = false;
        for (job, answer) in jobs.iter().zip(answers) {
            let (Enqueued::Conflict(existing), Some(unique)) = (answer, &job.unique) else {
                continue;
            };
            if unique.on_conflict != OnConflict::Reuse || self.tries == TRIES {
                return Err(duplicate(job, unique, *existing));
            }
            self.jobs.insert(Name::of(job.task.clone(), unique), *existing);
            has_conflict = true;
        }
        Ok(has_conflict)
    }
}

impl Taken {
    /// The job that a call comes to without a new one; else it takes its key.
    pub(super) fn job_or_take(
        &mut self,
        plan: &Plan,
        standing: Option<&Standing>,
    ) -> Result<Option<JobId>, DelayError> {
        let Some(unique) = &plan.unique else { return Ok(None) };
        let name = Name::of(Cow::Borrowed(plan.task.name), unique);
        if let Some(job) = standing.and_then(|standing| standing.job(&name, unique)) {
            return Ok(Some(job));
        }
        self.may_reuse |= unique.on_conflict == OnConflict::Reuse;
        match self.jobs.get(&name) {
            None => {
                self.jobs.insert(name, None);
                Ok(None)
            }
            Some(Some(job)) if unique.on_conflict == OnConflict::Reuse => Ok(Some(*job)),
            Some(_) => {
                let task = plan.task.name.to_owned();
                let remedy = match unique.on_conflict {
                    OnConflict::Reuse => {
                        "which is inside of it or around it: leave one of them out"
                    }
                    _ => "so leave one of them out, or say `.on_conflict(OnConflict::Reuse)`",
                };
                let key = &unique.key;
                let reason = format!(
                    "another call that is stored with it has its unique key, `{key}`, {remedy}"
                );
                Err(DelayError::Option { task, reason })
            }
        }
    }
}

impl Taken {
    /// From now on, the job of this call can stand in for others.
    pub(super) fn mark_added(&mut self, plan: &Plan, id: JobId) {
        if let Some(unique) = &plan.unique {
            self.jobs.insert(Name::of(Cow::Borrowed(plan.task.name), unique), Some(id));
        }
    }
}

fn duplicate(job: &NewJob, unique: &Unique, existing: JobId) -> DelayError {
    DelayError::Duplicate { task: job.task.to_string(), key: unique.key.clone(), existing }
}
