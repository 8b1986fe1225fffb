//! [`Connection`]: one connection, and how statements run on it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures::TryStreamExt;
use sqlx::{AssertSqlSafe, Connection as _, Either};

use super::args::Args;
use super::borrowed::Borrowed;
use super::bulk::Bulk;
use super::dialect::{Dialect, Kind, Statement};
use super::row::{self, Row};
#[cfg(feature = "sqlite")]
use crate::sqlite::Direct;

/// One connection. Each statement is a way there and back, to a server or, but for the writer's, to
/// the thread that sqlx runs SQLite on, so statements here take many rows.
#[derive(Debug)]
pub(crate) struct Connection<'c> {
    driver: Driver<'c>,
    pub(crate) dialect: Arc<Dialect>,
    /// Whether the server may keep statements for this connection.
    keeps_statements: bool,
}

#[derive(Debug)]
pub(crate) enum Driver<'c> {
    #[cfg(feature = "sqlite")]
    Sqlite(Held<'c, sqlx::SqliteConnection>),
    #[cfg(feature = "sqlite")]
    Direct(Box<Direct>),
    #[cfg(feature = "postgres")]
    Postgres(Held<'c, sqlx::PgConnection>),
    #[cfg(feature = "mysql")]
    Mysql(Held<'c, sqlx::MySqlConnection>),
}

/// A connection of our own, one of a user's pool, or one that a user lends, in a transaction.
#[derive(Debug)]
pub(crate) enum Held<'c, T> {
    Owned(Box<T>),
    Borrowed(Borrowed<T>),
    Lent(&'c mut T),
}

impl Driver<'_> {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) | Self::Direct(_) => Kind::Sqlite,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => Kind::Postgres,
            #[cfg(feature = "mysql")]
            Self::Mysql(_) => Kind::Mysql,
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Owned(held) => held,
            Self::Borrowed(held) => held,
            Self::Lent(held) => held,
        }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            Self::Owned(held) => held,
            Self::Borrowed(held) => held,
            Self::Lent(held) => held,
        }
    }
}

impl<T> Held<'_, T> {
    /// Gives it back, if a pool lent it; else it stays.
    fn give_back(self) -> Option<Self> {
        match self {
            Self::Borrowed(held) => {
                held.give_back();
                None
            }
            kept => Some(kept),
        }
    }
}

/// What a statement did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran {
    /// How many rows it touched.
    pub(crate) rows: u64,
    /// The number of the last row that it inserted, where the database gives such numbers.
    pub(crate) last_row: Option<i64>,
}

/// Runs a piece of code with the own types of each driver of sqlx, or with a direct connection.
macro_rules! on_driver {
    ($connection:expr, |$direct:ident| $call:expr, $args:expr, |$sql:ident, $bound:ident| $run:expr) => {
        match &mut $connection.driver {
            #[cfg(feature = "sqlite")]
            Driver::Direct($direct) => $call,
            #[cfg(feature = "sqlite")]
            Driver::Sqlite(held) => {
                let ($sql, $bound) = (&mut **held, $args.into_sqlite()?);
                $run
            }
            #[cfg(feature = "postgres")]
            Driver::Postgres(held) => {
                let ($sql, $bound) = (&mut **held, $args.into_postgres()?);
                $run
            }
            #[cfg(feature = "mysql")]
            Driver::Mysql(held) => {
                let ($sql, $bound) = (&mut **held, $args.into_mysql()?);
                $run
            }
        }
    };
}

impl<'c> Connection<'c> {
    pub(crate) fn of(driver: Driver<'c>, dialect: Arc<Dialect>) -> Self {
        let keeps_statements = !dialect.is_pooled;
        Self { driver, dialect, keeps_statements }
    }

    /// One of a user: statements are planned anew each time, as the tables are then, and none stays
    /// behind.
    pub(crate) fn lent(driver: Driver<'c>, dialect: Arc<Dialect>) -> Self {
        Self { driver, dialect, keeps_statements: false }
    }

    /// Runs a statement; answers how many rows it touched.
    pub(crate) async fn execute(
        &mut self,
        statement: Statement,
        args: Args,
    ) -> Result<u64, sqlx::Error> {
        let text = self.dialect.text(&statement);
        Ok(self.run(text, args).await?.rows)
    }

    /// Runs a text of the dialect.
    pub(crate) async fn run(&mut self, text: Arc<str>, args: Args) -> Result<Ran, sqlx::Error> {
        let keeps = self.keeps_statements;
        match &mut self.driver {
            #[cfg(feature = "sqlite")]
            Driver::Direct(direct) => direct.run(&text, args),
            #[cfg(feature = "sqlite")]
            Driver::Sqlite(held) => {
                let query = sqlx::query_with(AssertSqlSafe(text), args.into_sqlite()?);
                let done = query.persistent(keeps).execute(&mut **held).await?;
                Ok(Ran { rows: done.rows_affected(), last_row: Some(done.last_insert_rowid()) })
            }
            #[cfg(feature = "postgres")]
            Driver::Postgres(held) => {
                let query = sqlx::query_with(AssertSqlSafe(text), args.into_postgres()?);
                let done = query.persistent(keeps).execute(&mut **held).await?;
                Ok(Ran { rows: done.rows_affected(), last_row: None })
            }
            #[cfg(feature = "mysql")]
            Driver::Mysql(held) => {
                let query = sqlx::query_with(AssertSqlSafe(text), args.into_mysql()?);
                let done = query.persistent(keeps).execute(&mut **held).await?;
                let last_row = i64::try_from(done.last_insert_id()).ok();
                Ok(Ran { rows: done.rows_affected(), last_row })
            }
        }
    }

    /// The connection of the client library, if this is one to PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(crate) fn as_postgres(&mut self) -> Option<&mut sqlx::PgConnection> {
        match &mut self.driver {
            Driver::Postgres(held) => Some(held),
            #[cfg(any(feature = "sqlite", feature = "mysql"))]
            _ => None,
        }
    }

    /// Runs a statement that inserts a row, or finds it; answers the number that the row has, which
    /// the statement [returns](https://www.postgresql.org/docs/current/dml-returning.html) where it
    /// can.
    pub(crate) async fn insert_numbered(
        &mut self,
        statement: Statement,
        args: Args,
    ) -> Result<i64, sqlx::Error> {
        #[cfg(feature = "mysql")]
        if self.dialect.kind == Kind::Mysql {
            let ran = self.run(self.dialect.text(&statement), args).await?;
            return ran.last_row.ok_or(sqlx::Error::RowNotFound);
        }
        row::integer(&self.fetch_one(statement, args).await?, "number")
    }

    /// Runs statements without parameters, unprepared; answers the rows of all of them.
    pub(crate) async fn script(&mut self, script: Statement) -> Result<Vec<Row>, sqlx::Error> {
        let text = self.dialect.text(&script);
        self.script_text(text).await
    }

    /// The same for a text of the dialect.
    pub(crate) async fn script_text(&mut self, text: Arc<str>) -> Result<Vec<Row>, sqlx::Error> {
        on_driver!(self, |direct| direct.script(&text), Args::new(), |sql, _bound| {
            let mut answers = sqlx::raw_sql(AssertSqlSafe(text)).fetch_many(sql);
            let mut rows = Vec::new();
            while let Some(answer) = answers.try_next().await? {
                if let Either::Right(row) = answer {
                    rows.push(Row::from(row));
                }
            }
            Ok(rows)
        })
    }

    pub(crate) async fn fetch(
        &mut self,
        statement: Statement,
        args: Args,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let text = self.dialect.text(&statement);
        self.fetch_text(text, args).await
    }

    /// The same for a text of the dialect.
    pub(crate) async fn fetch_text(
        &mut self,
        text: Arc<str>,
        args: Args,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let keeps = self.keeps_statements;
        on_driver!(self, |direct| direct.fetch(&text, args), args, |sql, bound| {
            let query = sqlx::query_with(AssertSqlSafe(text), bound).persistent(keeps);
            Ok(query.map(Row::from).fetch_all(sql).await?)
        })
    }

    pub(crate) async fn fetch_one(
        &mut self,
        statement: Statement,
        args: Args,
    ) -> Result<Row, sqlx::Error> {
        let (text, keeps) = (self.dialect.text(&statement), self.keeps_statements);
        let one = |rows: Vec<Row>| rows.into_iter().next().ok_or(sqlx::Error::RowNotFound);
        on_driver!(self, |direct| direct.fetch(&text, args).and_then(one), args, |sql, bound| {
            let query = sqlx::query_with(AssertSqlSafe(text), bound).persistent(keeps);
            Ok(query.map(Row::from).fetch_one(sql).await?)
        })
    }

    /// The row that a statement without parameters answers.
    pub(crate) async fn one(&mut self, statement: Statement) -> Result<Row, sqlx::Error> {
        self.fetch_one(statement, Args::new()).await
    }

    /// The rows that a statement without parameters answers.
    pub(crate) async fn all(&mut self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch(statement, Args::new()).await
    }

    /// Runs a statement that was put together from fragments; never from user text.
    pub(crate) async fn fetch_built(
        &mut self,
        fragments: &str,
        args: Args,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let text = self.dialect.built(fragments);
        on_driver!(self, |direct| direct.fetch(&text, args), args, |sql, bound| {
            let query = sqlx::query_with(AssertSqlSafe(text), bound).persistent(false);
            Ok(query.map(Row::from).fetch_all(sql).await?)
        })
    }

    /// Runs a statement over many rows of input; answers how many rows it touched.
    pub(crate) async fn execute_bulk<T>(
        &mut self,
        statement: &'static Bulk,
        items: &[T],
        row: impl Fn(&mut Args, &T),
        rest: impl Fn(Args) -> Args,
    ) -> Result<u64, sqlx::Error> {
        let dialect = self.dialect.clone();
        let mut touched = 0;
        for chunk in statement.chunks(&dialect, items, &row, &rest) {
            touched += self.run(chunk.sql, chunk.args).await?.rows;
        }
        Ok(touched)
    }

    /// Like [`execute_bulk`](Self::execute_bulk), for statements that answer rows.
    pub(crate) async fn fetch_bulk<T>(
        &mut self,
        statement: &'static Bulk,
        items: &[T],
        row: impl Fn(&mut Args, &T),
        rest: impl Fn(Args) -> Args,
    ) -> Result<Vec<Row>, sqlx::Error> {
        let dialect = self.dialect.clone();
        let mut rows = Vec::new();
        for chunk in statement.chunks(&dialect, items, &row, &rest) {
            rows.append(&mut self.fetch_text(chunk.sql, chunk.args).await?);
        }
        Ok(rows)
    }

    /// Gives it back to the pool that lent it; else it stays. To be called outside of transactions.
    pub(crate) fn give_back(self) -> Option<Self> {
        let driver = match self.driver {
            #[cfg(feature = "sqlite")]
            Driver::Sqlite(held) => Driver::Sqlite(held.give_back()?),
            #[cfg(feature = "sqlite")]
            Driver::Direct(direct) => Driver::Direct(direct),
            #[cfg(feature = "postgres")]
            Driver::Postgres(held) => Driver::Postgres(held.give_back()?),
            #[cfg(feature = "mysql")]
            Driver::Mysql(held) => Driver::Mysql(held.give_back()?),
        };
        Some(Self { driver, ..self })
    }

    /// Closes it, if it is ours, or gives it back.
    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        let Some(kept) = self.give_back() else { return Ok(()) };
        match kept.driver {
            #[cfg(feature = "sqlite")]
            Driver::Sqlite(Held::Owned(sql)) => sql.close().await,
            #[cfg(feature = "sqlite")]
            Driver::Direct(direct) => direct.close(),
            #[cfg(feature = "postgres")]
            Driver::Postgres(Held::Owned(sql)) => sql.close().await,
            #[cfg(feature = "mysql")]
            Driver::Mysql(Held::Owned(sql)) => sql.close().await,
            _ => Ok(()),
        }
    }
}
