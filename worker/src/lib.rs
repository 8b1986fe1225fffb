//! The worker of the Hereafter task queue: `fetch → execute → settle`, whatever the broker.

mod cancels;
#[cfg(feature = "cli")]
mod cli;
mod config;
#[cfg(feature = "cli")]
mod depths;
mod dispatch;
mod error;
mod execute;
mod fetch;
#[cfg(feature = "cli")]
pub mod graph;
mod hand;
#[cfg(feature = "cli")]
mod health;
mod heartbeat;
mod inputs;
#[cfg(feature = "cli")]
mod logging;
mod parts;
mod pause;
mod readers;
mod report;
mod reporter;
mod schedules;
mod settle;
mod shutdown;
mod speech;
mod status;
#[cfg(feature = "testing")]
pub mod testing;
mod upkeep;
#[cfg(feature = "cli")]
mod view;
mod watchdog;
mod worker;

#[cfg(feature = "cli")]
pub use cli::{main, main_from};
pub use config::{Exit, InvalidQueueConfig, QueueConfig, WorkerConfig};
pub use error::WorkerError;
pub use shutdown::Shutdown;
pub use status::{Snapshot, Status};
pub use worker::{Worker, WorkerBuilder};
