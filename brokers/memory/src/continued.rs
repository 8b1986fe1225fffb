//! Jobs that go on as others: they wait for one job, and end as that does.

use std::collections::HashSet;
use std::mem::take;

use taskcore::broker::{EventKind, Input, Keep, NewJob};
use taskcore::{Failure, JobError, JobId, Payload};

use crate::job::Phase;
use crate::state::State;

/// What continues a job, as its verdict has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Continuation<'a> {
    pub(crate) jobs: &'a [NewJob],
    pub(crate) by: JobId,
    pub(crate) keep: Keep,
}

impl State {
    /// Lets a running job go on as another one. It never runs again, so it lets go of what it
    /// has read.
    pub(crate) fn continue_as(&mut self, id: JobId, continuation: Continuation<'_>, now_ms: i64) {
        let Continuation { jobs, by, keep } = continuation;
        self.enqueue(jobs, now_ms);
        if self.needs(by, id) {
            let job = self.change(id, |job| job.failures = job.failures.saturating_add(1));
            let failure = Failure::of_cycle(id, job.task.to_string(), job.failures, by);
            return self.fail(id, failure, now_ms);
        }
        let owned = jobs.iter().any(|job| job.id == by);
        self.change(id, |job| {
            job.expires_ms = None;
            job.continued = Some(keep);
            job.phase = Phase::Blocked { open: 1 };
        });
        self.happened(id, EventKind::Continued, now_ms);
        let job = self.jobs.get_mut(&id).expect("a job that was running is stored");
        let (seq, inputs) = (job.seq, take(&mut job.inputs));
        job.inputs.push(Input { job: by, tolerant: false, owned });
        self.let_go(seq, &inputs);
        if let Some(end) = self.wait_for_continuation(id, seq, by) {
            self.end_as(id, end, now_ms);
        }
    }

    /// Ends a job that is continued as the one that continues it has ended.
    pub(crate) fn end_as(
        &mut self,
        id: JobId,
        end: Result<Option<Payload>, JobError>,
        now_ms: i64,
    ) {
        let job = self.job(id);
        match end {
            Ok(result) => {
                let keep = job.continued.unwrap_or(Keep::Nothing);
                self.complete(id, result, keep, now_ms);
            }
            Err(error) => {
                let (task, attempt) = (job.task.to_string(), job.failures.saturating_add(1));
                self.fail(id, Failure::of_continuation(id, task, attempt, &error), now_ms);
            }
        }
    }

    /// Whether a job is this one, or needs it, however far down. It looks at the way up from the
    /// job only, which is short where a job made it: what has ended well needs nothing.
    fn needs(&self, job: JobId, other: JobId) -> bool {
        if job == other {
            return true;
        }
        // Nothing needs it, which is the usual case.
        if self.job(other).dependants.is_empty() {
            return false;
        }
        let (mut seen, mut left) = (HashSet::from([job]), vec![job]);
        while let Some(id) = left.pop() {
            let inputs = self.jobs.get(&id).into_iter().flat_map(|job| &job.inputs);
            for input in inputs {
                if input.job == other {
                    return true;
                }
                if seen.insert(input.job) {
                    left.push(input.job);
                }
            }
        }
        false
    }
}
