//! Jobs that go on as others: they are blocked by one job, and end as that does.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::row::Row;
use taskcore::broker::{EventKind, Keep, NewJob};
use taskcore::{Failure, JobError, JobId};

use super::args::Args;
use super::dependants::{self, Fallen};
use super::enqueue;
use super::finish::{self, DEDUPE, push_seq, same};
use super::row;
use super::session::Session;
use super::statements::{continued as sql, inputs};
use super::unique::{self, Keys};
use taskcore::broker::millis::later;

/// A running job that goes on as another one.
#[derive(Debug)]
pub(super) struct Continuing<'a> {
    pub(super) seq: i64,
    pub(super) job: JobId,
    pub(super) jobs: &'a [NewJob],
    pub(super) by: JobId,
    pub(super) keep: Keep,
}

/// What becomes of jobs that do not wait.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// They would have waited for themselves.
    pub(super) refused: Vec<Fallen>,
    /// What continues them has no result.
    pub(super) fallen: Vec<Fallen>,
    /// What continues others, and is done.
    pub(super) done: Vec<i64>,
}

/// Stores what continues these jobs, and blocks them. They are still leased.
pub(super) async fn link(
    session: &mut Session<'_>,
    continuing: &[Continuing<'_>],
) -> Result<Ended, sqlx::Error> {
    if continuing.is_empty() {
        return Ok(Ended::default());
    }
    session.alone()?;
    let jobs: Vec<NewJob> = continuing.iter().flat_map(|one| one.jobs).cloned().collect();
    // A range of numbers is this long. None has a unique key: the client refuses it.
    for jobs in jobs.chunks(1 << 20) {
        enqueue::store(session, jobs, &Keys::default()).await?;
    }
    let row = |args: &mut Args, one: &Continuing<'_>| {
        args.push(one.seq);
        args.push(one.by);
        args.push(keep_ms(one.keep));
        args.push(one.jobs.iter().any(|job| job.id == one.by));
    };
    session.sql.execute_bulk(&sql::CONTINUE, continuing, row, same).await?;
    session.saw_edges(true);
    let seqs: Vec<i64> = continuing.iter().map(|one| one.seq).collect();
    let mut cycles = HashSet::new();
    for row in session.sql.fetch_bulk(&sql::CYCLES, &seqs, push_seq, same).await? {
        cycles.insert(row::integer(&row, "seq")?);
    }
    let ended = ended(session, continuing, &seqs, &cycles).await?;
    let refused: Vec<i64> = cycles.iter().copied().collect();
    session.sql.execute_bulk(&sql::UNCONTINUE, &refused, push_seq, same).await?;
    let waiting: Vec<i64> = seqs.into_iter().filter(|seq| !cycles.contains(seq)).collect();
    session.sql.execute_bulk(&sql::BLOCK_CONTINUED, &waiting, push_seq, same).await?;
    session.sql.execute_bulk(&sql::STARTED, &waiting, push_seq, same).await?;
    for one in continuing.iter().filter(|one| !cycles.contains(&one.seq)) {
        session.happened(EventKind::Continued, one.job);
    }
    // They never run again.
    dependants::unlink(session, &waiting).await?;
    Ok(ended)
}

/// What does not wait, and why. Blocks what is continued by an unknown job.
async fn ended(
    session: &mut Session<'_>,
    continuing: &[Continuing<'_>],
    seqs: &[i64],
    cycles: &HashSet<i64>,
) -> Result<Ended, sqlx::Error> {
    let by: BTreeMap<i64, JobId> = continuing.iter().map(|one| (one.seq, one.by)).collect();
    let (mut ended, mut unknown) = (Ended::default(), Vec::new());
    for row in &session.sql.fetch_bulk(&sql::CONTINUED, seqs, push_seq, same).await? {
        let seq = row::integer(row, "seq")?;
        let (id, task) = (row::job_id(row, "own_id")?, row::text(row, "own_task")?);
        let attempt = row::count(row, "failures")?.saturating_add(1);
        if cycles.contains(&seq) {
            let failure = Failure::of_cycle(id, task, attempt, by[&seq]);
            ended.refused.push(Fallen { seq, id, failure });
            continue;
        }
        let error = match row::optional_integer(row, "continued_by")? {
            None => {
                unknown.push(seq);
                JobError::unknown(by[&seq])
            }
            Some(by) => match row::optional_text(row, "state")?.as_deref() {
                None => continue,
                Some("done") => {
                    ended.done.push(by);
                    continue;
                }
                Some(_) => row::error(row)?,
            },
        };
        let failure = Failure::of_continuation(id, task, attempt, &error);
        ended.fallen.push(Fallen { seq, id, failure });
    }
    ended.done.sort_unstable();
    ended.done.dedup();
    let push = |args: &mut Args, seq: &i64| {
        args.push(*seq);
        args.push(1_i64);
    };
    session.sql.execute_bulk(&inputs::BLOCK_FOR_UNKNOWN, &unknown, push, same).await?;
    Ok(ended)
}

/// Ends all that goes on as these jobs, which are done, all the way; answers those that others
/// have as an input.
pub(super) async fn complete(
    session: &mut Session<'_>,
    done: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let mut completed = Completed::default();
    for row in &session.sql.fetch_bulk(&sql::COMPLETED, done, push_seq, same).await? {
        completed.add(row, session.now_ms)?;
    }
    completed.write(session).await?;
    Ok(completed.inputs)
}

/// These jobs wait no more for what continues them.
pub(super) async fn leave(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    dependants::forsake(session, &sql::KEPT_FOR_CONTINUED, &sql::UNCONTINUE, seqs).await
}

/// Jobs that are done with what continued them.
#[derive(Debug, Default)]
struct Completed {
    seqs: Vec<i64>,
    ids: Vec<u8>,
    inputs: Vec<i64>,
    kept: Vec<Kept>,
    /// Ids of kept jobs, by the time from which upkeep looks at them.
    ids_by_end: BTreeMap<i64, Vec<u8>>,
    dropped: Vec<i64>,
    dropped_ids: Vec<u8>,
}

#[derive(Debug)]
struct Kept {
    seq: i64,
    keep_until: i64,
    root: i64,
}

impl Completed {
    /// Adds a row of `COMPLETED`.
    fn add(&mut self, row: &Row, now_ms: i64) -> Result<(), sqlx::Error> {
        let (seq, id) = (row::integer(row, "seq")?, row::job_id(row, "id")?);
        let is_input = row::is_set(row, "is_input")?;
        let is_needed = is_input || row::is_set(row, "continues")?;
        self.seqs.push(seq);
        self.ids.extend_from_slice(id.as_bytes());
        if is_input {
            self.inputs.push(seq);
        }
        let keep = row::optional_integer(row, "keep_ms")?;
        let (keep_until, prune_at) = match keep.map(|keep_ms| u64::try_from(keep_ms).unwrap_or(0)) {
            Some(keep_ms) => {
                let keep_until = later(now_ms, Duration::from_millis(keep_ms));
                (keep_until, keep_until)
            }
            // Upkeep need not look soon: the end of the other job lists it again.
            None if is_needed => (now_ms, later(now_ms, DEDUPE)),
            None => {
                self.dropped.push(seq);
                self.dropped_ids.extend_from_slice(id.as_bytes());
                return Ok(());
            }
        };
        self.kept.push(Kept { seq, keep_until, root: row::integer(row, "root")? });
        self.ids_by_end.entry(prune_at).or_default().extend_from_slice(id.as_bytes());
        Ok(())
    }

    async fn write(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        session.happened_to(EventKind::Done, &self.ids);
        session.count(&self.seqs, |sum, jobs| sum.done += jobs).await?;
        let now_ms = session.now_ms;
        let row = |args: &mut Args, kept: &Kept| {
            args.push(kept.seq);
            args.push(kept.keep_until);
            args.push(kept.root);
        };
        let rest = |args: Args| args.with(now_ms);
        session.sql.execute_bulk(&sql::COMPLETE, &self.kept, row, rest).await?;
        session.sql.execute_bulk(&inputs::UNBLOCK, &self.seqs, push_seq, same).await?;
        for (prune_at, ids) in &self.ids_by_end {
            session.note_finished(*prune_at, ids).await?;
        }
        unique::ended(session, &self.seqs).await?;
        leave(session, &self.seqs).await?;
        if self.dropped.is_empty() {
            return Ok(());
        }
        finish::delete(session, &self.dropped, &self.dropped_ids).await?;
        // Handles may wait for them, to learn that nothing is kept.
        session.note_finished(later(now_ms, DEDUPE), &self.dropped_ids).await
    }
}

/// `None` for nothing.
fn keep_ms(keep: Keep) -> Option<i64> {
    match keep {
        Keep::For(span) => Some(later(0, span)),
        Keep::Nothing => None,
    }
}
