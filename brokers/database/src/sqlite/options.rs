//! [`SqliteOptions`]: a URL, parsed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePool};
use taskcore::Clock;
use taskcore::broker::ConnectError;
use url::form_urlencoded;

use crate::DatabaseOptions;
use crate::database::{KEPT_EVENTS, prefix};

/// Where the store is and how it is kept.
///
/// As a URL: `sqlite://relative.db`, `sqlite:///absolute.db` or `sqlite::memory:`, then
/// options as a query:
///
/// | option | values | default |
/// | --- | --- | --- |
/// | `synchronous` | `full`, `normal`, `off` | `full` |
/// | `watch` | `on`, `off`: whether to watch the log file for wake-ups | `on` |
/// | `max_size` | bytes that the file may grow to | no limit |
/// | `events` | how many events are kept, about | 100000 |
/// | `prefix` | what our tables start with: letters, digits and `_`, at most 40 | `hereafter_` |
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    pub(super) location: Location,
    /// Whose file it is, if it was not named here.
    pub(super) pool: Option<SqlitePool>,
    pub(super) synchronous: Synchronous,
    pub(super) wakeups: Wakeups,
    pub(super) max_size: Option<u64>,
    pub(super) events: u32,
    pub(super) prefix: String,
    pub(super) if_missing: IfMissing,
    pub(super) clock: Clock,
}

/// When a commit waits for the disk; see SQLite's `PRAGMA synchronous`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Synchronous {
    /// Always: what is committed survives a loss of power.
    #[default]
    Full,
    /// At checkpoints: a loss of power may take the latest commits back, a crash does not.
    Normal,
    /// Never: a loss of power may damage the file.
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    File(PathBuf),
    Memory,
}

/// What to do where there is no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    Create,
    Refuse,
}

/// How commits of other processes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wakeups {
    Watch,
    Poll,
}

impl SqliteOptions {
    /// A store in a file, which is created if it is missing.
    #[must_use]
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::at(Location::File(path.as_ref().to_owned()))
    }

    /// A store in this process's memory, gone when its last connection closes.
    #[must_use]
    pub fn memory() -> Self {
        Self::at(Location::Memory)
    }

    /// A store in the file of a pool; `SqliteBroker::open(pool)` is the same with all defaults.
    ///
    /// Nothing is taken from the pool: a file has one writer at a time, and ours keeps its settings.
    /// Connections are made with the pool's [options](sqlx::Pool::connect_options), such as a key, a
    /// VFS or extensions, without its hooks such as `after_connect`: one that writes, at most four
    /// that read and one that watches, and as many again without the last for the heartbeat of a
    /// worker. What the options say of `synchronous`, `busy_timeout` and `foreign_keys` holds for the
    /// pool alone. The file is switched to the write-ahead log, which is for all: the pool must not
    /// ask for another `journal_mode`, nor lock the file for itself.
    ///
    /// Opening it fails with [`ConnectError::Unusable`] if the pool is closed, or if its database is
    /// in memory, which nobody else can open.
    #[must_use]
    pub fn pool(pool: SqlitePool) -> Self {
        let options = pool.connect_options();
        Self { pool: Some(pool), ..Self::file(options.get_filename()) }
    }

    /// Why the pool's database cannot be used.
    pub(super) fn refused_pool(&self) -> Option<&'static str> {
        let pool = self.pool.as_ref()?;
        if pool.is_closed() {
            return Some("its pool is closed: give one that is open");
        }
        let options = pool.connect_options();
        let name = options.get_filename().as_os_str();
        // sqlx 0.9 tells it nowhere else; as a URL it cannot be had, which panics for such names.
        let is_in_memory = name.is_empty()
            || name == ":memory:"
            || format!("{options:?}").contains("in_memory: true");
        is_in_memory.then_some(
            "the database of its pool is in memory, and nobody else can open it: give a pool of a \
             file, or `sqlite::memory:` for a store of its own",
        )
    }

    /// What all connections begin with.
    pub(super) fn base(&self) -> SqliteConnectOptions {
        match &self.pool {
            Some(pool) => SqliteConnectOptions::clone(&pool.connect_options())
                .journal_mode(SqliteJournalMode::Wal)
                .locking_mode(SqliteLockingMode::Normal)
                .shared_cache(false),
            None => SqliteConnectOptions::new(),
        }
    }

    fn at(location: Location) -> Self {
        Self {
            location,
            pool: None,
            synchronous: Synchronous::default(),
            wakeups: Wakeups::Watch,
            max_size: None,
            events: KEPT_EVENTS,
            prefix: prefix::DEFAULT.to_owned(),
            if_missing: IfMissing::Create,
            clock: Clock::system(),
        }
    }

    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it is no SQLite URL, names no file, or has an option
    /// that is unknown or has another value than listed above.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let invalid = |reason| ConnectError::InvalidUrl { url: url.to_owned(), reason };
        let (options, query) = Self::parse_location(url).map_err(invalid)?;
        form_urlencoded::parse(query.as_bytes())
            .try_fold(options, |options, (name, value)| options.with(&name, &value))
            .map_err(invalid)
    }

    fn parse_location(url: &str) -> Result<(Self, &str), String> {
        let wrong = "write `sqlite://path`, `sqlite:///absolute/path` or `sqlite::memory:`";
        let rest = url.strip_prefix("sqlite:").ok_or(wrong)?;
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path == ":memory:" {
            return Ok((Self::memory(), query));
        }
        let path = percent_decode_str(path)
            .decode_utf8()
            .map_err(|_| "the path is not UTF-8 after its percent signs are decoded")?;
        if path.is_empty() || path.contains('\0') {
            return Err(format!("it names no file: {wrong}"));
        }
        Ok((Self::file(&*path), query))
    }

    fn with(self, name: &str, value: &str) -> Result<Self, String> {
        match (name, value) {
            ("synchronous", _) => Ok(self.synchronous(value.parse()?)),
            ("watch", "on") => Ok(Self { wakeups: Wakeups::Watch, ..self }),
            ("watch", "off") => Ok(self.polling()),
            ("watch", _) => Err(format!("`watch` is on or off, not `{value}`")),
            ("max_size", _) => match value.parse() {
                Ok(bytes) => Ok(self.max_size(bytes)),
                Err(_) => Err(format!("`max_size` is a number of bytes, not `{value}`")),
            },
            ("events", _) => match value.parse() {
                Ok(kept) => Ok(self.events(kept)),
                Err(_) => Err(format!("`events` is a number of events, not `{value}`")),
            },
            ("prefix", _) => self.try_prefix(value),
            _ => Err(format!(
                "there is no option `{name}`; there are `synchronous`, `watch`, `max_size`, \
                 `events` and `prefix`"
            )),
        }
    }

    /// Refuses a file that is not there, instead of creating it: for programs that only look.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.if_missing = IfMissing::Refuse;
        self
    }

    /// When a commit waits for the disk.
    #[must_use]
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Polls for the commits of other processes instead of watching the log file.
    #[must_use]
    pub fn polling(mut self) -> Self {
        self.wakeups = Wakeups::Poll;
        self
    }

    /// The size that this process lets the file grow to, in bytes. A call beyond it is
    /// refused as on a full disk.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = Some(bytes);
        self
    }

    /// How many events this process keeps for [`History::events`](taskcore::broker::History::events),
    /// at least: the older ones are deleted in large steps. With 0 it records none.
    #[must_use]
    pub fn events(mut self, kept: u32) -> Self {
        self.events = kept;
        self
    }

    /// What the names of our tables start with, so that several stores fit into one file.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it has other characters than letters, digits and `_`, starts
    /// with a digit, or has more than 40.
    pub fn prefix(self, prefix: &str) -> Result<Self, ConnectError> {
        let url = format!("sqlite:{}", self.location);
        self.try_prefix(prefix).map_err(|reason| ConnectError::InvalidUrl { url, reason })
    }

    fn try_prefix(self, prefix: &str) -> Result<Self, String> {
        Ok(Self { prefix: prefix::checked(prefix)?, ..self })
    }

    /// The clock that decides due times and the ends of leases. All processes on one file
    /// need the same one, so only tests set it.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl From<SqliteOptions> for DatabaseOptions {
    fn from(options: SqliteOptions) -> Self {
        Self::Sqlite(options)
    }
}

impl From<SqlitePool> for DatabaseOptions {
    fn from(pool: SqlitePool) -> Self {
        SqliteOptions::pool(pool).into()
    }
}

impl FromStr for Synchronous {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "normal" => Ok(Self::Normal),
            "off" => Ok(Self::Off),
            _ => Err(format!("`synchronous` is full, normal or off, not `{text}`")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str(":memory:"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(url: &str) -> Location {
        SqliteOptions::parse(url).unwrap().location
    }

    fn refusal(url: &str) -> String {
        SqliteOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_names_a_relative_or_an_absolute_file_or_memory() {
        assert_eq!(location("sqlite://tasks.db"), Location::File("tasks.db".into()));
        assert_eq!(location("sqlite:tasks.db"), Location::File("tasks.db".into()));
        assert_eq!(location("sqlite://a/b.db"), Location::File("a/b.db".into()));
        assert_eq!(location("sqlite:///var/tasks.db"), Location::File("/var/tasks.db".into()));
        assert_eq!(location("sqlite://a%3Fb%20c.db"), Location::File("a?b c.db".into()));
        assert_eq!(location("sqlite::memory:"), Location::Memory);
        assert_eq!(location("sqlite://:memory:"), Location::Memory);
    }

    #[test]
    fn options_are_parsed() {
        let url = "sqlite://t.db?synchronous=normal&watch=off&max_size=1000&events=7";
        let options = SqliteOptions::parse(url).unwrap();
        assert_eq!(options.synchronous, Synchronous::Normal);
        assert_eq!(options.wakeups, Wakeups::Poll);
        assert_eq!(options.max_size, Some(1000));
        assert_eq!(options.events, 7);
    }

    #[test]
    fn an_unknown_option_is_refused_with_the_list() {
        let error = refusal("sqlite://t.db?sync=full");
        assert!(error.contains("there is no option `sync`"), "{error}");
        assert!(error.contains("`max_size`, `events` and `prefix`"), "{error}");
    }

    #[test]
    fn a_wrong_value_or_a_missing_path_is_refused_with_what_to_write() {
        assert!(refusal("sqlite://t.db?synchronous=on").contains("full, normal or off"));
        assert!(refusal("sqlite://t.db?watch=1").contains("on or off"));
        assert!(refusal("sqlite://t.db?max_size=1G").contains("a number of bytes"));
        assert!(refusal("sqlite://t.db?events=-1").contains("a number of events"));
        assert!(refusal("sqlite://t.db?prefix=a-b").contains("letters, digits and `_`"));
        assert!(refusal("sqlite://t.db?prefix=1a").contains("the first no digit"));
        for url in ["sqlite://", "sqlite:", "sqlite://?watch=on", "file.db"] {
            assert!(refusal(url).contains("write `sqlite://path`"), "{url}");
        }
    }
}
