//! [`Store`]: what one open store consists of.

use std::sync::Arc;
use std::time::Duration;

use taskcore::broker::ConnectError;
#[cfg(feature = "postgres")]
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::bell::Bell;
use super::link::{Link, Target};
use super::outbox::Seen;
use super::readers::{Reader, Readers};
use super::server_clock::StoreClock;
use super::transact::Setup;
#[cfg(feature = "postgres")]
use super::wake::Appointment;
use super::wake::{Share, Watch};
use super::writer::{Write, Writer};
use crate::error::{Error, SharedError};

/// Writers, readers, and a share in the watch over the store.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) link: Arc<Link>,
    pub(crate) watch: Share,
    pub(super) closed: CancellationToken,
    /// Which entries of the outbox upkeep has looked at.
    pub(super) seen: Seen,
    writers: Writers,
    readers: Readers,
}

/// Who writes. On a server there are two, so that jobs are handed out while verdicts wait for the
/// disk.
#[derive(Debug)]
struct Writers {
    main: Writer,
    /// For what does not wait for the disk.
    fast: Option<Writer>,
}

impl Writers {
    fn for_this<W: Write>(&self, write: &W) -> &Writer {
        let Self { main, fast } = self;
        match fast {
            Some(fast) if !W::IS_DURABLE => fast,
            // Two that store jobs at the same time need not wait for each other's commit.
            Some(fast) if write.may_go_beside() && main.is_busy() && !fast.is_busy() => fast,
            _ => main,
        }
    }
}

impl Store {
    /// Of a store whose schema is up to date.
    pub(crate) async fn of(link: Arc<Link>, watch: Watch) -> Result<Self, ConnectError> {
        let watch = Share::of(Arc::new(watch));
        Self::connect(link.clone(), watch).await.map_err(|error| link.connect_error(error))
    }

    /// Writers and readers of its own, and a share in the same watch.
    pub(super) async fn duplicate(&self) -> Result<Self, Error> {
        self.check_open()?;
        Self::connect(self.link.apart(), self.watch.another())
            .await
            .map_err(|source| self.readers.error("duplicate", source))
    }

    async fn connect(link: Arc<Link>, watch: Share) -> Result<Self, sqlx::Error> {
        let main = Writer::start(setup(&link, &watch)).await?;
        let fast = match link.dialect.is_serial() {
            true => None,
            false => Some(Writer::start(setup(&link, &watch)).await?),
        };
        let (closed, readers) = (CancellationToken::new(), Readers::new(link.clone()));
        let (seen, writers) = (Seen::default(), Writers { main, fast });
        Ok(Self { link, watch, closed, seen, writers, readers })
    }

    pub(super) fn clock(&self) -> &StoreClock {
        &self.link.clock
    }

    pub(super) fn error(&self, operation: &'static str, source: sqlx::Error) -> Error {
        self.readers.error(operation, source)
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.closed.is_cancelled() { Err(Error::closed(self.link.kind())) } else { Ok(()) }
    }

    /// Runs one write, and answers when it is committed.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, SharedError> {
        self.check_open()?;
        let answer = self.writers.for_this(&write).run(write).await;
        self.checked(answer)
    }

    /// Says so where a write came while the store was being closed.
    pub(super) fn checked<T>(&self, answer: Result<T, SharedError>) -> Result<T, SharedError> {
        match &answer {
            Err(error) if error.is_stopped() && self.closed.is_cancelled() => {
                Err(Error::closed(self.link.kind()).into())
            }
            _ => answer,
        }
    }

    /// Has a write sent at the next ring, unless the appointment is dropped before; its answer is an error
    /// if it was not sent.
    #[cfg(feature = "postgres")]
    pub(super) fn write_at_ring<W: Write>(
        &self,
        write: W,
    ) -> (Appointment<'_>, oneshot::Receiver<Result<W::Answer, SharedError>>) {
        let (send, answer) = self.writers.for_this(&write).prepare(write);
        (self.watch.wake.at_ring(send), answer)
    }

    /// A connection to read from, which does not wait for the writer; see `read!`.
    pub(super) async fn reader(&self) -> Result<Reader<'_>, Error> {
        self.readers.acquire().await
    }

    /// The writer's connection comes last: the last one of all processes removes the log.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        self.readers.close().await;
        self.watch.leave().await;
        if let Some(fast) = &self.writers.fast {
            fast.close().await;
        }
        self.writers.main.close().await;
    }
}

fn setup(link: &Arc<Link>, watch: &Share) -> Setup {
    let (telling, syncs) = match &link.target {
        #[cfg(feature = "sqlite")]
        Target::Sqlite(sqlite) => (None, sqlite.syncs()),
        // There, each transaction says so itself.
        #[cfg(feature = "postgres")]
        Target::Postgres(postgres) => (postgres.telling(), true),
        // There, the server says so, for all of them.
        #[cfg(feature = "mysql")]
        Target::Mysql(_) => (None, true),
    };
    Setup { link: link.clone(), bell: Bell::new(watch.wake.clone(), telling), syncs }
}

/// Runs one read on a connection that does not wait for the writer, and again on a new one if that
/// was lost while it was idle.
///
/// It is a macro because an async closure over a connection hides from the compiler that its future
/// is `Send`.
macro_rules! read {
    ($store:expr, $operation:expr, |$sql:ident| $read:expr) => {
        async {
            let mut reader = $store.reader().await?;
            loop {
                let answer = $crate::database::store::in_time(async {
                    let $sql = reader.begin().await?;
                    let answer = $read.await?;
                    reader.end().await?;
                    Ok(answer)
                })
                .await;
                if let Some(answer) = reader.judge($operation, answer).await? {
                    return Ok::<_, $crate::error::Error>(answer);
                }
            }
        }
        .await
    };
}
pub(super) use read;

/// A server that has stopped to answer is given up after a while.
pub(super) async fn in_time<T>(
    read: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(READ_TIME, read).await {
        Ok(answer) => answer,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// A read takes milliseconds.
const READ_TIME: Duration = Duration::from_secs(60);
