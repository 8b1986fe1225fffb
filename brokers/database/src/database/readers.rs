//! [`Readers`]: connections that only read, and never wait for the writer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::connection::Connection;
use super::link::{Link, Role};
use super::statements::transactions;
use crate::error::{Error, is_lost};

/// A small pool. sqlx's own spawns on the runtime of whoever happens to use it, and pings
/// each connection that is given back, which here costs as much as a query.
#[derive(Debug)]
pub(super) struct Readers {
    link: Arc<Link>,
    permits: Semaphore,
    idle: Mutex<Vec<Connection<'static>>>,
}

/// A connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    readers: &'a Readers,
    sql: Option<Connection<'static>>,
    /// Whether it was used before, and may have been lost since.
    is_used: bool,
    /// Whether the read is over, and its transaction with it.
    is_over: bool,
    _permit: SemaphorePermit<'a>,
}

impl Readers {
    pub(super) fn new(link: Arc<Link>) -> Self {
        Self { link, permits: Semaphore::new(MAX_READERS), idle: Mutex::default() }
    }

    /// An idle connection, or a new one; waits if there are too many.
    pub(super) async fn acquire(&self) -> Result<Reader<'_>, Error> {
        let permit = self.permits.acquire().await.map_err(|_| Error::closed(self.link.kind()))?;
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        // One of a pool has been used by others.
        let is_used = idle.is_some() || self.link.borrows();
        let sql = match idle {
            Some(sql) => sql,
            None => self.open().await?,
        };
        Ok(Reader { readers: self, sql: Some(sql), is_used, is_over: false, _permit: permit })
    }

    async fn open(&self) -> Result<Connection<'static>, Error> {
        let opened = self.link.open(Role::Read).await;
        opened.map_err(|source| self.error("connect", source))
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
        Error::statement(&self.link, operation, source)
    }
}

impl Reader<'_> {
    fn sql(&mut self) -> &mut Connection<'static> {
        self.sql.as_mut().expect("only `drop` and a failed read take it")
    }

    /// Begins a read: behind a pooler it is a transaction.
    pub(super) async fn begin(&mut self) -> Result<&mut Connection<'static>, sqlx::Error> {
        let sql = self.sql();
        #[cfg(feature = "postgres")]
        if sql.dialect.is_pooled {
            sql.script(transactions::BEGIN_READ).await?;
        }
        Ok(sql)
    }

    /// Ends a read.
    pub(super) async fn end(&mut self) -> Result<(), sqlx::Error> {
        let sql = self.sql();
        if sql.dialect.is_pooled {
            sql.script(transactions::COMMIT).await?;
        }
        Ok(())
    }

    /// The answer of a read on it, or `None` if it is to be asked again on another connection, which
    /// this one is now.
    pub(super) async fn judge<T>(
        &mut self,
        operation: &'static str,
        answer: Result<T, sqlx::Error>,
    ) -> Result<Option<T>, Error> {
        let source = match answer {
            Ok(answer) => {
                self.is_over = true;
                return Ok(Some(answer));
            }
            Err(source) => source,
        };
        // What failed on it may fail again, so it is not given back.
        self.sql = None;
        if !self.is_used || !is_lost(&source) {
            return Err(self.readers.error(operation, source));
        }
        // It was lost while nobody used it, as may be all that are idle.
        self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.sql = Some(self.readers.open().await?);
        self.is_used = false;
        Ok(None)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let Some(sql) = self.sql.take() else { return };
        // What was dropped midway may be inside of a transaction, which is not for others to end.
        if !self.is_over && self.readers.link.borrows() {
            return;
        }
        let Some(sql) = sql.give_back() else { return };
        // A reader runs single statements, so one that was dropped midway is usable.
        if !self.readers.permits.is_closed() {
            self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(sql);
        }
    }
}

const MAX_READERS: usize = 4;
