//! Tests of the query plans: what a statement reads must not grow with what waits or has ended.
//!
//! There is one list of statements, and each database is asked how it would run every one of them.

mod listed;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
