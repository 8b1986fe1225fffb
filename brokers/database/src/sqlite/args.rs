//! [`Args`]: the bound parameters of one statement.

use sqlx::Arguments;
use sqlx::encode::Encode;
use sqlx::error::BoxDynError;
use sqlx::sqlite::{Sqlite, SqliteArguments};
use sqlx::types::Type;

/// Parameters in the order of their question marks.
#[derive(Debug)]
pub(super) struct Args(Result<SqliteArguments, BoxDynError>);

impl Args {
    pub(super) fn new() -> Self {
        Self(Ok(SqliteArguments::default()))
    }

    /// Adds a parameter, and gives the rest back for the next one.
    pub(super) fn with<'t, T>(mut self, value: T) -> Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        self.push(value);
        self
    }

    /// Adds a parameter. What cannot be encoded fails the statement.
    pub(super) fn push<'t, T>(&mut self, value: T)
    where
        T: Encode<'t, Sqlite> + Type<Sqlite>,
    {
        if let Ok(arguments) = &mut self.0
            && let Err(error) = arguments.add(value)
        {
            self.0 = Err(error);
        }
    }

    pub(super) fn into_inner(self) -> Result<SqliteArguments, sqlx::Error> {
        self.0.map_err(sqlx::Error::Encode)
    }
}
