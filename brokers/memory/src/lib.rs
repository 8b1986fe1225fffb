//! The in-process broker of the Hereafter task queue.
//!
//! It keeps the whole contract of [`taskcore::broker`] except durability: jobs live in this
//! process and end with it. That makes it the broker of tests (a [`Clock`](taskcore::Clock)
//! that tests move), of programs that embed a queue without needing it to outlive them, and
//! the reference that other brokers are compared with.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), taskcore::broker::BrokerError> {
//! let store = taskbroker_memory::MemoryBroker::new();
//! let connection = store.connection();
//! assert_eq!(connection.broker.name(), "memory");
//! assert_eq!(connection.operate.unwrap().jobs(&Default::default()).await?.len(), 0);
//! # Ok(())
//! # }
//! ```
//!
//! Read it in this order: `job` (what is stored), `index` (where each job is found), `state`
//! (the state machine: plain functions of a state and a time), `settle` (verdicts), `inputs`
//! (jobs that wait for others), `continued` (jobs that go on as others), `unique` (keys),
//! `schedules`, `upkeep`, `sending` (jobs that another broker carries), `past` (what happened), `said` (what jobs say), `store` (lock, clock and
//! bells around it), and `broker`.

mod broker;
mod cancel;
mod connect;
mod continued;
mod ended;
mod history;
mod index;
mod inputs;
mod job;
mod operate;
mod outbox;
mod past;
mod replay;
mod reports;
mod results;
mod said;
mod schedules;
mod sending;
mod settle;
mod signal;
mod state;
mod store;
mod unique;
mod upkeep;

pub use broker::MemoryBroker;
pub use connect::connect;
