//! The SQL brokers of the Hereafter task queue.
//!
//! [`sqlite`] is the embedded one: a file, any number of processes, no server. Applications
//! open it by URL, through the facade; this crate is for those who set it up by hand.

#[cfg(feature = "sqlite")]
mod error;
#[cfg(feature = "sqlite")]
mod receipt;
#[cfg(feature = "sqlite")]
#[cfg(feature = "sqlite")]
pub mod sqlite;
