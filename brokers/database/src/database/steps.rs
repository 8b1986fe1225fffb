//! Taking rows away in two steps, on MySQL, where no statement both deletes rows and answers them:
//! they are read and locked, and then deleted by their keys.

use super::args::Args;
use super::connection::Connection;
use super::finish::same;
use super::link::{Link, Role};
use super::outbox::is_open;
use super::row::{self, Row};
use super::session::Session;
use super::statements::{self, numbering, outbox, transactions};
use crate::error::Error;

/// Makes the due jobs ready that these parameters name; answers how many.
pub(super) async fn promote(session: &mut Session<'_>, args: Args) -> Result<u64, sqlx::Error> {
    let rows = session.sql.fetch(statements::DUE, args).await?;
    let mut turns = rows.iter().map(Turn::of).collect::<Result<Vec<_>, _>>()?;
    // They may be too many for one statement, which sorts no more than it takes.
    turns.sort_unstable();
    let push = |args: &mut Args, turn: &Turn| {
        args.push(turn.due_at);
        args.push(turn.seq);
    };
    session.sql.execute_bulk(&statements::PROMOTE_THESE, &turns, push, same).await?;
    session.sql.execute_bulk(&statements::UNSCHEDULE_THESE, &turns, push, same).await?;
    session.has_news |= !turns.is_empty();
    Ok(turns.len() as u64)
}

/// Leases the jobs of these rows of a queue, which are locked.
pub(super) async fn take(
    session: &mut Session<'_>,
    queue: &str,
    rows: &[Row],
    lease: impl Fn(Args) -> Args,
) -> Result<(), sqlx::Error> {
    let turns = rows.iter().map(Turn::of).collect::<Result<Vec<_>, _>>()?;
    let push = |args: &mut Args, turn: &Turn| args.push(turn.seq);
    session.sql.execute_bulk(&statements::LEASE_THESE, &turns, push, lease).await?;
    let push = |args: &mut Args, turn: &Turn| {
        args.push(turn.rank);
        args.push(turn.due_at);
        args.push(turn.seq);
    };
    let rest = |args: Args| args.with(queue);
    session.sql.execute_bulk(&statements::TAKE_THESE, &turns, push, rest).await?;
    Ok(())
}

/// Where a job stands in its queue, or among those that are due.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    rank: i64,
    due_at: i64,
    seq: i64,
}

impl Turn {
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self {
            rank: row::integer(row, "rank")?,
            due_at: row::integer(row, "due_at")?,
            seq: row::integer(row, "seq")?,
        })
    }
}

/// Adds up what transactions have noted, and forgets ranges of numbers that were given.
pub(super) async fn add_sums(session: &mut Session<'_>) -> Result<(), sqlx::Error> {
    let rows = session.sql.fetch(numbering::NEW_SUMS, Args::new()).await?;
    let numbers =
        rows.iter().map(|row| row::integer(row, "number")).collect::<Result<Vec<_>, _>>()?;
    let push = |args: &mut Args, number: &i64| args.push(*number);
    session.sql.execute_bulk(&numbering::ADD_THESE, &numbers, push, same).await?;
    session.sql.execute_bulk(&numbering::DROP_SUMS, &numbers, push, same).await?;
    session.sql.execute(numbering::DROP_BATCHES, Args::new()).await?;
    Ok(())
}

/// Opens the outbox in steps, because there a trigger is no part of a transaction.
pub(super) async fn open_outbox(link: &Link) -> Result<(), Error> {
    let failed = |source| Error::statement(link, "open_outbox", source);
    let mut sql = link.open(Role::Write).await.map_err(failed)?;
    let row = sql.one(outbox::OPEN_ALONE).await.map_err(failed)?;
    if !row::is_set(&row, "is_alone").map_err(failed)? {
        return Err(Error::busy(link, OPEN_PATIENCE_S));
    }
    enter_all(&mut sql).await.map_err(failed)?;
    // Its lock ends with it, whatever becomes of it.
    let _ = sql.close().await;
    Ok(())
}

/// What was made ready before there is a trigger is seen after; what is made ready since has its
/// entry. An earlier opening may have come half the way.
async fn enter_all(sql: &mut Connection<'_>) -> Result<(), sqlx::Error> {
    if is_open(sql).await? {
        return Ok(());
    }
    sql.script(outbox::ENTER_FROM_NOW_ON).await?;
    sql.script(transactions::START).await?;
    sql.execute(outbox::ENTER_ALL, Args::new()).await?;
    sql.execute(outbox::ALL_ARE_ENTERED, Args::new()).await?;
    sql.script(transactions::COMMIT).await.map(drop)
}

/// As `OPEN_ALONE` says.
const OPEN_PATIENCE_S: u64 = 60;
