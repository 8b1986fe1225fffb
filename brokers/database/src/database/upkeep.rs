//! Upkeep: promotes, expires, reclaims and prunes.

use std::time::Duration;

use super::row::Row;
use taskcore::broker::{AttemptEnd, EventKind, JobState, Maintain, Upkeep as Done};
use taskcore::{Failure, JobId};

use super::args::Args;
use super::attempts;
use super::claim::promote;
use super::dependants;
use super::finish::{self, DEDUPE, Ending, push_seq, same};
use super::numbering;
use super::outbox::{self, Seen};
use super::row;
use super::session::Session;
use super::settle::json;
use super::statements;
use super::store::Store;
use super::unique;
use super::writer::Write;
use taskcore::broker::millis::later;

/// One round of upkeep.
#[derive(Debug)]
pub(super) struct Upkeep {
    maintain: Maintain,
    seen: Seen,
}

impl Upkeep {
    pub(super) fn of(maintain: &Maintain, store: &Store) -> Self {
        Self { maintain: *maintain, seen: store.seen.clone() }
    }
}

impl Write for Upkeep {
    const NAME: &'static str = "maintain";
    type Answer = Done;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Done, sqlx::Error> {
        if !session.sql.dialect.is_serial() && !numbering::has_turn(session).await? {
            return Ok(Done::default());
        }
        let budget = i64::from(self.maintain.budget.get());
        let promoted = promote(session, budget).await?;
        let expired = expire(session, budget).await?;
        let (reclaimed, lost) = reclaim(session, budget, self.maintain.recovery_limit).await?;
        unique::clear(session, budget).await?;
        let pruned = prune(session, budget).await?;
        outbox::tidy(session, budget, &self.seen).await?;
        numbering::tidy(session).await?;
        Ok(Done { promoted, reclaimed, lost, expired, pruned })
    }
}

/// Ends jobs that wait beyond their time. Of the rows that it reads, those of jobs that are
/// leased, have failed before or have ended are only dropped, so they are read once.
pub(super) async fn expire(session: &mut Session<'_>, budget: i64) -> Result<u64, sqlx::Error> {
    let args = Args::new().with(session.now_ms).with(budget);
    let rows = session.sql.fetch(statements::EXPIRY_DUE, args).await?;
    let Some(last) = rows.last() else { return Ok(0) };
    session.alone()?;
    let mut jobs = Jobs::default();
    for row in &rows {
        if row::is_set(row, "waits")? {
            jobs.add(row)?;
        }
    }
    finish::stop_waiting(session, &jobs.seqs).await?;
    if !jobs.seqs.is_empty() {
        finish::finish(session, &jobs.seqs, &jobs.ids, Ending::Expired).await?;
        dependants::ended(session, &jobs.seqs, JobState::Expired).await?;
    }
    let (expires_at, seq) = (row::integer(last, "expires_at")?, row::integer(last, "seq")?);
    let args = Args::new().with(expires_at).with(expires_at).with(seq);
    session.sql.execute(statements::EXPIRY_SEEN, args).await?;
    Ok(jobs.seqs.len() as u64)
}

/// Takes back jobs whose lease has ended; answers how many are ready again, and how many lost.
async fn reclaim(
    session: &mut Session<'_>,
    budget: i64,
    recovery_limit: u32,
) -> Result<(u64, u64), sqlx::Error> {
    let rows = leases_ended(session, budget).await?;
    let (mut ready, mut lost, mut failures) = (Jobs::default(), Jobs::default(), Vec::new());
    for row in &rows {
        if row::is_set(row, "begun")? && row::count(row, "recoveries")? >= recovery_limit {
            lost.add(row)?;
            failures.push(Lost {
                seq: row::integer(row, "seq")?,
                failure: of_row(row, recovery_limit)?,
            });
        } else {
            ready.add(row)?;
        }
        let task = session.task(&row::text(row, "task")?).await?;
        session.sums.of(task).lost += 1;
    }
    session.happened_to(EventKind::Lost, &ready.ids);
    attempts::end_all(session, &ready.seqs, AttemptEnd::Lost).await?;
    attempts::end_all(session, &lost.seqs, AttemptEnd::Lost).await?;
    let now_ms = session.now_ms;
    let rest = |args: Args| args.with(now_ms);
    session.sql.execute_bulk(&statements::RECLAIM, &ready.seqs, push_seq, rest).await?;
    if !ready.seqs.is_empty() {
        finish::wait_again(session, &ready.seqs).await?;
    }
    lose(session, &lost, &failures).await?;
    finish::end_leases(session, &ready.seqs).await?;
    finish::end_leases(session, &lost.seqs).await?;
    dependants::ended(session, &lost.seqs, JobState::Failed).await?;
    Ok((ready.seqs.len() as u64, lost.seqs.len() as u64))
}

/// The leases that have ended, at most `budget`, locked.
///
/// Elsewhere than on a file, those that somebody else has locked are passed over: one may be being
/// settled in a long transaction. Most locks last for a moment, though, such as that of a worker who
/// learns that its lease is over.
async fn leases_ended(session: &mut Session<'_>, budget: i64) -> Result<Vec<Row>, sqlx::Error> {
    let now_ms = session.now_ms;
    for pause in LOCKED_FOR {
        let args = Args::new().with(now_ms).with(budget);
        let rows = session.sql.fetch(statements::LEASES_ENDED, args).await?;
        if session.sql.dialect.is_serial() {
            return Ok(rows);
        }
        let args = Args::new().with(now_ms).with(budget);
        let ended = session.sql.fetch_one(statements::COUNT_ENDED, args).await?;
        if row::integer(&ended, "ended")? <= rows.len() as i64 {
            return Ok(rows);
        }
        tokio::time::sleep(pause).await;
    }
    let args = Args::new().with(now_ms).with(budget);
    session.sql.fetch(statements::LEASES_ENDED, args).await
}

/// After which pauses it looks again.
const LOCKED_FOR: [Duration; 3] =
    [Duration::from_millis(2), Duration::from_millis(5), Duration::from_millis(20)];

async fn lose(
    session: &mut Session<'_>,
    jobs: &Jobs,
    failures: &[Lost],
) -> Result<(), sqlx::Error> {
    if failures.is_empty() {
        return Ok(());
    }
    let row = |args: &mut Args, lost: &Lost| {
        args.push(lost.seq);
        args.push(json(&lost.failure));
    };
    session.sql.execute_bulk(&statements::LOSE, failures, row, same).await?;
    finish::finish(session, &jobs.seqs, &jobs.ids, Ending::Failed).await
}

/// Deletes jobs whose retention is over, at most `budget`, and forgets old ids and cancels.
///
/// Jobs that others may still read are looked at once and passed over, and do not count; so
/// they do not keep those behind them from being deleted.
async fn prune(session: &mut Session<'_>, budget: i64) -> Result<u64, sqlx::Error> {
    let args = Args::new().with(session.now_ms).with(budget);
    session.sql.execute(statements::TOMBSTONES_OVER, args).await?;
    let args = Args::new().with(session.now_ms).with(budget);
    session.sql.execute(statements::CANCELLED_OVER, args).await?;
    let mut pruned = 0;
    let mut left = usize::try_from(budget).unwrap_or(usize::MAX);
    let mut looks = left.saturating_add(PASSED_OVER);
    while left > 0 && looks > 0 {
        let args = Args::new().with(session.now_ms).with(PRUNE_ROWS);
        let rows = session.sql.fetch(statements::PRUNE_DUE, args).await?;
        if rows.is_empty() {
            break;
        }
        let due = Due::within(left.min(looks), &rows)?;
        let deleted = prune_ids(session, &due.ids).await?;
        (pruned, left) = (pruned + deleted as u64, left - deleted);
        looks = looks.saturating_sub(due.looks);
        let push = |args: &mut Args, position: &i64| args.push(*position);
        session.sql.execute_bulk(&statements::PRUNED, &due.whole, push, same).await?;
        if let Some(Part { position, taken }) = due.part {
            let args = Args::new().with(taken as i64).with(position);
            session.sql.execute(statements::PRUNED_PARTLY, args).await?;
        }
    }
    Ok(pruned)
}

/// How many jobs more than its budget upkeep looks at.
const PASSED_OVER: usize = 1000;

/// Rows of ended jobs in one step; each may have a thousand ids.
const PRUNE_ROWS: i64 = 64;

/// What of the rows of ended jobs is due, within a budget.
#[derive(Debug, Default)]
struct Due {
    /// 16 bytes each.
    ids: Vec<u8>,
    /// The positions of rows that are used up.
    whole: Vec<i64>,
    /// How many there are; a row without an id counts too, so that the loop ends.
    looks: usize,
    /// The row that was larger than the rest of the budget.
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    position: i64,
    taken: usize,
}

impl Due {
    fn within(max: usize, rows: &[Row]) -> Result<Self, sqlx::Error> {
        let mut due = Self::default();
        for row in rows {
            if due.looks == max {
                break;
            }
            let position = row::integer(row, "position")?;
            let ids = row::bytes(row, "jobs")?;
            let (all, taken) = (ids.len() / 16, (max - due.looks).min(ids.len() / 16));
            due.ids.extend_from_slice(&ids[..16 * taken]);
            if taken < all {
                due.part = Some(Part { position, taken });
                due.looks = max;
                break;
            }
            due.whole.push(position);
            due.looks = max.min(due.looks + taken.max(1));
        }
        Ok(due)
    }
}

/// Deletes those of these jobs whose own retention is over.
async fn prune_ids(session: &mut Session<'_>, ids: &[u8]) -> Result<usize, sqlx::Error> {
    let now_ms = session.now_ms;
    // A job may be listed more than once; and in the order of their ids, neighbours share pages.
    let mut ids = ids.as_chunks::<16>().0.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let push_id = |args: &mut Args, id: &[u8; 16]| args.push(JobId::from_bytes(*id));
    let rows = session
        .sql
        .fetch_bulk(&statements::PRUNABLE, &ids, push_id, |args| args.with(now_ms))
        .await?;
    let mut jobs = Jobs::default();
    // Ended so recently that its enqueue may still be repeated.
    let mut recent = Vec::new();
    for row in &rows {
        jobs.add(row)?;
        if later(row::integer(row, "finished_at")?, DEDUPE) > now_ms {
            recent.extend_from_slice(row::job_id(row, "id")?.as_bytes());
        }
    }
    finish::bury(session, &recent, later(now_ms, DEDUPE)).await?;
    session.sql.execute_bulk(&statements::DELETE_OUTCOME, &jobs.seqs, push_seq, same).await?;
    finish::forget(session, &jobs.seqs).await?;
    Ok(jobs.seqs.len())
}

/// Jobs by their numbers and by their ids, 16 bytes each.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) seqs: Vec<i64>,
    pub(super) ids: Vec<u8>,
}

impl Jobs {
    /// Drops the others; these come in the same order.
    pub(super) fn keep(&mut self, seqs: Vec<i64>) {
        if seqs.len() == self.seqs.len() {
            return;
        }
        let ids = self.seqs.iter().zip(self.ids.as_chunks::<16>().0);
        let mut kept = seqs.iter().peekable();
        let ids = ids.filter(|(seq, _)| kept.next_if_eq(seq).is_some());
        self.ids = ids.flat_map(|(_, id)| *id).collect();
        self.seqs = seqs;
    }

    /// Adds the job of a row with `seq` and `id`.
    pub(super) fn add(&mut self, row: &Row) -> Result<(), sqlx::Error> {
        self.seqs.push(row::integer(row, "seq")?);
        self.ids.extend_from_slice(row::job_id(row, "id")?.as_bytes());
        Ok(())
    }
}

#[derive(Debug)]
struct Lost {
    seq: i64,
    failure: Failure,
}

fn of_row(row: &Row, recovery_limit: u32) -> Result<Failure, sqlx::Error> {
    let attempt = row::count(row, "failures")?.saturating_add(1);
    Ok(Failure::lost(row::job_id(row, "id")?, row::text(row, "task")?, attempt, recovery_limit))
}
