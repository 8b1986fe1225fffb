//! Servers for tests: each on its own port of the loopback address and in its own folder,
//! started from the installed programs, gone afterwards whatever happens to the test.
//!
//! A test that stops, kills or freezes a server owns it ([`Postgres::start`], [`MariaDb::start`],
//! [`RabbitMq::start`], [`Cluster::start`]). All others share one ([`Postgres::shared`]) and keep apart by a schema or a
//! prefix of their own ([`Shared`]).
//!
//! | variable | what it is |
//! | --- | --- |
//! | `HEREAFTER_TEST_POSTGRES`, `HEREAFTER_TEST_MARIADB`, `HEREAFTER_TEST_RABBITMQ` | URL of a server to share instead |
//! | `HEREAFTER_TEST_GRACE` | seconds for which a shared server stays after its last user; 20 |
//! | `HEREAFTER_TEST_SERVERS` | folder by which processes find a shared server; `servers` in the target folder |
//! | `TMPDIR` | where the data of all servers is |
//!
//! Everything here blocks and panics with the remedy: it is called before a test begins. Linux only,
//! for it looks processes up in `/proc`.

mod account;
mod folder;
mod mariadb;
mod pgbouncer;
mod postgres;
mod process;
mod programs;
mod rabbitmq;
mod server;
mod shared;

pub use mariadb::MariaDb;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use rabbitmq::{Cluster, RabbitMq};
pub use shared::Shared;
