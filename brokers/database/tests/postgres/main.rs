//! What is particular to PostgreSQL: servers, sessions, wake-ups, and transactions beside each other.
#![cfg(feature = "postgres")]

#[path = "../on_servers/contention.rs"]
mod contention;
mod doctor;
#[path = "../on_servers/lost.rs"]
mod lost;
#[path = "../on_servers/many.rs"]
mod many;
mod open;
#[path = "../on_servers/outboxes.rs"]
mod outboxes;
mod plain_sql;
mod pool;
mod rig;
mod schema;
#[path = "../on_servers/stores.rs"]
mod stores;
#[path = "../on_servers/tidying.rs"]
mod tidying;
mod tls;
mod upkeep;
mod wake;
#[path = "../words/mod.rs"]
mod words;
