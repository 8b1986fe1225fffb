//! Deliveries that did not end their jobs as done, for timelines.

use taskcore::broker::AttemptEnd;

use super::args::Args;
use super::finish::{push_seq, same};
use super::row;
use super::session::{Session, Traces};
use super::statements::history as sql;

/// How a delivery ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) seq: i64,
    pub(super) end: AttemptEnd,
    /// As it is stored.
    pub(super) failure: Option<String>,
}

/// Records the ends of deliveries. They are still leased, and not yet counted as failures.
pub(super) async fn end(session: &mut Session<'_>, ended: &[Ended]) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let push = |args: &mut Args, ended: &Ended| {
        args.push(ended.seq);
        args.push(ended.end.as_str());
        args.push(ended.failure.as_deref());
    };
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    let mut extra = Vec::new();
    session.sql.execute_bulk(&sql::END_ATTEMPT, ended, push, rest).await?;
    let push = |args: &mut Args, ended: &Ended| args.push(ended.seq);
    for row in session.sql.fetch_bulk(&sql::LAST_ATTEMPT, ended, push, same).await? {
        let number = row::integer(&row, "number")?;
        if number > KEPT {
            extra.push(Extra { seq: row::integer(&row, "seq")?, number: number - KEPT });
        }
    }
    let push = |args: &mut Args, extra: &Extra| {
        args.push(extra.seq);
        args.push(extra.number);
    };
    session.sql.execute_bulk(&sql::DROP_ATTEMPT, &extra, push, same).await?;
    session.wrote_traces(Traces { attempts: true, reports: false });
    Ok(())
}

/// Records one end of several deliveries.
pub(super) async fn end_all(
    session: &mut Session<'_>,
    seqs: &[i64],
    end_of_all: AttemptEnd,
) -> Result<(), sqlx::Error> {
    let ended = seqs.iter().map(|seq| Ended { seq: *seq, end: end_of_all, failure: None });
    end(session, &ended.collect::<Vec<_>>()).await
}

/// Forgets the deliveries of jobs that are deleted.
pub(super) async fn deleted(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if !seqs.is_empty() && session.traces().await?.attempts {
        session.sql.execute_bulk(&sql::DELETE_ATTEMPTS, seqs, push_seq, same).await?;
    }
    Ok(())
}

/// A delivery that is not kept any more.
#[derive(Debug)]
struct Extra {
    seq: i64,
    number: i64,
}

/// Deliveries of one job.
const KEPT: i64 = 100;
