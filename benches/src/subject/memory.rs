//! Memory, as it is measured on: everything is in this process.

use futures::executor::block_on;
use hereafter::Client;

use super::{Meter, Store, Subject};
use crate::broker::Broker;
use crate::floor::Driver;

/// There is nothing to start.
#[derive(Debug)]
pub(crate) struct Memory;

impl Subject for Memory {
    fn broker(&self) -> Broker {
        Broker::Memory
    }

    fn about(&self) -> String {
        "Memory: producer and worker in one process, nothing is durable".to_owned()
    }

    fn drivers(&self) -> &'static [Driver] {
        &[Driver::Memory]
    }

    fn store(&self, number: u32) -> Store {
        let url = format!("memory://bench-{number}");
        let keeper =
            block_on(Client::open(url.as_str())).expect("memory has nothing that can fail");
        Store { keeper: Some(keeper), ..Store::new(number, url, String::new()) }
    }

    fn drop_store(&self, store: Store) {
        drop(store);
    }

    fn meter<'a>(&'a self, _place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        Ok(None)
    }
}
