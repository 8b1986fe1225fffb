//! [`Past`]: what happened, and what it adds up to. Every change of a job's state says so here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use taskcore::broker::millis::timestamp;
use taskcore::broker::{
    Attempt, AttemptEnd, Event, EventId, EventKind, Events, JobState, TaskStats, Timeline,
};
use taskcore::{Failure, JobId};

use crate::job::{Job, Phase};
use crate::state::State;

/// The latest events, and the sums of each task.
#[derive(Debug)]
pub(crate) struct Past {
    /// How many events stay.
    kept: usize,
    /// How many came before those that stay.
    gone: u64,
    events: VecDeque<Happened>,
    by_task: BTreeMap<String, TaskStats>,
}

/// An event. Its task is the job's, as long as there is one.
#[derive(Debug, Clone, Copy)]
struct Happened {
    at_ms: i64,
    kind: EventKind,
    job: JobId,
}

/// One delivery of a job.
#[derive(Debug)]
pub(crate) struct Handout {
    attempt: u32,
    worker: Arc<str>,
    started_ms: i64,
    end: Option<(AttemptEnd, i64)>,
    failure: Option<Box<Failure>>,
}

impl Default for Past {
    fn default() -> Self {
        Self { kept: 10_000, gone: 0, events: VecDeque::new(), by_task: BTreeMap::new() }
    }
}

impl Past {
    /// Keeps so many events from now on.
    pub(crate) fn keep(&mut self, kept: usize) {
        self.kept = kept;
        self.drop_extra();
    }

    /// The number of the latest event.
    pub(crate) fn last(&self) -> u64 {
        self.gone + self.events.len() as u64
    }

    fn push(&mut self, event: Happened) {
        self.events.push_back(event);
        self.drop_extra();
    }

    fn drop_extra(&mut self) {
        let extra = self.events.len().saturating_sub(self.kept);
        self.events.drain(..extra);
        self.gone += extra as u64;
    }

    fn sums(&mut self, task: &str) -> &mut TaskStats {
        if !self.by_task.contains_key(task) {
            let new = TaskStats { task: task.to_owned(), ..TaskStats::default() };
            self.by_task.insert(task.to_owned(), new);
        }
        self.by_task.get_mut(task).expect("it was put there")
    }
}

impl Job {
    /// From the contract of `timeline`.
    const HANDOUTS: usize = 50;

    pub(crate) fn note_start(&mut self, worker: &Arc<str>, now_ms: i64) {
        if self.handouts.len() == Self::HANDOUTS {
            self.handouts.pop_front();
        }
        self.handouts.push_back(Handout {
            attempt: self.failures.saturating_add(1),
            worker: worker.clone(),
            started_ms: now_ms,
            end: None,
            failure: None,
        });
    }
}

impl Handout {
    fn attempt(&self) -> Attempt {
        Attempt {
            attempt: self.attempt,
            worker: self.worker.to_string(),
            started_at: timestamp(self.started_ms),
            ended_at: self.end.map(|(_, at_ms)| timestamp(at_ms)),
            end: self.end.map(|(end, _)| end),
            failure: self.failure.as_deref().cloned(),
        }
    }
}

impl State {
    /// Records what happened to a job.
    pub(crate) fn happened(&mut self, id: JobId, kind: EventKind, now_ms: i64) {
        let job = self.jobs.get(&id).expect("what something happens to is stored");
        let sums = self.past.sums(&job.task);
        match kind {
            EventKind::Stored => sums.stored += 1,
            EventKind::Done => sums.done += 1,
            EventKind::Failed => sums.failed += 1,
            EventKind::Cancelled => sums.cancelled += 1,
            EventKind::Expired => sums.expired += 1,
            EventKind::Retried => sums.retried += 1,
            // A lease is lost too where the job has failed by it.
            _ => {}
        }
        self.past.push(Happened { at_ms: now_ms, kind, job: id });
    }

    /// Records how a delivery ended. Its job is still due when it was then.
    pub(crate) fn end_handout(
        &mut self,
        id: JobId,
        end: AttemptEnd,
        failure: Option<&Failure>,
        at_ms: i64,
    ) {
        let job = self.jobs.get_mut(&id).expect("what was handed out is stored");
        let handout = job.handouts.back_mut().expect("a running job was handed out");
        handout.end = Some((end, at_ms));
        handout.failure = failure.cloned().map(Box::new);
        let sums = self.past.sums(&job.task);
        match end {
            AttemptEnd::Lost => sums.lost += 1,
            AttemptEnd::Done | AttemptEnd::Failed | AttemptEnd::Continued => {
                let (ran, waited) =
                    (span(handout.started_ms, at_ms), span(job.due_ms, handout.started_ms));
                sums.runs += 1;
                sums.run_time += ran;
                sums.longest_run = sums.longest_run.max(ran);
                sums.wait_time += waited;
                sums.longest_wait = sums.longest_wait.max(waited);
            }
            _ => {}
        }
    }

    pub(crate) fn timeline(&self, id: JobId, now_ms: i64) -> Option<Timeline> {
        let job = self.jobs.get(&id)?;
        let finished_ms = match &job.phase {
            Phase::Final(ending) => Some(ending.at_ms),
            _ => None,
        };
        Some(Timeline {
            job: id,
            task: job.task.to_string(),
            created_at: timestamp(job.created_ms),
            due_at: timestamp(job.due_ms),
            attempts: job.handouts.iter().map(Handout::attempt).collect(),
            state: job.state(now_ms),
            finished_at: finished_ms.map(timestamp),
        })
    }

    pub(crate) fn stats(&self) -> Vec<TaskStats> {
        self.past.by_task.values().cloned().collect()
    }

    /// At most `max` events after a position, which may be one of another store.
    pub(crate) fn events(&self, after: EventId, max: u32) -> Events {
        let Past { gone, events, .. } = &self.past;
        let after = after.0.min(self.past.last());
        let from = after.max(*gone);
        let there = events.iter().skip((from - gone) as usize).take(max.max(1) as usize);
        let event = |(happened, id): (&Happened, u64)| Event {
            id: EventId(id),
            at: timestamp(happened.at_ms),
            kind: happened.kind,
            job: happened.job,
            task: self.jobs.get(&happened.job).map(|job| job.task.to_string()),
        };
        let events: Vec<_> = there.zip(from + 1..).map(event).collect();
        Events { missed: from - after, next: EventId(from + events.len() as u64), events }
    }
}

/// The event of a job that became final.
pub(crate) fn end_event(state: JobState) -> EventKind {
    match state {
        JobState::Failed => EventKind::Failed,
        JobState::Cancelled => EventKind::Cancelled,
        JobState::Expired => EventKind::Expired,
        _ => EventKind::Done,
    }
}

fn span(from_ms: i64, to_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(to_ms - from_ms).unwrap_or(0))
}
