//! [`State`]: the state machine of the contract, as plain functions of a state and a time.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use taskcore::broker::{
    Delivery, Enqueued, EventKind, Extended, JobState, NewJob, Receipt, Reserve, Settled,
};
use taskcore::{Failure, JobId, Payload};

use crate::ended::{Forgotten, IdLog};
use crate::index::Index;
use crate::inputs::{End, Found};
use crate::job::{Ending, Job, Lease, Phase};
use crate::past::{Past, end_event};
use crate::schedules::Timetable;
use crate::sending::Sending;
use crate::unique::{Claim, Holders};
use taskcore::broker::millis::{due_ms, later};

/// All jobs. Every method is one atomic step; `now_ms` is the time at which it happens.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) jobs: HashMap<JobId, Box<Job>>,
    pub(crate) index: Index,
    /// The jobs that became final.
    pub(crate) ended: IdLog,
    /// The jobs that were cancelled while they ran.
    pub(crate) cancelled: IdLog,
    pub(crate) forgotten: Forgotten,
    pub(crate) holders: Holders,
    pub(crate) timetable: Timetable,
    pub(crate) past: Past,
    pub(crate) sending: Sending,
    /// Counts what jobs have said, for those who wait for it.
    pub(crate) reports: i64,
    /// Counts what readers of streams have asked for, for those who wait for it.
    pub(crate) pulls: i64,
    /// What this step has not told yet to the jobs that wait; empty between steps.
    pub(crate) ends: VecDeque<End>,
    seq: u64,
    lease: u64,
    /// Counts the steps that may have made work for a waiting `reserve`.
    work: i64,
}

impl State {
    /// Changes whenever a waiting `reserve` should look again.
    pub(crate) fn work(&self) -> i64 {
        self.work
    }

    pub(crate) fn enqueue(&mut self, batch: &[NewJob], now_ms: i64) -> Vec<Enqueued> {
        // Each new id clears away two old ones, so they stay bounded without upkeep.
        self.forgotten.clear(2 * batch.len(), now_ms);
        if batch.iter().any(|job| job.unique.is_some()) {
            self.holders.clear(2 * batch.len(), now_ms);
            return self.enqueue_unique(batch, now_ms);
        }
        batch.iter().map(|new| self.enqueue_one(new, now_ms)).collect()
    }

    /// Whether a job of this id was stored, as far as the store remembers.
    pub(crate) fn is_known(&self, id: JobId) -> bool {
        self.jobs.contains_key(&id) || self.forgotten.contains(id)
    }

    /// Stores a job whose key, if it has one, nobody else is to have.
    pub(crate) fn enqueue_one(&mut self, new: &NewJob, now_ms: i64) -> Enqueued {
        if self.is_known(new.id) {
            return Enqueued::Duplicate;
        }
        let due_ms = due_ms(new.due, now_ms);
        self.seq += 1;
        let seq = self.seq;
        let Found { inputs, open, error } = self.attach(new, seq);
        let is_blocked = open > 0 || error.is_some();
        let job = Job {
            id: new.id,
            seq,
            queue: self.index.place(&new.queue),
            task: new.task.clone(),
            priority: new.priority,
            envelope: new.envelope.clone(),
            created_ms: now_ms,
            due_ms,
            expires_ms: new.expires_in.map(|span| later(now_ms, span)),
            started_ms: None,
            worker: None,
            failures: 0,
            losses: 0,
            recoveries: 0,
            failure: None,
            lease: 0,
            unique: Claim::of(new).map(Box::new),
            inputs,
            continued: None,
            dependants: BTreeMap::new(),
            handouts: VecDeque::new(),
            said: None,
            phase: if is_blocked {
                Phase::Blocked { open }
            } else {
                Phase::waiting(due_ms, now_ms)
            },
        };
        self.index.add(&job);
        self.sending.note(&job);
        self.take_key(&job, now_ms);
        self.jobs.insert(job.id, Box::new(job));
        self.work += i64::from(!is_blocked);
        self.happened(new.id, EventKind::Stored, now_ms);
        if let Some(error) = error {
            let failure = Failure::of_input(new.id, new.task.to_string(), &error);
            self.fail(new.id, failure, now_ms);
        }
        Enqueued::Stored
    }

    /// Leases what is due, in the order of the contract.
    pub(crate) fn claim(&mut self, request: &Reserve, now_ms: i64) -> Vec<Delivery> {
        let worker: Arc<str> = request.worker.as_str().into();
        let ends_ms = later(now_ms, request.lease);
        self.expire(usize::MAX, now_ms);
        let mut deliveries = Vec::new();
        for share in &request.queues {
            let Some(place) = self.index.find(&share.queue) else { continue };
            self.promote(place, usize::MAX, now_ms);
            if self.index.queues[place].is_paused {
                continue;
            }
            let left = request.max.get() as usize - deliveries.len();
            for _ in 0..left.min(share.max.get() as usize) {
                let Some(id) = self.next_of(place) else { break };
                deliveries.push(self.lease(id, &worker, ends_ms, now_ms));
            }
        }
        deliveries
    }

    fn next_of(&self, place: usize) -> Option<JobId> {
        self.index.queues[place].ready.first_key_value().map(|(_, id)| *id)
    }

    pub(crate) fn lease(
        &mut self,
        id: JobId,
        worker: &Arc<str>,
        ends_ms: i64,
        now_ms: i64,
    ) -> Delivery {
        self.lease += 1;
        let number = self.lease;
        let job = self.change(id, |job| {
            job.note_start(worker, now_ms);
            job.lease = number;
            job.started_ms = Some(now_ms);
            job.worker = Some(worker.clone());
            job.phase = Phase::Running { ends_ms, is_begun: false };
        });
        let (has_key, place) = (job.unique.is_some(), job.queue);
        let queue = self.index.queues[place].name.clone();
        let delivery = self.job(id).delivery(queue);
        if has_key {
            self.release_queued(id);
        }
        self.happened(id, EventKind::Started, now_ms);
        delivery
    }

    /// When the next job of these queues becomes due.
    pub(crate) fn next_due_ms(&self, request: &Reserve) -> Option<i64> {
        let queues = request.queues.iter().filter_map(|share| self.index.find(&share.queue));
        let open = queues.map(|queue| &self.index.queues[queue]).filter(|queue| !queue.is_paused);
        open.filter_map(|queue| queue.scheduled.first_key_value().map(|((due, _), _)| *due)).min()
    }

    pub(crate) fn begin(&mut self, receipt: &Receipt, now_ms: i64) -> Settled {
        match Lease::of(receipt).and_then(|lease| self.held(lease, now_ms)) {
            Some(Job { phase: Phase::Running { is_begun, .. }, .. }) => {
                *is_begun = true;
                Settled::Applied
            }
            _ => Settled::Stale,
        }
    }

    pub(crate) fn extend(
        &mut self,
        receipts: &[Receipt],
        span: Duration,
        now_ms: i64,
    ) -> Vec<Extended> {
        let ends_ms = later(now_ms, span);
        receipts.iter().map(|receipt| self.extend_one(receipt, ends_ms, now_ms)).collect()
    }

    fn extend_one(&mut self, receipt: &Receipt, ends_ms: i64, now_ms: i64) -> Extended {
        let Some(lease) = Lease::of(receipt) else { return Extended::Lost };
        if self.held(lease, now_ms).is_some() {
            self.change(lease.job, |job| {
                if let Phase::Running { ends_ms: end, .. } = &mut job.phase {
                    *end = ends_ms;
                }
            });
            return Extended::Held;
        }
        let job = self.jobs.get(&lease.job).filter(|job| job.lease == lease.number);
        match job.map(|job| job.state(now_ms)) {
            Some(JobState::Cancelled) => Extended::Cancelled,
            _ => Extended::Lost,
        }
    }

    /// The job of a lease that is current and has not ended.
    pub(crate) fn held(&mut self, lease: Lease, now_ms: i64) -> Option<&mut Job> {
        let job = self.jobs.get_mut(&lease.job)?;
        let is_held = job.lease == lease.number
            && matches!(job.phase, Phase::Running { ends_ms, .. } if ends_ms > now_ms);
        is_held.then_some(job)
    }

    /// Ends a job. `keep` is how long it stays; failed jobs stay until somebody acts.
    pub(crate) fn finish(
        &mut self,
        id: JobId,
        state: JobState,
        result: Option<Payload>,
        keep: Option<Duration>,
        now_ms: i64,
    ) {
        let forget_ms = keep.map(|span| later(now_ms, span));
        let job = self.change(id, |job| {
            job.phase = Phase::Final(Ending { state, at_ms: now_ms, forget_ms, result });
        });
        let (has_edges, has_key) = (job.has_edges(), job.unique.is_some());
        self.ended.push(id);
        self.happened(id, end_event(state), now_ms);
        if has_key {
            self.release_ended(id);
        }
        if has_edges {
            self.note_end(id);
        }
    }

    /// Deletes a job now, and remembers its id for a while.
    pub(crate) fn forget(&mut self, id: JobId, now_ms: i64) {
        if let Some(job) = self.jobs.remove(&id) {
            self.sending.forget(id);
            self.release_deleted(&job);
            self.index.remove(&job);
            self.forgotten.push(id, now_ms);
            self.ended.push(id);
            self.note_deletion(job);
        }
    }

    /// Changes a job and lists it anew.
    pub(crate) fn change(&mut self, id: JobId, change: impl FnOnce(&mut Job)) -> &mut Job {
        let job = self.jobs.get_mut(&id).expect(LISTED);
        self.index.remove(job);
        let was_ready = job.is_ready();
        change(job);
        self.index.add(job);
        if was_ready != job.is_ready() {
            self.sending.note(job);
        }
        if matches!(job.phase, Phase::Scheduled | Phase::Ready) {
            self.work += 1;
        }
        job
    }

    pub(crate) fn job(&self, id: JobId) -> &Job {
        self.jobs.get(&id).expect(LISTED)
    }

    pub(crate) fn note_work(&mut self) {
        self.work += 1;
    }
}

const LISTED: &str = "a listed job is stored";
