//! [`Lender`]: a user's own pool, and [`Borrowed`], a connection of it.
//!
//! A pool lives on the runtime of its owner, and we write from threads with runtimes of their own, which
//! stand still while there is nothing to do. So a connection is taken, and given back, on the
//! runtime of the owner: made on ours, it would stand still with it in the owner's hands.
//!
//! Only a connection that is outside of a transaction is given back. Any other is taken out of the
//! pool and dropped, which ends its transaction on the server.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// A pool, and the runtime that it lives on.
pub(crate) struct Lender<DB: Database> {
    pool: Pool<DB>,
    home: Handle,
}

impl<DB: Database> Lender<DB> {
    /// On the runtime of whoever calls this.
    pub(crate) fn new(pool: Pool<DB>) -> Self {
        Self { pool, home: Handle::current() }
    }

    /// A connection, within the time that the pool allows for it.
    pub(crate) async fn borrow(&self) -> Result<Borrowed<DB::Connection>, sqlx::Error> {
        let pool = self.pool.clone();
        let limit = self.pool.options().get_acquire_timeout().saturating_add(MARGIN);
        let taken = self.home.spawn(async move { pool.acquire().await });
        match timeout(limit, taken).await {
            Ok(Ok(taken)) => Ok(Borrowed { loan: Some(Box::new(taken?)), home: self.home.clone() }),
            // Its runtime has stopped, and the pool with it.
            Ok(Err(_)) => Err(sqlx::Error::PoolClosed),
            // Its runtime stands still.
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }
}

impl<DB: Database> fmt::Debug for Lender<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lender").field(&self.pool).finish()
    }
}

/// A connection of a pool. Dropped, it is not given back.
pub(crate) struct Borrowed<T> {
    /// `None` once it is gone.
    loan: Option<Box<dyn Loan<T>>>,
    home: Handle,
}

/// A connection of the pool of any database.
trait Loan<T>: DerefMut<Target = T> + Send {
    /// Leaves its place in the pool to another one, and closes it.
    fn take_out(self: Box<Self>);
}

impl<DB: Database> Loan<DB::Connection> for PoolConnection<DB> {
    fn take_out(self: Box<Self>) {
        drop(self.detach());
    }
}

impl<T> Borrowed<T> {
    /// Gives back what is outside of a transaction, and as it was lent.
    pub(crate) fn give_back(mut self) {
        // The pool looks at it there before somebody else gets it.
        let _home = self.home.enter();
        drop(self.loan.take());
    }
}

impl<T> Drop for Borrowed<T> {
    fn drop(&mut self) {
        let Some(loan) = self.loan.take() else { return };
        let _home = self.home.enter();
        loan.take_out();
    }
}

impl<T> Deref for Borrowed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.loan.as_ref().expect("only `give_back` and `drop` take it")
    }
}

impl<T> DerefMut for Borrowed<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.loan.as_mut().expect("only `give_back` and `drop` take it")
    }
}

impl<T> fmt::Debug for Borrowed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Borrowed").finish_non_exhaustive()
    }
}

/// The pool's own limit comes first, where its runtime is able to tell.
const MARGIN: Duration = Duration::from_secs(5);

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use sqlx::Sqlite;
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    /// A pool of one connection, so that the next one who asks gets the same, or one in its place.
    fn lender(folder: &tempfile::TempDir) -> Lender<Sqlite> {
        let options = SqliteConnectOptions::new().filename(folder.path().join("t.db"));
        let pool = SqlitePoolOptions::new().max_connections(1);
        let pool = pool.acquire_timeout(Duration::from_millis(500));
        Lender::new(pool.connect_lazy_with(options.create_if_missing(true)))
    }

    /// Leaves a mark on the connection; whether it was there.
    async fn mark(lender: &Lender<Sqlite>) -> (Borrowed<sqlx::SqliteConnection>, bool) {
        let mut borrowed = lender.borrow().await.unwrap();
        let made = sqlx::raw_sql("CREATE TEMP TABLE mark (n)").execute(&mut *borrowed).await;
        (borrowed, made.is_err())
    }

    #[tokio::test]
    async fn what_is_given_back_is_lent_again() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder);
        let (borrowed, was_marked) = mark(&lender).await;
        assert!(!was_marked);
        borrowed.give_back();
        assert!(mark(&lender).await.1);
    }

    #[tokio::test]
    async fn what_is_dropped_in_a_transaction_is_not_lent_again_and_its_place_is_free() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder);
        let (mut borrowed, _) = mark(&lender).await;
        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut *borrowed).await.unwrap();
        drop(borrowed);
        let (mut borrowed, was_marked) = mark(&lender).await;
        assert!(!was_marked);
        sqlx::raw_sql("BEGIN IMMEDIATE; COMMIT").execute(&mut *borrowed).await.unwrap();
    }

    #[tokio::test]
    async fn a_pool_that_has_none_left_says_so_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let lender = lender(&folder);
        let held = lender.borrow().await.unwrap();
        let error = lender.borrow().await.unwrap_err();
        assert!(matches!(error, sqlx::Error::PoolTimedOut), "{error:?}");
        drop(held);
        lender.borrow().await.unwrap();
        lender.pool.close().await;
        let error = lender.borrow().await.unwrap_err();
        assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
    }

    /// Threads of ours have none, and outlive that of the pool.
    #[test]
    fn a_connection_may_be_given_back_or_dropped_without_a_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lender = runtime.block_on(async { lender(&folder) });
        runtime.block_on(lender.borrow()).unwrap().give_back();
        drop(runtime.block_on(lender.borrow()).unwrap());
        let late = runtime.block_on(lender.borrow()).unwrap();
        runtime.shutdown_background();
        late.give_back();
        let elsewhere = tokio::runtime::Runtime::new().unwrap();
        let error = elsewhere.block_on(lender.borrow()).unwrap_err();
        assert!(matches!(error, sqlx::Error::PoolClosed), "{error:?}");
    }
}
