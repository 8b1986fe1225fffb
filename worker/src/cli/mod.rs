//! The command line: `hereafter::worker::main()`, and the binary `hereafter`.
//!
//! `args` says what can be written, `settings` where the values come from (flags, then
//! `HEREAFTER_*`, then `hereafter.toml`, then defaults), `entry` picks the command and turns
//! its outcome into an exit code. Every other module is one noun.

mod args;
mod child;
mod doctor;
mod entry;
mod error;
mod events;
mod filter;
#[cfg(test)]
mod fuzz;
mod graph;
mod idle;
mod items;
mod jobs;
mod migrate;
mod output;
mod probe;
mod processes;
mod progress;
mod queues;
mod run;
mod said;
mod schedules;
mod settings;
mod show;
mod signals;
mod stats;
mod store;
mod tasks;
mod text;
mod timeline;
mod times;
mod waiting;
mod watch;

pub use entry::{main, main_from};
