//! The broker over a database, whichever: what the dialects have in common, which is all but how
//! statements are written, connections are opened and commits are noticed.

mod args;
mod attempts;
mod bell;
mod broker;
mod bulk;
mod cancel;
mod chunks;
mod claim;
mod connection;
mod continued;
mod dependants;
mod depth;
mod dialect;
mod enqueue;
mod events;
mod feed;
mod filter;
mod finish;
mod history;
mod inputs;
mod inside;
mod lease;
mod link;
mod look;
mod numbering;
mod operate;
#[cfg(test)]
mod plans;
mod readers;
mod report;
mod reports;
mod results;
mod revive;
mod row;
mod schedule_row;
mod schedule_write;
mod schedules;
mod server_clock;
mod session;
mod settle;
mod statements;
mod store;
mod sums;
mod sweep;
mod transact;
mod unique;
mod upkeep;
mod wake;
mod writer;
#[cfg(feature = "postgres")]
mod zeroless;

pub(crate) use args::Args;
pub(crate) use bell::Telling;
pub(crate) use connection::{Connection, Driver, Held};
pub(crate) use dialect::{Dialect, Kind, Statement};
pub(crate) use link::{Link, Role, Target};
pub(crate) use row::{Row, integer, text};
pub(crate) use server_clock::StoreClock;
pub(crate) use statements::transactions;
pub(crate) use store::Store;
pub(crate) use wake::{Ear, Source, Wake, Watch};

pub use broker::{DatabaseBroker, DatabaseOptions};
