//! Upkeep: promotes, expires, reclaims and prunes.

use taskcore::broker::{AttemptEnd, EventKind, JobState, Maintain, Upkeep};
use taskcore::{Failure, JobId, TaskOptions};

use crate::job::Phase;
use crate::state::State;

impl State {
    pub(crate) fn maintain(&mut self, maintain: &Maintain, now_ms: i64) -> Upkeep {
        let budget = maintain.budget.get() as usize;
        self.forgotten.clear(budget, now_ms);
        self.holders.clear(budget, now_ms);
        let mut upkeep = Upkeep {
            promoted: self.promote_all(budget, now_ms),
            expired: self.expire(budget, now_ms) as u64,
            ..Upkeep::default()
        };
        for _ in 0..budget {
            let Some(id) = first_until(&self.index.leases, now_ms) else { break };
            match self.reclaim(id, maintain.recovery_limit, now_ms) {
                Reclaimed::Ready => upkeep.reclaimed += 1,
                Reclaimed::Lost => upkeep.lost += 1,
            }
        }
        for _ in 0..budget {
            let Some(id) = first_until(&self.index.forgetting, now_ms) else { break };
            self.forget(id, now_ms);
            upkeep.pruned += 1;
        }
        upkeep
    }

    fn promote_all(&mut self, budget: usize, now_ms: i64) -> u64 {
        let mut left = budget;
        for queue in 0..self.index.queues.len() {
            left -= self.promote(queue, left, now_ms);
        }
        (budget - left) as u64
    }

    /// Makes at most `max` due jobs of a queue ready; answers how many.
    pub(crate) fn promote(&mut self, queue: usize, max: usize, now_ms: i64) -> usize {
        let mut promoted = 0;
        while promoted < max {
            let scheduled = &self.index.queues[queue].scheduled;
            let Some(id) = first_until(scheduled, now_ms) else { break };
            self.change(id, |job| job.phase = Phase::Ready);
            promoted += 1;
        }
        promoted
    }

    /// Ends at most `max` jobs that did not start in time; answers how many.
    pub(crate) fn expire(&mut self, max: usize, now_ms: i64) -> usize {
        let mut expired = 0;
        while expired < max {
            let Some(id) = first_until(&self.index.expiring, now_ms) else { break };
            self.finish(id, JobState::Expired, None, Some(TaskOptions::KEEP_RESULT), now_ms);
            expired += 1;
        }
        expired
    }

    pub(crate) fn fail(&mut self, id: JobId, failure: Failure, now_ms: i64) {
        self.change(id, |job| job.failure = Some(Box::new(failure)));
        self.finish(id, JobState::Failed, None, None, now_ms);
    }

    /// Takes back a job whose lease has ended.
    fn reclaim(&mut self, id: JobId, recovery_limit: u32, now_ms: i64) -> Reclaimed {
        let Phase::Running { ends_ms, is_begun } = self.job(id).phase else {
            panic!("a job with a lease is running")
        };
        self.end_handout(id, AttemptEnd::Lost, None, ends_ms);
        let job = self.job(id);
        if is_begun && job.recoveries >= recovery_limit {
            let failure = Failure::lost(id, job.task.to_string(), job.failures + 1, recovery_limit);
            self.change(id, |job| job.losses += 1);
            self.fail(id, failure, now_ms);
            return Reclaimed::Lost;
        }
        self.change(id, |job| {
            job.losses += 1;
            job.expires_ms = None;
            if is_begun {
                job.recoveries += 1;
                // Behind its neighbours, so that a job that kills its worker does not hold
                // them up by being the first again each time.
                job.due_ms = now_ms;
            }
            job.phase = Phase::Ready;
        });
        self.happened(id, EventKind::Lost, now_ms);
        Reclaimed::Ready
    }
}

enum Reclaimed {
    Ready,
    Lost,
}

/// The first job listed at `now_ms` or before.
fn first_until(
    listed: &std::collections::BTreeMap<(i64, u64), JobId>,
    now_ms: i64,
) -> Option<JobId> {
    let ((at_ms, _), id) = listed.first_key_value()?;
    (*at_ms <= now_ms).then_some(*id)
}
