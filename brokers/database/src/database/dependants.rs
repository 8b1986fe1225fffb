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
use super::continued;
use super::finish::{self, Ending, push_seq, same};
use super::row;
use super::session::Session;
use super::settle::json;
use super::statements::{self, inputs as sql};

/// Tells those that wait for these jobs that they have ended in this state. Jobs that did not
/// fail need their own inputs no more.
///
/// It comes last: the jobs are where their state says.
pub(super) async fn ended(
    session: &mut Session<'_>,
    seqs: &[i64],
    state: JobState,
) -> Result<(), sqlx::Error> {
    if seqs.is_empty() || !session.has_edges().await? {
        return Ok(());
    }
    let edges = Edges::of(session, seqs).await?;
    if edges.is_empty() {
        return Ok(());
    }
    session.alone()?;
    if state != JobState::Failed {
        unlink(session, &edges.dependants).await?;
        continued::leave(session, &edges.continued).await?;
    }
    if state == JobState::Done {
        follow_all(session, &edges.inputs, true).await?;
        return pass_result_on(session, &edges.continuations).await;
    }
    follow_all(session, &edges.needed(), false).await
}

/// Ends what goes on as these jobs, which are done, and tells those that wait for that.
pub(super) async fn pass_result_on(
    session: &mut Session<'_>,
    seqs: &[i64],
) -> Result<(), sqlx::Error> {
    if seqs.is_empty() {
        return Ok(());
    }
    let completed = continued::complete(session, seqs).await?;
    follow_all(session, &completed, true).await
}

/// These jobs need their inputs no more. Those whose retention has passed meanwhile come into
/// upkeep's list again, where they were passed over.
pub(super) async fn unlink(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    forsake(session, &sql::KEPT_FOR, &sql::UNLINK, seqs).await
}

/// Deletes the edges of these jobs to what they waited for. What was kept for them comes into
/// upkeep's list.
pub(super) async fn forsake(
    session: &mut Session<'_>,
    kept_for: &'static Bulk,
    unlink: &'static Bulk,
    seqs: &[i64],
) -> Result<(), sqlx::Error> {
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    let rows = session.sql.fetch_bulk(kept_for, seqs, push_seq, rest).await?;
    let (mut ids, mut prune_at) = (Vec::new(), now_ms);
    for row in &rows {
        ids.extend_from_slice(row::job_id(row, "id")?.as_bytes());
        prune_at = prune_at.min(row::integer(row, "keep_until")?);
    }
    session.sql.execute_bulk(unlink, seqs, push_seq, same).await?;
    if ids.is_empty() { Ok(()) } else { session.note_finished(prune_at, &ids).await }
}

/// Those of these jobs that another may still read the result of.
pub(super) async fn needed(
    session: &mut Session<'_>,
    seqs: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if seqs.is_empty() || !session.has_edges().await? {
        return Ok(Vec::new());
    }
    let edges = Edges::of(session, seqs).await?;
    if !edges.is_empty() {
        session.alone()?;
    }
    Ok(edges.needed())
}

/// A job that fails because of an input.
#[derive(Debug)]
pub(super) struct Fallen {
    pub(super) seq: i64,
    pub(super) id: JobId,
    pub(super) failure: Failure,
}

/// Records these failures; what waits for these jobs is not told yet.
pub(super) async fn fail(session: &mut Session<'_>, fallen: &[Fallen]) -> Result<(), sqlx::Error> {
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
    session: &mut Session<'_>,
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

pub(super) async fn count(session: &mut Session<'_>, counts: &[Count]) -> Result<(), sqlx::Error> {
    let push = |args: &mut Args, count: &Count| {
        args.push(count.seq);
        args.push(count.open);
        args.push(count.broken);
    };
    session.sql.execute_bulk(&sql::COUNT, counts, push, same).await?;
    Ok(())
}

/// What some jobs have to do with others.
#[derive(Debug, Default)]
struct Edges {
    /// Those that are inputs.
    inputs: Vec<i64>,
    /// Those that have inputs.
    dependants: Vec<i64>,
    /// Those that continue others.
    continuations: Vec<i64>,
    /// Those that are continued.
    continued: Vec<i64>,
}

impl Edges {
    async fn of(session: &mut Session<'_>, seqs: &[i64]) -> Result<Self, sqlx::Error> {
        let mut edges = Self::default();
        for row in session.sql.fetch_bulk(&sql::EDGES, seqs, push_seq, same).await? {
            let seq = row::integer(&row, "seq")?;
            if row::is_set(&row, "is_input")? {
                edges.inputs.push(seq);
            }
            if row::is_set(&row, "is_dependant")? {
                edges.dependants.push(seq);
            }
            if row::is_set(&row, "continues")? {
                edges.continuations.push(seq);
            }
            if row::is_set(&row, "is_continued")? {
                edges.continued.push(seq);
            }
        }
        Ok(edges)
    }

    fn is_empty(&self) -> bool {
        [&self.inputs, &self.dependants, &self.continuations, &self.continued]
            .iter()
            .all(|seqs| seqs.is_empty())
    }

    /// Those that others wait for, in whatever way, each once.
    fn needed(mut self) -> Vec<i64> {
        if !self.continuations.is_empty() {
            self.inputs.append(&mut self.continuations);
            self.inputs.sort_unstable();
            self.inputs.dedup();
        }
        self.inputs
    }
}

async fn follow_all(
    session: &mut Session<'_>,
    seqs: &[i64],
    has_result: bool,
) -> Result<(), sqlx::Error> {
    for chunk in seqs.chunks(Bulk::MAX_ROWS) {
        follow(session, chunk, has_result).await?;
    }
    Ok(())
}

/// One chunk of jobs that ended. The next one reads the counts that this one wrote, so it does
/// not walk again over what has failed here.
async fn follow(
    session: &mut Session<'_>,
    seqs: &[i64],
    has_result: bool,
) -> Result<(), sqlx::Error> {
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
    /// The attempt in which it was continued, if it was.
    continued_in: Option<u32>,
}

impl Falling {
    fn failure(&self, error: &JobError) -> Failure {
        let task = self.task.clone();
        match self.continued_in {
            Some(attempt) => Failure::of_continuation(self.id, task, attempt, error),
            None => Failure::of_input(self.id, task, error),
        }
    }
}

/// What fails with these jobs, in the order of storing.
async fn fallen(session: &mut Session<'_>, seqs: &[i64]) -> Result<Vec<Falling>, sqlx::Error> {
    let rows = session.sql.fetch_bulk(&sql::FALLEN, seqs, push_seq, same).await?;
    let falling = |row| {
        Ok(Falling {
            seq: row::integer(row, "seq")?,
            id: row::job_id(row, "id")?,
            task: row::text(row, "task")?,
            continued_in: match row::is_set(row, "is_continued")? {
                true => Some(row::count(row, "failures")?.saturating_add(1)),
                false => None,
            },
        })
    };
    let mut fallen = rows.iter().map(falling).collect::<Result<Vec<_>, sqlx::Error>>()?;
    fallen.sort_unstable_by_key(|job| job.seq);
    Ok(fallen)
}

/// Gives each of these jobs its failure: the error of an input, which may be one of them.
async fn explain(
    session: &mut Session<'_>,
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
    for at in from_cause_to_effect(&falling, changes) {
        let job = &falling[at];
        let failure = match cause_of(job).and_then(|cause| errors.get(&cause)) {
            Some(error) => job.failure(error),
            // Somebody deleted the row of the input, and left that it is one.
            None => job.failure(&JobError::unknown(job.id)),
        };
        errors.insert(job.seq, JobError::from_failure(failure.clone()));
        fallen.push(Fallen { seq: job.seq, id: job.id, failure });
    }
    Ok(fallen)
}

/// The places of these jobs, each after the one that is its cause. An input is older than what
/// waits for it, but what continues a job may be newer.
fn from_cause_to_effect(falling: &[Falling], changes: &BTreeMap<i64, Change>) -> Vec<usize> {
    let mut order = Vec::with_capacity(falling.len());
    let mut is_seen = vec![false; falling.len()];
    for at in 0..falling.len() {
        let start = order.len();
        let mut next = Some(at);
        while let Some(at) = next.filter(|at| !is_seen[*at]) {
            is_seen[at] = true;
            order.push(at);
            let cause = changes.get(&falling[at].seq).and_then(|change| change.cause);
            next = cause.and_then(|seq| falling.binary_search_by_key(&seq, |job| job.seq).ok());
        }
        order[start..].reverse();
    }
    order
}

/// Jobs that wait for no other any more.
#[derive(Debug, Default)]
struct Released {
    ready: Vec<i64>,
    scheduled: Vec<i64>,
}

impl Released {
    async fn write(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
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
