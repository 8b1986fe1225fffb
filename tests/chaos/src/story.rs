//! [`Story`]: what the ledgers tell of one call.

use std::collections::{BTreeMap, BTreeSet};

use hereafter::JobId;

use crate::ledger::{Entry, Fact};

/// When the server took nothing back of what it had handed out, and was told nothing of it: times in
/// microseconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outage {
    pub(crate) from: u64,
    pub(crate) until: u64,
}

/// One call. Who stores a call again after an unknown answer may have stored several jobs.
#[derive(Debug, Default)]
pub(crate) struct Story {
    attempts: usize,
    pub(crate) is_unknown: bool,
    /// Before when no job of it may run, and whether one did.
    pub(crate) due: Option<u64>,
    /// When it was acknowledged, and as which job.
    pub(crate) acknowledged: Option<(u64, JobId)>,
    runs: BTreeMap<JobId, Runs>,
}

/// The runs of one job.
#[derive(Debug, Default)]
struct Runs {
    begins: Vec<u64>,
    ends: usize,
}

/// The stories of all calls.
pub(crate) fn stories<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> BTreeMap<u64, Story> {
    let mut stories: BTreeMap<u64, Story> = BTreeMap::new();
    for entry in entries {
        stories.entry(entry.call).or_default().add(entry);
    }
    stories
}

impl Story {
    fn add(&mut self, entry: &Entry) {
        match entry.fact {
            Fact::Attempted => self.attempts += 1,
            Fact::Delayed(due) => {
                self.attempts += 1;
                self.due = Some(self.due.map_or(due, |known| known.min(due)));
            }
            Fact::Acknowledged(job) => self.acknowledged = Some((entry.at, job)),
            Fact::Unknown => self.is_unknown = true,
            Fact::Began(job) => self.runs.entry(job).or_default().begins.push(entry.at),
            Fact::Ended(job) => self.runs.entry(job).or_default().ends += 1,
        }
    }

    pub(crate) fn is_attempted(&self) -> bool {
        self.attempts > 0
    }

    /// How often it was run to the end.
    pub(crate) fn ends(&self) -> usize {
        self.runs.values().map(|runs| runs.ends).sum()
    }

    pub(crate) fn has_ended_as(&self, job: JobId) -> bool {
        self.runs.get(&job).is_some_and(|runs| runs.ends > 0)
    }

    /// Whether more than one job of it was run to the end: it was stored again after an unknown
    /// answer.
    pub(crate) fn is_repeated(&self) -> bool {
        self.runs.values().filter(|runs| runs.ends > 0).count() > 1
    }

    /// Whether a job of it was run to the end more than once.
    pub(crate) fn is_redelivered(&self) -> bool {
        self.runs.values().any(|runs| runs.ends > 1)
    }

    /// Whether the outage explains every further run of a job: it may have swallowed the verdict of the
    /// run before; or the job was on the ladder meanwhile, whose steps move what they have at least
    /// once.
    pub(crate) fn is_explained_by(&self, outage: Outage) -> bool {
        self.waited_through(outage)
            || self.runs.values().all(|runs| {
                let mut begins = runs.begins.clone();
                begins.sort_unstable();
                begins.windows(2).all(|pair| outage.is_between(pair[0], pair[1]))
            })
    }

    /// Whether it was on the ladder at the outage: it was stored, and it had not begun so long before
    /// that the ladder must have known that it had moved it.
    fn waited_through(&self, outage: Outage) -> bool {
        let is_stored = self.acknowledged.is_some_and(|(at, _)| at <= outage.until);
        let begins = self.runs.values().flat_map(|runs| &runs.begins);
        let had_not_left =
            begins.min().is_none_or(|first| first.saturating_add(VERDICT) >= outage.from);
        self.due.is_some() && is_stored && had_not_left
    }

    /// Whether it has more jobs than there were attempts to store it.
    pub(crate) fn is_unexpected(&self) -> bool {
        let mut jobs: BTreeSet<JobId> = self.runs.keys().copied().collect();
        jobs.extend(self.acknowledged.map(|(_, job)| job));
        jobs.len() > self.attempts
    }

    /// Whether a job of it began before its time.
    pub(crate) fn is_early(&self) -> bool {
        let mut begins = self.runs.values().flat_map(|runs| &runs.begins);
        self.due.is_some_and(|due| begins.any(|at| *at < due))
    }
}

impl Outage {
    /// Whether a job that began at `first`, and whose verdict was sent as soon as that is done here,
    /// could come again at `second` because of it.
    fn is_between(self, first: u64, second: u64) -> bool {
        let Self { from, until } = self;
        first.saturating_add(VERDICT) >= from
            && first <= until.saturating_add(VERDICT)
            && second >= from
    }
}

/// For how long after a job's begin the server may not know of its verdict, nor a step of the ladder
/// that it has moved it, in microseconds. A job takes no time here and both are told at once, but in
/// batches, each of which waits for the one before: on two cores that compilers shared, RabbitMQ was
/// 1.5 s behind when it was killed.
const VERDICT: u64 = 5_000_000;
