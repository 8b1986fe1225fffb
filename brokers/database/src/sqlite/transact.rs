//! [`Transactor`]: groups of operations as transactions.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use taskcore::Clock;

use super::args::Args;
use super::session::Session;
use super::statements;
use super::watch::Wake;
use super::writer::Operation;
use crate::error::{Error, SharedError, is_busy};

/// What it takes to open its connection, again after a crash of it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) store: Arc<str>,
    pub(super) options: SqliteConnectOptions,
    pub(super) clock: Clock,
    pub(super) wake: Arc<Wake>,
    /// Whether durable commits wait for the disk.
    pub(super) syncs: bool,
    /// How many events are kept.
    pub(super) events: u32,
}

impl Setup {
    async fn open(&self) -> Result<Session, sqlx::Error> {
        Session::open(&self.options, self.events, self.syncs).await
    }
}

/// Owns the write connection, and runs one transaction after the other on it.
#[derive(Debug)]
pub(super) struct Transactor {
    setup: Setup,
    /// `None` after a failed rollback or a crash of the connection's own thread.
    session: Option<Session>,
}

impl Transactor {
    pub(super) async fn open(setup: Setup) -> Result<Self, sqlx::Error> {
        let session = setup.open().await?;
        Ok(Self { setup, session: Some(session) })
    }

    /// Moves the log into the file, and closes the connection.
    pub(super) async fn close(&mut self) {
        if let Some(mut session) = self.session.take() {
            // Best effort: another process may be reading, and the last one to close the
            // file does it anyway.
            let _ = session.sql.script(statements::CHECKPOINT).await;
            let _ = session.sql.close().await;
        }
    }

    /// Runs a group in one transaction, and answers each of its callers.
    pub(super) async fn commit(&mut self, mut group: Vec<Box<dyn Operation>>) {
        group.retain(|operation| operation.is_wanted());
        let error = match self.transact(&mut group).await {
            Ok(()) => {
                return group.into_iter().for_each(|operation| operation.answer(Ok(())));
            }
            Err(Failed::All(error)) => error,
            Err(Failed::Some(error)) if group.len() == 1 => error,
            Err(Failed::Some(_)) => {
                // One that cannot succeed, such as a batch that fills the disk, does not take
                // its neighbours with it.
                for operation in group {
                    Box::pin(self.commit(vec![operation])).await;
                }
                return;
            }
        };
        for operation in group {
            operation.answer(Err(error.clone()));
        }
    }

    async fn transact(&mut self, group: &mut [Box<dyn Operation>]) -> Result<(), Failed> {
        let Some(first) = group.first() else { return Ok(()) };
        let name = first.name();
        let syncs = self.setup.syncs && group.iter().any(|operation| operation.is_durable());
        let mut session =
            self.begin(name, syncs).await.map_err(|error| Failed::All(error.into()))?;
        for operation in &mut *group {
            if let Err(error) = operation.apply(&mut session).await {
                return Err(self.roll_back(session, operation.name(), error).await);
            }
        }
        let is_said = session.has_reports || session.has_events();
        if let Err(error) = session.finish().await {
            return Err(self.roll_back(session, name, error).await);
        }
        if let Err(error) = self.retry(&mut session, name, statements::COMMIT).await {
            return Err(self.roll_back_after(session, error).await);
        }
        if session.has_news {
            self.setup.wake.ring();
        } else if is_said {
            self.setup.wake.ring_for_readers();
        }
        self.session = Some(session);
        Ok(())
    }

    async fn begin(&mut self, name: &'static str, syncs: bool) -> Result<Session, Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.setup.open().await.map_err(|source| self.error("connect", source))?,
        };
        if session.syncs != syncs {
            let statement = if syncs { statements::SYNC } else { statements::NO_SYNC };
            self.retry(&mut session, name, statement).await?;
            session.syncs = syncs;
        }
        if let Err(error) = self.retry(&mut session, name, statements::BEGIN).await {
            // A lock that is taken leaves the connection as it was; anything else may not.
            if matches!(error, Error::Busy { .. }) {
                self.session = Some(session);
            }
            return Err(error);
        }
        session.begin(self.setup.clock.now_ms());
        Ok(session)
    }

    /// Runs a statement about transactions, again while another connection has the lock.
    ///
    /// SQLite's own busy handler sleeps up to 100 ms at a time, and would not get in between
    /// the transactions of a busy process.
    async fn retry(
        &self,
        session: &mut Session,
        name: &'static str,
        sql: &'static str,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match session.sql.execute(sql, Args::new()).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_busy(&error) => return Err(self.error(name, error)),
                Err(_) if started.elapsed() >= PATIENCE => {
                    let store = self.setup.store.clone();
                    return Err(Error::Busy { store, seconds: PATIENCE.as_secs() });
                }
                Err(_) => {}
            }
            thread::sleep(pause.mul_f64(rand::random_range(0.5..1.0)));
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    async fn roll_back(
        &mut self,
        session: Session,
        name: &'static str,
        error: sqlx::Error,
    ) -> Failed {
        let error = self.error(name, error);
        self.roll_back_after(session, error).await
    }

    async fn roll_back_after(&mut self, mut session: Session, error: Error) -> Failed {
        // SQLite has rolled back by itself after some errors, and then this one fails; so a
        // connection is used again only if it says that it is outside of a transaction.
        let _ = session.sql.script(statements::ROLLBACK).await;
        session.roll_back();
        let is_clean = session.sql.script(statements::PROBE).await.is_ok();
        self.session = is_clean.then_some(session);
        Failed::Some(error.into())
    }

    fn error(&self, operation: &'static str, source: sqlx::Error) -> Error {
        Error::Statement { operation, store: self.setup.store.clone(), source }
    }
}

/// How long another process may keep the lock before callers are told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a transaction failed, and whose failure it is.
enum Failed {
    /// Nothing ran, whatever the operations were.
    All(SharedError),
    /// One of them failed, or the commit; alone, each of them may succeed.
    Some(SharedError),
}
