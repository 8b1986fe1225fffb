//! Taking rows away in two steps, on MySQL, where no statement both deletes rows and answers them:
//! they are read and locked, and then deleted by their keys.

use super::args::Args;
use super::finish::same;
use super::row::{self, Row};
use super::session::Session;
use super::statements::{self, numbering};

/// Makes the due jobs ready that these parameters name; answers how many.
pub(super) async fn promote(session: &mut Session<'_>, args: Args) -> Result<u64, sqlx::Error> {
    let rows = session.sql.fetch(statements::DUE, args).await?;
    let keys = rows.iter().map(Due::of).collect::<Result<Vec<_>, _>>()?;
    let push = |args: &mut Args, due: &Due| {
        args.push(due.at);
        args.push(due.seq);
    };
    session.sql.execute_bulk(&statements::PROMOTE_THESE, &keys, push, same).await?;
    session.sql.execute_bulk(&statements::UNSCHEDULE_THESE, &keys, push, same).await?;
    session.has_news |= !keys.is_empty();
    Ok(keys.len() as u64)
}

struct Due {
    at: i64,
    seq: i64,
}

impl Due {
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self { at: row::integer(row, "due_at")?, seq: row::integer(row, "seq")? })
    }
}

/// Leases the jobs of these rows of a queue, which are locked.
pub(super) async fn take(
    session: &mut Session<'_>,
    queue: &str,
    rows: &[Row],
    lease: impl Fn(Args) -> Args,
) -> Result<(), sqlx::Error> {
    let keys = rows.iter().map(Ready::of).collect::<Result<Vec<_>, _>>()?;
    let push = |args: &mut Args, ready: &Ready| args.push(ready.due.seq);
    session.sql.execute_bulk(&statements::LEASE_THESE, &keys, push, lease).await?;
    let push = |args: &mut Args, ready: &Ready| {
        args.push(ready.rank);
        args.push(ready.due.at);
        args.push(ready.due.seq);
    };
    let rest = |args: Args| args.with(queue);
    session.sql.execute_bulk(&statements::TAKE_THESE, &keys, push, rest).await?;
    Ok(())
}

struct Ready {
    rank: i64,
    due: Due,
}

impl Ready {
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        Ok(Self { rank: row::integer(row, "rank")?, due: Due::of(row)? })
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
