//! The conformance suite on RabbitMQ with a store.

mod rig;

use std::time::Duration;

use taskbroker_amqp::Composed;
use taskbroker_database::postgres::{PostgresBroker, PostgresOptions};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;
use taskservers::Postgres;
use tempfile::TempDir;

use crate::rig::Namespace;

/// Few enough for a case to overflow.
const EVENTS: u32 = 100;

/// The jobs in a schema of their own.
struct WithPostgres {
    queues: Namespace,
    clock: Clock,
    store: PostgresOptions,
}

impl WithPostgres {
    fn new() -> Self {
        let server = Postgres::shared();
        let clock = Clock::system();
        let store = PostgresOptions::parse(server.url()).unwrap();
        let store = store.schema(&server.schema()).unwrap().events(EVENTS).clock(clock.clone());
        Self { queues: Namespace::new(), clock, store }
    }
}

#[async_trait]
impl Harness for WithPostgres {
    async fn connect(&self) -> Connection {
        let store = PostgresBroker::open(self.store.clone()).await.unwrap().connection();
        Composed::open(self.queues.options(), store).await.unwrap()
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

/// The jobs in a file.
struct WithSqlite {
    queues: Namespace,
    clock: Clock,
    folder: TempDir,
}

impl WithSqlite {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { queues: Namespace::new(), clock: Clock::system(), folder }
    }
}

#[async_trait]
impl Harness for WithSqlite {
    async fn connect(&self) -> Connection {
        let path = self.folder.path().join("tasks.db");
        let options = SqliteOptions::file(path).clock(self.clock.clone()).events(EVENTS);
        let store = SqliteBroker::open(options).await.unwrap().connection();
        Composed::open(self.queues.options(), store).await.unwrap()
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

mod with_postgres {
    use super::*;
    taskconformance::suite! { composed, harness: WithPostgres::new() }
}

mod with_sqlite {
    use super::*;
    taskconformance::suite! { composed, harness: WithSqlite::new() }
}
