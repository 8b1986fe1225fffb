//! Cancelling jobs, and the inputs that nobody wants any more.

use std::collections::HashSet;

use taskcore::broker::{AttemptEnd, CancelOutcome, CancelScope, Input, JobState};
use taskcore::{JobId, TaskOptions};

use crate::job::Phase;
use crate::state::State;

/// Inputs of the jobs that one call cancels.
#[derive(Debug, Default)]
struct Orphans {
    /// Those that were made for a cancelled job.
    owned: HashSet<JobId>,
    /// Those of them that lost a job that waited for them.
    left: Vec<JobId>,
}

impl Orphans {
    fn add(&mut self, inputs: &[Input]) {
        self.owned.extend(inputs.iter().filter(|input| input.owned).map(|input| input.job));
        let lost = inputs.iter().map(|input| input.job);
        self.left.extend(lost.filter(|input| self.owned.contains(input)));
    }
}

impl State {
    pub(crate) fn cancel(
        &mut self,
        ids: &[JobId],
        scope: CancelScope,
        now_ms: i64,
    ) -> Vec<CancelOutcome> {
        let mut orphans = Orphans::default();
        let outcomes = ids.iter().map(|id| self.cancel_one(*id, &mut orphans, now_ms)).collect();
        if scope == CancelScope::JobsAlone {
            return outcomes;
        }
        // What needs a cancelled job fails, and then wants no other input either.
        self.pass_ends_on(now_ms);
        while let Some(id) = orphans.left.pop() {
            if self.jobs.get(&id).is_some_and(|job| !self.is_waited_for(job)) {
                self.cancel_one(id, &mut orphans, now_ms);
            }
        }
        outcomes
    }

    fn cancel_one(&mut self, id: JobId, orphans: &mut Orphans, now_ms: i64) -> CancelOutcome {
        let Some(job) = self.jobs.get(&id) else { return CancelOutcome::Unknown };
        let outcome = match &job.phase {
            Phase::Scheduled | Phase::Blocked { .. } | Phase::Ready => CancelOutcome::Prevented,
            Phase::Running { .. } => CancelOutcome::Signalled,
            Phase::Final(_) => return CancelOutcome::TooLate,
        };
        orphans.add(&job.inputs);
        if outcome == CancelOutcome::Signalled {
            self.cancelled.push(id);
            self.end_handout(id, AttemptEnd::Cancelled, None, now_ms);
        }
        self.finish(id, JobState::Cancelled, None, Some(TaskOptions::KEEP_RESULT), now_ms);
        outcome
    }
}
