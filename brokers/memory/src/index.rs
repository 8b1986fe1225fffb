//! [`Index`]: where each job is found, so that no call looks at jobs that it does not touch.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use taskcore::broker::{Depth, JobState};
use taskcore::{JobId, Priority, QueueName};

use crate::job::{Ending, Job, Phase};
use taskcore::broker::millis::timestamp;

/// A time in milliseconds, then a number that makes it unique.
type At = (i64, u64);

/// Every job is listed where its phase says, and nowhere else; each step costs O(log n).
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) queues: Vec<Queue>,
    places: HashMap<QueueName, usize>,
    /// Running jobs, by the end of the lease and its number.
    pub(crate) leases: BTreeMap<At, JobId>,
    /// Jobs that may still expire.
    pub(crate) expiring: BTreeMap<At, JobId>,
    /// Final jobs that are not kept for ever and that no job may still read, by when they are
    /// pruned.
    pub(crate) forgetting: BTreeMap<At, JobId>,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: QueueName,
    pub(crate) is_paused: bool,
    /// In the order in which they are handed out.
    pub(crate) ready: BTreeMap<Turn, JobId>,
    /// By due time.
    pub(crate) scheduled: BTreeMap<At, JobId>,
    blocked: u64,
    running: u64,
    failed: u64,
}

/// A ready job's turn: priority, then due time, then the order of enqueueing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    priority: Reverse<Priority>,
    due_ms: i64,
    seq: u64,
}

impl Index {
    /// The place of a queue, which is made if it is new.
    pub(crate) fn place(&mut self, name: &QueueName) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.queues.push(Queue::new(name.clone()));
        self.places.insert(name.clone(), self.queues.len() - 1);
        self.queues.len() - 1
    }

    /// The place of a queue that is known.
    pub(crate) fn find(&self, name: &QueueName) -> Option<usize> {
        self.places.get(name).copied()
    }

    pub(crate) fn add(&mut self, job: &Job) {
        let queue = &mut self.queues[job.queue];
        match &job.phase {
            Phase::Scheduled => drop(queue.scheduled.insert((job.due_ms, job.seq), job.id)),
            Phase::Blocked { .. } => queue.blocked += 1,
            Phase::Ready => drop(queue.ready.insert(Turn::of(job), job.id)),
            Phase::Running { ends_ms, .. } => {
                queue.running += 1;
                self.leases.insert((*ends_ms, job.lease), job.id);
            }
            Phase::Final(ending) => {
                queue.failed += u64::from(ending.state == JobState::Failed);
                self.list_for_pruning(job);
            }
        }
        if let (Phase::Scheduled | Phase::Blocked { .. } | Phase::Ready, Some(expires_ms)) =
            (&job.phase, job.expires_ms)
        {
            self.expiring.insert((expires_ms, job.seq), job.id);
        }
    }

    /// Lists a final job among those to prune, unless another one may still read it.
    pub(crate) fn list_for_pruning(&mut self, job: &Job) {
        let Phase::Final(Ending { forget_ms: Some(forget_ms), .. }) = &job.phase else { return };
        if job.dependants.is_empty() {
            self.forgetting.insert((*forget_ms, job.seq), job.id);
        } else {
            self.forgetting.remove(&(*forget_ms, job.seq));
        }
    }

    pub(crate) fn remove(&mut self, job: &Job) {
        let queue = &mut self.queues[job.queue];
        match &job.phase {
            Phase::Scheduled => drop(queue.scheduled.remove(&(job.due_ms, job.seq))),
            Phase::Blocked { .. } => queue.blocked -= 1,
            Phase::Ready => drop(queue.ready.remove(&Turn::of(job))),
            Phase::Running { ends_ms, .. } => {
                queue.running -= 1;
                self.leases.remove(&(*ends_ms, job.lease));
            }
            Phase::Final(ending) => {
                queue.failed -= u64::from(ending.state == JobState::Failed);
                if let Some(forget_ms) = ending.forget_ms {
                    self.forgetting.remove(&(forget_ms, job.seq));
                }
            }
        }
        if let Some(expires_ms) = job.expires_ms {
            self.expiring.remove(&(expires_ms, job.seq));
        }
    }
}

impl Queue {
    fn new(name: QueueName) -> Self {
        Self {
            name,
            is_paused: false,
            ready: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            blocked: 0,
            running: 0,
            failed: 0,
        }
    }

    /// Whether `queues list` shows it.
    pub(crate) fn is_in_use(&self) -> bool {
        let waiting = self.ready.len() + self.scheduled.len();
        self.is_paused || waiting > 0 || self.blocked > 0 || self.running > 0 || self.failed > 0
    }

    /// Its counts. Jobs that are due must have been promoted.
    pub(crate) fn depth(&self) -> Depth {
        Depth {
            queue: self.name.clone(),
            ready: Some(self.ready.len() as u64),
            scheduled: Some(self.scheduled.len() as u64),
            blocked: Some(self.blocked),
            running: Some(self.running),
            failed: Some(self.failed),
            oldest_ready: self.oldest_ready_ms().map(timestamp),
        }
    }

    /// The earliest due time: the least of the first of each priority.
    fn oldest_ready_ms(&self) -> Option<i64> {
        let levels = Priority::MIN.value()..=Priority::MAX.value();
        let firsts = levels.filter_map(|level| {
            let priority = Reverse(Priority::new(level).ok()?);
            let first = Turn { priority, due_ms: i64::MIN, seq: 0 };
            let last = Turn { priority, due_ms: i64::MAX, seq: u64::MAX };
            self.ready.range(first..=last).next().map(|(turn, _)| turn.due_ms)
        });
        firsts.min()
    }
}

impl Turn {
    pub(crate) fn of(job: &Job) -> Self {
        Self { priority: Reverse(job.priority), due_ms: job.due_ms, seq: job.seq }
    }
}
