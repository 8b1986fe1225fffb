//! Jobs that wait for others: what holds them back, and what lets them go on or fails them.
//!
//! An edge is written down at both ends: a job knows its inputs, and an input the jobs that may
//! still read it. Every step touches only the edges of the jobs that it changes.

use std::collections::HashSet;
use std::mem::take;

use taskcore::broker::{Input, JobState, NewJob};
use taskcore::{Failure, JobError, JobId, Payload};

use crate::job::{Job, Phase};
use crate::state::State;

/// A job that named another one as an input, and has not ended or may be replayed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dependant {
    pub(crate) job: JobId,
    pub(crate) is_tolerant: bool,
    /// Whether it counts the input among those that it waits for.
    is_waiting: bool,
}

/// What a new job finds of its inputs.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Each once.
    pub(crate) inputs: Vec<Input>,
    /// How many of them have not ended.
    pub(crate) open: u32,
    /// Why the job cannot run.
    pub(crate) error: Option<JobError>,
}

/// The end of a job, as those that waited for it take it.
#[derive(Debug)]
pub(crate) struct End {
    /// The result, or why there is none.
    end: Result<Option<Payload>, JobError>,
    waiting: Vec<Dependant>,
}

impl End {
    /// Takes note of all that wait for a job; `None` if nothing does.
    fn of(
        job: &mut Job,
        end: impl FnOnce(&Job) -> Result<Option<Payload>, JobError>,
    ) -> Option<Self> {
        let waiting = job.dependants.values_mut().filter(|dependant| dependant.is_waiting);
        let told = waiting.map(|dependant| {
            dependant.is_waiting = false;
            *dependant
        });
        let waiting: Vec<_> = told.collect();
        (!waiting.is_empty()).then(|| Self { end: end(job), waiting })
    }
}

impl State {
    /// Writes down the inputs of the new job with the number `seq`.
    pub(crate) fn attach(&mut self, new: &NewJob, seq: u64) -> Found {
        let mut found = Found::default();
        for input in &new.inputs {
            let mut is_known = false;
            let mut error = Some(JobError::unknown(input.job));
            self.edit_edges(input.job, |job| {
                let is_waiting = !job.is_final();
                let dependant = Dependant { job: new.id, is_tolerant: input.tolerant, is_waiting };
                is_known = job.dependants.insert(seq, dependant).is_some();
                found.open += u32::from(is_waiting && !is_known);
                error = job.error();
            });
            if !is_known {
                found.inputs.push(*input);
            }
            if !input.tolerant {
                found.error = found.error.or(error);
            }
        }
        found
    }

    /// Writes down that the job with the number `seq` waits for the one that continues it, or
    /// answers how that one has ended.
    pub(crate) fn wait_for_continuation(
        &mut self,
        id: JobId,
        seq: u64,
        by: JobId,
    ) -> Option<Result<Option<Payload>, JobError>> {
        let mut end = Some(Err(JobError::unknown(by)));
        self.edit_edges(by, |job| {
            let is_waiting = !job.is_final();
            job.dependants.insert(seq, Dependant { job: id, is_tolerant: false, is_waiting });
            end = job.end();
        });
        end
    }

    /// Notes that a job is final now, and whether it may still read its inputs.
    pub(crate) fn note_end(&mut self, id: JobId) {
        let job = self.jobs.get_mut(&id).expect("a job that ends is stored");
        self.ends.extend(End::of(job, |job| job.end().expect("it is final")));
        if !job.is_in(JobState::Failed) {
            let (seq, inputs) = (job.seq, take(&mut job.inputs));
            self.let_go(seq, &inputs);
        }
    }

    /// Notes that a job is no longer stored.
    pub(crate) fn note_deletion(&mut self, mut job: Box<Job>) {
        let cancelled =
            |job: &Job| Err(JobError::Cancelled { job: job.id, task: job.task.to_string() });
        self.ends.extend(End::of(&mut job, cancelled));
        self.let_go(job.seq, &job.inputs);
    }

    /// Frees the inputs of the job with the number `seq`, which will not read them any more.
    pub(crate) fn let_go(&mut self, seq: u64, inputs: &[Input]) {
        for input in inputs {
            self.edit_edges(input.job, |job| {
                job.dependants.remove(&seq);
            });
        }
    }

    /// Passes the ends of this step on to what waited for them, and the ends that this makes in
    /// turn.
    pub(crate) fn pass_ends_on(&mut self, now_ms: i64) {
        while let Some(End { end, waiting }) = self.ends.pop_front() {
            for dependant in waiting {
                self.take_end(&dependant, &end, now_ms);
            }
        }
    }

    fn take_end(
        &mut self,
        dependant: &Dependant,
        end: &Result<Option<Payload>, JobError>,
        now_ms: i64,
    ) {
        let Some(job) = self.jobs.get_mut(&dependant.job) else { return };
        // Another input may have failed it, or somebody cancelled it, in the same step.
        let Phase::Blocked { open } = &mut job.phase else { return };
        if job.continued.is_some() {
            return self.end_as(dependant.job, end.clone(), now_ms);
        }
        match end.as_ref().err().filter(|_| !dependant.is_tolerant) {
            Some(error) => {
                let failure = Failure::of_input(job.id, job.task.to_string(), error);
                self.fail(dependant.job, failure, now_ms);
            }
            None => {
                *open -= 1;
                if *open == 0 {
                    self.unblock(dependant.job, now_ms);
                }
            }
        }
    }

    /// Lets a job go on. It keeps its due time, and with it its turn.
    fn unblock(&mut self, id: JobId, now_ms: i64) {
        self.change(id, |job| job.phase = Phase::waiting(job.due_ms, now_ms));
    }

    /// Makes a job wait for those of its inputs that are not final, also for those that were
    /// before they were replayed.
    pub(crate) fn block(&mut self, id: JobId, now_ms: i64) {
        let (seq, inputs) = (self.job(id).seq, self.job(id).inputs.clone());
        let mut open = 0;
        for input in inputs {
            let Some(job) = self.jobs.get_mut(&input.job).filter(|job| !job.is_final()) else {
                continue;
            };
            if let Some(dependant) = job.dependants.get_mut(&seq) {
                dependant.is_waiting = true;
                open += 1;
            }
        }
        self.change(id, |job| job.phase = Phase::Blocked { open });
        if open == 0 {
            self.unblock(id, now_ms);
        }
    }

    /// How many of the inputs that a job cannot do without have no result, or are among these.
    pub(crate) fn lacks_inputs(&self, job: &Job, untold: &HashSet<JobId>) -> usize {
        let is_lacking = |input: &&Input| {
            let job = self.jobs.get(&input.job);
            untold.contains(&input.job) || job.is_none_or(|job| job.error().is_some())
        };
        job.inputs.iter().filter(|input| !input.tolerant).filter(is_lacking).count()
    }

    /// The jobs that may still read this one.
    pub(crate) fn dependants_of(&self, id: JobId) -> Vec<Dependant> {
        let job = self.jobs.get(&id).into_iter();
        job.flat_map(|job| job.dependants.values().copied()).collect()
    }

    /// Whether a job waits for this one.
    pub(crate) fn is_waited_for(&self, job: &Job) -> bool {
        let mut dependants = job.dependants.values().filter_map(|one| self.jobs.get(&one.job));
        dependants.any(|dependant| matches!(dependant.phase, Phase::Blocked { .. }))
    }

    /// Changes who may still read a job, if it is stored, which decides whether it is pruned.
    fn edit_edges(&mut self, id: JobId, edit: impl FnOnce(&mut Job)) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let was_held = !job.dependants.is_empty();
        edit(job);
        if was_held == job.dependants.is_empty() {
            self.index.list_for_pruning(job);
        }
    }
}
