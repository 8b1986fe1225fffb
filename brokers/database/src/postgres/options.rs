//! [`PostgresOptions`]: a URL, parsed.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgPool};
use taskcore::Clock;
use taskcore::broker::{ConnectError, check_password, shown_url};
use url::Url;

use crate::DatabaseOptions;
use crate::database::server_url::parted;
use crate::database::{IfMissing, KEPT_EVENTS};

/// Where the store is and how it is kept.
///
/// As a URL: `postgres://user:password@host:port/database`, then options as a query. Those of
/// PostgreSQL's own URLs are understood, such as `sslmode=verify-full` and `sslrootcert=…`, and
/// these:
///
/// | option | values | default |
/// | --- | --- | --- |
/// | `schema` | the schema of our tables: letters, digits and `_`, at most 40 | `hereafter` |
/// | `listen` | `on`, `off`: whether to hear of commits by `LISTEN` | `on` |
/// | `pooler` | `transaction`: behind PgBouncer or the like, in that mode | none |
/// | `events` | how many events are kept, about | 100000 |
#[derive(Clone)]
pub struct PostgresOptions {
    pub(super) connect: PgConnectOptions,
    pub(super) pool: Option<PgPool>,
    pub(super) schema: String,
    pub(super) wakeups: Wakeups,
    pub(super) is_pooled: bool,
    pub(super) events: u32,
    pub(super) if_missing: IfMissing,
    pub(super) clock: Clock,
}

/// How commits of other processes are noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wakeups {
    Listen,
    Poll,
}

impl PostgresOptions {
    /// A store on this server and database.
    #[must_use]
    pub fn new(connect: PgConnectOptions) -> Self {
        Self {
            connect: connect.application_name("hereafter").disable_statement_logging(),
            pool: None,
            schema: SCHEMA.to_owned(),
            wakeups: Wakeups::Listen,
            is_pooled: false,
            events: KEPT_EVENTS,
            if_missing: IfMissing::Create,
            clock: Clock::system(),
        }
    }

    /// A store on the server and database of a pool, by its connections; `PostgresBroker::open(pool)`
    /// is the same with all defaults.
    ///
    /// A connection is taken for each transaction and each read, and given back at once: two that write
    /// and four that read at a time, at most, and none while there is nothing to do. A busy process
    /// keeps one that writes from one transaction to the next. What we set, we set for a transaction;
    /// no session, no prepared statement, no lock and no `LISTEN` of ours is left on one.
    ///
    /// Not of the pool, but made with its [options](sqlx::Pool::connect_options) as they are when the
    /// store is opened, without its hooks such as `after_connect`: one that listens, unless
    /// [`polling`](Self::polling), and two of a worker for its heartbeat, which must not wait for
    /// others.
    ///
    /// Close the client before the pool. With a closed pool all calls fail as on a closed store.
    ///
    /// It costs: each transaction sets what a session of ours has set once, statements are planned
    /// each time, and a read takes two ways to the server more, besides what the pool asks of a
    /// connection (`test_before_acquire`). A worker that drains long queues is faster with a URL.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use sqlx::postgres::PgPool;
    /// use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
    ///
    /// let pool = PgPool::connect("postgres://app@localhost/app").await?;
    /// let options = PostgresOptions::pool(pool.clone()).schema("jobs")?;
    /// let client = taskcore::Client::new(PostgresBroker::open(options).await?.connection());
    /// taskcore::set_default(client);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Opening it fails with [`ConnectError::Unusable`] if the pool is closed or may have only one
    /// connection: a transaction of yours that awaits a call of ours would wait for itself. With more
    /// of these than connections the same happens, until the pool's `acquire_timeout` ends it.
    #[must_use]
    pub fn pool(pool: PgPool) -> Self {
        let connect = PgConnectOptions::clone(&pool.connect_options());
        Self { pool: Some(pool), ..Self::new(connect) }
    }

    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it is no PostgreSQL URL, or one of the options listed above
    /// has another value. The error does not show the password.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        Self::try_parse(url)
            .map_err(|reason| ConnectError::InvalidUrl { url: shown_url(url), reason })
    }

    fn try_parse(url: &str) -> Result<Self, String> {
        let wrong = "write `postgres://user:password@host/database`";
        check_password(url)?;
        let url = Url::parse(url).map_err(|error| format!("{error}: {wrong}"))?;
        if !["postgres", "postgresql"].contains(&url.scheme()) || url.cannot_be_a_base() {
            return Err(wrong.to_owned());
        }
        let (url, ours) = parted(url, &OURS, is_of_driver);
        let connect = PgConnectOptions::from_str(url.as_str())
            .map_err(|error| taskcore::error_chain(&error))?;
        ours.iter().try_fold(Self::new(connect), |options, (name, value)| options.with(name, value))
    }

    fn with(self, name: &str, value: &str) -> Result<Self, String> {
        match (name, value) {
            ("schema", _) => self.try_schema(value),
            ("listen", "on") => Ok(Self { wakeups: Wakeups::Listen, ..self }),
            ("listen", "off") => Ok(self.polling()),
            ("listen", _) => Err(format!("`listen` is on or off, not `{value}`")),
            ("pooler", "transaction") => Ok(self.pooled()),
            ("pooler", _) => Err(format!(
                "`pooler` is `transaction`, not `{value}`; in session mode leave it out"
            )),
            _ => match value.parse() {
                Ok(kept) => Ok(self.events(kept)),
                Err(_) => Err(format!("`events` is a number of events, not `{value}`")),
            },
        }
    }

    /// Puts our tables into this schema, so that several stores fit into one database.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it has other characters than letters, digits and `_`, or more
    /// than 40.
    pub fn schema(self, schema: &str) -> Result<Self, ConnectError> {
        let url = shown_url(self.connect.to_url_lossy().as_str());
        self.try_schema(schema).map_err(|reason| ConnectError::InvalidUrl { url, reason })
    }

    fn try_schema(self, schema: &str) -> Result<Self, String> {
        let is_name = schema.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if schema.is_empty() || schema.len() > MAX_SCHEMA || !is_name {
            return Err(format!(
                "`schema` is 1 to {MAX_SCHEMA} letters, digits and `_`, not `{schema}`"
            ));
        }
        Ok(Self { schema: schema.to_owned(), ..self })
    }

    /// Refuses a database that has none of our tables, instead of creating them: for programs that
    /// only look.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.if_missing = IfMissing::Refuse;
        self
    }

    /// Polls for the commits of other processes instead of listening.
    #[must_use]
    pub fn polling(mut self) -> Self {
        self.wakeups = Wakeups::Poll;
        self
    }

    /// Talks to the server through a pooler in transaction mode, such as PgBouncer's: every statement
    /// is in a transaction and none stays prepared, nothing is set for a session, and commits of
    /// other processes are polled for. It costs two ways to the server more for each read.
    #[must_use]
    pub fn pooled(mut self) -> Self {
        self.is_pooled = true;
        self.polling()
    }

    /// How many events are kept for [`History::events`](taskcore::broker::History::events), at
    /// least: upkeep deletes the older ones. With 0 this process records none.
    #[must_use]
    pub fn events(mut self, kept: u32) -> Self {
        self.events = kept;
        self
    }

    /// A clock that tests move: the server's time is moved by as much.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// What errors call the store.
    pub(super) fn label(&self) -> String {
        format!("{}, schema {}", shown_url(self.connect.to_url_lossy().as_str()), self.schema)
    }
}

impl fmt::Debug for PostgresOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("store", &self.label()).finish_non_exhaustive()
    }
}

impl From<PostgresOptions> for DatabaseOptions {
    fn from(options: PostgresOptions) -> Self {
        Self::Postgres(Box::new(options))
    }
}

impl From<PgPool> for DatabaseOptions {
    fn from(pool: PgPool) -> Self {
        PostgresOptions::pool(pool).into()
    }
}

const SCHEMA: &str = "hereafter";

/// A channel is called by it, and names have 63 bytes.
const MAX_SCHEMA: usize = 40;

/// Whether sqlx takes this option of a URL (version 0.9).
fn is_of_driver(option: &str) -> bool {
    const KNOWN: [&str; 18] = [
        "application_name",
        "dbname",
        "host",
        "hostaddr",
        "options",
        "password",
        "port",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "ssl-root-cert",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "statement-cache-capacity",
        "user",
    ];
    KNOWN.contains(&option) || option.starts_with("options[")
}

const OURS: [&str; 4] = ["schema", "listen", "pooler", "events"];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        PostgresOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn options_are_parsed_and_those_of_postgres_are_left_to_it() {
        let url =
            "postgresql://app:secret@db:5433/app?sslmode=require&schema=jobs&listen=off&events=7";
        let options = PostgresOptions::parse(url).unwrap();
        assert_eq!(options.schema, "jobs");
        assert_eq!(options.wakeups, Wakeups::Poll);
        assert_eq!(options.events, 7);
        assert_eq!(options.connect.get_host(), "db");
        assert_eq!(options.connect.get_port(), 5433);
        assert_eq!(options.label(), "postgres://app@db:5433/app, schema jobs");
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_to_write_and_without_the_password() {
        for (url, part) in [
            ("postgres://app:secret@db/app?schema=a-b", "letters, digits and `_`"),
            ("postgres://app:secret@db/app?schema=", "letters, digits and `_`"),
            ("postgres://app:secret@db/app?listen=1", "on or off"),
            ("postgres://app:secret@db/app?events=-1", "a number of events"),
            ("postgres://app:secret@db/app?pooler=session", "leave it out"),
            ("postgres:", "write `postgres://"),
        ] {
            let error = refusal(url);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
