//! [`Readers`]: connections that only read, and never wait for the writer.

use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::Connection;
use crate::error::Error;

/// A small pool. sqlx's own spawns on the runtime of whoever happens to use it, and pings
/// each connection that is given back, which here costs as much as a query.
#[derive(Debug)]
pub(super) struct Readers {
    store: Arc<str>,
    options: SqliteConnectOptions,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

/// A connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    sql: Option<Connection>,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    pub(super) fn new(store: Arc<str>, options: SqliteConnectOptions) -> Self {
        let permits = Semaphore::new(MAX_READERS);
        Self { store, options, permits, idle: Mutex::default() }
    }

    /// An idle connection, or a new one; waits if there are too many.
    pub(super) async fn acquire(&self) -> Result<Reader<'_>, Error> {
        let permit = self.permits.acquire().await.map_err(|_| Error::Closed)?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let sql = match idle {
            Some(sql) => sql,
            None => Connection::open(&self.options)
                .await
                .map_err(|source| self.error("connect", source))?,
        };
        Ok(Reader { readers: self, sql: Some(sql), _permit: permit })
    }

    /// Lets nobody in any more, and closes what is idle.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for sql in idle {
            // It only reads, so there is nothing to lose.
            let _ = sql.close().await;
        }
    }

    pub(super) fn error(&self, operation: &'static str, source: sqlx::Error) -> Error {
        Error::Statement { operation, store: self.store.clone(), source }
    }
}

impl Reader<'_> {
    pub(super) fn sql(&mut self) -> &mut Connection {
        self.sql.as_mut().expect("only `drop` and `discard` take it")
    }

    /// Closes the connection instead of giving it back: what failed on it may fail again.
    pub(super) fn discard(mut self) {
        self.sql = None;
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(sql) = self.sql.take() else { return };
        // A reader runs single statements, so one that was dropped midway is usable.
        if !self.readers.permits.is_closed() {
            self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sql);
        }
    }
}

const MAX_READERS: usize = 4;
