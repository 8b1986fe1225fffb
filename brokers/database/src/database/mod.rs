//! The broker over a database, whichever: what the dialects have in common, which is all but how
//! statements are written, connections are opened and commits are noticed.

mod args;
mod at_once;
mod attempts;
mod bell;
mod borrowed;
mod broker;
mod bulk;
mod cancel;
mod chunks;
mod claim;
#[cfg(feature = "postgres")]
mod claim_at_once;
mod claim_these;
mod connection;
mod continued;
#[cfg(feature = "postgres")]
mod copy;
mod dependants;
mod depth;
mod dialect;
mod enqueue;
mod events;
mod feed;
mod filter;
pub(crate) mod findings;
mod finish;
#[cfg(all(test, feature = "mysql", feature = "postgres"))]
mod fuzz;
mod hand_out;
mod history;
mod inputs;
mod inside;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
mod json_rows;
#[cfg(all(test, feature = "postgres"))]
mod lab;
mod lease;
mod link;
mod look;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod many;
mod numbering;
mod operate;
mod outbox;
#[cfg(test)]
mod plans;
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) mod prefix;
mod readers;
mod report;
mod reports;
mod results;
mod revive;
mod row;
mod schedule_row;
mod schedule_write;
mod schedules;
#[cfg(feature = "mysql")]
mod script;
mod server_clock;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server_schema;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) mod server_url;
mod session;
mod settle;
mod statements;
#[cfg(feature = "mysql")]
mod steps;
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
#[cfg(feature = "postgres")]
pub(crate) use bell::{Kinds, Notice};
pub(crate) use borrowed::Lender;
#[cfg(feature = "sqlite")]
pub(crate) use connection::Ran;
pub(crate) use connection::{Connection, Driver, Held};
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use dialect::lock_number;
pub(crate) use dialect::{Dialect, Kind, Statement};
pub(crate) use link::{Link, Role, Target};
#[cfg(feature = "sqlite")]
pub(crate) use row::unexpected;
pub(crate) use row::{Row, integer, text};
pub(crate) use server_clock::StoreClock;
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) use server_schema::{IfMissing, Schema};
pub(crate) use statements::transactions;
pub(crate) use store::Store;
pub(crate) use wake::{Ear, Source, Wake, Watch};

/// How many events are kept unless a user says otherwise: some minutes of a busy store.
pub(crate) const KEPT_EVENTS: u32 = 100_000;

pub use broker::{DatabaseBroker, DatabaseOptions};
