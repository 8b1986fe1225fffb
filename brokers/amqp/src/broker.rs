//! [`AmqpBroker`]: the contract's faces.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use taskcore::broker::{
    Broker, BrokerError, Cancelled, Capabilities, ConnectError, Connection, Cursor, Delivery,
    Depth, Enqueued, Extended, Finished, Lookup, Maintain, NewJob, Receipt, Reserve, ResultStore,
    Settled, Settlement, Upkeep,
};
use taskcore::{JobId, QueueName};
use tokio_util::sync::CancellationToken;

use crate::driver::Driver;
use crate::error::AmqpError;
use crate::message::Message;
use crate::options::AmqpOptions;
use crate::session::Session;
use crate::store::Shared;
use crate::topology::priorities;
use crate::{NAME, ladder};

/// Jobs in queues of a RabbitMQ server.
#[derive(Debug)]
pub struct AmqpBroker {
    pub(crate) shared: Arc<Shared>,
    closed: CancellationToken,
    face: u64,
    is_duplicate: bool,
}

impl AmqpBroker {
    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Unusable`] if the server refuses the user or the virtual host, and
    /// [`ConnectError::Broker`] if it cannot be reached.
    pub async fn open(options: AmqpOptions) -> Result<Arc<Self>, ConnectError> {
        let server = options.shown();
        let failed =
            |source| ConnectError::Broker(BrokerError::Unavailable { broker: NAME, source });
        let driver = Driver::start().map_err(|error| failed(Box::new(error)))?;
        let own = driver.clone();
        let opened = driver.run(async move || Ok(Shared::open(options, own).await)).await?;
        let shared = opened.map_err(|error| error.into_connect_error(&server))?;
        let (face, closed) = (shared.opened_face(), CancellationToken::new());
        Ok(Arc::new(Self { shared, closed, face, is_duplicate: false }))
    }

    /// The faces of this broker: results for this process alone, failed jobs for those who operate
    /// it, and no schedules, reports or history.
    #[must_use]
    pub fn connection(self: &Arc<Self>) -> Connection {
        Connection {
            broker: self.clone(),
            results: Some(self.clone()),
            operate: Some(self.clone()),
            schedules: None,
            reports: None,
            history: None,
            outbox: None,
        }
    }

    fn check_open(&self) -> Result<(), BrokerError> {
        match self.closed.is_cancelled() {
            true => Err(BrokerError::Closed { broker: NAME }),
            false => Ok(()),
        }
    }

    /// Runs a call on the driver's thread.
    pub(crate) async fn run<T, F, C>(&self, call: C) -> Result<T, BrokerError>
    where
        T: Send + 'static,
        C: FnOnce(Arc<Shared>) -> F + Send + 'static,
        F: Future<Output = Result<T, BrokerError>> + 'static,
    {
        self.check_open()?;
        let shared = self.shared.clone();
        let answer = self.shared.driver.run(move || call(shared)).await;
        // What failed because of the closing says nothing else.
        if answer.is_err() {
            self.check_open()?
        }
        answer
    }

    /// Refuses what needs a store.
    fn check_batch(&self, batch: &[NewJob]) -> Result<(), BrokerError> {
        let unsupported = |operation| BrokerError::Unsupported { broker: NAME, operation };
        if batch.iter().any(|job| !job.inputs.is_empty()) {
            return Err(unsupported(
                "jobs that wait for others: add a result store, `results=URL`",
            ));
        }
        if batch.iter().any(|job| job.unique.is_some()) {
            return Err(unsupported("unique keys: add a result store, `results=URL`"));
        }
        self.capabilities().check(batch).map_err(|limit| limit.of_broker(NAME))
    }
}

#[async_trait]
impl Broker for AmqpBroker {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            dedupe: false,
            results: false,
            unique: false,
            durable: true,
            max_batch: 100_000,
            // Confirms of several batches share the server's writes to disk.
            enqueues_at_once: 4,
            // RabbitMQ 3.8 to 4 take at least 16 MiB; more is slow in a quorum queue.
            max_envelope: 16 << 20,
            due_resolution: ladder::RESOLUTION,
            // The server's limit counts from the delivery on, and it looks once a minute; what was
            // delivered lies here for a second at most.
            longest_run: self.shared.options.consumer_timeout.map(|limit| limit.mul_f64(0.9)),
        }
    }

    /// The same connection: leases are kept in this process, so extending them asks nobody, and
    /// the connection has a thread of its own already.
    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.check_open()?;
        let (shared, closed) = (self.shared.clone(), CancellationToken::new());
        let face = shared.opened_face();
        Ok(Arc::new(Self { shared, closed, face, is_duplicate: true }))
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.check_open()?;
        self.check_batch(batch)?;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        // On the caller's thread: two ways between threads are a good part of a confirm's time.
        let answer = self.shared.enqueue(batch).await;
        // What failed because of the closing says nothing else.
        if answer.is_err() {
            self.check_open()?
        }
        answer
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let (closed, face) = (self.closed.clone(), self.face);
        // The call goes on when its caller drops it; its wait does not.
        let interrupt = request.interrupt.child_token();
        let _dropped = interrupt.clone().drop_guard();
        let request = Reserve { interrupt, ..request.clone() };
        self.run(async move |shared: Arc<Shared>| {
            let mut reserving = std::pin::pin!(shared.reserve(&request, face));
            tokio::select! {
                answer = &mut reserving => answer,
                () = closed.cancelled() => {
                    request.interrupt.cancel();
                    let answer = reserving.await?;
                    match answer.is_empty() {
                        true => Err(BrokerError::Closed { broker: NAME }),
                        false => Ok(answer),
                    }
                }
            }
        })
        .await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        let receipt = receipt.clone();
        self.run(async move |shared: Arc<Shared>| shared.begin(&receipt).await).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let batch = batch.to_vec();
        self.run(async move |shared: Arc<Shared>| shared.settle(&batch).await).await
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.check_open()?;
        Ok(self.shared.extend(receipts, lease))
    }

    async fn cancelled(
        &self,
        _after: Option<Cursor>,
        _wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        self.check_open()?;
        let operation = "cancelling jobs: add a result store, `results=URL`";
        Err(BrokerError::Unsupported { broker: NAME, operation })
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        let maintain = *maintain;
        self.run(async move |shared: Arc<Shared>| shared.maintain(&maintain).await).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        let queues = queues.to_vec();
        self.run(async move |shared: Arc<Shared>| shared.depths(&queues).await).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        if self.closed.is_cancelled() {
            return Ok(());
        }
        self.closed.cancel();
        let (shared, face, is_duplicate) = (self.shared.clone(), self.face, self.is_duplicate);
        let closing = async move || {
            let is_last = shared.open_faces.fetch_sub(1, Ordering::SeqCst) == 1;
            match (is_last, is_duplicate) {
                (true, _) => shared.close().await,
                (false, true) => shared.leave(face).await,
                (false, false) => shared.start_over().await,
            }
            Ok(())
        };
        self.shared.driver.run(closing).await
    }
}

#[async_trait]
impl ResultStore for AmqpBroker {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        self.check_open()?;
        Ok(self.shared.replies.outcomes(ids))
    }

    fn why_unknown(&self) -> Option<&'static str> {
        Some(
            "RabbitMQ alone tells how a job ended to the process that stored it, and to no other: \
             to ask from elsewhere or later, add a result store to the URL, `results=URL`",
        )
    }

    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError> {
        self.run(async move |shared: Arc<Shared>| Ok(shared.replies.finished(after, wait).await))
            .await
    }
}

impl Shared {
    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        let session = self.link.session().await?;
        if session.is_blocked() {
            return Err(AmqpError::Blocked.into());
        }
        self.listen(&session).await?;
        let now = Timestamp::now();
        let queue = self.replies.queue().name;
        let reply_to = Some(queue.as_str());
        let jobs: Vec<Message> =
            batch.iter().map(|new| Message::of_new(new, reply_to, now)).collect();
        // Before they are sent, because one may end before the confirm is here.
        self.replies.expect(jobs.iter().filter(|job| job.reply_to.is_some()).map(|job| job.job));
        session.send_jobs(&self.names, &jobs, Vec::new()).await?;
        Ok(vec![Enqueued::Stored; batch.len()])
    }

    /// Sees to it that replies come in, on the driver's thread.
    async fn listen(&self, session: &Arc<Session>) -> Result<(), BrokerError> {
        if self.replies.is_listening(session.epoch).await {
            return Ok(());
        }
        let (replies, session) = (self.replies.clone(), session.clone());
        let listening = async move || {
            Ok(replies.listen(&session).await.map_err(|error| session.explain(error))?)
        };
        self.driver.run(listening).await
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        let session = self.link.session().await?;
        let mut depths = Vec::with_capacity(queues.len());
        for queue in queues {
            depths.push(self.count(&session, queue).await?.depth);
        }
        Ok(depths)
    }

    /// What the server tells of a queue.
    pub(crate) async fn count(
        &self,
        session: &Session,
        queue: &QueueName,
    ) -> Result<Counted, BrokerError> {
        let failed = session.look(&self.names.failed(queue)).await?;
        let unknown = Depth {
            scheduled: None,
            running: None,
            blocked: Some(0),
            ..Depth::empty(queue.clone())
        };
        let Some(failed) = failed else {
            return Ok(Counted { depth: Depth::empty(queue.clone()), consumers: 0 });
        };
        let (mut ready, mut consumers) = (0, 0);
        for priority in priorities() {
            if let Some(found) = session.look(&self.names.ready(queue, priority)).await? {
                ready += u64::from(found.message_count());
                consumers = consumers.max(u64::from(found.consumer_count()));
            }
        }
        ready += session.lock_shelf().count(queue) as u64;
        let failed = Some(u64::from(failed.message_count()));
        Ok(Counted { depth: Depth { ready: Some(ready), failed, ..unknown }, consumers })
    }
}

/// A queue, as the server counts it.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) depth: Depth,
    pub(crate) consumers: u64,
}
