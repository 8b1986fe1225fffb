//! The contract, against this broker.

use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;

struct Memory {
    clock: Clock,
    store: MemoryBroker,
}

impl Memory {
    fn new() -> Self {
        let clock = Clock::system();
        Self { clock: clock.clone(), store: MemoryBroker::with_clock(clock).keeping_events(100) }
    }
}

#[async_trait]
impl Harness for Memory {
    async fn connect(&self) -> Connection {
        self.store.connection()
    }

    fn tick(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn elapse(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn events_kept(&self) -> u64 {
        100
    }
}

taskconformance::suite! { harness: Memory::new() }
