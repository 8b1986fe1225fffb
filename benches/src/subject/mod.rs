//! What is measured on: brokers, the servers that they need, and what those count.

mod amqp;
mod composed;
mod memory;
mod mysql;
mod postgres;
mod sqlite;

use hereafter::Client;

use crate::broker::Broker;
use crate::floor::Driver;

/// A broker that is measured on. Dropping it ends its servers.
pub(crate) trait Subject {
    fn broker(&self) -> Broker;

    /// What it is, in which version, and how durable.
    fn about(&self) -> String;

    /// The driver of the floor, and those that are told beside it.
    fn drivers(&self) -> &'static [Driver];

    /// A store that nobody has used, if the number is new.
    fn store(&self, number: u32) -> Store;

    fn drop_store(&self, store: Store);

    /// Returns when the server has tidied up after what was done so far, as it does by itself some time
    /// later.
    fn rest(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Counts what is written to a store of ours or to the floor, of which nothing is open now.
    fn meter<'a>(&'a self, place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>>;
}

/// Where ours and the floor keep jobs.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) number: u32,
    /// Of ours.
    pub(crate) url: String,
    /// A path or a URL.
    raw: String,
    /// What lives only as long as somebody has it open.
    #[expect(dead_code, reason = "held for its drop")]
    keeper: Option<Client>,
}

impl Store {
    fn new(number: u32, url: String, raw: String) -> Self {
        Self { number, url, raw, keeper: None }
    }

    /// Where the floor of this driver is.
    pub(crate) fn raw(&self, driver: Driver) -> String {
        match driver {
            Driver::Rusqlite => format!("{}.rusqlite", self.raw),
            _ => self.raw.clone(),
        }
    }
}

/// Reads what was written so far.
pub(crate) trait Meter {
    /// `by_processes` is how many bytes the measured processes have written.
    fn read(&mut self, by_processes: u64) -> anyhow::Result<Written>;
}

/// What was written so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) commits: u64,
}

/// Starts what this broker needs.
pub(crate) fn start(broker: Broker) -> Box<dyn Subject> {
    match broker {
        Broker::Memory => Box::new(memory::Memory),
        Broker::Sqlite => Box::new(sqlite::Sqlite::new()),
        Broker::Postgres => Box::new(taskservers::Postgres::start()),
        Broker::Mysql => Box::new(taskservers::MariaDb::start()),
        Broker::Amqp => Box::new(taskservers::RabbitMq::start()),
        Broker::AmqpPostgres => Box::new(composed::Composed::start()),
    }
}
