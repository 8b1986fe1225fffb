//! Operations inside a transaction that somebody else began and will end.

use taskcore::broker::{BrokerError, Enqueued, NewJob, Settled, Settlement};

#[cfg(feature = "mysql")]
use super::args::Args;
use super::broker::DatabaseBroker;
use super::connection::{Connection, Driver};
use super::dialect::Kind;
use super::enqueue::Enqueue;
use super::link::Target;
use super::row;
use super::session::Session;
use super::settle::Settle;
use super::statements::inside as statements;
use super::store::Store;
#[cfg(feature = "mysql")]
use super::store::read;
use super::writer::Write;
use crate::error::Error;

impl DatabaseBroker {
    /// Stores jobs, if and when the owner of the transaction commits.
    pub(crate) async fn enqueue_in(
        &self,
        lent: Driver<'_>,
        batch: &[NewJob],
    ) -> Result<Vec<Enqueued>, BrokerError> {
        self.store.check_open()?;
        self.check_limits(batch)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        // A plain batch is nothing to anybody before it is committed, so it takes no lock.
        let inside = Inside { store: &self.store, lock: Lock::None };
        Ok(inside.run(lent, Enqueue(batch.to_vec())).await?)
    }

    /// Records a verdict, if and when the owner of the transaction commits.
    pub(crate) async fn settle_in(
        &self,
        lent: Driver<'_>,
        settlement: Settlement,
    ) -> Result<Settled, BrokerError> {
        self.store.check_open()?;
        // Nobody may come to wait for the job between the look and the commit.
        let lock = match self.store.link.kind() {
            // There, who has a lock beside others and wants it alone waits for the others, who may
            // want the same.
            #[cfg(feature = "mysql")]
            Kind::Mysql => Lock::Alone,
            _ => Lock::Beside,
        };
        let inside = Inside { store: &self.store, lock };
        let settled = inside.run(lent, Settle(vec![settlement])).await?;
        Ok(settled.into_iter().next().unwrap_or(Settled::Stale))
    }
}

/// How operations run there.
struct Inside<'a> {
    store: &'a Store,
    /// What it needs at least.
    lock: Lock,
}

/// What an operation has of the store while the transaction lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    None,
    Beside,
    Alone,
}

/// What is known of the transaction when an operation begins.
#[derive(Debug, Clone, Copy)]
struct Begun {
    now_ms: i64,
    /// Whether each statement sees what was committed before it.
    is_current: bool,
}

impl Inside<'_> {
    /// Runs one operation. One that fails leaves the transaction as it was, and usable.
    async fn run<W: Write>(&self, lent: Driver<'_>, mut write: W) -> Result<W::Answer, Error> {
        let link = &self.store.link;
        if lent.kind() != link.kind() {
            return Err(Error::other_database(link, lent.kind()));
        }
        let failed = |source| Error::statement(link, W::NAME, source);
        let sql = Connection::lent(lent, link.dialect.clone());
        let mut session = Session::of(sql, link.events);
        let lock = if write.needs_all() { Lock::Alone } else { self.lock };
        let begun = self.begin(&mut session).await.map_err(failed)?;
        let mut answer = self.try_to(&mut session, &mut write, begun, lock).await;
        if session.must_be_alone() {
            session.roll_back();
            session.sql.script(statements::TAKE_BACK).await.map_err(failed)?;
            answer = self.try_to(&mut session, &mut write, begun, Lock::Alone).await;
        }
        let answer = match answer {
            Ok(answer) => self.end(&mut session).await.map(|()| answer).map_err(failed),
            Err(error) => Err(error),
        };
        if answer.is_err() {
            session.roll_back();
            // Where this fails too, the owner learns it from the next statement.
            let _ = session.sql.script(statements::TAKE_BACK).await;
            let _ = session.sql.script(statements::KEEP).await;
        }
        answer
    }

    /// Marks where to go back to.
    async fn begin(&self, session: &mut Session<'_>) -> Result<Begun, sqlx::Error> {
        let rows = session.sql.script(statements::BEGIN).await?;
        let clock = &self.store.link.clock;
        match self.store.link.kind() {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => Ok(Begun { now_ms: clock.now_ms(), is_current: true }),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => {
                let row = rows.last().ok_or(sqlx::Error::RowNotFound)?;
                let now_ms = clock.adjust(row::integer(row, "now_ms")?);
                Ok(Begun { now_ms, is_current: row::is_set(row, "is_current")? })
            }
        }
    }

    async fn try_to<W: Write>(
        &self,
        session: &mut Session<'_>,
        write: &mut W,
        begun: Begun,
        lock: Lock,
    ) -> Result<W::Answer, Error> {
        let failed = |source| Error::statement(&self.store.link, W::NAME, source);
        let is_serial = session.sql.dialect.is_serial();
        let statement = match lock {
            Lock::Beside => Some(statements::BESIDE),
            Lock::Alone => Some(statements::ALONE),
            Lock::None => None,
        };
        if let Some(statement) = statement.filter(|_| !is_serial) {
            session.sql.script(statement).await.map_err(failed)?;
            if !(begun.is_current || self.sees_the_present(session).await?) {
                return Err(Error::outdated(&self.store.link));
            }
        }
        let is_alone = is_serial || lock == Lock::Alone;
        session.begin(begun.now_ms, is_alone);
        let answer = write.apply(session).await.map_err(failed)?;
        session.finish().await.map_err(failed)?;
        Ok(answer)
    }

    /// Whether the transaction, which has its lock, reads what is committed now, and not what was
    /// when it first read.
    ///
    /// MySQL does not tell a transaction's own level. A row that is written beside it now is seen if
    /// it has read nothing before, or reads afresh each time. One that has seen such a row goes on to
    /// see the store as it is, for nobody else writes there before it ends: it leaves a row of its
    /// own, which nobody else sees as long as it lasts.
    async fn sees_the_present(&self, session: &mut Session<'_>) -> Result<bool, Error> {
        #[cfg(feature = "mysql")]
        if self.store.link.kind() == Kind::Mysql {
            let failed = |source| self.store.error("begin", source);
            let number = read!(self.store, "begin", |sql| sql
                .insert_numbered(super::statements::NEXT_BATCH, Args::new()))?;
            let args = Args::new().with(number);
            let row = session.sql.fetch_one(statements::SEES, args).await.map_err(failed)?;
            if row::is_set(&row, "is_there").map_err(failed)? {
                session.sql.script(statements::LEAVE_ROW).await.map_err(failed)?;
                return Ok(true);
            }
            let Some(own) = row::optional_integer(&row, "own").map_err(failed)? else {
                return Ok(false);
            };
            let args = || Args::new().with(own);
            let row = read!(self.store, "begin", |sql| sql.fetch_one(statements::SEES, args()))?;
            return Ok(!row::is_set(&row, "is_there").map_err(failed)?);
        }
        let _ = session;
        Ok(false)
    }

    /// Keeps what was done, and tells others of it when it is committed.
    async fn end(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        #[cfg(feature = "postgres")]
        if let Target::Postgres(postgres) = &self.store.link.target {
            session.sql.script_text(postgres.notify_inside()).await?;
        }
        session.sql.script(statements::KEEP).await.map(drop)
    }
}
