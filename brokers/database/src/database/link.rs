//! [`Link`]: where a store is, and how connections to it are opened.

use std::sync::Arc;

use taskcore::broker::ConnectError;

use super::connection::Connection;
use super::dialect::{Dialect, Kind};
use super::server_clock::StoreClock;
#[cfg(feature = "mysql")]
use crate::mysql::MysqlLink;
#[cfg(feature = "postgres")]
use crate::postgres::PostgresLink;
#[cfg(feature = "sqlite")]
use crate::sqlite::SqliteLink;

/// Where a store is.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) target: Target,
    pub(crate) dialect: Arc<Dialect>,
    /// What errors call the store.
    pub(crate) label: Arc<str>,
    pub(crate) clock: StoreClock,
    /// How many events are kept.
    pub(crate) events: u32,
}

#[derive(Debug)]
pub(crate) enum Target {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteLink),
    #[cfg(feature = "postgres")]
    Postgres(Box<PostgresLink>),
    #[cfg(feature = "mysql")]
    Mysql(Box<MysqlLink>),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Brings the schema up to date.
    First,
    Write,
    Read,
}

impl Link {
    pub(crate) fn kind(&self) -> Kind {
        self.dialect.kind
    }

    /// Whether connections are taken from a user's pool, each for one transaction or read.
    pub(crate) fn borrows(&self) -> bool {
        match &self.target {
            // There they are made like those of the pool.
            #[cfg(feature = "sqlite")]
            Target::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Target::Postgres(link) => link.borrows(),
            #[cfg(feature = "mysql")]
            Target::Mysql(_) => false,
        }
    }

    /// The same store by connections that wait for nobody: for a heartbeat.
    pub(crate) fn apart(self: &Arc<Self>) -> Arc<Self> {
        match &self.target {
            #[cfg(feature = "sqlite")]
            Target::Sqlite(_) => self.clone(),
            #[cfg(feature = "postgres")]
            Target::Postgres(link) => link.apart().map_or_else(
                || self.clone(),
                |(link, dialect)| {
                    Arc::new(Self {
                        target: Target::Postgres(Box::new(link)),
                        dialect,
                        label: self.label.clone(),
                        clock: self.clock.clone(),
                        events: self.events,
                    })
                },
            ),
            #[cfg(feature = "mysql")]
            Target::Mysql(_) => self.clone(),
        }
    }

    /// Whether what is stored outlives this process.
    pub(crate) fn is_durable(&self) -> bool {
        match &self.target {
            #[cfg(feature = "sqlite")]
            Target::Sqlite(link) => link.is_file(),
            #[cfg(feature = "postgres")]
            Target::Postgres(_) => true,
            #[cfg(feature = "mysql")]
            Target::Mysql(_) => true,
        }
    }

    pub(crate) async fn open(&self, role: Role) -> Result<Connection<'static>, sqlx::Error> {
        let driver = match &self.target {
            #[cfg(feature = "sqlite")]
            Target::Sqlite(link) => link.open(role).await?,
            #[cfg(feature = "postgres")]
            Target::Postgres(link) => link.open(role).await?,
            #[cfg(feature = "mysql")]
            Target::Mysql(link) => link.open(role).await?,
        };
        Ok(Connection::of(driver, self.dialect.clone()))
    }

    /// What a program that cannot open the store is told.
    pub(crate) fn connect_error(&self, source: sqlx::Error) -> ConnectError {
        crate::error::connect_error(self.kind(), &self.label, source)
    }
}
