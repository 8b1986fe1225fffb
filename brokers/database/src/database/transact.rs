//! [`Transactor`]: groups of operations as transactions.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::args::Args;
use super::bell::Bell;
use super::dialect::{Kind, Statement};
use super::link::{Link, Role};
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::row;
use super::session::Session;
use super::statements::transactions as statements;
use super::writer::Operation;
use crate::error::{Error, SharedError, is_busy, is_full, is_lost, is_transient};

/// What it takes to open its connection, again after a loss of it.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) link: Arc<Link>,
    pub(super) bell: Bell,
    /// Whether durable commits wait for the disk.
    pub(super) syncs: bool,
}

/// Owns the write connection, and runs one transaction after the other on it.
#[derive(Debug)]
pub(super) struct Transactor {
    setup: Setup,
    /// `None` at first, and after a failed rollback or a loss of the connection.
    session: Option<Session<'static>>,
    /// Whether commits wait for the disk now, where the connection and not the transaction says so.
    syncs: bool,
    /// Whether the last group that might have needed the store for itself did.
    expects_to_be_alone: bool,
}

/// How a transaction runs.
#[derive(Debug, Clone, Copy)]
struct Terms {
    is_durable: bool,
    manner: Manner,
}

/// What a group may need that most do not.
#[derive(Debug, Clone, Copy)]
struct Manner {
    place: Place,
    /// Whether jobs are taken for new, which fails if one of them is there already.
    takes_for_new: bool,
}

/// How a transaction stands to the others of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// With one that has the store for itself, too.
    Apart,
    Beside,
    Alone,
}

impl Transactor {
    pub(super) fn new(setup: Setup) -> Self {
        let syncs = setup.syncs;
        Self { setup, session: None, syncs, expects_to_be_alone: false }
    }

    /// Opens the connection now, so that whoever opens the store learns why it cannot be.
    pub(super) async fn connect(&mut self) -> Result<(), sqlx::Error> {
        self.session = Some(self.open().await?);
        Ok(())
    }

    async fn open(&mut self) -> Result<Session<'static>, sqlx::Error> {
        self.syncs = self.setup.syncs;
        let link = &self.setup.link;
        Ok(Session::of(link.open(Role::Write).await?, link.events))
    }

    /// Tidies up, and closes the connection.
    pub(super) async fn close(&mut self) {
        if self.setup.bell.wants_to_ring_at().is_some() {
            self.ring().await;
        }
        if let Some(mut session) = self.session.take() {
            // Best effort: another process may be reading, and the last one to close the
            // file does it anyway.
            #[cfg(feature = "sqlite")]
            if self.setup.link.kind() == Kind::Sqlite {
                let _ = session.sql.script(statements::CHECKPOINT).await;
            }
            let _ = session.sql.close().await;
        }
    }

    /// When others are to be told of commits of which they were not told yet.
    pub(super) fn wants_to_ring_at(&self) -> Option<Instant> {
        self.setup.bell.wants_to_ring_at()
    }

    /// Tells them. A connection that cannot is given up; they look for themselves in a while.
    pub(super) async fn ring(&mut self) {
        let Some(text) = self.setup.bell.take() else { return };
        if let Some(mut session) = self.session.take()
            && let Ok(Ok(_)) = within(RING_TIME, session.sql.script_text(text)).await
        {
            self.session = Some(session);
        }
    }

    /// Nothing is to be done: a user's pool gets its connection back.
    pub(super) fn rest(&mut self) {
        self.session = self.session.take().and_then(Session::give_back);
    }

    /// Runs a group in one transaction, but for those that run alone, and answers each of its callers.
    pub(super) async fn commit(&mut self, mut group: Vec<Box<dyn Operation>>) {
        group.retain(|operation| operation.is_wanted());
        if group.len() > 1 {
            let single = group.extract_if(.., |operation| operation.is_single());
            for operation in single.collect::<Vec<_>>() {
                Box::pin(self.commit(vec![operation])).await;
            }
        }
        if let [operation] = &mut *group
            && self.at_once(&mut **operation).await
        {
            group.into_iter().for_each(|operation| operation.answer(Ok(())));
            // Only now, because callers need not wait until others know.
            if self.wants_to_ring_at().is_some_and(|ring_at| ring_at <= Instant::now()) {
                self.ring().await;
            }
            return;
        }
        let error = match self.transact_patiently(&mut group).await {
            Ok(()) => {
                return group.into_iter().for_each(|operation| operation.answer(Ok(())));
            }
            Err(Failed::All(error)) => error,
            Err(Failed::Some(error) | Failed::Collided(error)) if group.len() == 1 => error,
            Err(_) => {
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

    /// Runs an operation as a single statement, if it has one. Where that does not succeed, whatever
    /// the reason, it is run in a transaction, which finds out what there is to say of it.
    async fn at_once(&mut self, operation: &mut dyn Operation) -> bool {
        let link = self.setup.link.clone();
        // A pooler's connection has none of our settings outside of a transaction.
        if link.dialect.is_serial() || link.dialect.is_pooled {
            return false;
        }
        let opened = match self.session.take() {
            Some(session) => Ok(session),
            None => within(TRANSACTION_TIME, self.open())
                .await
                .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
        };
        let Ok(mut session) = opened else { return false };
        session.begin(link.clock.now_ms(), false);
        session.notice = self.setup.bell.notice();
        let is_done = loop {
            match within(TRANSACTION_TIME, operation.at_once(&mut session, &link.clock)).await {
                Ok(Ok(is_done)) => break is_done,
                // What the server has refused leaves the connection as it was.
                Ok(Err(error)) if error.as_database_error().is_some() && !is_lost(&error) => {
                    // Where it has only refused to tell others, they are told later.
                    if !is_full(&error) || session.notice.take().is_none() {
                        break false;
                    }
                }
                // Its session is lost, or nobody knows in which state it is.
                Ok(Err(_)) | Err(_) => return false,
            }
        };
        if is_done && session.has_told {
            self.setup.bell.has_told_jobs();
        } else if is_done && session.has_jobs {
            self.setup.bell.has_jobs();
        } else if is_done && session.has_news {
            self.setup.bell.has_news();
        } else if is_done && session.has_reports {
            self.setup.bell.has_reports();
        }
        self.session = Some(session);
        is_done
    }

    /// Runs it again where another transaction was in the way.
    async fn transact_patiently(&mut self, group: &mut [Box<dyn Operation>]) -> Result<(), Failed> {
        let mut manner = Manner { place: self.place_for(group), takes_for_new: true };
        let mut pause = Duration::from_millis(2);
        for _ in 0..COLLISIONS {
            match self.transact_in_time(group, manner).await {
                Err(Failed::NeedsAll) => manner.place = Place::Alone,
                Err(Failed::Repeats) => manner.takes_for_new = false,
                Err(Failed::Collided(_)) => {
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        self.transact_in_time(group, Manner { place: Place::Alone, takes_for_new: false }).await
    }

    fn place_for(&self, group: &[Box<dyn Operation>]) -> Place {
        let may_need_all = || group.iter().any(|operation| operation.may_need_all());
        if group.iter().any(|operation| operation.needs_all())
            || (self.expects_to_be_alone && may_need_all())
        {
            Place::Alone
        } else if group.iter().all(|operation| operation.is_apart()) {
            Place::Apart
        } else {
            Place::Beside
        }
    }

    /// A server that has stopped to answer is given up after a while.
    async fn transact_in_time(
        &mut self,
        group: &mut [Box<dyn Operation>],
        manner: Manner,
    ) -> Result<(), Failed> {
        if self.setup.link.dialect.is_serial() {
            return self.transact(group, manner).await;
        }
        let name = group.first().map_or("nothing", |operation| operation.name());
        match within(TRANSACTION_TIME, self.transact(group, manner)).await {
            Ok(answer) => answer,
            Err(_) => {
                // Its session went with the future.
                self.session = None;
                let seconds = TRANSACTION_TIME.as_secs();
                Err(Failed::All(Error::hung(&self.setup.link, name, seconds).into()))
            }
        }
    }

    async fn transact(
        &mut self,
        group: &mut [Box<dyn Operation>],
        manner: Manner,
    ) -> Result<(), Failed> {
        let Some(first) = group.first() else { return Ok(()) };
        let name = first.name();
        let is_durable = group.iter().any(|operation| operation.is_durable());
        let mut session = self.begin(name, Terms { is_durable, manner }).await?;
        for operation in &mut *group {
            if let Err(error) = operation.apply(&mut session).await {
                return Err(self.roll_back(session, operation.name(), error).await);
            }
        }
        let is_said = session.has_reports || session.has_events();
        if let Err(error) = session.finish().await {
            return Err(self.roll_back(session, name, error).await);
        }
        let bell = &mut self.setup.bell;
        let commit = match (session.has_news, is_said) {
            (true, _) => bell.commit_with_news(),
            (false, true) => bell.commit_for_readers(),
            (false, false) => None,
        };
        let committed = match commit {
            Some(text) => session.sql.script_text(text).await.map(drop),
            None => self.retry(&mut session, statements::COMMIT).await,
        };
        if let Err(error) = committed {
            return Err(self.roll_back(session, name, error).await);
        }
        if session.has_news {
            self.setup.bell.wake.ring();
        } else if is_said {
            self.setup.bell.wake.ring_for_readers();
        }
        if group.iter().any(|operation| operation.may_need_all()) {
            self.expects_to_be_alone = session.asked_to_be_alone();
        }
        self.session = Some(session);
        Ok(())
    }

    async fn begin(
        &mut self,
        name: &'static str,
        terms: Terms,
    ) -> Result<Session<'static>, Failed> {
        // One of a pool has been used by others.
        let is_used = self.session.is_some() || self.setup.link.borrows();
        match self.try_begin(terms).await {
            Ok(session) => Ok(session),
            // It was lost while nobody used it, so nothing ran on it.
            Err(error) if is_used && is_lost(&error) => {
                self.session = None;
                self.try_begin(terms).await.map_err(|error| self.cannot_begin(name, error))
            }
            Err(error) => Err(self.cannot_begin(name, error)),
        }
    }

    fn cannot_begin(&self, name: &'static str, error: sqlx::Error) -> Failed {
        if is_busy(&error) {
            return Failed::All(Error::busy(&self.setup.link, PATIENCE.as_secs()).into());
        }
        Failed::All(self.error(name, error).into())
    }

    async fn try_begin(&mut self, terms: Terms) -> Result<Session<'static>, sqlx::Error> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open().await?,
        };
        match self.setup.link.kind() {
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => self.begin_on_file(session, terms).await,
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => {
                let Terms { is_durable, manner: Manner { place, takes_for_new } } = terms;
                let begin =
                    if is_durable { statements::BEGIN_DURABLE } else { statements::BEGIN_FAST };
                let begin = match place {
                    Place::Apart => begin.apart,
                    Place::Beside => begin.beside,
                    Place::Alone => begin.alone,
                };
                let rows = session.sql.script(begin).await?;
                let now = rows.last().ok_or(sqlx::Error::RowNotFound)?;
                let now_ms = self.setup.link.clock.adjust(row::integer(now, "now_ms")?);
                session.begin(now_ms, place == Place::Alone);
                session.takes_for_new = takes_for_new;
                Ok(session)
            }
        }
    }

    /// There, every transaction is alone.
    #[cfg(feature = "sqlite")]
    async fn begin_on_file(
        &mut self,
        mut session: Session<'static>,
        terms: Terms,
    ) -> Result<Session<'static>, sqlx::Error> {
        let syncs = self.setup.syncs && terms.is_durable;
        if self.syncs != syncs {
            let statement = if syncs { statements::SYNC } else { statements::NO_SYNC };
            self.retry(&mut session, statement).await?;
            self.syncs = syncs;
        }
        if let Err(error) = self.retry(&mut session, statements::BEGIN).await {
            // A lock that is taken leaves the connection as it was; anything else may not.
            if is_busy(&error) {
                self.session = Some(session);
            }
            return Err(error);
        }
        session.begin(self.setup.link.clock.now_ms(), true);
        Ok(session)
    }

    /// Runs a statement about transactions, again while another connection has the lock.
    ///
    /// SQLite's own busy handler sleeps up to 100 ms at a time, and would not get in between
    /// the transactions of a busy process.
    async fn retry(
        &self,
        session: &mut Session<'static>,
        statement: Statement,
    ) -> Result<(), sqlx::Error> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match session.sql.execute(statement, Args::new()).await {
                Ok(_) => return Ok(()),
                Err(error) if !is_busy(&error) || started.elapsed() >= PATIENCE => {
                    return Err(error);
                }
                Err(_) => {}
            }
            thread::sleep(pause.mul_f64(rand::random_range(0.5..1.0)));
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }

    async fn roll_back(
        &mut self,
        mut session: Session<'static>,
        name: &'static str,
        error: sqlx::Error,
    ) -> Failed {
        let failed = if session.must_be_alone() {
            Failed::NeedsAll
        } else if session.has_repeats {
            Failed::Repeats
        } else if is_transient(&error) {
            Failed::Collided(self.error(name, error).into())
        } else if is_busy(&error) {
            Failed::Some(Error::busy(&self.setup.link, PATIENCE.as_secs()).into())
        } else {
            Failed::Some(self.error(name, error).into())
        };
        let rolled_back = session.sql.script(statements::ROLLBACK).await;
        session.roll_back();
        let is_clean = match self.setup.link.kind() {
            // SQLite has rolled back by itself after some errors, and then this one fails; so a
            // connection is used again only if it says that it is outside of a transaction.
            #[cfg(feature = "sqlite")]
            Kind::Sqlite => session.sql.script(statements::PROBE).await.is_ok(),
            #[cfg(any(feature = "postgres", feature = "mysql"))]
            _ => rolled_back.is_ok(),
        };
        self.session = is_clean.then_some(session);
        failed
    }

    fn error(&self, operation: &'static str, source: sqlx::Error) -> Error {
        Error::statement(&self.setup.link, operation, source)
    }
}

async fn within<T>(
    span: Duration,
    future: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    tokio::time::timeout(span, future).await
}

/// How long another process may keep the lock before callers are told.
const PATIENCE: Duration = Duration::from_secs(10);

/// A transaction takes milliseconds, and a server ends a statement of ours after half of this.
const TRANSACTION_TIME: Duration = Duration::from_secs(60);

const RING_TIME: Duration = Duration::from_secs(5);

/// How often a transaction that met another one is run again, with growing pauses.
const COLLISIONS: u32 = 8;

/// Why a transaction failed, and whose failure it is.
enum Failed {
    /// Nothing ran, whatever the operations were.
    All(SharedError),
    /// One of them failed, or the commit; alone, each of them may succeed.
    Some(SharedError),
    /// It has to run without others beside it.
    NeedsAll,
    /// Something is stored already that was taken for new.
    Repeats,
    /// The server ended it because of another one.
    Collided(SharedError),
}
