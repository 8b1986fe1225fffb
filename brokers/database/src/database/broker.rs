//! [`DatabaseBroker`]: the broker over a database.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use taskcore::QueueName;
use taskcore::broker::{
    Broker, BrokerError, Cancelled, Capabilities, ConnectError, Connection, Cursor, Delivery,
    Depth, Enqueued, Extended, Maintain, Migration, NewJob, NewSchedule, Receipt, Reserve, Settled,
    Settlement, Upkeep,
};
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::claim::{Claim, Found};
#[cfg(feature = "postgres")]
use super::claim_at_once::ClaimAtOnce;
use super::dialect::Kind;
use super::enqueue::Enqueue;
use super::feed::{CANCELLED, Page};
use super::lease::{Begin, Extend};
use super::settle::Settle;
use super::store::{Store, read};
use super::wake::Listener;
use super::{depth, row, statements, upkeep};
use crate::error::Error;
use crate::receipt::Lease;
use taskcore::broker::millis::later;

/// One open store; clones of its [`connection`](Self::connection) share it.
#[derive(Debug)]
pub struct DatabaseBroker {
    pub(super) store: Store,
}

/// Where a store is and how it is kept, in one of the databases.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum DatabaseOptions {
    /// In a file.
    #[cfg(feature = "sqlite")]
    Sqlite(crate::sqlite::SqliteOptions),
    /// On a PostgreSQL server.
    #[cfg(feature = "postgres")]
    Postgres(Box<crate::postgres::PostgresOptions>),
    /// On a MySQL or MariaDB server.
    #[cfg(feature = "mysql")]
    Mysql(Box<crate::mysql::MysqlOptions>),
}

impl DatabaseBroker {
    const CAPABILITIES: Capabilities = Capabilities {
        dedupe: true,
        results: true,
        unique: true,
        durable: true,
        // On a file: bounds how long one call holds the write lock, under half a second.
        max_batch: 50_000,
        enqueues_at_once: 1,
        // SQLite's own limit for a value is 1,000,000,000 bytes.
        max_envelope: 256 * 1024 * 1024,
        due_resolution: Duration::from_millis(1),
        longest_run: None,
    };

    /// Opens a store, creates it if it is missing, and brings its schema up to date.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Unusable`] if the file or the server cannot be used, and why.
    /// - [`ConnectError::NewerSchema`] if a newer Hereafter has written it.
    /// - [`ConnectError::Broker`] if it does not answer, or is locked by others for too long.
    pub async fn open(options: impl Into<DatabaseOptions>) -> Result<Arc<Self>, ConnectError> {
        let store = match options.into() {
            #[cfg(feature = "sqlite")]
            DatabaseOptions::Sqlite(options) => crate::sqlite::open(options).await?,
            #[cfg(feature = "postgres")]
            DatabaseOptions::Postgres(options) => crate::postgres::open(*options).await?,
            #[cfg(feature = "mysql")]
            DatabaseOptions::Mysql(options) => crate::mysql::open(*options).await?,
        };
        Ok(Arc::new(Self { store }))
    }

    /// The migrations that [`open`](Self::open) would run, in order; it runs none of them.
    ///
    /// # Errors
    ///
    /// As for opening.
    pub async fn pending(
        options: impl Into<DatabaseOptions>,
    ) -> Result<Vec<Migration>, ConnectError> {
        match options.into() {
            #[cfg(feature = "sqlite")]
            DatabaseOptions::Sqlite(options) => crate::sqlite::pending(options).await,
            #[cfg(feature = "postgres")]
            DatabaseOptions::Postgres(options) => crate::postgres::pending(*options).await,
            #[cfg(feature = "mysql")]
            DatabaseOptions::Mysql(options) => crate::mysql::pending(*options).await,
        }
    }

    /// The faces of this store.
    #[must_use]
    pub fn connection(self: &Arc<Self>) -> Connection {
        Connection::of(self.clone()).with_outbox(self.clone())
    }

    /// Another connection to the same store, which is closed on its own.
    ///
    /// # Errors
    ///
    /// [`BrokerError::Closed`] if this one is closed, or why the store cannot be opened again.
    pub async fn another(&self) -> Result<Arc<Self>, BrokerError> {
        Ok(Arc::new(Self { store: self.store.duplicate().await? }))
    }

    /// What no job could be made of is refused before it is due.
    pub(super) fn check_templates(&self, batch: &[NewSchedule]) -> Result<(), Error> {
        let capabilities = self.capabilities();
        let check = |NewSchedule { template, .. }: &NewSchedule| {
            capabilities.check_job(&template.task, &template.envelope)
        };
        let refuse = |limit| Error::limit(self.store.link.kind(), limit);
        batch.iter().try_for_each(check).map_err(refuse)
    }

    pub(super) fn check_limits(&self, batch: &[NewJob]) -> Result<(), Error> {
        let checked = self.capabilities().check(batch);
        checked.map_err(|limit| Error::limit(self.store.link.kind(), limit))
    }

    /// Leases what there is.
    async fn claim(&self, request: &Reserve, queues: &[String]) -> Result<Found, BrokerError> {
        #[cfg(feature = "postgres")]
        if let Some(claim) = ClaimAtOnce::of(request, &self.store.link.dialect)
            && let Some(found) = self.store.write(claim).await?
        {
            return Ok(found);
        }
        self.look_and_claim(request, queues).await
    }

    /// The same in several steps.
    async fn look_and_claim(
        &self,
        request: &Reserve,
        queues: &[String],
    ) -> Result<Found, BrokerError> {
        let look = self.look(queues).await?;
        let now_ms = self.store.clock().now_ms();
        let is_due = look.due_at.is_some_and(|due_at| due_at <= now_ms);
        let deliveries = if look.is_ready || is_due {
            self.store.write(Claim::of(request, is_due)).await?
        } else {
            Vec::new()
        };
        // A due job of another queue was promoted, so it is not waited for again.
        Ok(Found { deliveries, due_at: look.due_at.filter(|due_at| *due_at > now_ms) })
    }

    /// Waits for news, or until a time, and leases what there is then.
    async fn wait_and_claim(
        &self,
        request: &Reserve,
        queues: &[String],
        listener: &mut Listener<'_>,
        until_ms: i64,
    ) -> Result<Found, BrokerError> {
        #[cfg(feature = "postgres")]
        let before = listener.rings();
        #[cfg(feature = "postgres")]
        let at_ring = ClaimAtOnce::of(request, &self.store.link.dialect)
            .map(|claim| self.store.write_at_ring(claim));
        let news = listener.wait(self.store.clock(), until_ms, self.stops(request));
        #[cfg(feature = "postgres")]
        if let Some((appointment, mut answer)) = at_ring {
            let answered = tokio::select! {
                biased;
                answered = &mut answer => answered,
                () = news => {
                    drop(appointment);
                    answer.await
                }
            };
            // An error is that it was not sent.
            let Ok(answered) = answered else { return self.claim(request, queues).await };
            let Some(found) = self.store.checked(answered)? else {
                return self.look_and_claim(request, queues).await;
            };
            // It was sent by the first ring, and may not have seen what a later one was about.
            if found.deliveries.is_empty() && listener.rings() > before + 1 {
                return self.claim(request, queues).await;
            }
            return Ok(found);
        }
        news.await;
        self.claim(request, queues).await
    }

    /// What ends a wait for jobs.
    fn stops<'a>(&'a self, request: &'a Reserve) -> [&'a CancellationToken; 2] {
        [&request.interrupt, &self.store.closed]
    }

    /// Looks, without writing, whether a claim may find something.
    async fn look(&self, queues: &[String]) -> Result<Look, Error> {
        let asked = || Args::new().with(queues.to_vec());
        let row = read!(self.store, "reserve", |sql| sql.fetch_one(statements::LOOK, asked()))?;
        let look = || {
            Ok(Look {
                is_ready: row::is_set(&row, "ready")?,
                due_at: row::optional_integer(&row, "due_at")?,
            })
        };
        look().map_err(|source| self.store.error("reserve", source))
    }
}

/// What an idle worker sees.
struct Look {
    is_ready: bool,
    /// When the next scheduled job is due.
    due_at: Option<i64>,
}

#[async_trait]
impl Broker for DatabaseBroker {
    fn name(&self) -> &'static str {
        self.store.link.kind().name()
    }

    fn capabilities(&self) -> Capabilities {
        let (max_batch, enqueues_at_once) = match self.store.link.dialect.is_serial() {
            true => (Self::CAPABILITIES.max_batch, Self::CAPABILITIES.enqueues_at_once),
            // There it keeps nobody from storing others; and there are two connections that write.
            false => (100_000, 2),
        };
        let durable = self.store.link.is_durable();
        let max_envelope = match self.store.link.kind() {
            // A message takes 16 MiB by default, and a third more than the bytes that it is made of.
            #[cfg(feature = "mysql")]
            Kind::Mysql => 8 * 1024 * 1024,
            _ => Self::CAPABILITIES.max_envelope,
        };
        Capabilities { durable, max_batch, enqueues_at_once, max_envelope, ..Self::CAPABILITIES }
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        Ok(self.another().await?)
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.store.check_open()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.check_limits(batch)?;
        Ok(self.store.write(Enqueue(batch.to_vec())).await?)
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        self.store.check_open()?;
        let clock = self.store.clock();
        let over_ms = later(clock.now_ms(), request.wait);
        let queues = depth::names(request.queues.iter().map(|share| &share.queue));
        let mut listener = self.store.watch.listen_for_jobs();
        let mut found = self.claim(request, &queues).await?;
        loop {
            if !found.deliveries.is_empty() {
                return Ok(found.deliveries);
            }
            let now_ms = clock.now_ms();
            if now_ms >= over_ms || self.stops(request).iter().any(|stop| stop.is_cancelled()) {
                return Ok(Vec::new());
            }
            let until_ms = found.due_at.map_or(over_ms, |due_at| due_at.min(over_ms));
            found = self.wait_and_claim(request, &queues, &mut listener, until_ms).await?;
        }
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.store.check_open()?;
        match Lease::of(receipt) {
            Some(lease) => Ok(self.store.write(Begin(lease)).await?),
            None => Ok(Settled::Stale),
        }
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.store.check_open()?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.store.write(Settle(batch.to_vec())).await?)
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.store.check_open()?;
        if receipts.is_empty() {
            return Ok(Vec::new());
        }
        let leases = receipts.iter().map(Lease::of).collect();
        let moved = self.store.write(Extend { leases, span: lease }).await?;
        let mut busy = moved.busy;
        for _ in 0..TRIES {
            if busy.is_empty() {
                break;
            }
            tokio::time::sleep(PAUSE.mul_f64(rand::random_range(0.5..1.5))).await;
            let leases = busy.into_iter().map(Some).collect();
            // What has ended meanwhile is told the next time.
            busy = self.store.write(Extend { leases, span: lease }).await?.busy;
        }
        Ok(moved.extended)
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        let Page { ids, next } = CANCELLED.read(&self.store, after, wait).await?;
        Ok(Cancelled { ids, next })
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        Ok(self.store.write(upkeep::Upkeep::of(maintain, &self.store)).await?)
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.store.check_open()?;
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let now_ms = self.store.clock().now_ms();
        Ok(read!(self.store, "depth", |sql| depth::of(sql, queues, now_ms))?)
    }

    fn as_any(&self) -> Option<&(dyn Any + Send + Sync)> {
        Some(self)
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.store.close().await;
        Ok(())
    }
}

/// How often a lease is tried again that somebody else has locked. The job of a stream is, most of the
/// time.
const TRIES: usize = 16;

/// Between two tries; a tenth of a second in all, less than a third of any sensible lease.
const PAUSE: Duration = Duration::from_millis(6);
