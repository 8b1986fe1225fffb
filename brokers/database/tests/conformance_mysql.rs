//! The contract, against a MariaDB server.
#![cfg(feature = "mysql")]

use std::time::Duration;

use taskbroker_database::mysql::{MysqlBroker, MysqlOptions};
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;
use taskservers::MariaDb;

/// Few enough for a case to overflow.
const EVENTS: u32 = 100;

/// Tables of its own. Each connection opens them anew, as another process would.
struct Tables {
    clock: Clock,
    options: MysqlOptions,
}

impl Tables {
    fn new() -> Self {
        let server = MariaDb::shared();
        let clock = Clock::system();
        let options = MysqlOptions::parse(server.url()).unwrap();
        let options = options.prefix(&server.prefix()).unwrap().events(EVENTS);
        Self { options: options.clock(clock.clone()), clock }
    }
}

#[async_trait]
impl Harness for Tables {
    async fn connect(&self) -> Connection {
        MysqlBroker::open(self.options.clone()).await.unwrap().connection()
    }

    fn tick(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn elapse(&self, span: Duration) {
        self.clock.advance(span);
    }

    fn events_kept(&self) -> u64 {
        EVENTS.into()
    }
}

taskconformance::suite! { harness: Tables::new() }
