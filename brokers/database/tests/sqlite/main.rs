//! What is particular to SQLite: files, disks, processes, and their wake-ups.
#![cfg(feature = "sqlite")]

mod continued;
mod crash;
mod disk;
mod garbage;
mod history;
mod inputs;
mod invariants;
mod open;
mod outbox;
mod pool;
mod reports;
mod rig;
mod schema;
mod share;
mod wake;
#[path = "../words/mod.rs"]
mod words;
