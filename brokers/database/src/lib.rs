//! The SQL brokers of the Hereafter task queue.
//!
//! [`sqlite`] is the embedded one: a file, any number of processes, no server. [`postgres`] is for
//! a server. Applications open them by URL, through the facade; this crate is for those who set
//! them up by hand.
//!
//! [`DelayIn`] stores a job inside a transaction of the application, and [`CompleteIn`] ends one.

#![cfg_attr(
    not(all(feature = "sqlite", feature = "postgres", feature = "mysql")),
    allow(
        clippy::match_single_binding,
        dead_code,
        irrefutable_let_patterns,
        unreachable_patterns,
        unused_imports,
        unused_mut,
        unused_variables,
        reason = "what tells databases apart is idle where there is one"
    )
)]

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod database;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod error;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod receipt;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod transaction;

#[cfg(feature = "mysql")]
pub mod mysql;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "sqlite")]
pub mod sqlite;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use database::{DatabaseBroker, DatabaseOptions};
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
pub use transaction::{CompleteError, CompleteIn, DelayAllIn, DelayIn, OpenTransaction};
