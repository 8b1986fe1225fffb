//! [`Job`]: what is stored.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use taskcore::broker::{Delivery, Input, JobRecord, JobState, Keep, Outcome, Receipt};
use taskcore::{Failure, FailureKind, JobError, JobId, Payload, Priority, QueueName};

use crate::inputs::Dependant;
use crate::past::Handout;
use crate::said::Said;
use crate::unique::Claim;
use taskcore::broker::millis::timestamp;

#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) id: JobId,
    /// The order of enqueueing.
    pub(crate) seq: u64,
    /// Its queue's place in the index.
    pub(crate) queue: usize,
    pub(crate) task: Cow<'static, str>,
    pub(crate) priority: Priority,
    pub(crate) envelope: Payload,
    pub(crate) created_ms: i64,
    pub(crate) due_ms: i64,
    /// Set until an attempt of it has failed or a lease of it was lost.
    pub(crate) expires_ms: Option<i64>,
    pub(crate) started_ms: Option<i64>,
    pub(crate) worker: Option<Arc<str>>,
    pub(crate) failures: u32,
    pub(crate) losses: u32,
    pub(crate) recoveries: u32,
    pub(crate) failure: Option<Box<Failure>>,
    /// The number of its latest lease; 0 before the first.
    pub(crate) lease: u64,
    /// The key that it was stored with; most have none.
    pub(crate) unique: Option<Box<Claim>>,
    /// The jobs that it waits for or may read; empty once it will not read them any more.
    pub(crate) inputs: Vec<Input>,
    /// What to keep of a job that is continued by its only input.
    pub(crate) continued: Option<Keep>,
    /// The jobs that may still read its outcome, by their `seq`. It is kept for them.
    pub(crate) dependants: BTreeMap<u64, Dependant>,
    /// The latest deliveries, the oldest first.
    pub(crate) handouts: VecDeque<Handout>,
    /// What it has said, and what readers want of it; most say nothing.
    pub(crate) said: Option<Box<Said>>,
    pub(crate) phase: Phase,
}

/// Where a job is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    Scheduled,
    /// Waits for so many of its inputs.
    Blocked {
        open: u32,
    },
    Ready,
    Running {
        ends_ms: i64,
        is_begun: bool,
    },
    Final(Ending),
}

impl Phase {
    /// Of a job that nothing but its due time holds back.
    pub(crate) fn waiting(due_ms: i64, now_ms: i64) -> Self {
        if due_ms > now_ms { Self::Scheduled } else { Self::Ready }
    }
}

#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) state: JobState,
    pub(crate) at_ms: i64,
    /// When it is pruned; `None` for failed jobs, which stay.
    pub(crate) forget_ms: Option<i64>,
    pub(crate) result: Option<Payload>,
}

impl Job {
    /// The state as callers see it: a scheduled job that is due counts as ready, whether or
    /// not somebody has promoted it yet.
    pub(crate) fn state(&self, now_ms: i64) -> JobState {
        match &self.phase {
            Phase::Scheduled if self.due_ms > now_ms => JobState::Scheduled,
            Phase::Blocked { .. } => JobState::Blocked,
            Phase::Scheduled | Phase::Ready => JobState::Ready,
            Phase::Running { .. } => JobState::Running,
            Phase::Final(ending) => ending.state,
        }
    }

    /// Whether it is in a queue. A scheduled job that is due comes there when somebody looks.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    pub(crate) fn is_final(&self) -> bool {
        matches!(self.phase, Phase::Final(_))
    }

    /// Whether it has to do with other jobs; most have not.
    pub(crate) fn has_edges(&self) -> bool {
        !self.inputs.is_empty() || !self.dependants.is_empty()
    }

    /// Whether this is the final state of the job.
    pub(crate) fn is_in(&self, state: JobState) -> bool {
        matches!(&self.phase, Phase::Final(ending) if ending.state == state)
    }

    /// Whether it is the job's input that has to be replayed.
    pub(crate) fn is_failed_by_input(&self) -> bool {
        let is_by_input = |failure: &Failure| failure.kind == FailureKind::Input;
        self.is_in(JobState::Failed) && self.failure.as_deref().is_some_and(is_by_input)
    }

    /// How a job ended, for those that wait for it; `None` if it has not.
    pub(crate) fn end(&self) -> Option<Result<Option<Payload>, JobError>> {
        let Phase::Final(ending) = &self.phase else { return None };
        Some(self.error().map_or_else(|| Ok(ending.result.clone()), Err))
    }

    /// Why an ended job has no result; `None` if it has one or may still get one.
    pub(crate) fn error(&self) -> Option<JobError> {
        if self.is_in(JobState::Done) {
            return None;
        }
        self.outcome()?.error()
    }

    pub(crate) fn delivery(&self, queue: QueueName) -> Delivery {
        Delivery {
            job: self.id,
            task: self.task.to_string(),
            queue,
            envelope: self.envelope.clone(),
            attempt: std::num::NonZeroU32::MIN.saturating_add(self.failures),
            receipt: Lease { job: self.id, number: self.lease }.receipt(),
            suspect: self.losses >= Delivery::SUSPECT_AFTER,
            enqueued_at: timestamp(self.created_ms),
            due_at: timestamp(self.due_ms),
        }
    }

    /// What the job ended as; `None` if it has not.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        let Phase::Final(ending) = &self.phase else { return None };
        let is_failed = ending.state == JobState::Failed;
        Some(Outcome {
            job: self.id,
            task: self.task.to_string(),
            state: ending.state,
            result: ending.result.clone(),
            failure: self.failure.as_deref().filter(|_| is_failed).cloned(),
            finished_at: timestamp(ending.at_ms),
        })
    }

    pub(crate) fn record(&self, queue: QueueName, now_ms: i64) -> JobRecord {
        let ending = match &self.phase {
            Phase::Final(ending) => Some(ending),
            _ => None,
        };
        JobRecord {
            id: self.id,
            task: self.task.to_string(),
            queue,
            state: self.state(now_ms),
            priority: self.priority,
            failures: self.failures,
            losses: self.losses,
            recoveries: self.recoveries,
            created_at: timestamp(self.created_ms),
            due_at: timestamp(self.due_ms),
            started_at: self.started_ms.map(timestamp),
            finished_at: ending.map(|ending| timestamp(ending.at_ms)),
            waits_for: if let Phase::Blocked { open } = self.phase { open } else { 0 },
            unique: self.unique.as_ref().map(|claim| claim.key().to_owned()),
            worker: self.worker.as_deref().map(str::to_owned),
            failure: self.failure.as_deref().cloned(),
            envelope: self.envelope.clone(),
            result: ending.and_then(|ending| ending.result.clone()),
        }
    }
}

/// What a receipt says: which job, and which of all leases ever given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) job: JobId,
    pub(crate) number: u64,
}

impl Lease {
    fn receipt(self) -> Receipt {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(self.job.as_bytes());
        bytes[16..].copy_from_slice(&self.number.to_be_bytes());
        Receipt::new(bytes.to_vec())
    }

    /// `None` for a receipt that this broker did not make.
    pub(crate) fn of(receipt: &Receipt) -> Option<Self> {
        let (job, number) = receipt.as_slice().split_at_checked(16)?;
        Some(Self {
            job: JobId::from_bytes(job.try_into().ok()?),
            number: u64::from_be_bytes(number.try_into().ok()?),
        })
    }
}
