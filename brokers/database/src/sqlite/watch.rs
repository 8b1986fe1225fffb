//! [`Wake`], [`Watch`] and [`Share`]: who waits learns of commits, in this process and in others.

use std::ffi::OsString;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use notify::{EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sqlx::Row;
use taskcore::Clock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::args::Args;
use super::connection::Connection;
use super::statements;

/// A bell that rings after commits. Rings are hints: who waits looks for itself, and looks
/// again after a while without one.
#[derive(Debug, Default)]
pub(super) struct Wake {
    rings: watch::Sender<u64>,
    /// For readers of events and reports: rings with the other, and also when jobs were handed out
    /// or have said something, which is nothing to workers.
    reader_rings: watch::Sender<u64>,
    listeners: Mutex<usize>,
    joined: Condvar,
}

/// How this process learns of the commits of others.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) wake: Arc<Wake>,
    pub(super) source: Source,
    /// Closed by the last share: the watcher's thread may end much later.
    sql: Slot,
    shares: AtomicUsize,
}

/// The connection that looks for commits of others; `None` once it is closed.
type Slot = Arc<Mutex<Option<Connection>>>;

/// An open store's share in a watch, which ends with the last of them.
#[derive(Debug)]
pub(super) struct Share {
    watch: Arc<Watch>,
    has_left: AtomicBool,
}

#[derive(Debug)]
pub(super) enum Source {
    /// There are no other processes.
    Alone,
    /// Events of the file system. Dropping it ends its thread.
    Events(#[expect(dead_code, reason = "held for its drop")] RecommendedWatcher),
    /// Looking again and again, because of this.
    Polling(String),
}

impl Wake {
    pub(super) fn ring(&self) {
        self.rings.send_modify(|rings| *rings += 1);
        self.ring_for_readers();
    }

    pub(super) fn ring_for_readers(&self) {
        self.reader_rings.send_modify(|rings| *rings += 1);
    }

    /// Whether somebody listens, or starts to within `patience`.
    fn has_listener_within(&self, patience: Duration) -> bool {
        let wait = self.joined.wait_timeout_while(self.lock(), patience, |count| *count == 0);
        *wait.unwrap_or_else(PoisonError::into_inner).0 > 0
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Watches the log of this file with a connection of its own, and falls back to polling.
    pub(super) fn of_file(file: &Path, sql: Connection) -> Self {
        let wake = Arc::new(Wake::default());
        let sql = Arc::new(Mutex::new(Some(sql)));
        let source = match watch_log(file, sql.clone(), wake.clone()) {
            Ok(watcher) => Source::Events(watcher),
            Err(error) => {
                drop(lock(&sql).take());
                Source::Polling(error.to_string())
            }
        };
        Self { wake, source, sql, shares: AtomicUsize::new(0) }
    }

    pub(super) fn without_events(source: Source) -> Self {
        Self { wake: Arc::default(), source, sql: Arc::default(), shares: AtomicUsize::new(0) }
    }

    /// Starts to listen. What is committed from now on ends the next wait.
    pub(super) fn listen(&self) -> Listener<'_> {
        self.listen_to(&self.wake.rings)
    }

    /// The same for a reader of events or reports.
    pub(super) fn listen_as_reader(&self) -> Listener<'_> {
        self.listen_to(&self.wake.reader_rings)
    }

    fn listen_to(&self, bell: &watch::Sender<u64>) -> Listener<'_> {
        *self.wake.lock() += 1;
        self.wake.joined.notify_all();
        let is_polling = matches!(self.source, Source::Polling(_));
        let pause = if is_polling { FIRST_POLL } else { RECHECK };
        Listener { wake: &self.wake, rings: bell.subscribe(), is_polling, pause }
    }
}

impl Share {
    pub(super) fn of(watch: Arc<Watch>) -> Self {
        watch.shares.fetch_add(1, Ordering::Relaxed);
        Self { watch, has_left: AtomicBool::new(false) }
    }

    pub(super) fn another(&self) -> Self {
        Self::of(self.watch.clone())
    }

    /// Gives the share back; the last one waits until the watch has let go of the file.
    pub(super) async fn leave(&self) {
        if let Some(sql) = self.end() {
            // It only reads, so there is nothing to lose.
            let _ = sql.close().await;
        }
    }

    fn end(&self) -> Option<Connection> {
        let is_last = !self.has_left.swap(true, Ordering::Relaxed)
            && self.watch.shares.fetch_sub(1, Ordering::AcqRel) == 1;
        if is_last { lock(&self.watch.sql).take() } else { None }
    }
}

impl Deref for Share {
    type Target = Watch;

    fn deref(&self) -> &Watch {
        &self.watch
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Listener<'a> {
    wake: &'a Wake,
    rings: watch::Receiver<u64>,
    is_polling: bool,
    pause: Duration,
}

impl Listener<'_> {
    /// Waits until it rings, the clock shows `until_ms`, a token fires, or it is time to look
    /// without having been told. Cancel-safe.
    pub(super) async fn wait(
        &mut self,
        clock: &Clock,
        until_ms: i64,
        stops: [&CancellationToken; 2],
    ) {
        // Jitter, so that many processes do not look at the same moment.
        let pause = self.pause.mul_f64(rand::random_range(0.8..1.0));
        if self.is_polling {
            self.pause = (self.pause * 2).min(LAST_POLL);
        }
        tokio::select! {
            // The sender lives in the store, which this borrows.
            _ = self.rings.changed() => self.rest(),
            () = clock.sleep_until_ms(until_ms) => {}
            () = tokio::time::sleep(pause) => {}
            () = stops[0].cancelled() => {}
            () = stops[1].cancelled() => {}
        }
    }

    /// Polls fast again after news.
    fn rest(&mut self) {
        if self.is_polling {
            self.pause = FIRST_POLL;
        }
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        *self.wake.lock() -= 1;
    }
}

/// Watched or alone, who waits still looks once in this time: events may get lost.
const RECHECK: Duration = Duration::from_secs(1);

const FIRST_POLL: Duration = Duration::from_millis(10);
const LAST_POLL: Duration = Duration::from_millis(250);

fn watch_log(file: &Path, sql: Slot, wake: Arc<Wake>) -> Result<RecommendedWatcher, notify::Error> {
    let (folder, log) = log_of(file).map_err(notify::Error::io)?;
    let handler = Confirm { log, sql, seen: None, wake };
    let mut watcher = RecommendedWatcher::new(handler, notify::Config::default())?;
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

/// Turns events of the log file into rings, on the watcher's own thread.
///
/// An event comes when a process writes to the log; what it wrote is visible when its commit
/// is on the disk, a little later and without an event. So after an event this thread asks
/// for the data version, with growing pauses, until it has not changed for a while. Events
/// that come meanwhile wait in the kernel, which joins equal ones: a busy log costs this
/// thread some queries per commit and not one event per page.
struct Confirm {
    log: OsString,
    sql: Slot,
    seen: Option<i64>,
    wake: Arc<Wake>,
}

/// After an event, commits are expected for this long. A disk that takes longer to sync makes
/// a wake-up late, by at most [`RECHECK`].
const SETTLE: Duration = Duration::from_millis(250);

/// The pauses are an eighth of the time already waited, within these bounds: so a commit is
/// seen late by at most an eighth of what it took, and a query costs some 20 µs.
const FIRST_PAUSE: Duration = Duration::from_micros(200);
const LAST_PAUSE: Duration = Duration::from_millis(10);

impl EventHandler for Confirm {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let concerns = match event {
            Ok(event) => event.need_rescan() || self.concerns(&event),
            // Events were lost.
            Err(_) => true,
        };
        if concerns && self.wake.has_listener_within(SETTLE) {
            self.confirm();
        }
    }
}

impl Confirm {
    fn concerns(&self, event: &notify::Event) -> bool {
        // Opening the log to read it is an event too.
        matches!(event.kind, EventKind::Modify(_) | EventKind::Create(_))
            && event.paths.iter().any(|path| path.file_name() == Some(&self.log))
    }

    fn confirm(&mut self) {
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < SETTLE {
            match self.version().transpose() {
                // Every store that shared this watch is closed.
                Ok(None) => return,
                Ok(version) if self.seen == version => {}
                Ok(version) => {
                    self.seen = version;
                    self.wake.ring();
                    quiet_since = Instant::now();
                }
                // Whoever waits asks the store itself, and gets the error.
                Err(_) => return self.wake.ring(),
            }
            thread::sleep((quiet_since.elapsed() / 8).clamp(FIRST_PAUSE, LAST_PAUSE));
        }
    }

    /// Locks the connection for one query only, so that who closes it does not wait.
    fn version(&self) -> Option<Result<i64, sqlx::Error>> {
        let mut sql = lock(&self.sql);
        let row = block_on(sql.as_mut()?.fetch_one(statements::DATA_VERSION, Args::new()));
        Some(row.and_then(|row| row.try_get(0)))
    }
}

fn lock(sql: &Slot) -> MutexGuard<'_, Option<Connection>> {
    sql.lock().unwrap_or_else(PoisonError::into_inner)
}
