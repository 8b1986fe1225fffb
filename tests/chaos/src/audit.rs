//! What the ledgers and the server say, compared: in the words of Jepsen's test of queues.

use std::collections::{HashMap, HashSet};

use hereafter::JobId;
use serde::Serialize;

use crate::ledger::Entry;
use crate::story::{Outage, Story, stories};

/// What is known besides the ledgers when the campaign is over.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    /// A store knows every job.
    Store(Books),
    /// RabbitMQ alone knows only what was not dealt with.
    Queues(Queues),
}

/// What the store says of jobs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    /// For each job that a ledger names: whether it is done.
    pub(crate) done: HashMap<JobId, bool>,
    /// How often a verdict `done` was taken for each job.
    pub(crate) verdicts: HashMap<JobId, u32>,
    /// Jobs that have not ended, whoever stored them.
    pub(crate) open: u64,
    /// Jobs that were stored, and those that ended as done, by the sums of the task.
    pub(crate) stored: u64,
    pub(crate) ended_done: u64,
    /// Attempts that failed, whether they were repeated or not.
    pub(crate) failures: u64,
    /// Leases that were lost.
    pub(crate) leases_lost: u64,
}

/// What the queues of RabbitMQ have, once the workers have gone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queues {
    pub(crate) ready: u64,
    pub(crate) failed: HashSet<JobId>,
}

/// Counts of calls, or of jobs. What only a store can tell is missing without one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// Calls that were to be stored.
    pub(crate) attempted: usize,
    /// Calls of which the caller was told that they are stored.
    pub(crate) acknowledged: usize,
    /// Calls that were answered with an error: nobody knows whether they are stored.
    pub(crate) unknown: usize,
    /// Of those, the ones that were stored and have run.
    pub(crate) recovered: usize,
    /// Delayed calls that were acknowledged; and those of them that waited when the fault struck.
    pub(crate) delayed: usize,
    pub(crate) waiting: usize,
    /// Calls that were run to the end, at least once.
    pub(crate) run: usize,
    /// Calls that were run to the end more than once.
    pub(crate) duplicated: usize,
    /// Of those, the ones of which a job was handed out again.
    pub(crate) redelivered: usize,
    /// Of those, the ones that were stored again after an unknown answer.
    pub(crate) repeated: usize,
    /// Of those, the ones whose job was handed out again though no fault explains it.
    pub(crate) unexplained: usize,
    /// Acknowledged, and never run to the end or not done in the store.
    pub(crate) lost: usize,
    /// Begun before their time.
    pub(crate) early: usize,
    /// Run as more jobs than there were attempts to store them, or without any.
    pub(crate) unexpected: usize,
    /// Jobs for which two verdicts `done` were taken.
    pub(crate) acknowledged_twice: Option<usize>,
    /// Jobs that are done without a verdict of which the store tells, or the other way round; or the
    /// sums of the task do not add up.
    pub(crate) miscounted: Option<u64>,
    /// Jobs that had not ended after the stated time.
    pub(crate) unfinished: u64,
    /// Attempts that failed, or jobs where only they are known: an interruption is not a failure.
    pub(crate) failures: u64,
    /// Leases that were lost, whose jobs were handed out again.
    pub(crate) leases_lost: Option<u64>,
}

impl Findings {
    pub(crate) fn of<'a>(
        entries: impl IntoIterator<Item = &'a Entry>,
        records: &Records,
        outage: Outage,
    ) -> Self {
        let mut found = match records {
            Records::Store(books) => Self::of_store(books),
            Records::Queues(queues) => Self {
                unfinished: queues.ready,
                failures: queues.failed.len() as u64,
                ..Self::default()
            },
        };
        for story in stories(entries).values() {
            found.add(story, records, outage);
        }
        found
    }

    fn of_store(books: &Books) -> Self {
        let twice = books.verdicts.values().filter(|count| **count > 1).count();
        let done = books.done.iter().filter(|(_, is_done)| **is_done);
        let told = done.clone().filter(|(job, _)| books.verdicts.contains_key(job)).count() as u64;
        let (done, verdicts) = (done.count() as u64, books.verdicts.len() as u64);
        let miscounted = (done - told)
            + (verdicts - told)
            + books.ended_done.abs_diff(done)
            + books.stored.abs_diff(done + books.open);
        Self {
            unfinished: books.open,
            failures: books.failures,
            leases_lost: Some(books.leases_lost),
            acknowledged_twice: Some(twice),
            miscounted: Some(miscounted),
            ..Self::default()
        }
    }

    fn add(&mut self, story: &Story, records: &Records, outage: Outage) {
        let is_run = story.ends() > 0;
        self.attempted += usize::from(story.is_attempted());
        self.acknowledged += usize::from(story.acknowledged.is_some());
        self.unknown += usize::from(story.is_unknown);
        self.recovered += usize::from(story.is_unknown && is_run);
        self.run += usize::from(is_run);
        self.early += usize::from(story.is_early());
        self.unexpected += usize::from(story.is_unexpected());
        if story.ends() > 1 {
            self.duplicated += 1;
            self.redelivered += usize::from(story.is_redelivered());
            self.repeated += usize::from(story.is_repeated());
            self.unexplained += usize::from(!story.is_explained_by(outage));
        }
        let Some((at, job)) = story.acknowledged else { return };
        self.lost += usize::from(!records.account_for(story, job));
        if let Some(due) = story.due {
            self.delayed += 1;
            self.waiting += usize::from(at < outage.from && due > outage.from);
        }
    }

    /// What must not be, in a word each.
    pub(crate) fn faults(&self) -> Vec<String> {
        let counts = [
            ("lost", self.lost as u64),
            ("early", self.early as u64),
            ("run again without a reason", self.unexplained as u64),
            ("unexpected", self.unexpected as u64),
            ("acknowledged twice", self.acknowledged_twice.unwrap_or(0) as u64),
            ("miscounted", self.miscounted.unwrap_or(0)),
            ("unfinished", self.unfinished),
            ("failed attempts", self.failures),
        ];
        let faults = counts.into_iter().filter(|(_, count)| *count > 0);
        faults.map(|(what, count)| format!("{count} {what}")).collect()
    }
}

impl Records {
    /// Whether an acknowledged job has come to its end.
    fn account_for(&self, story: &Story, job: JobId) -> bool {
        match self {
            Self::Store(books) => {
                story.has_ended_as(job) && books.done.get(&job).is_some_and(|is_done| *is_done)
            }
            // One that failed is there, and is counted as such.
            Self::Queues(queues) => story.has_ended_as(job) || queues.failed.contains(&job),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Fact;

    const SECOND: u64 = 1_000_000;

    const OUTAGE: Outage = Outage { from: 10 * SECOND, until: 14 * SECOND };

    /// When the calls of a case are stored and run: at the outage.
    const THEN: u64 = 10 * SECOND - 1;

    /// Three calls in order; the answer to the second is not known, but it is stored and done.
    struct Case {
        entries: Vec<Entry>,
        books: Books,
        jobs: [JobId; 3],
    }

    impl Case {
        fn new() -> Self {
            let jobs = [JobId::new(), JobId::new(), JobId::new()];
            let mut case = Self { entries: Vec::new(), books: Books::default(), jobs };
            for (call, job) in (1..).zip(jobs) {
                case.write(call, Fact::Attempted);
                case.write(call, if call == 2 { Fact::Unknown } else { Fact::Acknowledged(job) });
                case.write(call, Fact::Began(job));
                case.write(call, Fact::Ended(job));
                case.books.done.insert(job, true);
                case.books.verdicts.insert(job, 1);
            }
            (case.books.stored, case.books.ended_done) = (3, 3);
            case
        }

        fn write(&mut self, call: u64, fact: Fact) {
            self.entries.push(Entry { at: THEN, call, fact });
        }

        fn forget(&mut self, call: u64, is_it: fn(Fact) -> bool) {
            self.entries.retain(|entry| entry.call != call || !is_it(entry.fact));
        }

        fn found(&self) -> Findings {
            Findings::of(&self.entries, &Records::Store(self.books.clone()), OUTAGE)
        }

        fn found_in_queues(&self, failed: &[JobId]) -> Findings {
            let queues = Queues { ready: 0, failed: failed.iter().copied().collect() };
            Findings::of(&self.entries, &Records::Queues(queues), OUTAGE)
        }

        /// Runs a call's job at this time.
        fn run_at(&mut self, at: u64, call: u64, job: JobId) {
            self.entries.push(Entry { at, call, fact: Fact::Began(job) });
            self.entries.push(Entry { at, call, fact: Fact::Ended(job) });
        }

        fn faults(&self) -> Vec<String> {
            self.found().faults()
        }
    }

    #[test]
    fn what_is_in_order_has_no_fault_and_a_lost_answer_is_none() {
        let found = Case::new().found();
        let expected = Findings {
            attempted: 3,
            acknowledged: 2,
            unknown: 1,
            recovered: 1,
            run: 3,
            acknowledged_twice: Some(0),
            miscounted: Some(0),
            leases_lost: Some(0),
            ..Findings::default()
        };
        assert_eq!(found, expected);
        assert!(found.faults().is_empty());
    }

    #[test]
    fn an_acknowledged_job_that_never_ran_is_lost() {
        let mut case = Case::new();
        case.forget(1, |fact| matches!(fact, Fact::Ended(_)));
        assert_eq!(case.faults(), ["1 lost"]);
    }

    #[test]
    fn an_acknowledged_job_that_the_store_does_not_know_is_lost() {
        let mut case = Case::new();
        case.books.done.remove(&case.jobs[0]);
        assert_eq!(case.found().lost, 1);
    }

    #[test]
    fn a_run_that_nobody_asked_for_is_unexpected() {
        let mut case = Case::new();
        case.forget(1, |fact| matches!(fact, Fact::Attempted));
        assert_eq!(case.faults(), ["1 unexpected"]);
    }

    #[test]
    fn a_call_that_is_stored_as_two_jobs_is_unexpected() {
        let mut case = Case::new();
        case.write(2, Fact::Began(JobId::new()));
        assert_eq!(case.faults(), ["1 unexpected"]);
    }

    #[test]
    fn a_second_run_is_told_and_is_no_fault_but_a_second_verdict_is() {
        let mut case = Case::new();
        let job = case.jobs[2];
        case.run_at(OUTAGE.until, 3, job);
        assert_eq!((case.found().duplicated, case.faults().len()), (1, 0));
        case.books.verdicts.insert(job, 2);
        assert_eq!(case.faults(), ["1 acknowledged twice"]);
    }

    #[test]
    fn open_jobs_failed_attempts_and_sums_that_do_not_add_up_are_faults() {
        let mut case = Case::new();
        case.books.failures = 1;
        assert_eq!(case.faults(), ["1 failed attempts"]);
        case.books.failures = 0;
        case.books.ended_done = 4;
        assert_eq!(case.faults(), ["1 miscounted"]);
        case.books.ended_done = 3;
        (case.books.open, case.books.stored) = (1, 4);
        assert_eq!(case.faults(), ["1 unfinished"]);
        (case.books.open, case.books.stored) = (0, 3);
        case.books.verdicts.remove(&case.jobs[0]);
        assert_eq!(case.faults(), ["1 miscounted"]);
    }

    #[test]
    fn a_second_run_that_no_outage_explains_is_a_fault() {
        let mut case = Case::new();
        // Long after all was over, and before anything was wrong.
        case.run_at(20 * SECOND, 1, case.jobs[0]);
        case.run_at(21 * SECOND, 1, case.jobs[0]);
        case.run_at(3 * SECOND, 3, case.jobs[2]);
        let found = case.found_in_queues(&[]);
        assert_eq!((found.duplicated, found.redelivered, found.unexplained), (2, 2, 2));
        assert_eq!(found.faults(), ["2 run again without a reason"]);
    }

    #[test]
    fn the_ladder_may_move_a_job_again_that_it_had_at_the_outage_and_no_other() {
        let mut case = Case::new();
        for call in [1, 3] {
            case.forget(call, |fact| !matches!(fact, Fact::Acknowledged(_)));
        }
        // One was due a moment before, and comes late; the other had come long before.
        case.write(1, Fact::Delayed(OUTAGE.from - SECOND / 10));
        case.write(3, Fact::Delayed(OUTAGE.from - 8 * SECOND));
        case.entries.iter_mut().for_each(|entry| entry.at = OUTAGE.from - 9 * SECOND);
        for at in [OUTAGE.until + 3 * SECOND, OUTAGE.until + 9 * SECOND] {
            case.run_at(at, 1, case.jobs[0]);
        }
        for at in [OUTAGE.from - 7 * SECOND, OUTAGE.until] {
            case.run_at(at, 3, case.jobs[2]);
        }
        let found = case.found_in_queues(&[]);
        assert_eq!((found.early, found.duplicated, found.unexplained), (0, 2, 1));
    }

    #[test]
    fn a_call_that_was_stored_again_after_an_unknown_answer_may_run_as_both_jobs() {
        let mut case = Case::new();
        let second = JobId::new();
        case.write(2, Fact::Attempted);
        case.write(2, Fact::Acknowledged(second));
        assert_eq!(case.found_in_queues(&[]).faults(), ["1 lost"], "the second job never ran");
        case.run_at(20 * SECOND, 2, second);
        let found = case.found_in_queues(&[]);
        assert_eq!((found.duplicated, found.redelivered, found.repeated), (1, 0, 1));
        assert!(found.faults().is_empty(), "{:?}", found.faults());
    }

    #[test]
    fn a_job_that_failed_is_not_lost_but_is_a_fault() {
        let mut case = Case::new();
        case.forget(1, |fact| matches!(fact, Fact::Ended(_)));
        assert_eq!(case.found_in_queues(&[]).faults(), ["1 lost"]);
        assert_eq!(case.found_in_queues(&[case.jobs[0]]).faults(), ["1 failed attempts"]);
    }

    #[test]
    fn a_delayed_job_waits_at_the_outage_and_must_not_run_before_its_time() {
        let mut case = Case::new();
        for call in [1, 3] {
            case.forget(call, |fact| !matches!(fact, Fact::Acknowledged(_)));
            case.write(call, Fact::Delayed(OUTAGE.until));
        }
        case.run_at(OUTAGE.until, 1, case.jobs[0]);
        case.run_at(OUTAGE.until - 1, 3, case.jobs[2]);
        let found = case.found_in_queues(&[]);
        assert_eq!((found.delayed, found.waiting, found.early), (2, 2, 1));
        assert_eq!(found.faults(), ["1 early"]);
    }
}
