//! Leases: begun, extended.

use std::collections::HashSet;
use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{Extended, Settled};

use super::args::Args;
use super::bulk::Bulk;
use super::row::{self, Row};
use super::session::{Session, Traces};
use super::statements;
use super::writer::Write;
use crate::receipt::Lease;
use taskcore::broker::millis::later;

/// Marks a delivery as begun.
#[derive(Debug)]
pub(super) struct Begin(pub(super) Lease);

impl Write for Begin {
    const NAME: &'static str = "begin";
    const IS_DURABLE: bool = false;
    const IS_APART: bool = true;
    type Answer = Settled;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Settled, sqlx::Error> {
        let args = Args::new().with(self.0.seq).with(self.0.token).with(session.now_ms);
        let touched = session.sql.execute(statements::BEGIN_JOB, args).await?;
        Ok(if touched > 0 { Settled::Applied } else { Settled::Stale })
    }
}

/// Moves the ends of leases. `None` stands for a receipt that is not ours.
#[derive(Debug)]
pub(super) struct Extend {
    pub(super) leases: Vec<Option<Lease>>,
    pub(super) span: Duration,
}

/// What became of leases.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) extended: Vec<Extended>,
    /// Those that are held and end as before, because somebody else had them locked.
    pub(super) busy: Vec<Lease>,
}

impl Write for Extend {
    const NAME: &'static str = "extend";
    const IS_DURABLE: bool = false;
    const IS_APART: bool = true;
    type Answer = Moved;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Moved, sqlx::Error> {
        let now_ms = session.now_ms;
        let leases: HashSet<Lease> = self.leases.iter().copied().flatten().collect();
        let mut leases: Vec<Lease> = leases.into_iter().collect();
        // As everybody locks them, so that nobody waits in a circle.
        leases.sort_unstable_by_key(|lease| lease.seq);
        // Asked before, because a lease shortened to nothing is held by this call still.
        let held = held_by_whomever(session, &leases).await?;
        let (free, busy) = if session.sql.dialect.is_serial() {
            (leases.clone(), Vec::new())
        } else {
            // One that is locked is being settled, perhaps in a long transaction of its task, or
            // reports; it is not reclaimed meanwhile, and must not keep the others from being
            // extended.
            let free = fetch_held(session, &statements::HELD_FREE, &leases).await?;
            let free = of_rows(&leases, &free)?;
            let busy = held.iter().filter(|lease| !free.contains(lease)).copied().collect();
            (free.into_iter().collect(), busy)
        };
        let ends_ms = later(now_ms, self.span);
        let rest = |args: Args| args.with(ends_ms).with(now_ms);
        session.sql.execute_bulk(&statements::EXTEND, &free, push_lease, rest).await?;
        let lost: Vec<JobId> =
            leases.iter().filter(|lease| !held.contains(lease)).map(|lease| lease.job).collect();
        let cancelled = cancelled(session, &lost).await?;
        let answer = |lease: &Option<Lease>| match lease {
            Some(lease) if held.contains(lease) => Extended::Held,
            Some(lease) if cancelled.contains(&lease.job) => Extended::Cancelled,
            _ => Extended::Lost,
        };
        Ok(Moved { extended: self.leases.iter().map(answer).collect(), busy })
    }
}

/// The fence: those leases that are current and have not ended. Each is given once.
pub(super) async fn held(
    session: &mut Session<'_>,
    leases: &[Lease],
) -> Result<HashSet<Lease>, sqlx::Error> {
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    let counts = session.sql.fetch_bulk(&statements::COUNT_HELD, leases, push_lease, rest).await?;
    let mut count = 0;
    for row in &counts {
        saw(session, row)?;
        count += row::integer(row, "held")?;
    }
    if usize::try_from(count) == Ok(leases.len()) {
        return Ok(leases.iter().copied().collect());
    }
    // Those that were counted are locked by this transaction. Who has another one locked may wait for
    // this transaction, so it does not wait in turn.
    let rows = fetch_held(session, &statements::HELD_FREE, leases).await?;
    of_rows(leases, &rows)
}

/// Takes over what a statement about leases has seen besides.
pub(super) fn saw(session: &mut Session<'_>, row: &Row) -> Result<(), sqlx::Error> {
    session.saw_edges(row::is_set(row, "edges")?);
    session.saw_keys(row::is_set(row, "keys")?);
    session.saw_traces(Traces {
        attempts: row::is_set(row, "attempts")?,
        reports: row::is_set(row, "reports")?,
    });
    Ok(())
}

/// The same without keeping them from changing.
async fn held_by_whomever(
    session: &mut Session<'_>,
    leases: &[Lease],
) -> Result<HashSet<Lease>, sqlx::Error> {
    let rows = fetch_held(session, &statements::SEEN_HELD, leases).await?;
    of_rows(leases, &rows)
}

async fn fetch_held(
    session: &mut Session<'_>,
    statement: &'static Bulk,
    leases: &[Lease],
) -> Result<Vec<Row>, sqlx::Error> {
    let now_ms = session.now_ms;
    session.sql.fetch_bulk(statement, leases, push_lease, |args| args.with(now_ms)).await
}

/// Those of these leases that are among the rows.
fn of_rows(leases: &[Lease], rows: &[Row]) -> Result<HashSet<Lease>, sqlx::Error> {
    let mut held = HashSet::new();
    for row in rows {
        held.insert(Key { seq: row::integer(row, "seq")?, token: row::integer(row, "token")? });
    }
    Ok(leases.iter().copied().filter(|lease| held.contains(&Key::of(lease))).collect())
}

/// The same for rows that hold many, as a seq and a token of 8 bytes each.
pub(super) fn among(leases: &[Lease], rows: &[Row]) -> Result<HashSet<Lease>, sqlx::Error> {
    let mut ended = HashSet::with_capacity(leases.len());
    for row in rows {
        let bytes = row::bytes(row, "leases")?;
        let (numbers, _) = bytes.as_chunks::<8>();
        for [seq, token] in numbers.as_chunks::<2>().0 {
            let (seq, token) = (i64::from_be_bytes(*seq), i64::from_be_bytes(*token));
            ended.insert(Key { seq, token });
        }
    }
    Ok(leases.iter().copied().filter(|lease| ended.contains(&Key::of(lease))).collect())
}

/// What the table knows of a lease.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    seq: i64,
    token: i64,
}

impl Key {
    fn of(lease: &Lease) -> Self {
        Self { seq: lease.seq, token: lease.token }
    }
}

async fn cancelled(
    session: &mut Session<'_>,
    ids: &[JobId],
) -> Result<HashSet<JobId>, sqlx::Error> {
    let push_id = |args: &mut Args, id: &JobId| args.push(id);
    let rows = session.sql.fetch_bulk(&statements::CANCELLED, ids, push_id, |args| args).await?;
    rows.iter().map(|row| row::job_id(row, "id")).collect()
}

fn push_lease(args: &mut Args, lease: &Lease) {
    args.push(lease.seq);
    args.push(lease.token);
}
