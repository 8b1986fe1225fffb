//! [`Sending`]: the jobs that became ready and were not sent yet by a broker that carries them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::millis::later;
use taskcore::broker::{Claim, Claimed, Outgoing};

use crate::index::Turn;
use crate::job::Job;
use crate::state::State;

/// The outbox. As long as it is not open, it holds nothing.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    is_open: bool,
    /// By their numbers, of which none is given twice.
    entries: BTreeMap<i64, Entry>,
    /// The entry of each job that has one: only ready jobs have.
    by_job: HashMap<JobId, i64>,
    /// What this step has made ready and is not entered yet; empty between steps.
    new: Vec<JobId>,
    last: i64,
}

#[derive(Debug)]
struct Entry {
    job: JobId,
    /// Before this time it is somebody's to send.
    held_until_ms: i64,
}

impl Sending {
    /// The job has become ready, or is no more.
    pub(crate) fn note(&mut self, job: &Job) {
        if !self.is_open {
            return;
        }
        if job.is_ready() {
            self.new.push(job.id);
        } else {
            self.forget(job.id);
        }
    }

    /// The job does not wait to be sent.
    pub(crate) fn forget(&mut self, id: JobId) {
        if let Some(entry) = self.by_job.remove(&id) {
            self.entries.remove(&entry);
        }
    }

    fn enter(&mut self, job: JobId) {
        self.last += 1;
        self.entries.insert(self.last, Entry { job, held_until_ms: i64::MIN });
        self.by_job.insert(job, self.last);
    }

    /// When the next entry that somebody holds may be sent.
    fn next_free_ms(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.held_until_ms).min()
    }
}

impl State {
    /// Opens the outbox, with all jobs that are ready now.
    pub(crate) fn open_outbox(&mut self) {
        if !self.sending.is_open {
            self.sending.is_open = true;
            let queues = self.index.queues.iter();
            self.sending.new = queues.flat_map(|queue| queue.ready.values().copied()).collect();
            self.note_work();
        }
    }

    /// Enters what this step has made ready, in the order in which it would be handed out.
    pub(crate) fn enter_ready(&mut self) {
        if self.sending.new.is_empty() {
            return;
        }
        let new = std::mem::take(&mut self.sending.new);
        let jobs = new.iter().filter_map(|id| self.jobs.get(id)).filter(|job| job.is_ready());
        let mut turns: Vec<_> = jobs.map(|job| (Turn::of(job), job.id)).collect();
        turns.sort_unstable();
        turns.dedup();
        for (_, id) in turns {
            // It may have come and gone in this step.
            self.sending.forget(id);
            self.sending.enter(id);
        }
    }

    /// Takes the oldest entries that nobody holds.
    pub(crate) fn unsent(&mut self, max: usize, hold: Duration, now_ms: i64) -> Vec<Outgoing> {
        self.make_due_ready(now_ms);
        self.enter_ready();
        let held_until_ms = later(now_ms, hold);
        let free = self.sending.entries.iter_mut();
        let free = free.filter(|(_, entry)| entry.held_until_ms <= now_ms).take(max);
        let take = |(number, entry): (&i64, &mut Entry)| {
            entry.held_until_ms = held_until_ms;
            let job = &self.jobs[&entry.job];
            Outgoing {
                entry: *number,
                job: job.id,
                queue: self.index.queues[job.queue].name.clone(),
                priority: job.priority,
            }
        };
        free.map(take).collect()
    }

    /// When there may be something to send: when a job becomes due or a hold ends.
    pub(crate) fn next_unsent_ms(&self) -> Option<i64> {
        let due = |((due_ms, _), _): (&(i64, u64), _)| *due_ms;
        let queues = self.index.queues.iter();
        let due_ms = queues.filter_map(|queue| queue.scheduled.first_key_value().map(due)).min();
        [due_ms, self.sending.next_free_ms()].into_iter().flatten().min()
    }

    pub(crate) fn sent(&mut self, entries: &[Outgoing]) {
        for Outgoing { entry, .. } in entries {
            if let Some(entry) = self.sending.entries.remove(entry) {
                self.sending.by_job.remove(&entry.job);
            }
        }
    }

    /// Leases these jobs, each if it can be handed out.
    pub(crate) fn claim_these(&mut self, claim: &Claim, now_ms: i64) -> Vec<Claimed> {
        self.make_due_ready(now_ms);
        let worker: Arc<str> = claim.worker.as_str().into();
        let ends_ms = later(now_ms, claim.lease);
        let mut answers = Vec::with_capacity(claim.jobs.len());
        for id in &claim.jobs {
            answers.push(match self.jobs.get(id) {
                Some(job) if job.is_ready() && !self.index.queues[job.queue].is_paused => {
                    let delivery = self.lease(*id, &worker, ends_ms, now_ms);
                    Claimed::Leased(Box::new(delivery))
                }
                Some(_) => Claimed::NotReady,
                None => Claimed::Unknown,
            });
        }
        answers
    }

    /// Ends what did not start in time, and promotes what is due.
    fn make_due_ready(&mut self, now_ms: i64) {
        self.expire(usize::MAX, now_ms);
        for queue in 0..self.index.queues.len() {
            self.promote(queue, usize::MAX, now_ms);
        }
    }
}
