//! RabbitMQ with PostgreSQL as its store. Its floor is PostgreSQL's: there every job and every
//! verdict is written, and what RabbitMQ carries comes on top.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use taskservers::{Postgres, RabbitMq};

use super::amqp::{prefix, version};
use super::{Meter, Store, Subject};
use crate::broker::Broker;
use crate::floor::Driver;

/// Both servers.
#[derive(Debug)]
pub(crate) struct Composed {
    carrier: RabbitMq,
    store: Postgres,
}

impl Composed {
    pub(crate) fn start() -> Self {
        Self { carrier: RabbitMq::start(), store: Postgres::start() }
    }
}

impl Subject for Composed {
    fn broker(&self) -> Broker {
        Broker::AmqpPostgres
    }

    fn about(&self) -> String {
        format!("RabbitMQ {} with a store, {}", version(&self.carrier), self.store.about())
    }

    fn drivers(&self) -> &'static [Driver] {
        self.store.drivers()
    }

    fn store(&self, number: u32) -> Store {
        let store = self.store.store(number);
        let results = utf8_percent_encode(&store.url, NON_ALPHANUMERIC);
        let url = format!("{}?prefix={}&results={results}", self.carrier.url(), prefix(number));
        Store { url, ..store }
    }

    fn drop_store(&self, store: Store) {
        let number = store.number;
        self.store.drop_store(store);
        self.carrier.drop_store(Store::new(number, String::new(), String::new()));
    }

    fn rest(&self) -> anyhow::Result<()> {
        self.store.rest()
    }

    fn meter<'a>(&'a self, place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        self.store.meter(place)
    }
}
