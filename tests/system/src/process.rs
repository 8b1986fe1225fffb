//! Worker processes, and the stores on which they work.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hereafter::Client;
use rustix::process::{Pid, Signal, kill_process};
use taskbroker_amqp::AmqpOptions;
use taskservers::{MariaDb, Postgres};
use tempfile::TempDir;

use crate::folder;
use crate::queues::Queues;

/// A store for several processes, and a folder for what they write.
#[derive(Debug)]
pub struct Store {
    folder: TempDir,
    url: String,
    /// On RabbitMQ.
    queues: Option<Queues>,
}

impl Store {
    /// An empty store in a file.
    ///
    /// # Panics
    ///
    /// Without a temporary folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = folder();
        let url = format!("sqlite://{}", folder.path().join("tasks.db").display());
        Self { folder, url, queues: None }
    }

    /// An empty store in a schema of its own on the PostgreSQL server that tests share.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn postgres() -> Self {
        let server = Postgres::shared();
        let url = format!("{}?schema={}", server.url(), server.schema());
        Self { folder: folder(), url, queues: None }
    }

    /// An empty store in tables of its own on the MariaDB server that tests share.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn mysql() -> Self {
        let server = MariaDb::shared();
        let url = format!("{}?prefix={}", server.url(), server.prefix());
        Self { folder: folder(), url, queues: None }
    }

    /// RabbitMQ, with the jobs in a file.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn rabbitmq_with_sqlite() -> Self {
        Self::sqlite().carried()
    }

    /// RabbitMQ, with the jobs in PostgreSQL.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn rabbitmq_with_postgres() -> Self {
        Self::postgres().carried()
    }

    /// RabbitMQ, with the jobs in MariaDB.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn rabbitmq_with_mysql() -> Self {
        Self::mysql().carried()
    }

    /// RabbitMQ alone.
    ///
    /// # Panics
    ///
    /// Without a temporary folder, or a server.
    #[must_use]
    pub fn rabbitmq() -> Self {
        let queues = Queues::new();
        Self { folder: folder(), url: queues.url().to_owned(), queues: Some(queues) }
    }

    /// The same store on another RabbitMQ server, which has no queues to delete.
    ///
    /// # Panics
    ///
    /// If `server` is no URL of RabbitMQ, or this store is not on RabbitMQ.
    #[must_use]
    pub fn at(self, server: &str) -> Self {
        let options = AmqpOptions::parse(&self.url).expect("the store is on RabbitMQ");
        let url = match options.results() {
            Some(results) => with_results(server, results),
            None => server.to_owned(),
        };
        Self { url, queues: None, ..self }
    }

    fn carried(self) -> Self {
        let queues = Queues::new();
        Self { url: with_results(queues.url(), &self.url), queues: Some(queues), ..self }
    }

    /// Runs a test on it.
    pub async fn run(self, test: impl AsyncFnOnce(Self)) {
        let queues = self.queues.clone();
        test(self).await;
        if let Some(queues) = queues {
            queues.erase().await;
        }
    }

    /// A file beside the store.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of the store.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of the store, in this process.
    pub async fn client(&self) -> Client {
        Client::open(self.url()).await.expect("a new store can be opened")
    }

    /// Starts `program` with these arguments on this store.
    ///
    /// # Panics
    ///
    /// If the program cannot be started.
    #[must_use]
    pub fn start(&self, program: impl AsRef<Path>, args: &[&str]) -> WorkerProcess {
        let mut command = Command::new(program.as_ref());
        command.args(args).env("HEREAFTER_URL", self.url()).env("RUST_BACKTRACE", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        WorkerProcess { child: command.spawn().expect("the worker program is built") }
    }
}

fn with_results(server: &str, store: &str) -> String {
    AmqpOptions::url_with_results(server, store).expect("both are URLs")
}

/// One worker process; killed when it is dropped.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
}

impl WorkerProcess {
    /// Sends SIGKILL and waits for the end.
    pub fn kill(mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it where it is, as a debugger or a full machine would.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it has ended, and how.
    ///
    /// # Panics
    ///
    /// If the system does not know the process.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is ours")
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// If it does not end within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let give_up = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < give_up, "the process did not end within {limit:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("process ids fit");
        let pid = Pid::from_raw(id).expect("a child is no process 0");
        kill_process(pid, signal).expect("the process is ours");
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
