//! [`SqliteLink`]: how connections to a file, or to a store in memory, are opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use taskcore::broker::{ConnectError, Migration};
use tokio::task::spawn_blocking;

use super::direct::Direct;
use super::log_watch;
use super::migrate;
use super::options::{IfMissing, Location, SqliteOptions, Synchronous, Wakeups};
use crate::database::{
    Connection, Dialect, Driver, Held, Kind, Link, Role, Source, Store, StoreClock, Target, Watch,
};
use crate::error::is_busy;

/// Where a store is.
#[derive(Debug)]
pub(crate) struct SqliteLink {
    pub(super) options: SqliteOptions,
    /// The name of a store in memory, by which its connections find it.
    memory_name: String,
}

impl SqliteLink {
    pub(crate) async fn open(&self, role: Role) -> Result<Driver<'static>, sqlx::Error> {
        if let (Role::Write, Location::File(path), None) =
            (role, &self.options.location, &self.options.pool)
        {
            return self.open_direct(path.clone()).await;
        }
        let options = match role {
            Role::First => first_options(&self.options, &self.memory_name),
            Role::Write => writer_options(&self.options, &self.memory_name),
            Role::Read => connect_options(&self.options, &self.memory_name),
        };
        Ok(Driver::Sqlite(Held::Owned(Box::new(options.connect().await?))))
    }

    /// The writer's connection to a file, unless a user's pool says how such are opened.
    async fn open_direct(&self, path: PathBuf) -> Result<Driver<'static>, sqlx::Error> {
        let mut pragmas = pragmas(&self.options);
        // Those may wait for another's recovery.
        pragmas.insert(0, ("busy_timeout", BUSY_TIMEOUT.as_millis().to_string()));
        pragmas.extend(writer_pragmas(&self.options));
        let opened = spawn_blocking(move || Direct::open(&path, &pragmas)).await;
        Ok(Driver::Direct(Box::new(opened.map_err(|_| sqlx::Error::WorkerCrashed)??)))
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.options.location, Location::File(_))
    }

    /// Whether durable commits wait for the disk.
    pub(crate) fn syncs(&self) -> bool {
        self.options.synchronous == Synchronous::Full && self.is_file()
    }
}

/// What it takes to open connections.
pub(super) fn link(options: SqliteOptions) -> Link {
    Link {
        label: options.location.to_string().into(),
        clock: StoreClock::of(options.clock.clone()),
        events: options.events,
        dialect: Dialect::new(Kind::Sqlite, options.prefix.clone(), 0),
        target: Target::Sqlite(SqliteLink {
            memory_name: format!("/hereafter-{:032x}", rand::random::<u128>()),
            options,
        }),
    }
}

/// Opens a store, creates it if it is missing, and brings its schema up to date.
pub(crate) async fn open(options: SqliteOptions) -> Result<Store, ConnectError> {
    let link = Arc::new(link(options.clone()));
    check_pool(&options, &link)?;
    if let Location::File(path) = &options.location {
        check_folder(path, &link.label)?;
        if options.if_missing == IfMissing::Refuse && !path.exists() {
            let reason =
                "there is no such file; only `run`, and programs that delay calls, create it"
                    .to_owned();
            return Err(ConnectError::Unusable { store: link.label.to_string(), reason });
        }
    }
    let mut first = open_first(&link).await.map_err(|error| link.connect_error(error))?;
    migrate::migrate(&mut first, &link).await?;
    let watch = watch(&link, &options).await.map_err(|error| link.connect_error(error))?;
    let store = Store::of(link.clone(), watch).await?;
    // Only now: a store in memory ends with its last connection.
    first.close().await.map_err(|error| link.connect_error(error))?;
    Ok(store)
}

/// The migrations that opening would run.
pub(crate) async fn pending(options: SqliteOptions) -> Result<Vec<Migration>, ConnectError> {
    let is_new = match &options.location {
        Location::File(path) => !path.exists(),
        Location::Memory => true,
    };
    let link = link(options.clone());
    check_pool(&options, &link)?;
    if is_new {
        return Ok(migrate::after(&link, 0));
    }
    let failed = |error| link.connect_error(error);
    let mut sql = link.open(Role::Read).await.map_err(failed)?;
    let found = migrate::version(&mut sql).await.map_err(failed)?;
    // It only reads, so there is nothing to lose.
    let _ = sql.close().await;
    Ok(migrate::after(&link, found))
}

/// Opens the file, and creates it if it is missing. The switch to the write-ahead log needs
/// the file for itself, and SQLite does not wait for that.
async fn open_first(link: &Link) -> Result<Connection<'static>, sqlx::Error> {
    let mut tries = 0;
    loop {
        match link.open(Role::First).await {
            Err(error) if is_busy(&error) && tries < FIRST_TRIES => {
                tries += 1;
                let pause = FIRST_PAUSE.mul_f64(rand::random_range(0.5..1.5));
                tokio::time::sleep(pause).await;
            }
            answer => return answer,
        }
    }
}

/// With the pause, about five seconds.
const FIRST_TRIES: u32 = 200;

const FIRST_PAUSE: Duration = Duration::from_millis(25);

async fn watch(link: &Link, options: &SqliteOptions) -> Result<Watch, sqlx::Error> {
    match (&options.location, options.wakeups) {
        (Location::Memory, _) => Ok(Watch::without_ear(Source::Alone)),
        (Location::File(_), Wakeups::Poll) => {
            Ok(Watch::without_ear(Source::Polling("the URL says `watch=off`".to_owned())))
        }
        (Location::File(path), Wakeups::Watch) => {
            Ok(log_watch::watch(path, link.open(Role::Read).await?))
        }
    }
}

fn check_pool(options: &SqliteOptions, link: &Link) -> Result<(), ConnectError> {
    match options.refused_pool() {
        Some(reason) => {
            Err(ConnectError::Unusable { store: link.label.to_string(), reason: reason.to_owned() })
        }
        None => Ok(()),
    }
}

/// SQLite's own message for a folder that is missing names no folder.
fn check_folder(path: &Path, label: &Arc<str>) -> Result<(), ConnectError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let unusable = |reason: String| ConnectError::Unusable { store: label.to_string(), reason };
    if path.is_dir() {
        return Err(unusable("it is a folder: add a file name, such as `tasks.db`".to_owned()));
    }
    if folder.is_dir() {
        return Ok(());
    }
    Err(unusable(format!(
        "there is no folder `{}`: create it, or give another path",
        folder.display()
    )))
}

/// What all connections to this store have in common.
fn connect_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = options
        .base()
        .create_if_missing(true)
        .busy_timeout(BUSY_TIMEOUT)
        // Bulk statements exist in ten sizes each.
        .statement_cache_capacity(STATEMENTS)
        // A full channel costs two thread switches; the largest answer has about this many rows.
        .row_buffer_size(ROWS)
        .disable_statement_logging();
    let base = with_pragmas(base, pragmas(options));
    match &options.location {
        Location::File(path) => base.filename(path),
        // SQLite's own VFS for memory: unlike a shared cache, it locks as files do.
        Location::Memory => base.filename(memory_name).vfs("memdb"),
    }
}

/// What all connections say to SQLite, by name.
fn pragmas(options: &SqliteOptions) -> Vec<(&'static str, String)> {
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
        Synchronous::Off => "OFF",
    };
    let mut pragmas = vec![
        ("foreign_keys", "OFF"),
        ("synchronous", synchronous),
        ("cache_size", CACHE_SIZE),
        ("temp_store", "MEMORY"),
        // A large batch is not written twice.
        ("cache_spill", "OFF"),
    ];
    if let Location::File(_) = options.location {
        pragmas
            .extend([("wal_autocheckpoint", CHECKPOINT_PAGES), ("journal_size_limit", LOG_BYTES)]);
    }
    pragmas.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

/// What the writer says besides. It waits for locks by itself; see `transact.rs` of the database.
fn writer_pragmas(options: &SqliteOptions) -> Vec<(&'static str, String)> {
    let max_pages = options.max_size.map(|bytes| (bytes / PAGE_BYTES).max(1).to_string());
    let mut pragmas: Vec<_> =
        max_pages.map(|pages| ("max_page_count", pages)).into_iter().collect();
    if let Location::File(_) = options.location {
        // The last one: those before it may wait for another's recovery.
        pragmas.push(("busy_timeout", "0".to_owned()));
    }
    pragmas
}

fn with_pragmas(
    options: SqliteConnectOptions,
    pragmas: Vec<(&'static str, String)>,
) -> SqliteConnectOptions {
    pragmas.into_iter().fold(options, |options, (name, value)| options.pragma(name, value))
}

/// The connection that brings a file up to date: the only one that may change its mode.
fn first_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = connect_options(options, memory_name);
    match &options.location {
        Location::File(_) => base.journal_mode(SqliteJournalMode::Wal),
        Location::Memory => base.journal_mode(SqliteJournalMode::Memory),
    }
}

/// The connection of the writer, where it is not called directly.
fn writer_options(options: &SqliteOptions, memory_name: &str) -> SqliteConnectOptions {
    let base = with_pragmas(connect_options(options, memory_name), writer_pragmas(options));
    match &options.location {
        Location::File(_) => base,
        Location::Memory => base.journal_mode(SqliteJournalMode::Memory),
    }
}

/// How long a reader, or a switch to the write-ahead log, waits for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// 2 MiB of pages, of each connection; negative means KiB. A larger cache made no difference to draining
/// and storing that could be measured: the system's holds the file.
const CACHE_SIZE: &str = "-2048";

/// 16 MiB of log. The default of 4 MiB checkpoints every few batches of a busy worker.
const CHECKPOINT_PAGES: &str = "4000";

/// What is left of the log after a batch that was larger than usual: 64 MiB.
const LOG_BYTES: &str = "67108864";

/// SQLite's default page size.
const PAGE_BYTES: u64 = 4096;

pub(super) const STATEMENTS: usize = 256;

const ROWS: usize = 1024;
