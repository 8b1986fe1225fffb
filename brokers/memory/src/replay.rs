//! Replaying failed jobs, and reviving what had failed because of them.

use std::collections::BTreeMap;

use taskcore::JobId;
use taskcore::broker::{JobFilter, JobState};

use crate::job::Phase;
use crate::operate::oldest;
use crate::state::State;

impl State {
    pub(crate) fn replay(&mut self, filter: &JobFilter, now_ms: i64) -> Vec<JobId> {
        let failed = JobFilter { states: vec![JobState::Failed], ..filter.clone() };
        let mut jobs = self.matching(&failed, now_ms);
        jobs.retain(|job| !job.is_failed_by_input());
        let all = JobFilter { limit: None, ..JobFilter::default() };
        let limit = filter.limit.map_or(usize::MAX, |limit| limit as usize);
        // One whose key another job holds is passed over, and does not count.
        let free = oldest(jobs, &all).into_iter().filter(|id| self.retake_key(*id, now_ms));
        let ids: Vec<_> = free.take(limit).collect();
        for id in &ids {
            self.change(*id, |job| {
                (job.failures, job.losses, job.recoveries) = (0, 0, 0);
                (job.failure, job.started_ms, job.worker) = (None, None, None);
                job.expires_ms = None;
                job.due_ms = now_ms;
                job.phase = Phase::Blocked { open: 0 };
            });
        }
        self.revive(&ids, now_ms);
        ids
    }

    /// Goes through replayed jobs and what depends on them, in order of creation: a job comes
    /// after all its inputs, so one look at each is enough.
    fn revive(&mut self, replayed: &[JobId], now_ms: i64) {
        let numbered = replayed.iter().map(|id| (self.job(*id).seq, *id));
        let mut left: BTreeMap<u64, JobId> = numbered.collect();
        while let Some((_, id)) = left.pop_first() {
            let Some(job) = self.jobs.get(&id) else { continue };
            let is_replayed = matches!(job.phase, Phase::Blocked { open: 0 });
            let is_revived =
                job.is_failed_by_input() && !self.lacks_input(job) && self.retake_key(id, now_ms);
            let Some(job) = self.jobs.get(&id) else { continue };
            if is_replayed || is_revived {
                left.extend(job.dependants.iter().map(|(seq, dependant)| (*seq, dependant.job)));
            }
            if is_revived {
                self.change(id, |job| {
                    job.failure = None;
                    job.phase = Phase::Blocked { open: 0 };
                });
            }
            if matches!(self.job(id).phase, Phase::Blocked { .. }) {
                self.block(id, now_ms);
            }
        }
    }
}
