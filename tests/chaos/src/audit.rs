//! What the ledgers and the store say, compared: in the words of Jepsen's test of queues.

use std::collections::{BTreeMap, HashMap};

use hereafter::JobId;
use serde::Serialize;

use crate::ledger::{Entry, Fact};

/// What the store says of jobs when the campaign is over.
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

/// Counts of calls, or of jobs.
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
    /// Calls that were run to the end, at least once.
    pub(crate) run: usize,
    /// Calls that were run to the end more than once.
    pub(crate) duplicated: usize,
    /// Acknowledged, and never run to the end or not done in the store.
    pub(crate) lost: usize,
    /// Run without an attempt, or as another job than the one that was acknowledged.
    pub(crate) unexpected: usize,
    /// Jobs for which two verdicts `done` were taken.
    pub(crate) acknowledged_twice: usize,
    /// Jobs that are done without a verdict of which the store tells, or the other way round; or the
    /// sums of the task do not add up.
    pub(crate) miscounted: u64,
    /// Jobs that had not ended after the stated time.
    pub(crate) unfinished: u64,
    /// Attempts that failed: an interruption is not a failure.
    pub(crate) failures: u64,
    /// Leases that were lost, whose jobs were handed out again.
    pub(crate) leases_lost: u64,
}

/// What the ledgers tell of one call.
#[derive(Debug, Default)]
struct Story {
    is_attempted: bool,
    is_unknown: bool,
    acknowledged: Option<JobId>,
    /// The job of each run, and how many runs came to their end.
    ran_as: Vec<JobId>,
    ends: usize,
}

impl Findings {
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>, books: &Books) -> Self {
        let mut found = Self {
            unfinished: books.open,
            failures: books.failures,
            leases_lost: books.leases_lost,
            ..Self::default()
        };
        for story in stories(entries).values() {
            found.add(story, books);
        }
        found.acknowledged_twice = books.verdicts.values().filter(|count| **count > 1).count();
        let done = books.done.iter().filter(|(_, is_done)| **is_done);
        let told = done.clone().filter(|(job, _)| books.verdicts.contains_key(job)).count() as u64;
        let (done, verdicts) = (done.count() as u64, books.verdicts.len() as u64);
        found.miscounted = (done - told)
            + (verdicts - told)
            + books.ended_done.abs_diff(done)
            + books.stored.abs_diff(done + books.open);
        found
    }

    fn add(&mut self, story: &Story, books: &Books) {
        let is_run = story.ends > 0;
        self.attempted += usize::from(story.is_attempted);
        self.acknowledged += usize::from(story.acknowledged.is_some());
        self.unknown += usize::from(story.is_unknown);
        self.recovered += usize::from(story.is_unknown && is_run);
        self.run += usize::from(is_run);
        self.duplicated += usize::from(story.ends > 1);
        if let Some(job) = story.acknowledged {
            let is_done = books.done.get(&job).is_some_and(|is_done| *is_done);
            self.lost += usize::from(!is_run || !is_done);
        }
        let job = story.acknowledged.or(story.ran_as.first().copied());
        let is_other = story.ran_as.iter().any(|ran_as| Some(*ran_as) != job);
        let is_unheard_of = !story.is_attempted && !story.ran_as.is_empty();
        self.unexpected += usize::from(is_other || is_unheard_of);
    }

    /// What must not be, in a word each.
    pub(crate) fn faults(&self) -> Vec<String> {
        let counts = [
            ("lost", self.lost as u64),
            ("unexpected", self.unexpected as u64),
            ("acknowledged twice", self.acknowledged_twice as u64),
            ("miscounted", self.miscounted),
            ("unfinished", self.unfinished),
            ("failed attempts", self.failures),
        ];
        let faults = counts.into_iter().filter(|(_, count)| *count > 0);
        faults.map(|(what, count)| format!("{count} {what}")).collect()
    }
}

fn stories<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<u64, Story> {
    let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
    for entry in entries {
        let story = stories.entry(entry.call).or_default();
        match entry.fact {
            Fact::Attempted => story.is_attempted = true,
            Fact::Acknowledged(job) => story.acknowledged = Some(job),
            Fact::Unknown => story.is_unknown = true,
            Fact::Began(job) => story.ran_as.push(job),
            Fact::Ended(_) => story.ends += 1,
        }
    }
    stories
}

#[cfg(test)]
mod tests {
    use super::*;

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
            self.entries.push(Entry { at: 0, call, fact });
        }

        fn forget(&mut self, call: u64, is_it: fn(Fact) -> bool) {
            self.entries.retain(|entry| entry.call != call || !is_it(entry.fact));
        }

        fn found(&self) -> Findings {
            Findings::of(&self.entries, &self.books)
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
        case.write(3, Fact::Began(job));
        case.write(3, Fact::Ended(job));
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
}
