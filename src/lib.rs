//! **A task is a function. `.await` its call to run it here; `.delay()` it to run it there,
//! after.**
//!
//! Hereafter is a distributed task queue. One attribute, [`register_task`], turns a function into a task; a URL
//! picks the broker; one generic worker runs the tasks, whatever the broker.
//!
//! ```
//! use hereafter::prelude::*;
//!
//! /// Counts the words of a text.
//! #[register_task]
//! fn count_words(text: String) -> usize {
//!     text.split_whitespace().count()
//! }
//!
//! # hereafter::testing::run(|_| async {
//! // Here, now: no broker is touched.
//! assert_eq!(count_words("to be or not").call(), 4);
//!
//! // There, after: stored by the broker, run by a worker, read through a handle.
//! let job = count_words("to be or not").delay().await?;
//! # hereafter::testing::drain().await;
//! assert_eq!(job.await?, 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```
//!
//! # Where to go on
//!
//! - [`register_task`]: what a task may look like, and all its options.
//! - [`Call`]: what can be done with a bound task; [`Handle`]: what can be done with its job.
//! - [`connect`]: which URLs there are; [`Client`] where one default is not enough.
//! - [`worker`]: the worker's program, [`on_start`] hooks and the embedded engine.
//! - `delay_in` and `complete_in` of the [`prelude`]: jobs inside your own transactions; see
//!   [docs/transactions.md](https://github.com/hereafter-rs/hereafter/blob/main/docs/transactions.md).
//! - [`testing`]: delayed calls in tests.
//! - [`broker`]: the contract, for those who write a broker.
//!
//! # Features
//!
//! | feature | gives | default |
//! | --- | --- | --- |
//! | `memory` | `memory://`, and [`testing`] | yes |
//! | `sqlite` | `sqlite://path` and `sqlite::memory:` | yes |
//! | `postgres` | `postgres://user:password@host/database` | no |
//! | `mysql` | `mysql://user:password@host/database`, on MariaDB | no |
//! | `amqp` | `amqp://user:password@host/vhost` and `amqps://`, on RabbitMQ, alone or with one of the databases as its store | no |
//! | `worker` | [`worker`] and its command line | yes |

pub use taskcore::*;

/// ```
/// use hereafter::prelude::*;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Clone)]
/// struct Mailer;
///
/// /// Sends one message. This stays the documentation of `send`.
/// #[register_task(name = "mail.send", queue = "mail", retries = 3, timeout = "1m", retry_if = is_busy)]
/// async fn send(cx: Context, State(mailer): State<Mailer>, to: &str, copy: Option<String>) -> Result<u32, MailError> {
///     let _ = (mailer, copy);
///     if to.contains('@') { Ok(cx.attempt()) } else { Err(MailError::Rejected) }
/// }
///
/// fn is_busy(error: &MailError) -> bool {
///     matches!(error, MailError::Busy)
/// }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct Report {
///     title: String,
/// }
///
/// #[register_task]
/// impl Report {
///     /// A plain function: it may block.
///     #[task(ignore_result)]
///     fn print(&self, #[arg(default)] copies: u8) -> usize {
///         self.title.len() * usize::from(copies)
///     }
/// }
/// # #[derive(Debug)] enum MailError { Busy, Rejected }
/// # impl std::fmt::Display for MailError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("rejected") }
/// # }
/// # impl std::error::Error for MailError {}
///
/// # hereafter::testing::run(|_| async {
/// // Here: `Context` and `State` are no arguments, and what borrows takes both forms.
/// let attempt = send("ada@example.org", None).with(Mailer).await?;
/// assert_eq!(attempt, 1);
/// assert_eq!(Report { title: "Sales".to_owned() }.print(2).call(), 10);
///
/// // There: a job, with the options of the task where the call gives no others.
/// let job = send("ada", Some("bob@example.org".to_owned())).retries(0).delay().await?;
/// # let _ = job;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
pub use taskcore::register_task;

#[doc(hidden)]
pub use taskcore::__private;

// Links the brokers, so that `connect` finds them.
use taskbroker_connect as _;

#[cfg(all(feature = "worker", feature = "memory"))]
pub use taskworker::testing;

/// The worker: its program, and the engine behind it for services that embed it.
#[cfg(feature = "worker")]
pub mod worker {
    pub use taskworker::*;
}

/// What a file with tasks needs.
pub mod prelude {
    pub use taskcore::{
        Backoff, Call, Client, Context, DelayError, Handle, JobError, OnConflict, Permanent,
        Record, Start, State, gather, gather_map, gather_results, on_start, register_task, task,
    };

    #[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
    pub use taskbroker_database::{CompleteIn, DelayAllIn, DelayIn};
}

/// The SQL brokers, for what only they can do: jobs inside a transaction of the application, its own
/// pool instead of a URL, or options that are made by hand.
///
/// With a pool, `PostgresBroker::open(pool.clone()).await?` or `SqliteBroker::open(pool.clone())`,
/// then [`set_default(Client::new(broker.connection()))`](set_default) takes the place of [`connect`].
/// What is taken from the pool, and for how long, is told by `PostgresOptions::pool` and
/// `SqliteOptions::pool`.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub mod database {
    pub use taskbroker_database::*;
}
