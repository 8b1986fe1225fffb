//! [`Writer`]: the one place that writes.
//!
//! A thread owns the write connection. It takes all operations that wait and runs them in one
//! transaction, so calls made at the same time share a commit: while one is on its way to the
//! disk, the next group forms. Callers are answered after the commit.
//!
//! It is a thread and not a task because it outlives the runtime of whoever opened the store:
//! a client may be shared by several. A connection to a server lives on a runtime of its own there.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::link::Link;
use super::server_clock::StoreClock;
use super::session::Session;
use super::transact::{Setup, Transactor};
use crate::error::{Error, SharedError};

/// One kind of write, as it runs inside a transaction.
pub(crate) trait Write: Send + 'static {
    /// What it is called in errors.
    const NAME: &'static str;

    /// Whether it is skipped if its caller has gone before it ran.
    const NEEDS_CALLER: bool = false;

    /// Whether its commit waits for the disk. What is only a lease need not survive a loss of
    /// power, which ends the worker too; the next durable commit syncs it along.
    const IS_DURABLE: bool = true;

    /// Whether it may [learn on the way](Session::alone) that nobody else may write meanwhile. Where
    /// the last one has, the next one begins so.
    const MAY_NEED_ALL: bool = false;

    /// Whether it reads and writes nothing but rows of its own, whoever has the store for himself.
    const IS_APART: bool = false;

    /// Whether it runs without others, so that it is done at once where it can be.
    const IS_SINGLE: bool = false;

    /// Whether nobody else may write meanwhile; one that only learns it on the way
    /// [says so](Session::alone) there.
    fn needs_all(&self) -> bool {
        false
    }

    /// Whether it may run on the connection for what does not wait for the disk, while the other one is
    /// busy and this one is not.
    fn may_go_beside(&self) -> bool {
        false
    }

    /// What it answers.
    type Answer: Send + 'static;

    /// Does all of it in one statement without a transaction, where there is one that can; `None`,
    /// and nothing done, where there is none. What it did is repeated after an unknown answer.
    fn at_once(
        &mut self,
        session: &mut Session<'_>,
        clock: &StoreClock,
    ) -> impl Future<Output = Result<Option<Self::Answer>, sqlx::Error>> + Send {
        let _ = (session, clock);
        std::future::ready(Ok(None))
    }

    /// Runs. May be called again, after what an earlier call did was rolled back.
    fn apply(
        &mut self,
        session: &mut Session<'_>,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;
}

/// Sends operations to the thread. Dropping it ends the thread when its work is done.
#[derive(Debug)]
pub(super) struct Writer {
    inbox: mpsc::Sender<Message>,
    link: Arc<Link>,
    /// Held by every operation that has not ended.
    busy: Arc<()>,
}

impl Writer {
    /// Starts the thread. A file is opened now; a server is connected to with the first operation,
    /// on the thread's own runtime.
    pub(super) async fn start(setup: Setup) -> Result<Self, sqlx::Error> {
        let (inbox, messages) = mpsc::channel(ROOM);
        let link = setup.link.clone();
        let mut transactor = Transactor::new(setup);
        if link.dialect.is_serial() {
            transactor.connect().await?;
        }
        let runtime = Builder::new_current_thread().enable_all().build();
        let thread =
            WriterThread { messages, transactor, runtime: runtime.map_err(sqlx::Error::Io)? };
        thread::Builder::new()
            .name(format!("hereafter-{}", link.kind().name()))
            .spawn(move || thread.run())
            .map_err(sqlx::Error::Io)?;
        Ok(Self { inbox, link, busy: Arc::default() })
    }

    /// Whether an operation runs or waits.
    pub(super) fn is_busy(&self) -> bool {
        Arc::strong_count(&self.busy) > 1
    }

    /// Runs one operation, and answers when it is committed.
    ///
    /// Dropping the future does not take the operation back.
    pub(super) async fn run<W: Write>(&self, write: W) -> Result<W::Answer, SharedError> {
        let (reply, answer) = oneshot::channel();
        let pending: Box<dyn Operation> =
            Box::new(Pending { write, answer: None, reply, busy: self.busy.clone() });
        let stopped = || SharedError::from(Error::stopped(&self.link));
        self.inbox.send(Message::Run(pending)).await.map_err(|_| stopped())?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// One operation, to be sent by whoever calls this, and its answer: an error if it never was. It is
    /// sent only if there is room for it, and keeps nothing open until then.
    #[cfg(feature = "postgres")]
    pub(super) fn prepare<W: Write>(
        &self,
        write: W,
    ) -> (impl FnOnce() + Send + 'static, oneshot::Receiver<Result<W::Answer, SharedError>>) {
        let (reply, answer) = oneshot::channel();
        let (inbox, busy) = (self.inbox.downgrade(), Arc::downgrade(&self.busy));
        let send = move || {
            if let (Some(inbox), Some(busy)) = (inbox.upgrade(), busy.upgrade()) {
                let pending = Box::new(Pending { write, answer: None, reply, busy });
                // An error drops the answer's sender with it.
                let _ = inbox.try_send(Message::Run(pending));
            }
        };
        (send, answer)
    }

    /// Finishes what waits, and closes the connection.
    pub(super) async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        if self.inbox.send(Message::Close(reply)).await.is_ok() {
            // An error means that the thread has ended, which is what was asked for.
            let _ = closed.await;
        }
    }
}

/// Operations that wait for the thread. A bound on memory, not a batch size.
const ROOM: usize = 1024;

/// The most operations in one transaction, so that the first of them is not kept waiting.
const GROUP: usize = 128;

enum Message {
    Run(Box<dyn Operation>),
    Close(oneshot::Sender<()>),
}

/// A [`Write`] with its caller, so that a transaction may hold several kinds.
pub(super) trait Operation: Send {
    fn name(&self) -> &'static str;
    fn is_wanted(&self) -> bool;
    fn is_durable(&self) -> bool;
    fn is_apart(&self) -> bool;
    fn is_single(&self) -> bool;
    fn may_need_all(&self) -> bool;
    fn needs_all(&self) -> bool;
    /// Whether it [did it so](Write::at_once).
    fn at_once<'a>(
        &'a mut self,
        session: &'a mut Session<'static>,
        clock: &'a StoreClock,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>>;
    fn apply<'a>(
        &'a mut self,
        session: &'a mut Session<'static>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>>;
    fn answer(self: Box<Self>, committed: Result<(), SharedError>);
}

struct Pending<W: Write> {
    write: W,
    answer: Option<W::Answer>,
    reply: oneshot::Sender<Result<W::Answer, SharedError>>,
    busy: Arc<()>,
}

impl<W: Write> Operation for Pending<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn is_wanted(&self) -> bool {
        !(W::NEEDS_CALLER && self.reply.is_closed())
    }

    fn is_durable(&self) -> bool {
        W::IS_DURABLE
    }

    fn is_apart(&self) -> bool {
        W::IS_APART
    }

    fn is_single(&self) -> bool {
        W::IS_SINGLE
    }

    fn may_need_all(&self) -> bool {
        W::MAY_NEED_ALL
    }

    fn needs_all(&self) -> bool {
        self.write.needs_all()
    }

    fn at_once<'a>(
        &'a mut self,
        session: &'a mut Session<'static>,
        clock: &'a StoreClock,
    ) -> BoxFuture<'a, Result<bool, sqlx::Error>> {
        Box::pin(async move {
            self.answer = self.write.at_once(session, clock).await?;
            Ok(self.answer.is_some())
        })
    }

    fn apply<'a>(
        &'a mut self,
        session: &'a mut Session<'static>,
    ) -> BoxFuture<'a, Result<(), sqlx::Error>> {
        Box::pin(async move {
            self.answer = Some(self.write.apply(session).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, committed: Result<(), SharedError>) {
        let Self { answer, reply, busy, .. } = *self;
        let answer = committed.map(|()| answer.expect("what is committed was applied"));
        // Before its caller can send the next.
        drop(busy);
        // The caller may have gone; what it asked for is done all the same.
        let _ = reply.send(answer);
    }
}

struct WriterThread {
    messages: mpsc::Receiver<Message>,
    transactor: Transactor,
    runtime: Runtime,
}

impl WriterThread {
    fn run(mut self) {
        while let Some(message) = self.next() {
            match message {
                Message::Run(first) => {
                    if let Some(reply) = self.run_group(first) {
                        return self.close(reply);
                    }
                }
                Message::Close(reply) => return self.close(reply),
            }
        }
    }

    /// What comes next; tells others meanwhile of what they were not told yet.
    fn next(&mut self) -> Option<Message> {
        let Self { messages, transactor, runtime } = self;
        let Some(ring_at) = transactor.wants_to_ring_at() else {
            return Self::wait(messages, transactor);
        };
        let quiet = ring_at.saturating_duration_since(Instant::now());
        let next = async { tokio::time::timeout(quiet, messages.recv()).await };
        if let Ok(message) = runtime.block_on(next) {
            return message;
        }
        runtime.block_on(transactor.ring());
        Self::wait(messages, transactor)
    }

    fn wait(
        messages: &mut mpsc::Receiver<Message>,
        transactor: &mut Transactor,
    ) -> Option<Message> {
        if messages.is_empty() {
            transactor.rest();
        }
        messages.blocking_recv()
    }

    /// Runs `first` and what waits behind it; gives back a request to close among that.
    fn run_group(&mut self, first: Box<dyn Operation>) -> Option<oneshot::Sender<()>> {
        let mut group = vec![first];
        let mut close = None;
        while group.len() < GROUP {
            match self.messages.try_recv() {
                Ok(Message::Run(next)) => group.push(next),
                Ok(Message::Close(reply)) => {
                    close = Some(reply);
                    break;
                }
                Err(_) => break,
            }
        }
        self.runtime.block_on(self.transactor.commit(group));
        close
    }

    /// Ends the thread. Operations sent from now on find the channel closed.
    fn close(mut self, reply: oneshot::Sender<()>) {
        self.messages.close();
        while let Ok(message) = self.messages.try_recv() {
            match message {
                Message::Run(operation) => {
                    self.runtime.block_on(self.transactor.commit(vec![operation]));
                }
                Message::Close(_) => {}
            }
        }
        self.runtime.block_on(self.transactor.close());
        // Whoever asked may have gone.
        let _ = reply.send(());
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::database::args::Args;
    use crate::database::bell::Bell;
    use crate::database::connection::Connection;
    use crate::database::dialect::Statement;
    use crate::database::link::Role;
    use crate::database::row;
    use crate::database::store::Store;
    use crate::sqlite::SqliteOptions;

    const CREATE: Statement = Statement::new("CREATE TABLE number (n INTEGER CHECK (n >= 0))");
    const INSERT: Statement = Statement::new("INSERT INTO number VALUES (?)");
    const NUMBERS: Statement = Statement::new("SELECT n FROM number ORDER BY n");
    const LEVEL: Statement = Statement::new("SELECT synchronous AS level FROM pragma_synchronous");
    const VERSION: Statement =
        Statement::new("SELECT data_version AS version FROM pragma_data_version");

    /// Inserts a number; a negative one is refused by the table.
    struct Insert(i64);

    impl Write for Insert {
        const NAME: &'static str = "insert";
        type Answer = i64;

        async fn apply(&mut self, session: &mut Session<'_>) -> Result<i64, sqlx::Error> {
            session.sql.execute(INSERT, Args::new().with(self.0)).await?;
            Ok(self.0)
        }
    }

    /// Answers the level of `PRAGMA synchronous` inside its transaction.
    struct Level<const IS_DURABLE: bool>;

    impl<const IS_DURABLE: bool> Write for Level<IS_DURABLE> {
        const NAME: &'static str = "level";
        const IS_DURABLE: bool = IS_DURABLE;
        type Answer = i64;

        async fn apply(&mut self, session: &mut Session<'_>) -> Result<i64, sqlx::Error> {
            row::integer(&session.sql.one(LEVEL).await?, "level")
        }
    }

    /// Says when it was started and waits, so that others wait behind it.
    struct Hold {
        started: Option<oneshot::Sender<()>>,
        until: Option<oneshot::Receiver<()>>,
    }

    impl Write for Hold {
        const NAME: &'static str = "hold";
        type Answer = ();

        async fn apply(&mut self, _: &mut Session<'_>) -> Result<(), sqlx::Error> {
            self.started.take().unwrap().send(()).unwrap();
            self.until.take().unwrap().await.unwrap();
            Ok(())
        }
    }

    struct Fixture {
        writer: Arc<Writer>,
        check: Connection<'static>,
        _store: Store,
        _folder: TempDir,
    }

    impl Fixture {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let options = SqliteOptions::file(folder.path().join("t.db"));
            let store = crate::sqlite::open(options).await.unwrap();
            let link = store.link.clone();
            let mut check = link.open(Role::First).await.unwrap();
            check.script(CREATE).await.unwrap();
            let setup = Setup { link, bell: Bell::new(Arc::default(), None), syncs: true };
            let writer = Arc::new(Writer::start(setup).await.unwrap());
            Self { writer, check, _store: store, _folder: folder }
        }

        async fn numbers(&mut self) -> Vec<i64> {
            let rows = self.check.all(NUMBERS).await.unwrap();
            rows.iter().map(|row| row::integer(row, "n").unwrap()).collect()
        }

        /// Keeps the thread busy until the answer is sent.
        async fn hold(&self) -> oneshot::Sender<()> {
            let (started, has_started) = oneshot::channel();
            let (release, until) = oneshot::channel();
            let writer = self.writer.clone();
            let hold = Hold { started: Some(started), until: Some(until) };
            tokio::spawn(async move { writer.run(hold).await });
            has_started.await.unwrap();
            release
        }
    }

    #[tokio::test]
    async fn what_waits_together_is_committed_together() {
        let mut fixture = Fixture::new().await;
        let version = async |check: &mut Connection<'_>| {
            row::integer(&check.one(VERSION).await.unwrap(), "version").unwrap()
        };
        let before = version(&mut fixture.check).await;
        let release = fixture.hold().await;
        let inserts = (0..50).map(|number| fixture.writer.run(Insert(number)));
        let mut inserts = futures::future::join_all(inserts);
        // Polled once, so that all of them are sent.
        assert!(futures::poll!(&mut inserts).is_pending());
        release.send(()).unwrap();
        assert!(inserts.await.iter().all(Result::is_ok));
        assert_eq!(version(&mut fixture.check).await, before + 1);
        assert_eq!(fixture.numbers().await, (0..50).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn an_operation_that_fails_takes_no_neighbour_with_it() {
        let mut fixture = Fixture::new().await;
        let release = fixture.hold().await;
        let inserts = [1, -1, 2].map(|number| fixture.writer.run(Insert(number)));
        let mut inserts = futures::future::join_all(inserts);
        assert!(futures::poll!(&mut inserts).is_pending());
        release.send(()).unwrap();
        let answers = inserts.await;
        assert_eq!(answers[0].as_ref().ok(), Some(&1));
        assert!(answers[1].is_err());
        assert_eq!(answers[2].as_ref().ok(), Some(&2));
        assert_eq!(fixture.numbers().await, [1, 2]);
    }

    #[tokio::test]
    async fn an_operation_is_done_although_its_caller_has_gone() {
        let mut fixture = Fixture::new().await;
        let release = fixture.hold().await;
        let mut insert = Box::pin(fixture.writer.run(Insert(7)));
        assert!(futures::poll!(&mut insert).is_pending());
        drop(insert);
        release.send(()).unwrap();
        fixture.writer.run(Insert(8)).await.unwrap();
        assert_eq!(fixture.numbers().await, [7, 8]);
    }

    #[tokio::test]
    async fn only_what_must_be_durable_waits_for_the_disk() {
        let fixture = Fixture::new().await;
        let (full, normal) = (2, 1);
        for _ in 0..2 {
            assert_eq!(fixture.writer.run(Level::<true>).await.unwrap(), full);
            assert_eq!(fixture.writer.run(Level::<false>).await.unwrap(), normal);
        }
        let release = fixture.hold().await;
        let mut both = Box::pin(futures::future::join(
            fixture.writer.run(Level::<false>),
            fixture.writer.run(Level::<true>),
        ));
        assert!(futures::poll!(&mut both).is_pending());
        release.send(()).unwrap();
        let (lease, job) = both.await;
        assert_eq!((lease.unwrap(), job.unwrap()), (full, full));
    }

    #[tokio::test]
    async fn closing_finishes_what_waits() {
        let mut fixture = Fixture::new().await;
        let release = fixture.hold().await;
        let inserts = (0..20).map(|number| fixture.writer.run(Insert(number)));
        let mut inserts = futures::future::join_all(inserts);
        assert!(futures::poll!(&mut inserts).is_pending());
        let mut close = Box::pin(fixture.writer.close());
        assert!(futures::poll!(&mut close).is_pending());
        release.send(()).unwrap();
        assert!(inserts.await.iter().all(Result::is_ok));
        close.await;
        let error = fixture.writer.run(Insert(99)).await.unwrap_err();
        assert!(error.is_stopped());
        assert_eq!(fixture.numbers().await.len(), 20);
    }
}
