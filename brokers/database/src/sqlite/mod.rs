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
//! One process writes at a time, and SQLite's write-ahead log needs a local file system.
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

mod args;
mod attempts;
mod broker;
mod bulk;
mod cancel;
mod check;
mod chunks;
mod claim;
mod connection;
mod continued;
mod dependants;
mod depth;
mod enqueue;
mod events;
mod feed;
mod filter;
mod finish;
mod history;
mod inputs;
mod lease;
mod look;
mod migrate;
mod operate;
mod options;
mod readers;
mod report;
mod reports;
mod results;
mod revive;
mod row;
mod schedule_row;
mod schedule_write;
mod schedules;
mod session;
mod settle;
mod statements;
mod store;
mod sums;
mod sweep;
mod transact;
mod unique;
mod upkeep;
mod watch;
mod writer;

#[cfg(test)]
mod plans;

pub use broker::SqliteBroker;
pub use options::{SqliteOptions, Synchronous};
