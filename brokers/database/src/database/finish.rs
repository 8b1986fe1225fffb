//! Ending jobs other than by success, and deleting them.

use std::time::Duration;

use taskcore::broker::{EventKind, JobState};
use taskcore::{JobId, TaskOptions};

use super::args::Args;
use super::bulk::Bulk;
use super::session::Session;
use super::statements::{self, inputs};
use super::sums::Sum;
use super::{attempts, report, row, unique};
use taskcore::broker::millis::later;

/// How a job ends without a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Stays until somebody acts.
    Failed,
    /// Stays as long as a result by default.
    Cancelled,
    /// Stays as long as a result by default.
    Expired,
}

impl Ending {
    pub(super) fn state(self) -> JobState {
        match self {
            Self::Failed => JobState::Failed,
            Self::Cancelled => JobState::Cancelled,
            Self::Expired => JobState::Expired,
        }
    }

    fn event(self) -> EventKind {
        match self {
            Self::Failed => EventKind::Failed,
            Self::Cancelled => EventKind::Cancelled,
            Self::Expired => EventKind::Expired,
        }
    }

    fn count(self, sum: &mut Sum, jobs: i64) {
        match self {
            Self::Failed => sum.failed += jobs,
            Self::Cancelled => sum.cancelled += jobs,
            Self::Expired => sum.expired += jobs,
        }
    }
}

/// Ends these jobs. They are still in the table that they were in; once they are out of it,
/// those that wait for them are [told](super::dependants::ended).
pub(super) async fn finish(
    session: &mut Session<'_>,
    seqs: &[i64],
    ids: &[u8],
    ending: Ending,
) -> Result<(), sqlx::Error> {
    session.happened_to(ending.event(), ids);
    session.count(seqs, |sum, jobs| ending.count(sum, jobs)).await?;
    finish_untold(session, seqs, ids, ending).await
}

/// The same for jobs that are deleted next: that is no end to tell of.
pub(super) async fn finish_untold(
    session: &mut Session<'_>,
    seqs: &[i64],
    ids: &[u8],
    ending: Ending,
) -> Result<(), sqlx::Error> {
    let now_ms = session.now_ms;
    let over_ms = later(now_ms, TaskOptions::KEEP_RESULT);
    let keep_until = (ending != Ending::Failed).then_some(over_ms);
    let rest = |args: Args| args.with(ending.state().as_str()).with(now_ms).with(keep_until);
    session.sql.execute_bulk(&statements::FINISH, seqs, push_seq, rest).await?;
    unique::ended(session, seqs).await?;
    session.note_finished(over_ms, ids).await
}

/// Takes these jobs from their workers.
pub(super) async fn end_leases(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&statements::END_LEASE, seqs, push_seq, same).await?;
    Ok(())
}

/// Takes these jobs out of whatever they wait in.
pub(super) async fn stop_waiting(
    session: &mut Session<'_>,
    seqs: &[i64],
) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&statements::UNREADY, seqs, push_seq, same).await?;
    session.sql.execute_bulk(&statements::UNSCHEDULE, seqs, push_seq, same).await?;
    if !seqs.is_empty() && session.has_edges().await? {
        session.sql.execute_bulk(&inputs::UNBLOCK, seqs, push_seq, same).await?;
    }
    Ok(())
}

/// Puts these jobs into their queues, by the due times of their rows, in the order in which they
/// will be handed out.
pub(super) async fn make_ready(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    let statement = &statements::MAKE_READY;
    if seqs.len() <= Bulk::rows_at_once(&session.sql.dialect) {
        session.sql.execute_bulk(statement, seqs, push_seq, same).await?;
    } else {
        let mut turns = Vec::with_capacity(seqs.len());
        for row in session.sql.fetch_bulk(&statements::TURNS, seqs, push_seq, same).await? {
            let rank = row::integer(&row, "rank")?;
            turns.push((rank, row::integer(&row, "due_at")?, row::integer(&row, "seq")?));
        }
        turns.sort_unstable();
        let push = |args: &mut Args, (_, _, seq): &(i64, i64, i64)| args.push(*seq);
        session.sql.execute_bulk(statement, &turns, push, same).await?;
    }
    session.has_news = true;
    Ok(())
}

/// Puts jobs that were leased back into their queues, where they may still expire.
pub(super) async fn wait_again(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&statements::EXPIRE_AGAIN, seqs, push_seq, same).await?;
    make_ready(session, seqs).await
}

/// Deletes these jobs, and remembers their ids, so that a late repetition of an enqueue does not
/// run them again.
pub(super) async fn delete(
    session: &mut Session<'_>,
    seqs: &[i64],
    ids: &[u8],
) -> Result<(), sqlx::Error> {
    bury(session, ids, later(session.now_ms, DEDUPE)).await?;
    forget(session, seqs).await
}

/// Deletes the rows of these jobs, but for their outcomes.
pub(super) async fn forget(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&statements::DELETE_JOB, seqs, push_seq, same).await?;
    unique::deleted(session, seqs).await?;
    attempts::deleted(session, seqs).await?;
    report::deleted(session, seqs).await
}

/// Remembers these ids until then.
pub(super) async fn bury(
    session: &mut Session<'_>,
    ids: &[u8],
    until_ms: i64,
) -> Result<(), sqlx::Error> {
    let (ids, _) = ids.as_chunks::<16>();
    let push_id = |args: &mut Args, id: &[u8; 16]| args.push(JobId::from_bytes(*id));
    session.sql.execute_bulk(&statements::BURY, ids, push_id, |args| args.with(until_ms)).await?;
    Ok(())
}

pub(super) fn push_seq(args: &mut Args, seq: &i64) {
    args.push(*seq);
}

/// Nothing follows the rows.
pub(super) fn same(args: Args) -> Args {
    args
}

/// How long an ended job's id is remembered; from the contract of `enqueue`.
pub(super) const DEDUPE: Duration = Duration::from_secs(10 * 60);
