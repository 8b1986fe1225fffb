//! Prove your broker: one test for every sentence of the contract in [`taskcore::broker`].
//!
//! A broker crate mounts the suite in `tests/conformance.rs`. It says how to open an empty
//! store and how to let its time pass, and gets one named test per case:
//!
//! ```
//! use std::time::Duration;
//!
//! use taskbroker_memory::MemoryBroker;
//! use taskconformance::{Harness, async_trait};
//! use taskcore::Clock;
//! use taskcore::broker::Connection;
//!
//! struct Memory {
//!     clock: Clock,
//!     store: MemoryBroker,
//! }
//!
//! impl Memory {
//!     fn new() -> Self {
//!         let clock = Clock::system();
//!         let store = MemoryBroker::with_clock(clock.clone()).keeping_events(100);
//!         Self { clock, store }
//!     }
//! }
//!
//! #[async_trait]
//! impl Harness for Memory {
//!     async fn connect(&self) -> Connection {
//!         self.store.connection()
//!     }
//!     fn tick(&self) -> Duration {
//!         Duration::from_secs(60)
//!     }
//!     async fn elapse(&self, span: Duration) {
//!         self.clock.advance(span);
//!     }
//!     fn events_kept(&self) -> u64 {
//!         100
//!     }
//! }
//!
//! taskconformance::suite! { harness: Memory::new() }
//! # fn main() {}
//! ```
//!
//! A broker with files keeps a temporary folder and the same [`Clock`](taskcore::Clock) in its
//! harness, opens the file anew in each `connect`, and writes
//! `suite! { harness: Files::new().await }`.
//!
//! A case that carries data runs twice, with batches of [`ONE`] and of [`MANY`]: a guarantee
//! that holds for one job and breaks for many is what batching breaks first. Each case has its
//! own store, its own runtime and an end ([`PATIENCE`]). A broker that needs a server mounts
//! the suite as ignored, with the reason, so that nothing passes by not running:
//!
//! ```text
//! taskconformance::suite! { #[ignore = "needs a server"] harness: ServerHarness::new().await }
//! ```
//!
//! A broker that carries jobs and keeps nothing of them, such as a message broker without a store
//! beside it, mounts the cases that fit it, and those that prove that it refuses the rest:
//!
//! ```text
//! taskconformance::suite! { transport, harness: Queues::new() }
//! ```
//!
//! The suite proves itself too: `tests/mutants` holds broken brokers, each of which must
//! fail the case that is named for it.

mod faulty;
mod harness;
mod holding;
mod lab;
mod list;
mod looking;
mod past;
mod reporting;
mod sending;
mod suite;
mod waiting;

pub mod cases;

pub use async_trait::async_trait;
pub use faulty::{Fault, Faulty, Operation};
pub use harness::{Harness, MANY, ONE, PATIENCE, Transport, run};
pub use suite::case_names;
