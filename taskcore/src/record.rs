//! [`Record`]: what a job stores the key of, and a worker loads.

use std::error::Error;
use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Something that is kept elsewhere under a key, such as a row of a table.
///
/// A task takes one as a parameter marked `#[fetch]`. Its call is given the record, a reference to
/// it, its key, or a call or handle that yields its key. A job stores the key alone, as JSON under
/// the parameter's name, and the record is loaded right before the task runs: each attempt sees it
/// as it is then.
///
/// | parameter | a record that is no more |
/// | --- | --- |
/// | `#[fetch] user: User`, `#[fetch] user: &User` | the job fails at once, with an error that names parameter, record and key; it is not retried |
/// | `#[fetch] user: Option<User>` | the task receives `None`; a key of `None`, and none in the job, are `None` too |
///
/// An error of [`load`](Self::load) is a failed attempt like one of the task: it is retried by the
/// task's policy, unless a [`Permanent`](crate::Permanent) is in its chain. `retry_if` judges the
/// errors of the task alone. Several records of one task are loaded at the same time, within the
/// time-out of the attempt.
///
/// # Run here
///
/// Awaited or called, a call hands a record that it was given to the function as it is; delayed,
/// by whatever client, it keeps nothing of it but the key. A key is loaded here too, so the call
/// of a key can fail: it yields `Result<T, JobError>`, and a plain function's has no
/// [`call`](crate::Call::call), because a load is awaited.
///
/// # What a load needs
///
/// [`From`](Self::From) is had as a `State<From>` parameter is: from a start hook, which a worker
/// checks when it starts, or from [`Call::with`](crate::Call::with) or the scope where the call runs
/// here. Several values are a struct that is provided; `()` needs nothing.
///
/// # Example
///
/// A row of a table, with sqlx:
///
/// ```
/// # use taskcore as hereafter;
/// use hereafter::{Record, Start, on_start, register_task};
/// use sqlx::SqlitePool;
///
/// #[derive(Clone)]
/// struct User {
///     id: i64,
///     address: String,
/// }
///
/// impl Record for User {
///     type Key = i64;
///     type From = SqlitePool;
///     type Error = sqlx::Error;
///
///     fn key(&self) -> i64 {
///         self.id
///     }
///
///     async fn load(id: i64, pool: SqlitePool) -> Result<Option<Self>, sqlx::Error> {
///         let row = sqlx::query_as("SELECT id, address FROM users WHERE id = ?").bind(id);
///         let row: Option<(i64, String)> = row.fetch_optional(&pool).await?;
///         Ok(row.map(|(id, address)| Self { id, address }))
///     }
/// }
///
/// // The worker's pool.
/// #[on_start(crate = hereafter)]
/// async fn open_pool(start: &mut Start) -> Result<(), sqlx::Error> {
///     start.provide(SqlitePool::connect("sqlite://app.db").await?);
///     Ok(())
/// }
///
/// #[register_task(crate = hereafter)]
/// async fn welcome(#[fetch] user: &User, greeting: &str) -> String {
///     format!("{greeting}, {}!", user.address)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// # let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
/// # sqlx::query("CREATE TABLE users (id INTEGER PRIMARY KEY, address TEXT NOT NULL)").execute(&pool).await?;
/// # sqlx::query("INSERT INTO users VALUES (7, 'ada@example.org')").execute(&pool).await?;
/// let ada = User { id: 7, address: "ada@example.com".to_owned() };
/// let stored = welcome(&ada, "Hello").encoded_args()?; // of a job
/// assert_eq!(stored.as_slice(), br#"{"user":7,"greeting":"Hello"}"#);
///
/// // Here: the record as it is, and the row with this key.
/// assert_eq!(welcome(ada, "Hello").await, "Hello, ada@example.com!");
/// assert_eq!(welcome(7, "Hello").with(pool.clone()).await?, "Hello, ada@example.org!");
/// assert!(welcome(8, "Hello").with(pool).await.is_err(), "there is none");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no record",
    label = "needs `hereafter::Record`",
    note = "implement `hereafter::Record` for it, which says what its key is and how to load it, or remove `#[fetch]` to store the value itself"
)]
pub trait Record: Sized + Send + 'static {
    /// What names one record; all of it that a job stores.
    type Key: Serialize + DeserializeOwned + Send + 'static;

    /// What a load needs, provided as state, such as a connection pool; `()` if nothing.
    type From: Clone + Send + Sync + 'static;

    /// Why a load may fail.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// The key of this record.
    fn key(&self) -> Self::Key;

    /// Loads the record of this key; `None` if there is none (any more). Usually written as an
    /// `async fn`.
    ///
    /// It may be dropped midway: at the attempt's time-out, when the job is cancelled, or when the
    /// load of another record of the task fails.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from being known whether there is one.
    fn load(
        key: Self::Key,
        from: Self::From,
    ) -> impl Future<Output = Result<Option<Self>, Self::Error>> + Send;
}
