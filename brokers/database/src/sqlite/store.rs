//! [`Store`]: what one connection to a file consists of.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use taskcore::Clock;
use taskcore::broker::ConnectError;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Connection};
use super::migrate;
use super::options::{IfMissing, Location, SqliteOptions, Synchronous, Wakeups};
use super::readers::{Reader, Readers};
use super::transact::Setup;
use super::watch::{Share, Source, Watch};
use super::writer::{Write, Writer};
use crate::error::{Error, SharedError, connect_error, is_busy};

/// A writer, readers, and a share in the watch over the file.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) options: SqliteOptions,
    pub(super) watch: Share,
    pub(super) closed: CancellationToken,
    /// The name of a store in memory, by which its connections find it.
    memory_name: Arc<str>,
    label: Arc<str>,
    writer: Writer,
    readers: Readers,
}

impl Store {
    pub(super) async fn open(options: SqliteOptions) -> Result<Self, ConnectError> {
        let label: Arc<str> = options.location.to_string().into();
        let memory_name: Arc<str> = format!("/hereafter-{:032x}", rand::random::<u128>()).into();
        if let Location::File(path) = &options.location {
            check_folder(path, &label)?;
            if options.if_missing == IfMissing::Refuse && !path.exists() {
                let reason =
                    "there is no such file; only `run`, and programs that delay calls, create it"
                        .to_owned();
                return Err(ConnectError::Unusable { store: label.to_string(), reason });
            }
        }
        let mut first = open_first(&options, &memory_name)
            .await
            .map_err(|error| connect_error(&label, error))?;
        migrate::migrate(&mut first, &label, &options.clock).await?;
        let watch =
            watch(&options, &memory_name).await.map_err(|error| connect_error(&label, error))?;
        let watch = Share::of(Arc::new(watch));
        let store = Self::connect(options, memory_name, label.clone(), watch)
            .await
            .map_err(|error| connect_error(&label, error))?;
        // Only now: a store in memory ends with its last connection.
        first.close().await.map_err(|error| connect_error(&label, error))?;
        Ok(store)
    }

    /// A writer and readers of its own, and a share in the same watch.
    pub(super) async fn duplicate(&self) -> Result<Self, Error> {
        self.check_open()?;
        let (memory_name, label) = (self.memory_name.clone(), self.label.clone());
        Self::connect(self.options.clone(), memory_name, label, self.watch.another())
            .await
            .map_err(|source| self.readers.error("duplicate", source))
    }

    async fn connect(
        options: SqliteOptions,
        memory_name: Arc<str>,
        label: Arc<str>,
        watch: Share,
    ) -> Result<Self, sqlx::Error> {
        let setup = Setup {
            store: label.clone(),
            options: connection::writer_options(&options, &memory_name),
            clock: options.clock.clone(),
            wake: watch.wake.clone(),
            syncs: options.synchronous == Synchronous::Full
                && matches!(options.location, Location::File(_)),
            events: options.events,
        };
        let writer = Writer::start(setup).await?;
        let read = connection::connect_options(&options, &memory_name);
        let readers = Readers::new(label.clone(), read);
        let closed = CancellationToken::new();
        Ok(Self { options, watch, closed, memory_name, label, writer, readers })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.options.clock
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.options.location, Location::File(_))
    }

    pub(super) fn error(&self, operation: &'static str, source: sqlx::Error) -> Error {
        self.readers.error(operation, source)
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        if self.closed.is_cancelled() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Runs one write, and answers when it is committed.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, SharedError> {
        self.check_open()?;
        let answer = self.writer.run(write).await;
        match &answer {
            // The call came while the store was being closed.
            Err(error) if error.is_stopped() && self.closed.is_cancelled() => {
                Err(Error::Closed.into())
            }
            _ => answer,
        }
    }

    /// Runs one read on a connection that does not wait for the writer.
    pub(super) async fn read<T>(
        &self,
        operation: &'static str,
        read: impl AsyncFnOnce(&mut Connection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut reader: Reader<'_> = self.readers.acquire().await?;
        match read(reader.sql()).await {
            Ok(answer) => Ok(answer),
            Err(source) => {
                reader.discard();
                Err(self.readers.error(operation, source))
            }
        }
    }

    /// The writer's connection comes last: the last one of all processes removes the log.
    pub(super) async fn close(&self) {
        self.closed.cancel();
        self.readers.close().await;
        self.watch.leave().await;
        self.writer.close().await;
    }
}

/// Opens the file, and creates it if it is missing. The switch to the write-ahead log needs
/// the file for itself, and SQLite does not wait for that.
async fn open_first(options: &SqliteOptions, memory_name: &str) -> Result<Connection, sqlx::Error> {
    let options = connection::first_options(options, memory_name);
    let mut tries = 0;
    loop {
        match Connection::open(&options).await {
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

async fn watch(options: &SqliteOptions, memory_name: &str) -> Result<Watch, sqlx::Error> {
    match (&options.location, options.wakeups) {
        (Location::Memory, _) => Ok(Watch::without_events(Source::Alone)),
        (Location::File(_), Wakeups::Poll) => {
            Ok(Watch::without_events(Source::Polling("the URL says `watch=off`".to_owned())))
        }
        (Location::File(path), Wakeups::Watch) => {
            let options = connection::connect_options(options, memory_name);
            Ok(Watch::of_file(path, Connection::open(&options).await?))
        }
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
