//! [`Sweep`]: replaying and purging, a bounded number of jobs at a time.

use taskcore::JobId;
use taskcore::broker::{EventKind, JobFilter, JobState};

use super::args::Args;
use super::connection::Connection;
use super::continued;
use super::dependants;
use super::filter::Query;
use super::finish::{self, DEDUPE, Ending, push_seq, same};
use super::revive;
use super::row;
use super::session::Session;
use super::statements::{self, continued as sql, filters, inputs};
use super::unique;
use super::upkeep::Jobs;
use super::writer::Write;
use taskcore::broker::millis::later;

/// Where a walk over the jobs of a filter is.
///
/// It looks for jobs without the write lock, and takes the lock only to change those it
/// found, if they still pass the filter: a walk over a million jobs keeps nobody from working.
#[derive(Debug)]
pub(super) struct Sweep {
    filter: JobFilter,
    /// What a job must be besides.
    condition: &'static str,
    /// The last job seen.
    after: i64,
    /// The last job that was there when it began: newer ones are not its business.
    up_to: i64,
    /// How many more jobs it may take.
    left: Option<u32>,
}

impl Sweep {
    /// Jobs in one step.
    const STEP: u32 = 1000;

    pub(super) async fn start(
        sql: &mut Connection<'_>,
        filter: JobFilter,
        condition: &'static str,
    ) -> Result<Self, sqlx::Error> {
        let row = sql.fetch_one(statements::MAX_SEQ, Args::new()).await?;
        let left = filter.limit;
        Ok(Self { filter, condition, after: 0, up_to: row::integer(&row, "seq")?, left })
    }

    /// The ids of the next jobs, oldest first; `None` at the end.
    pub(super) async fn next(
        &mut self,
        sql: &mut Connection<'_>,
        now_ms: i64,
    ) -> Result<Option<Vec<JobId>>, sqlx::Error> {
        let limit = self.left.unwrap_or(Self::STEP).min(Self::STEP);
        let mut query = Query::of(filters::SELECT_KEY, &self.filter, now_ms);
        query.add(query.source.and_after).args.push(self.after);
        query.add(query.source.and_up_to).args.push(self.up_to);
        query.add(self.condition);
        query.add(query.source.oldest_first).args.push(i64::from(limit));
        let rows = sql.fetch_built(&query.sql, query.args).await?;
        let Some(last) = rows.last() else { return Ok(None) };
        self.after = row::integer(last, "seq")?;
        rows.iter().map(|row| row::job_id(row, "id")).collect::<Result<_, _>>().map(Some)
    }

    /// The filter, for these jobs.
    pub(super) fn only(&self, ids: Vec<JobId>) -> JobFilter {
        JobFilter { ids: Some(ids), ..self.filter.clone() }
    }

    /// Counts what a step took against the limit.
    pub(super) fn took(&mut self, jobs: usize) {
        let jobs = u32::try_from(jobs).unwrap_or(u32::MAX);
        self.left = self.left.map(|left| left.saturating_sub(jobs));
    }
}

/// Makes failed jobs ready again, in order of creation.
#[derive(Debug)]
pub(super) struct Replay(pub(super) JobFilter);

impl Replay {
    pub(super) const CONDITION: &'static str = filters::AND_REPLAYABLE;
}

impl Write for Replay {
    const NAME: &'static str = "replay";
    type Answer = Vec<JobId>;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<JobId>, sqlx::Error> {
        let mut jobs = still_matching(session, &self.0, Self::CONDITION).await?;
        jobs.keep(unique::retake(session, jobs.seqs.clone()).await?);
        let now_ms = session.now_ms;
        let rest = |args: Args| args.with(now_ms);
        session.sql.execute_bulk(&statements::REPLAY, &jobs.seqs, push_seq, rest).await?;
        session.sql.execute_bulk(&statements::DELETE_OUTCOME, &jobs.seqs, push_seq, same).await?;
        session.happened_to(EventKind::Replayed, &jobs.ids);
        revive::wait_again(session, &jobs.seqs).await?;
        Ok(jobs.ids.as_chunks().0.iter().copied().map(JobId::from_bytes).collect())
    }
}

/// Deletes jobs, except running ones; answers how many.
#[derive(Debug)]
pub(super) struct Purge(pub(super) JobFilter);

impl Purge {
    pub(super) const CONDITION: &'static str = filters::AND_NOT_RUNNING;
}

impl Write for Purge {
    const NAME: &'static str = "purge";
    type Answer = usize;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<usize, sqlx::Error> {
        let jobs = still_matching(session, &self.0, Self::CONDITION).await?;
        finish::stop_waiting(session, &jobs.seqs).await?;
        leave(session, &jobs.seqs).await?;
        session.sql.execute_bulk(&statements::DELETE_OUTCOME, &jobs.seqs, push_seq, same).await?;
        finish::delete(session, &jobs.seqs, &jobs.ids).await?;
        // Handles may wait for them, to learn that they are gone.
        session.note_finished(later(session.now_ms, DEDUPE), &jobs.ids).await?;
        Ok(jobs.seqs.len())
    }
}

/// Takes jobs that are being deleted from those that wait for them: one that has not ended goes
/// as if it had been cancelled, and the end of one that has does not change.
async fn leave(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if seqs.is_empty() || !session.has_edges().await? {
        return Ok(());
    }
    let mut open = Jobs::default();
    for row in session.sql.fetch_bulk(&inputs::UNENDED, seqs, push_seq, same).await? {
        open.add(&row)?;
    }
    if !open.seqs.is_empty() {
        finish::finish_untold(session, &open.seqs, &open.ids, Ending::Cancelled).await?;
        dependants::ended(session, &open.seqs, JobState::Cancelled).await?;
    }
    // What a job that failed had kept of its inputs.
    dependants::unlink(session, seqs).await?;
    continued::leave(session, seqs).await?;
    session.sql.execute_bulk(&inputs::UNLINK_DELETED, seqs, push_seq, same).await?;
    session.sql.execute_bulk(&sql::UNCONTINUE_DELETED, seqs, push_seq, same).await?;
    Ok(())
}

/// The jobs that pass the filter under the write lock, oldest first.
async fn still_matching(
    session: &mut Session<'_>,
    filter: &JobFilter,
    condition: &'static str,
) -> Result<Jobs, sqlx::Error> {
    let mut query = Query::of(filters::SELECT_KEY, filter, session.now_ms);
    query.add(condition);
    query.add(query.source.oldest_first).args.push(i64::MAX);
    let mut jobs = Jobs::default();
    for row in session.sql.fetch_built(&query.sql, query.args).await? {
        jobs.add(&row)?;
    }
    Ok(jobs)
}
