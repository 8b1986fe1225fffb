//! Worker processes on a store in a file.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hereafter::Client;
use rustix::process::{Pid, Signal, kill_process};

/// A store in a file, for several processes.
#[derive(Debug)]
pub struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    /// An empty store.
    ///
    /// # Panics
    ///
    /// Without a temporary folder.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a folder on the disk is no default")]
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("the system has a temporary folder") }
    }

    /// A file beside the store.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The URL of the store.
    #[must_use]
    pub fn url(&self) -> String {
        format!("sqlite://{}", self.file("tasks.db").display())
    }

    /// A client of the store, in this process.
    pub async fn client(&self) -> Client {
        Client::open(self.url()).await.expect("a new file can be opened")
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
