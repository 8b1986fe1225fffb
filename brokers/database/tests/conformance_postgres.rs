//! The contract, against a PostgreSQL server.
#![cfg(feature = "postgres")]

use std::time::Duration;

use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;
use taskservers::Postgres;

/// Few enough for a case to overflow.
const EVENTS: u32 = 100;

/// A schema of its own. Each connection opens it anew, as another process would.
struct Schema {
    clock: Clock,
    options: PostgresOptions,
}

impl Schema {
    fn new() -> Self {
        let server = Postgres::shared();
        let clock = Clock::system();
        let options = PostgresOptions::parse(server.url()).unwrap();
        let options = options.schema(&server.schema()).unwrap().events(EVENTS);
        Self { options: options.clock(clock.clone()), clock }
    }
}

#[async_trait]
impl Harness for Schema {
    async fn connect(&self) -> Connection {
        PostgresBroker::open(self.options.clone()).await.unwrap().connection()
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

taskconformance::suite! { harness: Schema::new() }

/// By a pool of the application, which is smaller than what a store would take.
mod by_a_pool {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

    use super::*;

    struct Pooled {
        schema: String,
        clock: Clock,
        connect: PgConnectOptions,
    }

    impl Pooled {
        fn new() -> Self {
            let server = Postgres::shared();
            let connect = server.url().parse().unwrap();
            Self { schema: server.schema(), clock: Clock::system(), connect }
        }
    }

    #[async_trait]
    impl Harness for Pooled {
        async fn connect(&self) -> Connection {
            let pool = PgPoolOptions::new().max_connections(3);
            let pool = pool.connect_lazy_with(self.connect.clone());
            let options = PostgresOptions::pool(pool).schema(&self.schema).unwrap();
            let options = options.events(EVENTS).clock(self.clock.clone());
            PostgresBroker::open(options).await.unwrap().connection()
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

    taskconformance::suite! { harness: Pooled::new() }
}
