//! Cancelling jobs, and holding queues back.

use std::collections::{HashMap, HashSet};

use super::row::Row;
use taskcore::JobId;
use taskcore::broker::{AttemptEnd, CancelOutcome, CancelScope, JobState};

use super::args::Args;
use super::attempts;
use super::bulk::Bulk;
use super::dependants;
use super::dialect::Statement;
use super::finish::{self, Ending, push_seq, same};
use super::row;
use super::session::Session;
use super::statements::{self, inputs};
use super::upkeep::Jobs;
use super::writer::Write;

/// Cancels jobs.
#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) ids: Vec<JobId>,
    pub(super) scope: CancelScope,
}

impl Write for Cancel {
    const NAME: &'static str = "cancel";
    type Answer = Vec<CancelOutcome>;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(
        &mut self,
        session: &mut Session<'_>,
    ) -> Result<Vec<CancelOutcome>, sqlx::Error> {
        let push_id = |args: &mut Args, id: &JobId| args.push(id);
        let rows = session.sql.fetch_bulk(&statements::STANDING, &self.ids, push_id, same).await?;
        let (mut outcomes, mut open) = (HashMap::new(), Open::default());
        for row in &rows {
            let id = row::job_id(row, "id")?;
            if outcomes.contains_key(&id) {
                continue;
            }
            let outcome = if row::is_set(row, "final")? {
                CancelOutcome::TooLate
            } else if open.add(row)? {
                CancelOutcome::Signalled
            } else {
                CancelOutcome::Prevented
            };
            outcomes.insert(id, outcome);
        }
        match self.scope {
            CancelScope::WithInputs if session.has_edges().await? => {
                cancel_with_inputs(session, open).await?;
            }
            _ => open.cancel(session).await?,
        }
        // An id that is named twice is too late the second time.
        let answer = |id: &JobId| match outcomes.get_mut(id) {
            Some(outcome) => std::mem::replace(outcome, CancelOutcome::TooLate),
            None => CancelOutcome::Unknown,
        };
        Ok(self.ids.iter().map(answer).collect())
    }
}

/// Jobs that have not ended.
#[derive(Debug, Default)]
struct Open {
    seqs: HashSet<i64>,
    waiting: Jobs,
    running: Jobs,
}

impl Open {
    /// Adds the job of a row with `seq`, `id` and `running`, once; whether it runs.
    fn add(&mut self, row: &Row) -> Result<bool, sqlx::Error> {
        let is_running = row::is_set(row, "running")?;
        if self.seqs.insert(row::integer(row, "seq")?) {
            let jobs = if is_running { &mut self.running } else { &mut self.waiting };
            jobs.add(row)?;
        }
        Ok(is_running)
    }

    /// All of them, in the order of storing.
    fn sorted(&self) -> Vec<i64> {
        let mut seqs: Vec<i64> = self.seqs.iter().copied().collect();
        seqs.sort_unstable();
        seqs
    }

    async fn cancel(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let Self { waiting, running, .. } = self;
        if !waiting.seqs.is_empty() {
            finish::stop_waiting(session, &waiting.seqs).await?;
            finish::finish(session, &waiting.seqs, &waiting.ids, Ending::Cancelled).await?;
        }
        if !running.seqs.is_empty() {
            attempts::end_all(session, &running.seqs, AttemptEnd::Cancelled).await?;
            finish::finish(session, &running.seqs, &running.ids, Ending::Cancelled).await?;
            finish::end_leases(session, &running.seqs).await?;
            session.note_cancelled(&running.ids).await?;
        }
        dependants::ended(session, &self.sorted(), JobState::Cancelled).await
    }
}

/// Cancels these jobs, and what was made for them and nobody else wants. One round takes what
/// each of them had for itself, all the way; what they shared waits for the round after the last
/// of those that share it.
async fn cancel_with_inputs(session: &mut Session<'_>, mut open: Open) -> Result<(), sqlx::Error> {
    let mut shared = HashSet::new();
    while !open.seqs.is_empty() {
        for row in fetch(session, &inputs::UNWANTED, &open.sorted()).await? {
            open.add(&row)?;
        }
        // Asked before, because a cancelled job leaves its inputs.
        for row in fetch(session, &inputs::OWNED, &open.sorted()).await? {
            shared.insert(row::integer(&row, "seq")?);
        }
        open.cancel(session).await?;
        shared.retain(|seq| !open.seqs.contains(seq));
        let left: Vec<i64> = shared.iter().copied().collect();
        open = Open::default();
        for row in fetch(session, &inputs::SHARED, &left).await? {
            open.add(&row)?;
        }
    }
    Ok(())
}

async fn fetch(
    session: &mut Session<'_>,
    statement: &'static Bulk,
    seqs: &[i64],
) -> Result<Vec<Row>, sqlx::Error> {
    session.sql.fetch_bulk(statement, seqs, push_seq, same).await
}

/// Holds a queue back, or lets it go on.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) queue: String,
    /// `PAUSE` or `RESUME`.
    pub(super) statement: Statement,
}

impl Write for Pause {
    const NAME: &'static str = "pause";
    type Answer = ();

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        session.sql.execute(self.statement, Args::new().with(self.queue.as_str())).await?;
        session.has_news = true;
        Ok(())
    }
}
