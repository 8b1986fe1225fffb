//! The conformance suite on RabbitMQ alone.

mod rig;

use std::time::Duration;

use taskbroker_amqp::AmqpBroker;
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;

use crate::rig::Namespace;

/// Queues of their own on the server that all tests share.
struct Alone {
    queues: Namespace,
    clock: Clock,
}

impl Alone {
    fn new() -> Self {
        Self { queues: Namespace::new(), clock: Clock::system() }
    }
}

#[async_trait]
impl Harness for Alone {
    async fn connect(&self) -> Connection {
        let options = self.queues.options().lease_clock(self.clock.clone());
        AmqpBroker::open(options).await.unwrap().connection()
    }

    fn tick(&self) -> Duration {
        // A busy machine takes its time to declare a test's own queues.
        Duration::from_secs(3)
    }

    async fn elapse(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    async fn elapse_leases(&self, span: Duration) {
        self.clock.advance(span);
    }
}

taskconformance::suite! { transport, harness: Alone::new() }
