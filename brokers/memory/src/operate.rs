//! What people do to a running system.

use std::cmp::Reverse;

use async_trait::async_trait;
use taskcore::broker::{
    BrokerError, CancelOutcome, CancelScope, Depth, Finding, FindingLevel, JobFilter, JobRecord,
    JobState, Operate, QueueStatus,
};
use taskcore::{JobId, QueueName};

use crate::broker::MemoryBroker;
use crate::job::Job;
use crate::state::State;
use taskcore::broker::millis::timestamp;

#[async_trait]
impl Operate for MemoryBroker {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        self.step(|state, now_ms| state.records(filter, now_ms))
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        self.step(|state, now_ms| state.cancel(ids, scope, now_ms))
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        self.step(|state, now_ms| state.replay(filter, now_ms))
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        self.step(|state, now_ms| state.purge(filter, now_ms))
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        self.step(|state, now_ms| state.statuses(now_ms))
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        self.step(|state, _| state.pause(queue, paused))
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        let jobs = self.step(|state, _| state.jobs.len())?;
        Ok(vec![
            Finding {
                level: FindingLevel::Warning,
                subject: "durability".to_owned(),
                detail: "jobs live in this process only and end with it: use `sqlite://PATH` to \
                         keep them, or to work from other processes"
                    .to_owned(),
            },
            Finding {
                level: FindingLevel::Ok,
                subject: "store".to_owned(),
                detail: format!(
                    "holds {jobs} {}, ended ones included",
                    if jobs == 1 { "job" } else { "jobs" }
                ),
            },
        ])
    }
}

impl State {
    pub(crate) fn depths(&mut self, names: &[QueueName], now_ms: i64) -> Vec<Depth> {
        let depth = |name: &QueueName| match self.index.find(name) {
            Some(queue) => self.depth(queue, now_ms),
            None => Depth::empty(name.clone()),
        };
        names.iter().map(depth).collect()
    }

    fn depth(&mut self, queue: usize, now_ms: i64) -> Depth {
        self.promote(queue, usize::MAX, now_ms);
        self.index.queues[queue].depth()
    }

    fn statuses(&mut self, now_ms: i64) -> Vec<QueueStatus> {
        let all = 0..self.index.queues.len();
        let in_use: Vec<_> = all.filter(|queue| self.index.queues[*queue].is_in_use()).collect();
        let mut statuses: Vec<_> = in_use
            .into_iter()
            .map(|queue| QueueStatus {
                paused: self.index.queues[queue].is_paused,
                depth: self.depth(queue, now_ms),
                consumers: None,
            })
            .collect();
        statuses.sort_by(|left, right| left.depth.queue.cmp(&right.depth.queue));
        statuses
    }

    fn pause(&mut self, queue: &QueueName, is_paused: bool) {
        let queue = self.index.place(queue);
        self.index.queues[queue].is_paused = is_paused;
        self.note_work();
    }

    fn records(&self, filter: &JobFilter, now_ms: i64) -> Vec<JobRecord> {
        let mut jobs = self.matching(filter, now_ms);
        jobs.sort_unstable_by_key(|job| Reverse(job.seq));
        jobs.truncate(limit(filter));
        let name = |job: &Job| self.index.queues[job.queue].name.clone();
        jobs.into_iter().map(|job| job.record(name(job), now_ms)).collect()
    }

    fn purge(&mut self, filter: &JobFilter, now_ms: i64) -> u64 {
        let ids = oldest(self.matching(filter, now_ms), filter);
        let idle: Vec<_> =
            ids.into_iter().filter(|id| self.job(*id).state(now_ms) != JobState::Running).collect();
        for id in &idle {
            self.forget(*id, now_ms);
        }
        idle.len() as u64
    }

    pub(crate) fn matching(&self, filter: &JobFilter, now_ms: i64) -> Vec<&Job> {
        let Ok(queue) =
            filter.queue.as_ref().map(|name| self.index.find(name).ok_or(())).transpose()
        else {
            return Vec::new();
        };
        let is_match = |job: &&Job| {
            filter.task.as_ref().is_none_or(|task| *task == job.task)
                && queue.is_none_or(|queue| queue == job.queue)
                && (filter.states.is_empty() || filter.states.contains(&job.state(now_ms)))
                && filter.created_from.is_none_or(|from| timestamp(job.created_ms) >= from)
                && filter.created_before.is_none_or(|before| timestamp(job.created_ms) < before)
        };
        match &filter.ids {
            // A set, because an id that is named twice is still one job.
            Some(ids) => {
                let ids: std::collections::BTreeSet<_> = ids.iter().collect();
                let stored = ids.into_iter().filter_map(|id| self.jobs.get(id));
                stored.map(AsRef::as_ref).filter(is_match).collect()
            }
            None => self.jobs.values().map(AsRef::as_ref).filter(is_match).collect(),
        }
    }
}

/// The ids of the oldest of these jobs, in order of creation, up to the limit of the filter.
pub(crate) fn oldest(mut jobs: Vec<&Job>, filter: &JobFilter) -> Vec<JobId> {
    jobs.sort_unstable_by_key(|job| job.seq);
    jobs.truncate(limit(filter));
    jobs.into_iter().map(|job| job.id).collect()
}

fn limit(filter: &JobFilter) -> usize {
    filter.limit.map_or(usize::MAX, |limit| limit as usize)
}
