//! RabbitMQ, as it is measured on.

use taskservers::RabbitMq;

use super::{Meter, Store, Subject};
use crate::broker::Broker;
use crate::floor::Driver;

impl Subject for RabbitMq {
    fn broker(&self) -> Broker {
        Broker::Amqp
    }

    fn about(&self) -> String {
        format!("RabbitMQ {} alone: quorum queues of one node, publisher confirms", version(self))
    }

    fn drivers(&self) -> &'static [Driver] {
        &[Driver::Amqp]
    }

    fn store(&self, number: u32) -> Store {
        let url = format!("{}?prefix={}", self.url(), prefix(number));
        Store::new(number, url, self.url())
    }

    fn drop_store(&self, store: Store) {
        // Names are the fourth part of what the server calls a resource.
        self.eval(&format!(
            "length([rabbit_amqqueue:delete(Queue, false, false, <<\"bench\">>) \
             || Queue <- rabbit_amqqueue:list(<<\"/\">>), \
             string:prefix(element(4, amqqueue:get_name(Queue)), <<\"{}.\">>) =/= nomatch])",
            prefix(store.number)
        ));
    }

    fn meter<'a>(&'a self, _place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        Ok(None)
    }
}

/// What the names of a store's queues begin with.
pub(super) fn prefix(number: u32) -> String {
    format!("run-{number}")
}

pub(super) fn version(server: &RabbitMq) -> String {
    server.eval("rabbit_misc:version()").trim().trim_matches('"').to_owned()
}
