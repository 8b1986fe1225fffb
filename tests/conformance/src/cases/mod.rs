//! The cases, by the part of the contract that they prove.
//!
//! Each is a plain function: it takes a harness with an empty store, and panics if the broker
//! does not do what its name says. Those that take a batch size carry that many jobs in each
//! call.

pub mod cancelled;
pub mod claim;
pub mod connection;
pub mod contention;
pub mod continued;
pub mod continued_ended;
pub mod demand;
pub mod enqueue;
pub mod events;
pub mod history;
pub mod inputs;
pub mod inputs_ended;
pub mod inputs_failed;
pub mod inputs_kept;
pub mod inspect;
pub mod lease;
pub mod limits;
pub mod operate;
pub mod outbox;
pub mod outbox_entered;
pub mod reports;
pub mod reserve;
pub mod results;
pub mod schedule;
pub mod schedules;
pub mod settle;
pub mod streams;
pub mod sums;
pub mod transport;
pub mod unique;
pub mod unique_conflict;
pub mod upkeep;
