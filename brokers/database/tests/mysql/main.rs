//! What is particular to MariaDB: servers, sessions, and transactions beside each other.
#![cfg(feature = "mysql")]

mod at_once;
#[path = "../on_servers/contention.rs"]
mod contention;
#[path = "../on_servers/lost.rs"]
mod lost;
#[path = "../on_servers/many.rs"]
mod many;
mod open;
mod outbox;
#[path = "../on_servers/outboxes.rs"]
mod outboxes;
mod rig;
mod schema;
#[path = "../on_servers/stores.rs"]
mod stores;
#[path = "../on_servers/tidying.rs"]
mod tidying;
mod tls;
mod upkeep;
#[path = "../words/mod.rs"]
mod words;
