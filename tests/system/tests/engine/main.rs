//! The client and the worker beside a broker that fails, and plain functions that do not stop.
//!
//! None of these tasks needs a `State`, because a worker of one test links those of all.

mod broken_broker;
mod runtimes;
mod stuck;
mod together;
mod values;
