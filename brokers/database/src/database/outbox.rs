//! The outbox: which jobs another broker is to carry to the workers.
//!
//! A trigger of the ready table enters them, so that none is forgotten, whatever makes it ready and
//! whichever program does. It is made when the outbox is opened; a store that carries its jobs itself
//! has none. On PostgreSQL one statement enters all that a statement makes ready, and sorts them. Elsewhere
//! they are entered one by one as they come, so statements that make several jobs ready
//! do so in the order in which they would be handed out.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use taskcore::broker::millis::later;
use taskcore::broker::{BrokerError, Claim, Claimed, Outbox, Outgoing, OverLimit};
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::broker::DatabaseBroker;
use super::claim::{PROMOTE_AT_ONCE, promote};
use super::claim_these::ClaimThese;
use super::connection::Connection;
#[cfg(feature = "mysql")]
use super::dialect::Kind;
use super::finish::{push_seq, same};
use super::row::{self, Row};
use super::session::Session;
use super::statements::outbox as sql;
use super::store::read;
use super::writer::Write;
use crate::error::Error;

#[async_trait]
impl Outbox for DatabaseBroker {
    async fn open_outbox(&self) -> Result<(), BrokerError> {
        self.store.check_open()?;
        if read!(self.store, Open::NAME, |sql| is_open(sql))? {
            return Ok(());
        }
        #[cfg(feature = "mysql")]
        if self.store.link.kind() == Kind::Mysql {
            return Ok(super::steps::open_outbox(&self.store.link).await?);
        }
        Ok(self.store.write(Open).await?)
    }

    async fn unsent(
        &self,
        max: NonZeroU32,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Outgoing>, BrokerError> {
        self.store.check_open()?;
        let clock = self.store.clock();
        let over_ms = later(clock.now_ms(), wait);
        let mut listener = self.store.watch.listen_for_jobs();
        let never = CancellationToken::new();
        loop {
            let look = self.look_unsent().await?;
            let now_ms = clock.now_ms();
            let is_due = look.due_at.is_some_and(|due_at| due_at <= now_ms);
            // By the clock of a write, which is the store's, it may be free already.
            let is_nearly_free = look.free_at.is_some_and(|at| at <= now_ms + CLOCK_MS);
            if look.is_there || is_due || is_nearly_free {
                let unsent = Unsent { max: i64::from(max.get()), hold, is_due };
                let Page { entries, is_all } = self.store.write(unsent).await?;
                if !entries.is_empty() {
                    return Ok(entries);
                }
                if !is_all {
                    continue;
                }
            }
            if now_ms >= over_ms || self.store.closed.is_cancelled() {
                return Ok(Vec::new());
            }
            let times = [look.due_at, look.free_at].into_iter().flatten();
            let until_ms = times.filter(|at| *at > now_ms).fold(over_ms, i64::min);
            listener.wait(clock, until_ms, [&self.store.closed, &never]).await;
        }
    }

    async fn sent(&self, entries: &[Outgoing]) -> Result<(), BrokerError> {
        self.store.check_open()?;
        if entries.is_empty() {
            return Ok(());
        }
        Ok(self.store.write(Sent(entries.iter().map(|sent| sent.entry).collect())).await?)
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError> {
        self.store.check_open()?;
        if claim.jobs.is_empty() {
            return Ok(Vec::new());
        }
        OverLimit::check_count(claim.jobs.len(), MAX_CLAIM)
            .map_err(|limit| Error::limit(self.store.link.kind(), limit))?;
        Ok(self.store.write(ClaimThese::of(claim)).await?)
    }
}

/// How far what a reader takes for the time of a server may be behind it.
const CLOCK_MS: i64 = 100;

/// From the contract of `claim`.
const MAX_CLAIM: usize = 10_000;

/// What an idle sender sees.
struct Look {
    is_there: bool,
    /// When the next scheduled job is due.
    due_at: Option<i64>,
    /// When the next entry that somebody holds may be sent, if none is free.
    free_at: Option<i64>,
}

impl DatabaseBroker {
    /// Looks, without writing, whether there is something to send.
    async fn look_unsent(&self) -> Result<Look, Error> {
        let now_ms = self.store.clock().now_ms();
        read!(self.store, Unsent::NAME, |sql| look(sql, now_ms))
    }
}

async fn look(sql: &mut Connection<'_>, now_ms: i64) -> Result<Look, sqlx::Error> {
    let row = sql.fetch_one(sql::LOOK_UNSENT, Args::new().with(now_ms)).await?;
    let is_there = row::is_set(&row, "is_there")?;
    let due_at = row::optional_integer(&row, "due_at")?;
    let free_at = match is_there {
        true => None,
        false => row::optional_integer(&sql.one(sql::FREE_AT).await?, "free_at")?,
    };
    Ok(Look { is_there, due_at, free_at })
}

pub(super) async fn is_open(sql: &mut Connection<'_>) -> Result<bool, sqlx::Error> {
    row::is_set(&sql.one(sql::IS_OPEN).await?, "is_open")
}

/// Makes the trigger, where that is part of a transaction.
#[derive(Debug)]
struct Open;

impl Write for Open {
    const NAME: &'static str = "open_outbox";
    type Answer = ();

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if !session.sql.dialect.is_serial() {
            session.sql.script(sql::HOLD_READY).await?;
        }
        // Somebody else may have opened it meanwhile.
        if is_open(&mut session.sql).await? {
            return Ok(());
        }
        session.sql.script(sql::ENTER_FROM_NOW_ON).await?;
        session.sql.execute(sql::ENTER_ALL, Args::new()).await?;
        session.has_news = true;
        Ok(())
    }
}

/// Takes the oldest entries.
#[derive(Debug)]
struct Unsent {
    max: i64,
    hold: Duration,
    /// Whether a scheduled job was due a moment ago.
    is_due: bool,
}

/// Some entries.
#[derive(Debug)]
struct Page {
    entries: Vec<Outgoing>,
    /// Whether there may be no others.
    is_all: bool,
}

impl Write for Unsent {
    const NAME: &'static str = "unsent";
    const NEEDS_CALLER: bool = true;
    /// A loss of power ends the sender too.
    const IS_DURABLE: bool = false;
    type Answer = Page;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Page, sqlx::Error> {
        if self.is_due {
            promote(session, PROMOTE_AT_ONCE).await?;
        }
        for _ in 0..ROUNDS {
            let args = Args::new().with(session.now_ms).with(self.max);
            let rows = session.sql.fetch(sql::UNSENT, args).await?;
            let Found { entries, gone } = Found::of(&rows)?;
            drop_these(session, &gone).await?;
            if !entries.is_empty() || rows.is_empty() {
                self.hold(session, &entries).await?;
                return Ok(Page { entries, is_all: true });
            }
        }
        Ok(Page { entries: Vec::new(), is_all: false })
    }
}

/// How often it goes on behind entries of deleted jobs, before it answers.
const ROUNDS: usize = 8;

impl Unsent {
    async fn hold(
        &self,
        session: &mut Session<'_>,
        entries: &[Outgoing],
    ) -> Result<(), sqlx::Error> {
        let until_ms = later(session.now_ms, self.hold);
        let push = |args: &mut Args, sent: &Outgoing| args.push(sent.entry);
        let rest = |args: Args| args.with(until_ms);
        session.sql.execute_bulk(&sql::HOLD, entries, push, rest).await?;
        Ok(())
    }
}

/// Entries that were read, the oldest first.
#[derive(Debug, Default)]
struct Found {
    entries: Vec<Outgoing>,
    /// Those of jobs that are deleted.
    gone: Vec<i64>,
}

impl Found {
    fn of(rows: &[Row]) -> Result<Self, sqlx::Error> {
        let mut found = Self::default();
        for row in rows {
            let entry = row::integer(row, "entry")?;
            if row::optional_integer(row, "priority")?.is_none() {
                found.gone.push(entry);
                continue;
            }
            found.entries.push(Outgoing {
                entry,
                job: row::job_id(row, "id")?,
                queue: row::queue(row)?,
                priority: row::priority(row)?,
            });
        }
        found.entries.sort_unstable_by_key(|sent| sent.entry);
        Ok(found)
    }
}

/// Deletes entries.
#[derive(Debug)]
struct Sent(Vec<i64>);

impl Write for Sent {
    const NAME: &'static str = "sent";
    /// What comes back after a loss of power is sent again.
    const IS_DURABLE: bool = false;
    const IS_APART: bool = true;
    type Answer = ();

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        drop_free(session, &self.0).await
    }
}

/// Deletes the entries of jobs that are not ready any more.
pub(super) async fn leave(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    let rows = session.sql.fetch_bulk(&sql::ENTERED_JOBS, seqs, push_seq, same).await?;
    drop_these(session, &entries_of(&rows)?).await
}

fn entries_of(rows: &[Row]) -> Result<Vec<i64>, sqlx::Error> {
    rows.iter().map(|row| row::integer(row, "entry")).collect()
}

/// Deletes those of these entries that nobody else is changing.
async fn drop_free(session: &mut Session<'_>, entries: &[i64]) -> Result<(), sqlx::Error> {
    if session.sql.dialect.is_serial() {
        return drop_these(session, entries).await;
    }
    let rows = session.sql.fetch_bulk(&sql::ENTERED, entries, push_seq, same).await?;
    drop_these(session, &entries_of(&rows)?).await
}

async fn drop_these(session: &mut Session<'_>, entries: &[i64]) -> Result<(), sqlx::Error> {
    session.sql.execute_bulk(&sql::DROP, entries, push_seq, same).await?;
    Ok(())
}

/// Up to which entry upkeep has looked: it goes on from there, and so gets beyond many that have to
/// stay. Lost with the process, it begins again.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<AtomicI64>);

/// Looks at so many entries that nobody holds, and deletes those of jobs that are not ready any more:
/// a store whose jobs are not carried by another broker any more goes on without them.
pub(super) async fn tidy(
    session: &mut Session<'_>,
    budget: i64,
    seen: &Seen,
) -> Result<(), sqlx::Error> {
    let args = Args::new().with(seen.0.load(Ordering::Relaxed)).with(session.now_ms).with(budget);
    let rows = session.sql.fetch(sql::AFTER, args).await?;
    let (mut over, mut last) = (Vec::new(), 0);
    for row in &rows {
        let entry = row::integer(row, "entry")?;
        last = last.max(entry);
        if !row::is_set(row, "is_ready")? {
            over.push(entry);
        }
    }
    let is_end = (rows.len() as i64) < budget;
    seen.0.store(if is_end { 0 } else { last }, Ordering::Relaxed);
    drop_free(session, &over).await
}
