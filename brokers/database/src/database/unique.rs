//! Unique keys: who holds which, and what becomes of jobs that want one.

use std::collections::{HashMap, HashSet};

use super::row::Row;
use taskcore::JobId;
use taskcore::broker::millis::later;
use taskcore::broker::{CancelScope, Enqueued, NewJob, OnConflict, Unique, UniqueScope};

use super::args::Args;
use super::cancel::Cancel;
use super::enqueue::{self, Seqs};
use super::finish::{push_seq, same};
use super::row;
use super::session::Session;
use super::statements::unique as sql;
use super::writer::Write;

/// Stores a batch in which a job has a unique key.
pub(super) async fn store(
    session: &mut Session<'_>,
    batch: &[NewJob],
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let mut sorter = Sorter::look(session, batch).await?;
    let answers: Vec<_> =
        batch.chunk_by(|job, _| job.with_next).flat_map(|group| sorter.sort(group)).collect();
    let Sorter { stored, replaced, .. } = sorter;
    if !stored.is_empty() {
        let keys = Keys::of(&stored, session.now_ms);
        let jobs: Vec<NewJob> = stored.into_iter().cloned().collect();
        enqueue::store(session, &jobs, &keys).await?;
    }
    if !replaced.is_empty() {
        // Only now that their keys are others', and that new jobs may wait for their inputs.
        let mut cancel = Cancel { ids: replaced, scope: CancelScope::WithInputs };
        cancel.apply(session).await?;
    }
    Ok(answers)
}

/// A key with its task.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name {
    task: String,
    key: String,
}

impl Name {
    fn of(job: &NewJob) -> Option<Self> {
        let key = job.unique.as_ref()?.key.clone();
        Some(Self { task: job.task.to_string(), key })
    }
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    job: JobId,
    /// Whether it can be replaced.
    waits: bool,
}

/// Goes through a batch, and sorts out what is stored.
#[derive(Debug)]
struct Sorter<'a> {
    holders: HashMap<Name, Holder>,
    known: HashSet<JobId>,
    stored: Vec<&'a NewJob>,
    replaced: Vec<JobId>,
}

impl<'a> Sorter<'a> {
    async fn look(session: &mut Session<'_>, batch: &[NewJob]) -> Result<Self, sqlx::Error> {
        let now_ms = session.now_ms;
        let rest = |args: Args| args.with(now_ms);
        let push = |args: &mut Args, job: &NewJob| args.push(job.id);
        let known = session.sql.fetch_bulk(&sql::KNOWN, batch, push, rest).await?;
        let known = known.iter().map(|row| row::job_id(row, "id")).collect::<Result<_, _>>()?;
        let names: HashSet<Name> = batch.iter().filter_map(Name::of).collect();
        let names: Vec<(i64, Name)> = (0..).zip(names).collect();
        let push = |args: &mut Args, (place, name): &(i64, Name)| {
            args.push(*place);
            push_name(args, name);
        };
        let mut holders = HashMap::new();
        for row in session.sql.fetch_bulk(&sql::HOLDERS, &names, push, rest).await? {
            let place = usize::try_from(row::integer(&row, "place")?).unwrap_or(usize::MAX);
            let Some((_, name)) = names.get(place) else { continue };
            let holder =
                Holder { job: row::job_id(&row, "id")?, waits: row::is_set(&row, "waits")? };
            holders.insert(name.clone(), holder);
        }
        Ok(Self { holders, known, stored: Vec::new(), replaced: Vec::new() })
    }

    /// The answers to the jobs of a group, which are stored together or not at all.
    fn sort(&mut self, group: &'a [NewJob]) -> Vec<Enqueued> {
        let Looked { conflicts, mut replaced } = self.look_at(group);
        if !conflicts.is_empty() {
            let answer = |(place, job): (usize, &NewJob)| match conflicts.get(&place) {
                Some(holder) => Enqueued::Conflict(*holder),
                None if self.known.contains(&job.id) => Enqueued::Duplicate,
                None => Enqueued::Withheld,
            };
            return group.iter().enumerate().map(answer).collect();
        }
        self.replaced.append(&mut replaced);
        group.iter().map(|job| self.take(job)).collect()
    }

    fn look_at(&self, group: &[NewJob]) -> Looked {
        let (mut looked, mut taken) = (Looked::default(), HashMap::new());
        for (place, job) in group.iter().enumerate() {
            let Some(unique) = job.unique.as_ref().filter(|_| !self.known.contains(&job.id)) else {
                continue;
            };
            let Some(name) = Name::of(job) else { continue };
            let holder = self.holders.get(&name);
            let sibling = *taken.entry(name).or_insert(job.id);
            if sibling != job.id {
                looked.conflicts.insert(place, sibling);
            } else if let Some(holder) = holder {
                if unique.on_conflict == OnConflict::Replace && holder.waits {
                    looked.replaced.push(holder.job);
                } else {
                    looked.conflicts.insert(place, holder.job);
                }
            }
        }
        looked
    }

    fn take(&mut self, job: &'a NewJob) -> Enqueued {
        if !self.known.insert(job.id) {
            return Enqueued::Duplicate;
        }
        if let Some(name) = Name::of(job) {
            self.holders.insert(name, Holder { job: job.id, waits: true });
        }
        self.stored.push(job);
        Enqueued::Stored
    }
}

/// What the jobs of a group find of those that hold their keys.
#[derive(Debug, Default)]
struct Looked {
    /// By the place in the group.
    conflicts: HashMap<usize, JobId>,
    replaced: Vec<JobId>,
}

/// The keys of new jobs.
#[derive(Debug, Default)]
pub(super) struct Keys {
    taken: Vec<Taken>,
    names: Vec<Name>,
}

#[derive(Debug)]
struct Taken {
    job: JobId,
    unique: Unique,
    /// Whether no later job of the batch takes it from this one.
    is_held: bool,
    until_ms: Option<i64>,
}

impl Keys {
    fn of(jobs: &[&NewJob], now_ms: i64) -> Self {
        let (mut names, mut taken) = (HashSet::new(), Vec::new());
        // From the end: the last job of a name has it.
        for job in jobs.iter().rev() {
            let (Some(name), Some(unique)) = (Name::of(job), job.unique.clone()) else { continue };
            let until_ms = match unique.scope {
                UniqueScope::For(span) => Some(later(now_ms, span)),
                UniqueScope::Unfinished | UniqueScope::Queued => None,
            };
            taken.push(Taken { job: job.id, unique, is_held: names.insert(name), until_ms });
        }
        Self { taken, names: names.into_iter().collect() }
    }

    /// Gives the jobs their keys. Their rows are there, but not yet in any state.
    pub(super) async fn take(
        &self,
        session: &mut Session<'_>,
        seqs: Seqs,
    ) -> Result<(), sqlx::Error> {
        if self.taken.is_empty() {
            return Ok(());
        }
        session.saw_keys(true);
        free(session, &self.names).await?;
        let push = |args: &mut Args, taken: &Taken| {
            args.push(taken.job);
            args.push(taken.unique.key.as_str());
            args.push(scope(taken.unique.scope));
            args.push(taken.is_held);
            args.push(taken.until_ms);
        };
        let rest = |args: Args| args.with(seqs.first).with(seqs.last);
        session.sql.execute_bulk(&sql::TAKE_KEYS, &self.taken, push, rest).await?;
        Ok(())
    }
}

/// Takes these keys from whoever has them.
async fn free(session: &mut Session<'_>, names: &[Name]) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&sql::FREE_DELETED, names, push_name, same).await?;
    session.sql.execute_bulk(&sql::FREE, names, push_name, same).await?;
    Ok(())
}

/// Frees the keys of jobs that were handed out.
pub(super) async fn handed_out(session: &mut Session<'_>, rows: &[Row]) -> Result<(), sqlx::Error> {
    // One of them told for all.
    if !rows.first().map_or(Ok(false), |row| row::is_set(row, "keys"))? {
        return Ok(());
    }
    let seqs = rows.iter().map(|row| row::integer(row, "seq")).collect::<Result<Vec<_>, _>>()?;
    session.sql.execute_bulk(&sql::FREE_QUEUED, &seqs, push_seq, same).await?;
    Ok(())
}

/// Frees the keys of jobs that are final.
pub(super) async fn ended(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if !seqs.is_empty() && session.has_keys().await? {
        session.sql.execute_bulk(&sql::FREE_ENDED, seqs, push_seq, same).await?;
    }
    Ok(())
}

/// Forgets the keys of jobs that are deleted.
pub(super) async fn deleted(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if !seqs.is_empty() && session.has_keys().await? {
        session.sql.execute_bulk(&sql::DELETE_KEYS, seqs, push_seq, same).await?;
    }
    Ok(())
}

/// Frees at most `budget` keys whose time is over.
pub(super) async fn clear(session: &mut Session<'_>, budget: i64) -> Result<(), sqlx::Error> {
    if !session.has_keys().await? {
        return Ok(());
    }
    for statement in [sql::DELETE_OVER, sql::FREE_OVER] {
        let args = Args::new().with(session.now_ms).with(budget);
        session.sql.execute(statement, args).await?;
    }
    Ok(())
}

/// Whether one of these failed jobs needs its key again.
pub(super) async fn are_wanted(
    session: &mut Session<'_>,
    seqs: &[i64],
) -> Result<bool, sqlx::Error> {
    Ok(!wanted(session, seqs).await?.is_empty())
}

/// Gives failed jobs their keys again, first come, first served; answers those that may run.
pub(super) async fn retake(
    session: &mut Session<'_>,
    mut seqs: Vec<i64>,
) -> Result<Vec<i64>, sqlx::Error> {
    let wanted = wanted(session, &seqs).await?;
    if wanted.is_empty() {
        return Ok(seqs);
    }
    let (mut names, mut takers) = (HashSet::new(), Vec::new());
    seqs.retain(|seq| {
        let Some(Wanted { name, is_held }) = wanted.get(seq) else { return true };
        let is_free = !is_held && names.insert(name.clone());
        if is_free {
            takers.push(*seq);
        }
        is_free
    });
    // What is held still, is so by a time that is over.
    free(session, &names.into_iter().collect::<Vec<_>>()).await?;
    session.sql.execute_bulk(&sql::HOLD, &takers, push_seq, same).await?;
    Ok(seqs)
}

#[derive(Debug)]
struct Wanted {
    name: Name,
    is_held: bool,
}

async fn wanted(
    session: &mut Session<'_>,
    seqs: &[i64],
) -> Result<HashMap<i64, Wanted>, sqlx::Error> {
    let mut wanted = HashMap::new();
    if seqs.is_empty() || !session.has_keys().await? {
        return Ok(wanted);
    }
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    for row in session.sql.fetch_bulk(&sql::WANTED, seqs, push_seq, rest).await? {
        let name = Name { task: row::text(&row, "task")?, key: row::text(&row, "key")? };
        let is_held = row::is_set(&row, "held")?;
        wanted.insert(row::integer(&row, "seq")?, Wanted { name, is_held });
    }
    Ok(wanted)
}

fn push_name(args: &mut Args, name: &Name) {
    args.push(name.task.as_str());
    args.push(name.key.as_str());
}

/// The word in the table.
fn scope(scope: UniqueScope) -> &'static str {
    match scope {
        UniqueScope::Unfinished => "unfinished",
        UniqueScope::Queued => "queued",
        UniqueScope::For(_) => "time",
    }
}
