//! The broker on a PostgreSQL server, version 13 or newer.
//!
//! # Guarantees
//!
//! - A call that answered is on the server's disk, as its `synchronous_commit` says; calls made at
//!   the same time by one process share one commit. That a job was handed out, and what it says
//!   while it runs, does not wait for the disk; the verdict does, and takes what was said before
//!   along.
//! - The server's clock decides when a job is due and when a lease ends.
//! - A commit wakes who waits, in all processes, by `NOTIFY`. Where notifications do not arrive they
//!   look again by themselves, at most a second apart.
//! - Everything is in a schema of its own, `hereafter` by default.
//! - No plan depends on the planner's statistics.
//!
//! # Connections
//!
//! A process has at most one that listens, two that write and four that read; they are opened when
//! they are needed. A worker has two more for its heartbeat, one that writes and one that reads. All of
//! them come back by themselves after a restart of the server. Of a [pool](PostgresOptions::pool) they
//! are lent for a transaction or a read at a time.
//!
//! # Who waits for whom
//!
//! Storing, handing out and settling jobs run beside each other, in any number of processes. What
//! touches several jobs at once runs alone for its few milliseconds: jobs that wait for others,
//! unique keys, cancelling, replaying, schedules.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
//!
//! let options = PostgresOptions::parse("postgres://app@localhost/app?schema=jobs")?;
//! let broker = PostgresBroker::open(options).await?;
//! let client = taskcore::Client::new(broker.connection());
//! # Ok(())
//! # }
//! ```

mod check;
mod link;
mod listen;
mod options;
mod remedy;
mod statements;

pub(crate) use link::{PostgresLink, open, pending};
pub(crate) use remedy::remedy;
#[cfg(test)]
pub(crate) use statements::OLDEST_READY;

pub use crate::database::DatabaseBroker as PostgresBroker;
pub use options::PostgresOptions;
