//! What the end of a job does to those that wait for it.
//!
//! The jobs of one step are taken a chunk at a time, each with all that it changes: whose counts
//! change, who is released, and who fails with it, all the way down. The work is linear in the
//! edges of the jobs that end. Where no job waits for another, it is not begun.

use std::collections::{BTreeMap, HashMap};

use taskcore::broker::JobState;
use taskcore::{Failure, JobError, JobId};

use super::args::Args;
use super::bulk::Bulk;
use super::finish::{self, Ending, push_seq, same};
use super::row;
use super::settle::json;
use super::statements::{self, inputs as sql};
use super::transact::Session;

/// Tells those that wait for these jobs that they have ended in this state. Jobs that did not
/// fail need their own inputs no more.
///
/// It comes last: the jobs are where their state says.
pub(super) async fn ended(
    session: &mut Session,
    seqs: &[i64],
    state: JobState,
) -> Result<(), sqlx::Error> {
    if seqs.is_empty() || !session.has_edges().await? {
        return Ok(());
    }
    let edges = Edges::of(session, seqs).await?;
    if state != JobState::Failed {
        unlink(session, &edges.dependants).await?;
    }
    for chunk in edges.inputs.chunks(Bulk::MAX_ROWS) {
        follow(session, chunk, state == JobState::Done).await?;
    }
    Ok(())
}

/// These jobs need their inputs no more. Those whose retention has passed meanwhile come into
/// upkeep's list again, where they were passed over.
pub(super) async fn unlink(session: &mut Session, seqs: &[i64]) -> Result<(), sqlx::Error> {
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    let rows = session.sql.fetch_bulk(&sql::KEPT_FOR, seqs, push_seq, rest).await?;
    let (mut ids, mut prune_at) = (Vec::new(), now_ms);
    for row in &rows {
        ids.extend_from_slice(row::job_id(row, "id")?.as_bytes());
        prune_at = prune_at.min(row::integer(row, "keep_until")?);
    }
    session.sql.execute_bulk(&sql::UNLINK, seqs, push_seq, same).await?;
    if ids.is_empty() { Ok(()) } else { session.note_finished(prune_at, &ids).await }
}

/// Those of these jobs that another may still read the result of.
pub(super) async fn needed(session: &mut Session, seqs: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    if seqs.is_empty() || !session.has_edges().await? {
        return Ok(Vec::new());
    }
    Ok(Edges::of(session, seqs).await?.inputs)
}

/// A job that fails because of an input.
#[derive(Debug)]
pub(super) struct Fallen {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) failure: Failure,
}

/// Records these failures; what waits for these jobs is not told yet.
pub(super) async fn fail(session: &mut Session, fallen: &[Fallen]) -> Result<(), sqlx::Error> {
    if fallen.is_empty() {
        return Ok(());
    }
    let row = |args: &mut Args, fallen: &Fallen| {
        args.push(fallen.seq);
        args.push(json(&fallen.failure));
    };
    session.sql.execute_bulk(&sql::BREAK, fallen, row, same).await?;
    let seqs: Vec<i64> = fallen.iter().map(|fallen| fallen.seq).collect();
    let ids: Vec<u8> = fallen.iter().flat_map(|fallen| *fallen.id.as_bytes()).collect();
    finish::finish(session, &seqs, &ids, Ending::Failed).await
}

/// What changes for one job that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    due_at: i64,
    /// Before the change.
    pub(super) open: i64,
    /// Before the change.
    pub(super) broken: i64,
    pub(super) edges: i64,
    pub(super) breaks: i64,
    /// The first input that breaks it.
    cause: Option<i64>,
}

/// What these jobs change, by the job that waits. They give a result, or do not.
pub(super) async fn changes(
    session: &mut Session,
    ends: &[End],
) -> Result<BTreeMap<i64, Change>, sqlx::Error> {
    let push = |args: &mut Args, end: &End| {
        args.push(end.seq);
        args.push(end.has_result);
    };
    let mut changes = BTreeMap::new();
    for row in session.sql.fetch_bulk(&sql::AFFECTED, ends, push, same).await? {
        let change = Change {
            due_at: row::integer(&row, "due_at")?,
            open: row::integer(&row, "open")?,
            broken: row::integer(&row, "broken")?,
            edges: row::integer(&row, "edges")?,
            breaks: row::integer(&row, "breaks")?,
            cause: row::optional_integer(&row, "cause")?,
        };
        // One that waits for jobs of several chunks comes once for each.
        let known = changes.entry(row::integer(&row, "seq")?);
        known.and_modify(|known: &mut Change| known.add(&change)).or_insert(change);
    }
    Ok(changes)
}

/// An input that ended, or that will again.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) seq: i64,
    pub(super) has_result: bool,
}

impl Change {
    fn add(&mut self, other: &Self) {
        self.edges += other.edges;
        self.breaks += other.breaks;
        self.cause = self.cause.into_iter().chain(other.cause).min();
    }
}

/// The new counts of a job that stays blocked, or failed because of an input.
#[derive(Debug)]
pub(super) struct Count {
    pub(super) seq: i64,
    pub(super) open: i64,
    pub(super) broken: i64,
}

pub(super) async fn count(session: &mut Session, counts: &[Count]) -> Result<(), sqlx::Error> {
    let push = |args: &mut Args, count: &Count| {
        args.push(count.seq);
        args.push(count.open);
        args.push(count.broken);
    };
    session.sql.execute_bulk(&sql::COUNT, counts, push, same).await?;
    Ok(())
}

/// Which of some jobs are inputs of others, and which have inputs.
#[derive(Debug, Default)]
struct Edges {
    inputs: Vec<i64>,
    dependants: Vec<i64>,
}

impl Edges {
    async fn of(session: &mut Session, seqs: &[i64]) -> Result<Self, sqlx::Error> {
        let mut edges = Self::default();
        for row in session.sql.fetch_bulk(&sql::EDGES, seqs, push_seq, same).await? {
            let seq = row::integer(&row, "seq")?;
            if row::is_set(&row, "is_input")? {
                edges.inputs.push(seq);
            }
            if row::is_set(&row, "is_dependant")? {
                edges.dependants.push(seq);
            }
        }
        Ok(edges)
    }
}

/// One chunk of jobs that ended. The next one reads the counts that this one wrote, so it does
/// not walk again over what has failed here.
async fn follow(session: &mut Session, seqs: &[i64], has_result: bool) -> Result<(), sqlx::Error> {
    let fallen = if has_result { Vec::new() } else { fallen(session, seqs).await? };
    let ends = seqs.iter().map(|seq| End { seq: *seq, has_result });
    let falls = fallen.iter().map(|job| End { seq: job.seq, has_result: false });
    let ends: Vec<End> = ends.chain(falls).collect();
    let changes = changes(session, &ends).await?;
    let fallen = explain(session, fallen, &changes).await?;
    fail(session, &fallen).await?;
    let (mut counts, mut released) = (Vec::new(), Released::default());
    for (seq, change) in changes {
        // Rows that somebody changed by hand do not make it fail.
        let open = (change.open - change.edges).max(0);
        let broken = change.broken + change.breaks;
        if open > 0 || broken > 0 {
            counts.push(Count { seq, open, broken });
        } else if change.due_at <= session.now_ms {
            released.ready.push(seq);
        } else {
            released.scheduled.push(seq);
        }
    }
    count(session, &counts).await?;
    released.write(session).await
}

/// A job that cannot run any more.
#[derive(Debug)]
struct Falling {
    seq: i64,
    id: JobId,
    task: String,
}

/// What fails with these jobs, in the order of storing, which is one from inputs to dependants.
async fn fallen(session: &mut Session, seqs: &[i64]) -> Result<Vec<Falling>, sqlx::Error> {
    let rows = session.sql.fetch_bulk(&sql::FALLEN, seqs, push_seq, same).await?;
    let falling = |row| {
        Ok(Falling {
            seq: row::integer(row, "seq")?,
            id: row::job_id(row, "id")?,
            task: row::text(row, "task")?,
        })
    };
    let mut fallen = rows.iter().map(falling).collect::<Result<Vec<_>, sqlx::Error>>()?;
    fallen.sort_unstable_by_key(|job| job.seq);
    Ok(fallen)
}

/// Gives each of these jobs its failure: the error of an input, which may be one of them.
async fn explain(
    session: &mut Session,
    falling: Vec<Falling>,
    changes: &BTreeMap<i64, Change>,
) -> Result<Vec<Fallen>, sqlx::Error> {
    let is_falling = |seq: i64| falling.binary_search_by_key(&seq, |job| job.seq).is_ok();
    let cause_of = |job: &Falling| changes.get(&job.seq).and_then(|change| change.cause);
    let mut roots: Vec<i64> =
        falling.iter().filter_map(cause_of).filter(|cause| !is_falling(*cause)).collect();
    roots.sort_unstable();
    roots.dedup();
    let mut errors = HashMap::new();
    for row in session.sql.fetch_bulk(&sql::CAUSES, &roots, push_seq, same).await? {
        errors.insert(row::integer(&row, "seq")?, row::error(&row)?);
    }
    let mut fallen = Vec::with_capacity(falling.len());
    for job in falling {
        let error = cause_of(&job).and_then(|cause| errors.get(&cause));
        let failure = match error {
            Some(error) => Failure::of_input(job.id, job.task, error),
            // Somebody deleted the row of the input, and left that it is one.
            None => Failure::of_input(job.id, job.task, &JobError::unknown(job.id)),
        };
        errors.insert(job.seq, JobError::from_failure(failure.clone()));
        fallen.push(Fallen { seq: job.seq, id: job.id, failure });
    }
    Ok(fallen)
}

/// Jobs that wait for no other any more.
#[derive(Debug, Default)]
struct Released {
    ready: Vec<i64>,
    scheduled: Vec<i64>,
}

impl Released {
    async fn write(&self, session: &mut Session) -> Result<(), sqlx::Error> {
        for seqs in [&self.ready, &self.scheduled] {
            session.sql.execute_bulk(&sql::UNBLOCK, seqs, push_seq, same).await?;
        }
        if !self.ready.is_empty() {
            finish::make_ready(session, &self.ready).await?;
        }
        if !self.scheduled.is_empty() {
            let seqs = &self.scheduled;
            session.sql.execute_bulk(&statements::SCHEDULE, seqs, push_seq, same).await?;
            session.has_news = true;
        }
        Ok(())
    }
}
