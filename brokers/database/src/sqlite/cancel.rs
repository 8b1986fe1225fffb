//! Cancelling jobs, and holding queues back.

use std::collections::HashMap;

use taskcore::JobId;
use taskcore::broker::CancelOutcome;

use super::args::Args;
use super::finish::{self, Ending, same};
use super::row;
use super::statements;
use super::transact::Session;
use super::upkeep::Jobs;
use super::writer::Write;

/// Cancels jobs.
#[derive(Debug)]
pub(super) struct Cancel(pub(super) Vec<JobId>);

impl Write for Cancel {
    const NAME: &'static str = "cancel";
    type Answer = Vec<CancelOutcome>;

    async fn apply(&mut self, session: &mut Session) -> Result<Vec<CancelOutcome>, sqlx::Error> {
        let push_id = |args: &mut Args, id: &JobId| args.push(id.as_bytes().as_slice());
        let rows = session.sql.fetch_bulk(&statements::STANDING, &self.0, push_id, same).await?;
        let mut outcomes = HashMap::new();
        let (mut waiting, mut running) = (Jobs::default(), Jobs::default());
        for row in &rows {
            let id = row::job_id(row, "id")?;
            if outcomes.contains_key(&id) {
                continue;
            }
            let outcome = if row::is_set(row, "final")? {
                CancelOutcome::TooLate
            } else if row::is_set(row, "running")? {
                running.add(row)?;
                CancelOutcome::Signalled
            } else {
                waiting.add(row)?;
                CancelOutcome::Prevented
            };
            outcomes.insert(id, outcome);
        }
        cancel(session, &waiting, &running).await?;
        // An id that is named twice is too late the second time.
        let answer = |id: &JobId| match outcomes.get_mut(id) {
            Some(outcome) => std::mem::replace(outcome, CancelOutcome::TooLate),
            None => CancelOutcome::Unknown,
        };
        Ok(self.0.iter().map(answer).collect())
    }
}

async fn cancel(session: &mut Session, waiting: &Jobs, running: &Jobs) -> Result<(), sqlx::Error> {
    if !waiting.seqs.is_empty() {
        finish::stop_waiting(session, &waiting.seqs).await?;
        finish::finish(session, &waiting.seqs, &waiting.ids, Ending::Cancelled).await?;
    }
    if !running.seqs.is_empty() {
        finish::finish(session, &running.seqs, &running.ids, Ending::Cancelled).await?;
        finish::end_leases(session, &running.seqs).await?;
    }
    Ok(())
}

/// Holds a queue back, or lets it go on.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) queue: String,
    /// `PAUSE` or `RESUME`.
    pub(super) statement: &'static str,
}

impl Write for Pause {
    const NAME: &'static str = "pause";
    type Answer = ();

    async fn apply(&mut self, session: &mut Session) -> Result<(), sqlx::Error> {
        session.sql.execute(self.statement, Args::new().with(self.queue.as_str())).await?;
        session.has_news = true;
        Ok(())
    }
}
