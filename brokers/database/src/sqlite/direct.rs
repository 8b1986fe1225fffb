//! [`Direct`]: a connection to a file that is called on the caller's thread.
//!
//! The writer has a thread of its own, and a transaction has several statements. sqlx runs each on
//! a further thread, and the ways to that thread and back took longer than the statements. Everybody
//! else reads by sqlx, on whatever runtime he is.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rusqlite::fallible_iterator::FallibleIterator;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Statement};
use sqlx::error::{DatabaseError, ErrorKind};

use crate::database::{Args, Ran, Row, unexpected};

/// A connection whose calls block.
#[derive(Debug)]
pub(crate) struct Direct(Connection);

/// A row of [`Direct`].
#[derive(Debug)]
pub(crate) struct DirectRow {
    columns: Arc<[Box<str>]>,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Cell {
    Null,
    Integer(i64),
    /// Of a text, too.
    Bytes(Vec<u8>),
    /// No column of ours is a floating point number.
    Real,
}

impl Direct {
    /// Opens a file that is there. Pragmas are set in this order.
    pub(super) fn open(path: &Path, pragmas: &[(&str, String)]) -> Result<Self, sqlx::Error> {
        let sql = Connection::open(path).map_err(failed)?;
        sql.set_prepared_statement_cache_capacity(super::link::STATEMENTS);
        let direct = Self(sql);
        for (name, value) in pragmas {
            direct.script(&format!("PRAGMA {name} = {value}"))?;
        }
        Ok(direct)
    }

    /// Runs a statement; answers what it did.
    pub(crate) fn run(&self, text: &str, args: Args) -> Result<Ran, sqlx::Error> {
        self.step(text, args, |statement| {
            let mut rows = statement.raw_query();
            while rows.next()?.is_some() {}
            Ok(())
        })?;
        Ok(Ran { rows: self.0.changes(), last_row: Some(self.0.last_insert_rowid()) })
    }

    /// Runs a statement; answers its rows.
    pub(crate) fn fetch(&self, text: &str, args: Args) -> Result<Vec<Row>, sqlx::Error> {
        self.step(text, args, all)
    }

    /// Runs statements without parameters; answers the rows of all of them.
    pub(crate) fn script(&self, text: &str) -> Result<Vec<Row>, sqlx::Error> {
        let mut batch = Batch::new(&self.0, text);
        let mut rows = Vec::new();
        while let Some(mut statement) = batch.next().map_err(failed)? {
            rows.append(&mut all(&mut statement).map_err(failed)?);
        }
        Ok(rows)
    }

    fn step<T>(
        &self,
        text: &str,
        args: Args,
        step: impl FnOnce(&mut Statement<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, sqlx::Error> {
        let mut statement = self.0.prepare_cached(text).map_err(failed)?;
        for (place, value) in (1..).zip(args.into_direct()?) {
            statement.raw_bind_parameter(place, value).map_err(failed)?;
        }
        step(&mut statement).map_err(failed)
    }

    /// Closes it.
    pub(crate) fn close(self) -> Result<(), sqlx::Error> {
        self.0.close().map_err(|(_, error)| failed(error))
    }
}

fn all(statement: &mut Statement<'_>) -> rusqlite::Result<Vec<Row>> {
    let columns: Arc<[Box<str>]> = statement.column_names().into_iter().map(Box::from).collect();
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let cell = |place| {
            Ok(match row.get_ref(place)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Integer(value),
                ValueRef::Real(_) => Cell::Real,
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
            })
        };
        let cells = (0..columns.len()).map(cell).collect::<rusqlite::Result<_>>()?;
        found.push(Row::Direct(DirectRow { columns: columns.clone(), cells }));
    }
    Ok(found)
}

impl DirectRow {
    fn cell(&self, column: &str) -> Result<&Cell, sqlx::Error> {
        let place = self.columns.iter().position(|name| **name == *column);
        let cell = place.and_then(|place| self.cells.get(place));
        cell.ok_or_else(|| sqlx::Error::ColumnNotFound(column.to_owned()))
    }

    pub(crate) fn integer(&self, column: &str) -> Result<Option<i64>, sqlx::Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Integer(value) => Ok(Some(*value)),
            Cell::Bytes(_) | Cell::Real => Err(unexpected(column, "no integer")),
        }
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<Option<&[u8]>, sqlx::Error> {
        match self.cell(column)? {
            Cell::Null => Ok(None),
            Cell::Bytes(bytes) => Ok(Some(bytes)),
            Cell::Integer(_) | Cell::Real => Err(unexpected(column, "no bytes")),
        }
    }
}

/// The error as sqlx would say it, so that all that is made of errors knows one kind.
fn failed(error: rusqlite::Error) -> sqlx::Error {
    match error {
        rusqlite::Error::SqliteFailure(error, message) => {
            let message = message.unwrap_or_else(|| error.to_string());
            refused(error.extended_code, message)
        }
        rusqlite::Error::SqlInputError { error, msg, .. } => refused(error.extended_code, msg),
        error => sqlx::Error::Encode(error.into()),
    }
}

fn refused(code: i32, message: String) -> sqlx::Error {
    sqlx::Error::Database(Box::new(Refused { code, message }))
}

/// What SQLite said.
#[derive(Debug)]
struct Refused {
    /// <https://www.sqlite.org/rescode.html>, extended.
    code: i32,
    message: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(code: {}) {}", self.code, self.message)
    }
}

impl std::error::Error for Refused {}

impl DatabaseError for Refused {
    fn message(&self) -> &str {
        &self.message
    }

    fn code(&self) -> Option<std::borrow::Cow<'_, str>> {
        Some(self.code.to_string().into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        use rusqlite::ffi;
        match self.code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY => {
                ErrorKind::UniqueViolation
            }
            _ => ErrorKind::Other,
        }
    }
}
