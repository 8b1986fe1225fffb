//! The embedded broker: one SQLite file, any number of processes, no server.
//!
//! # Guarantees
//!
//! - A call that answered is on disk: write-ahead log, `synchronous=FULL`, and calls made at
//!   the same time share one commit.
//! - What a job says while it runs, and that it was handed out, does not wait for the disk; the
//!   verdict does, and takes what was said before along.
//! - Every process on the machine may open the file, enqueue, work and wait. A commit wakes
//!   the waiting ones within milliseconds, because they watch the log file; where watching
//!   fails they poll, at most 250 ms apart, and [`check`](taskcore::broker::Operate::check)
//!   says so.
//! - The file may be your application's own database: all tables start with `hereafter_`.
//!
//! # Limits
//!
//! One process writes at a time, and SQLite's write-ahead log needs a local file system. A program has one
//! SQLite, so one that uses `rusqlite` itself needs the version that this crate has, 0.39.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
//!
//! let broker = SqliteBroker::open(SqliteOptions::parse("sqlite://tasks.db")?).await?;
//! let client = taskcore::Client::new(broker.connection());
//! # Ok(())
//! # }
//! ```

mod check;
mod direct;
mod link;
mod log_watch;
mod migrate;
mod options;
mod remedy;
mod statements;

pub(crate) use direct::{Direct, DirectRow};
pub(crate) use link::{SqliteLink, open, pending};
pub(crate) use remedy::remedy;
#[cfg(test)]
pub(crate) use statements::OLDEST_READY;

pub use crate::database::DatabaseBroker as SqliteBroker;
pub use options::{SqliteOptions, Synchronous};
