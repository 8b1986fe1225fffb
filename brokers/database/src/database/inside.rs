//! Operations inside a transaction that somebody else began and will end.

use taskcore::broker::{BrokerError, Enqueued, NewJob, Settled, Settlement};

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
        let inside = Inside { store: &self.store, lock: Lock::Beside };
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
        let now_ms = self.begin(&mut session).await.map_err(failed)?;
        let lock = if write.needs_all() { Lock::Alone } else { self.lock };
        let mut answer = self.try_to(&mut session, &mut write, now_ms, lock).await;
        if session.must_be_alone {
            session.roll_back();
            session.sql.script(statements::TAKE_BACK).await.map_err(failed)?;
            answer = self.try_to(&mut session, &mut write, now_ms, Lock::Alone).await;
        }
        let answer = match answer {
            Ok(answer) => self.end(&mut session).await.map(|()| answer),
            Err(error) => Err(error),
        };
        if answer.is_err() {
            session.roll_back();
            // Where this fails too, the owner learns it from the next statement.
            let _ = session.sql.script(statements::TAKE_BACK).await;
            let _ = session.sql.script(statements::KEEP).await;
        }
        answer.map_err(failed)
    }

    /// Marks where to go back to; answers the time.
    async fn begin(&self, session: &mut Session<'_>) -> Result<i64, sqlx::Error> {
        let rows = session.sql.script(statements::BEGIN).await?;
        let clock = &self.store.link.clock;
        match self.store.link.kind() {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => Ok(clock.now_ms()),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => {
                let now = rows.last().ok_or(sqlx::Error::RowNotFound)?;
                Ok(clock.adjust(row::integer(now, "now_ms")?))
            }
        }
    }

    async fn try_to<W: Write>(
        &self,
        session: &mut Session<'_>,
        write: &mut W,
        now_ms: i64,
        lock: Lock,
    ) -> Result<W::Answer, sqlx::Error> {
        let is_serial = session.sql.dialect.is_serial();
        let statement = match lock {
            Lock::Beside => Some(statements::BESIDE),
            Lock::Alone => Some(statements::ALONE),
            Lock::None => None,
        };
        if let Some(statement) = statement.filter(|_| !is_serial) {
            session.sql.script(statement).await?;
        }
        let is_alone = is_serial || lock == Lock::Alone;
        session.begin(now_ms, is_alone);
        let answer = write.apply(session).await?;
        session.finish().await?;
        Ok(answer)
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
