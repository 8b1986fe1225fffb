//! Unique keys: who holds which, and what becomes of jobs that want one.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use taskcore::JobId;
use taskcore::broker::millis::later;
use taskcore::broker::{CancelScope, Enqueued, NewJob, OnConflict, Unique, UniqueScope};

use crate::job::{Job, Phase};
use crate::state::State;

/// A key with its task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    task: Cow<'static, str>,
    key: String,
}

impl Name {
    fn of(new: &NewJob, unique: &Unique) -> Self {
        Self { task: new.task.clone(), key: unique.key.clone() }
    }
}

/// What a job was stored with.
#[derive(Debug)]
pub(crate) struct Claim {
    name: Arc<Name>,
    scope: UniqueScope,
}

#[derive(Debug)]
struct Holder {
    job: JobId,
    /// The end of a key that is held for a time, and the job's number.
    over: Option<(i64, u64)>,
}

/// Who holds which key.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    by_name: HashMap<Arc<Name>, Holder>,
    by_end: BTreeMap<(i64, u64), Arc<Name>>,
}

impl Claim {
    pub(crate) fn of(new: &NewJob) -> Option<Self> {
        let unique = new.unique.as_ref()?;
        Some(Self { name: Arc::new(Name::of(new, unique)), scope: unique.scope })
    }

    pub(crate) fn key(&self) -> &str {
        &self.name.key
    }

    /// Whether the end of the job changes nothing.
    fn is_for_a_time(&self) -> bool {
        matches!(self.scope, UniqueScope::For(_))
    }
}

impl Holders {
    /// Gives a key to a job, whoever had it.
    fn give(&mut self, claim: &Claim, job: JobId, seq: u64, now_ms: i64) {
        let over = match claim.scope {
            UniqueScope::For(span) => Some((later(now_ms, span), seq)),
            UniqueScope::Unfinished | UniqueScope::Queued => None,
        };
        if let Some(over) = over {
            self.by_end.insert(over, claim.name.clone());
        }
        let before = self.by_name.insert(claim.name.clone(), Holder { job, over });
        if let Some(over) = before.and_then(|holder| holder.over) {
            self.by_end.remove(&over);
        }
    }

    fn holder(&self, name: &Name, now_ms: i64) -> Option<JobId> {
        let holder = self.by_name.get(name)?;
        let is_over = holder.over.is_some_and(|(over_ms, _)| over_ms <= now_ms);
        (!is_over).then_some(holder.job)
    }

    /// Frees the key of a job, if it still has it.
    fn release(&mut self, claim: &Claim, job: JobId) {
        if self.by_name.get(&claim.name).is_some_and(|holder| holder.job == job) {
            self.by_name.remove(&claim.name);
        }
    }

    /// Frees at most `max` keys whose time is over.
    pub(crate) fn clear(&mut self, max: usize, now_ms: i64) {
        for _ in 0..max {
            match self.by_end.first_key_value() {
                Some(((over_ms, _), _)) if *over_ms <= now_ms => {}
                _ => return,
            }
            if let Some((_, name)) = self.by_end.pop_first() {
                self.by_name.remove(&name);
            }
        }
    }
}

/// What the jobs of a group do to those that hold their keys.
#[derive(Debug, Default)]
struct Plan {
    /// By the place in the group.
    conflicts: HashMap<usize, JobId>,
    replaced: Vec<JobId>,
}

impl State {
    /// Stores a batch in which a job has a unique key.
    pub(crate) fn enqueue_unique(&mut self, batch: &[NewJob], now_ms: i64) -> Vec<Enqueued> {
        let groups = batch.chunk_by(|job, _| job.with_next);
        groups.flat_map(|group| self.enqueue_group(group, now_ms)).collect()
    }

    fn enqueue_group(&mut self, group: &[NewJob], now_ms: i64) -> Vec<Enqueued> {
        let Plan { conflicts, replaced } = self.look_at(group, now_ms);
        if conflicts.is_empty() {
            let answers = group.iter().map(|new| self.enqueue_one(new, now_ms)).collect();
            // Only now that their keys are others', and that new jobs may wait for their inputs.
            self.cancel(&replaced, CancelScope::WithInputs, now_ms);
            return answers;
        }
        let answer = |(place, new): (usize, &NewJob)| match conflicts.get(&place) {
            Some(holder) => Enqueued::Conflict(*holder),
            None if self.is_known(new.id) => Enqueued::Duplicate,
            None => Enqueued::Withheld,
        };
        group.iter().enumerate().map(answer).collect()
    }

    fn look_at(&self, group: &[NewJob], now_ms: i64) -> Plan {
        let mut plan = Plan::default();
        let mut taken = HashMap::new();
        for (place, new) in group.iter().enumerate() {
            let Some(unique) = new.unique.as_ref().filter(|_| !self.is_known(new.id)) else {
                continue;
            };
            let name = Name::of(new, unique);
            let holder = self.holders.holder(&name, now_ms);
            let sibling = *taken.entry(name).or_insert(new.id);
            if sibling != new.id {
                plan.conflicts.insert(place, sibling);
            } else if let Some(holder) = holder {
                if unique.on_conflict == OnConflict::Replace && self.is_waiting(holder) {
                    plan.replaced.push(holder);
                } else {
                    plan.conflicts.insert(place, holder);
                }
            }
        }
        plan
    }

    fn is_waiting(&self, id: JobId) -> bool {
        let waits = |job: &Job| !matches!(job.phase, Phase::Running { .. } | Phase::Final(_));
        self.jobs.get(&id).is_some_and(|job| waits(job))
    }

    /// Gives a new job its key.
    pub(crate) fn take_key(&mut self, job: &Job, now_ms: i64) {
        if let Some(claim) = &job.unique {
            self.holders.give(claim, job.id, job.seq, now_ms);
        }
    }

    /// Gives a failed job that runs again its key; whether it may run.
    pub(crate) fn retake_key(&mut self, id: JobId, now_ms: i64) -> bool {
        let job = self.jobs.get(&id).expect("a job that is replayed is stored");
        let Some(claim) = &job.unique else { return true };
        if claim.scope != UniqueScope::Unfinished {
            return true;
        }
        let is_free = self.holders.holder(&claim.name, now_ms).is_none();
        if is_free {
            self.holders.give(claim, id, job.seq, now_ms);
        }
        is_free
    }

    /// Frees the key of a job that was handed out.
    pub(crate) fn release_queued(&mut self, id: JobId) {
        self.release(id, |claim| claim.scope == UniqueScope::Queued);
    }

    /// Frees the key of a job that is final.
    pub(crate) fn release_ended(&mut self, id: JobId) {
        self.release(id, |claim| !claim.is_for_a_time());
    }

    /// Frees the key of a job that is no longer stored.
    pub(crate) fn release_deleted(&mut self, job: &Job) {
        if let Some(claim) = job.unique.as_ref().filter(|claim| !claim.is_for_a_time()) {
            self.holders.release(claim, job.id);
        }
    }

    fn release(&mut self, id: JobId, is_over: impl FnOnce(&Claim) -> bool) {
        let Some(claim) = self.jobs.get(&id).and_then(|job| job.unique.as_ref()) else { return };
        if is_over(claim) {
            self.holders.release(claim, id);
        }
    }
}
