//! [`MysqlOptions`]: a URL, parsed.

use std::fmt;
use std::str::FromStr;

use sqlx::ConnectOptions;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool};
use taskcore::Clock;
use taskcore::broker::{ConnectError, check_password, shown_url};
use url::Url;

use crate::DatabaseOptions;
use crate::database::server_url::parted;
use crate::database::{IfMissing, KEPT_EVENTS, prefix};

/// Where the store is and how it is kept.
///
/// As a URL: `mysql://user:password@host:port/database`, then options as a query. Those of sqlx's
/// URLs are understood, such as `ssl-mode=VERIFY_IDENTITY` and `ssl-ca=…`, and these:
///
/// | option | values | default |
/// | --- | --- | --- |
/// | `prefix` | what our tables start with: letters, digits and `_`, at most 40 | `hereafter_` |
/// | `events` | how many events are kept, about | 100000 |
#[derive(Clone)]
pub struct MysqlOptions {
    pub(super) connect: MySqlConnectOptions,
    pub(super) pool: Option<MySqlPool>,
    pub(super) prefix: String,
    pub(super) events: u32,
    pub(super) if_missing: IfMissing,
    pub(super) clock: Clock,
}

impl MysqlOptions {
    /// A store on this server and database.
    #[must_use]
    pub fn new(connect: MySqlConnectOptions) -> Self {
        Self {
            connect: connect.disable_statement_logging(),
            pool: None,
            prefix: prefix::DEFAULT.to_owned(),
            events: KEPT_EVENTS,
            if_missing: IfMissing::Create,
            clock: Clock::system(),
        }
    }

    /// A store on the server and database of a pool; `MysqlBroker::open(pool)` is the same with all
    /// defaults.
    ///
    /// Nothing is taken from the pool: MySQL has no settings for one transaction, and ours must not
    /// stay on a connection of yours. Connections are made with the pool's
    /// [options](sqlx::Pool::connect_options) as they are when the store is opened, without its hooks
    /// such as `after_connect`: two that write and four that read at most, and two for the heartbeat
    /// of a worker.
    ///
    /// Opening it fails with [`ConnectError::Unusable`] if the pool is closed.
    #[must_use]
    pub fn pool(pool: MySqlPool) -> Self {
        let connect = MySqlConnectOptions::clone(&pool.connect_options());
        Self { pool: Some(pool), ..Self::new(connect) }
    }

    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it is no MySQL URL, names no database, or one of the options
    /// listed above has another value. The error does not show the password.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        Self::try_parse(url)
            .map_err(|reason| ConnectError::InvalidUrl { url: shown_url(url), reason })
    }

    fn try_parse(url: &str) -> Result<Self, String> {
        let wrong = "write `mysql://user:password@host/database`";
        check_password(url)?;
        let url = Url::parse(url).map_err(|error| format!("{error}: {wrong}"))?;
        if !["mysql", "mariadb"].contains(&url.scheme()) || url.cannot_be_a_base() {
            return Err(wrong.to_owned());
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(format!("it names no database: {wrong}"));
        }
        let (url, ours) = parted(url, &OURS, is_of_driver);
        let connect = MySqlConnectOptions::from_str(url.as_str())
            .map_err(|error| taskcore::error_chain(&error))?;
        ours.iter().try_fold(Self::new(connect), |options, (name, value)| options.with(name, value))
    }

    fn with(self, name: &str, value: &str) -> Result<Self, String> {
        if name == "prefix" {
            return self.try_prefix(value);
        }
        match value.parse() {
            Ok(kept) => Ok(self.events(kept)),
            Err(_) => Err(format!("`events` is a number of events, not `{value}`")),
        }
    }

    /// Starts the names of our tables with this, so that several stores fit into one database.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if it has other characters than letters, digits and `_`, starts
    /// with a digit, or has more than 40.
    pub fn prefix(self, prefix: &str) -> Result<Self, ConnectError> {
        let url = shown_url(self.connect.to_url_lossy().as_str());
        self.try_prefix(prefix).map_err(|reason| ConnectError::InvalidUrl { url, reason })
    }

    fn try_prefix(self, prefix: &str) -> Result<Self, String> {
        Ok(Self { prefix: prefix::checked(prefix)?, ..self })
    }

    /// Refuses a database that has none of our tables, instead of creating them: for programs that
    /// only look.
    #[must_use]
    pub fn existing(mut self) -> Self {
        self.if_missing = IfMissing::Refuse;
        self
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
        format!("{}, tables {}*", shown_url(self.connect.to_url_lossy().as_str()), self.prefix)
    }
}

impl fmt::Debug for MysqlOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlOptions").field("store", &self.label()).finish_non_exhaustive()
    }
}

impl From<MysqlOptions> for DatabaseOptions {
    fn from(options: MysqlOptions) -> Self {
        Self::Mysql(Box::new(options))
    }
}

impl From<MySqlPool> for DatabaseOptions {
    fn from(pool: MySqlPool) -> Self {
        MysqlOptions::pool(pool).into()
    }
}

/// Whether sqlx takes this option of a URL (version 0.9).
fn is_of_driver(option: &str) -> bool {
    const KNOWN: [&str; 14] = [
        "charset",
        "collation",
        "socket",
        "ssl-ca",
        "ssl-cert",
        "ssl-key",
        "ssl-mode",
        "sslca",
        "sslcert",
        "sslkey",
        "sslmode",
        "statement-cache-capacity",
        "time-zone",
        "timezone",
    ];
    KNOWN.contains(&option)
}

const OURS: [&str; 2] = ["prefix", "events"];

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        MysqlOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn options_are_parsed_and_those_of_mysql_are_left_to_it() {
        let url = "mariadb://app:secret@db:3307/app?ssl-mode=REQUIRED&prefix=jobs_&events=7";
        let options = MysqlOptions::parse(url).unwrap();
        assert_eq!(options.prefix, "jobs_");
        assert_eq!(options.events, 7);
        assert_eq!(options.connect.get_host(), "db");
        assert_eq!(options.connect.get_port(), 3307);
        assert_eq!(options.label(), "mysql://app@db:3307/app, tables jobs_*");
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_to_write_and_without_the_password() {
        for (url, part) in [
            ("mysql://app:secret@db/app?prefix=a-b", "letters, digits and `_`"),
            ("mysql://app:secret@db/app?prefix=1a", "the first no digit"),
            ("mysql://app:secret@db/app?events=-1", "a number of events"),
            ("mysql://app:secret@db", "names no database"),
            ("mysql:", "write `mysql://"),
        ] {
            let error = refusal(url);
            assert!(error.contains(part), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
