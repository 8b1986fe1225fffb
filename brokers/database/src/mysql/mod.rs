//! The broker on a MariaDB server, version 10.6 or newer.
//!
//! Its statements are in what MariaDB and MySQL 8 have in common, but the tests run on MariaDB only.
//!
//! # Guarantees
//!
//! - A call that answered is on the server's disk, as its `innodb_flush_log_at_trx_commit` says;
//!   calls made at the same time by one process share one commit.
//! - The server's clock decides when a job is due and when a lease ends.
//! - Commits of other processes are polled for: a waiting worker looks again after 10 ms, and then
//!   less and less often, up to 250 ms apart. Commits of its own process wake it at once.
//! - Names of our tables start with a prefix, `hereafter_` by default.
//! - No plan depends on the optimiser's statistics.
//!
//! # Connections
//!
//! A process has at most two that write and four that read; they are opened when they are needed. A
//! worker has two more for its heartbeat, one that writes and one that reads. All of them come back by
//! themselves after a restart of the server.
//!
//! # Who waits for whom
//!
//! Storing, handing out and settling jobs run beside each other, in any number of processes. What
//! touches several jobs at once runs alone for its few milliseconds: jobs that wait for others,
//! unique keys, cancelling, replaying, schedules.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
//!
//! let options = MysqlOptions::parse("mysql://app@localhost/app?prefix=jobs_")?;
//! let broker = MysqlBroker::open(options).await?;
//! let client = taskcore::Client::new(broker.connection());
//! # Ok(())
//! # }
//! ```

mod check;
mod link;
mod options;
mod remedy;
mod statements;

pub(crate) use link::{MysqlLink, open, pending};
pub(crate) use remedy::{is_lost, is_too_large, is_transient, remedy};
#[cfg(test)]
pub(crate) use statements::OLDEST_READY;

pub use crate::database::DatabaseBroker as MysqlBroker;
pub use options::MysqlOptions;
