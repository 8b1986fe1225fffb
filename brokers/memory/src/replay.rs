//! Replaying failed jobs, and reviving what had failed because of them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use taskcore::JobId;
use taskcore::broker::{EventKind, JobFilter, JobState};

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
            self.happened(*id, EventKind::Replayed, now_ms);
        }
        self.revive(&ids, now_ms);
        ids
    }

    /// Blocks again what had failed because of replayed jobs, and because of that. A job counts the
    /// inputs that it lacks when the first of them is back, and then only what else comes back; so
    /// each edge is looked at a few times, whatever the order.
    fn revive(&mut self, replayed: &[JobId], now_ms: i64) {
        let mut left = replayed.to_vec();
        // Back, but not told yet.
        let mut untold: HashSet<JobId> = replayed.iter().copied().collect();
        let mut lacking: HashMap<JobId, usize> = HashMap::new();
        let mut waiting: BTreeSet<JobId> = untold.iter().copied().collect();
        while let Some(id) = left.pop() {
            untold.remove(&id);
            for dependant in self.dependants_of(id) {
                let Some(job) = self.jobs.get(&dependant.job) else { continue };
                waiting.insert(job.id);
                if dependant.is_tolerant || !job.is_failed_by_input() {
                    continue;
                }
                let lacks = match lacking.entry(job.id) {
                    Entry::Occupied(count) => {
                        let count = count.into_mut();
                        *count -= 1;
                        *count
                    }
                    Entry::Vacant(count) => *count.insert(self.lacks_inputs(job, &untold)),
                };
                if lacks == 0 && self.retake_key(dependant.job, now_ms) {
                    left.push(dependant.job);
                    untold.insert(dependant.job);
                    self.change(dependant.job, |job| {
                        job.failure = None;
                        job.phase = Phase::Blocked { open: 0 };
                    });
                    self.happened(dependant.job, EventKind::Replayed, now_ms);
                }
            }
        }
        for id in waiting {
            if matches!(self.job(id).phase, Phase::Blocked { .. }) {
                self.block(id, now_ms);
            }
        }
    }
}
