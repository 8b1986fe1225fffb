//! [`LogWatch`]: learns of the commits of other processes from the write-ahead log.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::executor::block_on;
use notify::{EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::statements;
use crate::database::{Connection, Ear, Source, Wake, Watch, integer};

/// Events of the file system. Dropping it ends its threads.
#[derive(Debug)]
struct LogWatch {
    /// Closed by whoever closes this: the watcher's thread may end much later.
    sql: Slot,
    #[expect(dead_code, reason = "held for its drop")]
    watcher: RecommendedWatcher,
}

/// The connection that looks for commits of others; `None` once it is closed.
type Slot = Arc<Mutex<Option<Connection<'static>>>>;

/// Watches the log of this file with a connection of its own, and falls back to polling.
pub(crate) fn watch(file: &Path, sql: Connection<'static>) -> Watch {
    let wake = Arc::new(Wake::default());
    let sql = Arc::new(Mutex::new(Some(sql)));
    match watch_log(file, sql.clone(), wake.clone()) {
        Ok(watcher) => Watch::with_ear(wake, Box::new(LogWatch { sql, watcher })),
        Err(error) => Watch::without_ear(Source::Polling(error.to_string())),
    }
}

#[async_trait]
impl Ear for LogWatch {
    async fn close(self: Box<Self>) {
        let sql = lock(&self.sql).take();
        if let Some(sql) = sql {
            // It only reads, so there is nothing to lose.
            let _ = sql.close().await;
        }
    }
}

impl Drop for LogWatch {
    fn drop(&mut self) {
        drop(lock(&self.sql).take());
    }
}

fn watch_log(file: &Path, sql: Slot, wake: Arc<Wake>) -> Result<RecommendedWatcher, notify::Error> {
    let (folder, log) = log_of(file).map_err(notify::Error::io)?;
    let (written, writes) = sync_channel(1);
    let mut confirm = Confirm { writes, sql, seen: None, wake: wake.clone() };
    thread::Builder::new()
        .name("hereafter-commits".to_owned())
        .spawn(move || confirm.run())
        .map_err(notify::Error::io)?;
    let mut watcher =
        RecommendedWatcher::new(Events { log, wake, written }, notify::Config::default())?;
    // The folder and not the log, which comes and goes with the connections.
    watcher.watch(&folder, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn log_of(file: &Path) -> std::io::Result<(PathBuf, OsString)> {
    let file = file.canonicalize()?;
    let mut log = file.file_name().unwrap_or_default().to_owned();
    log.push("-wal");
    Ok((file.parent().unwrap_or(Path::new("/")).to_owned(), log))
}

/// Tells of writes to the log, on the watcher's own thread.
struct Events {
    log: OsString,
    wake: Arc<Wake>,
    /// Ends the other thread when it is dropped.
    written: SyncSender<()>,
}

impl EventHandler for Events {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let concerns = match event {
            Ok(event) => event.need_rescan() || self.concerns(&event),
            // Events were lost.
            Err(_) => true,
        };
        if concerns && self.wake.has_listener_within(SETTLE) {
            // If it is full, the other thread will look anyway.
            let _ = self.written.try_send(());
            thread::sleep(JOIN);
        }
    }
}

impl Events {
    fn concerns(&self, event: &notify::Event) -> bool {
        // Opening the log to read it is an event too.
        matches!(event.kind, EventKind::Modify(_) | EventKind::Create(_))
            && event.paths.iter().any(|path| path.file_name() == Some(&self.log))
    }
}

/// So long events wait in the kernel, which joins equal ones: a busy log costs a thousand events in a
/// second and not one for each page.
const JOIN: Duration = Duration::from_millis(1);

/// Turns writes to the log into rings, on a thread of its own.
///
/// An event comes when a process writes to the log; what it wrote is visible when its commit
/// is on the disk, a little later and without an event. So after an event this thread asks
/// for the data version, with growing pauses, until it has not changed for a while.
struct Confirm {
    writes: Receiver<()>,
    sql: Slot,
    seen: Option<i64>,
    wake: Arc<Wake>,
}

/// After an event, commits are expected for this long. A disk that takes longer to sync makes
/// a wake-up late, by at most the second after which who waits looks again.
const SETTLE: Duration = Duration::from_millis(250);

/// The pauses are an eighth of the time since the last event or commit, within these bounds: so a commit
/// is seen late by at most an eighth of what it took, and a query costs some 20 µs.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LAST_PAUSE: Duration = Duration::from_millis(10);

impl Confirm {
    fn run(&mut self) {
        while let Ok(()) = self.writes.recv() {
            if self.confirm().is_none() {
                return;
            }
        }
    }

    /// `None` if nobody is left to wake.
    fn confirm(&mut self) -> Option<()> {
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < SETTLE {
            match self.version()? {
                Ok(version) if self.seen == Some(version) => {}
                Ok(version) => {
                    self.seen = Some(version);
                    self.wake.ring();
                    quiet_since = Instant::now();
                }
                // Whoever waits asks the store itself, and gets the error.
                Err(_) => {
                    self.wake.ring();
                    return Some(());
                }
            }
            let pause = (quiet_since.elapsed() / 8).clamp(FIRST_PAUSE, LAST_PAUSE);
            match self.writes.recv_timeout(pause) {
                Ok(()) => quiet_since = Instant::now(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        Some(())
    }

    /// Locks the connection for one query only, so that who closes it does not wait.
    fn version(&self) -> Option<Result<i64, sqlx::Error>> {
        let mut sql = lock(&self.sql);
        let row = block_on(sql.as_mut()?.one(statements::DATA_VERSION));
        Some(row.and_then(|row| integer(&row, "version")))
    }
}

fn lock(sql: &Slot) -> MutexGuard<'_, Option<Connection<'static>>> {
    sql.lock().unwrap_or_else(PoisonError::into_inner)
}
