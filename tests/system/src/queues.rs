//! [`Queues`] of one test on RabbitMQ.

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskservers::RabbitMq;

/// Queues of one test, on the server that tests share.
#[derive(Debug, Clone)]
pub(crate) struct Queues {
    url: String,
}

impl Queues {
    /// A new name for them.
    pub(crate) fn new() -> Self {
        let server = RabbitMq::shared();
        Self { url: format!("{}?prefix={}", server.url(), server.schema()) }
    }

    /// Where they are.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn options(&self) -> AmqpOptions {
        AmqpOptions::parse(&self.url).expect("the server knows its URL")
    }

    /// Deletes them: a server with thousands of queues is slow.
    pub(crate) async fn erase(&self) {
        let broker = AmqpBroker::open(self.options()).await.expect("the server is there");
        broker.erase().await.expect("queues can be deleted");
        // They are gone; how this connection ends is nobody's concern.
        let _ = broker.connection().broker.close().await;
    }
}
