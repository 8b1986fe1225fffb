//! The contract, against a file and against a store in memory.
#![cfg(feature = "sqlite")]

use std::sync::Arc;
use std::time::Duration;

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskconformance::{Harness, async_trait};
use taskcore::Clock;
use taskcore::broker::Connection;
use tempfile::TempDir;

/// Few enough for a case to overflow.
const EVENTS: u32 = 100;

/// A file in a folder of its own. Each connection opens it anew, as another process would.
struct File {
    clock: Clock,
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { clock: Clock::system(), folder: tempfile::tempdir().unwrap() }
    }
}

#[async_trait]
impl Harness for File {
    async fn connect(&self) -> Connection {
        let path = self.folder.path().join("tasks.db");
        let options = SqliteOptions::file(path).clock(self.clock.clone()).events(EVENTS);
        SqliteBroker::open(options).await.unwrap().connection()
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

/// A store that its connections share in this process.
struct Memory {
    clock: Clock,
    store: Arc<SqliteBroker>,
}

impl Memory {
    async fn new() -> Self {
        let clock = Clock::system();
        let options = SqliteOptions::memory().clock(clock.clone()).events(EVENTS);
        Self { clock, store: SqliteBroker::open(options).await.unwrap() }
    }
}

#[async_trait]
impl Harness for Memory {
    async fn connect(&self) -> Connection {
        self.store.another().await.unwrap().connection()
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

mod file {
    use super::*;
    taskconformance::suite! { harness: File::new() }
}

mod memory {
    use super::*;
    taskconformance::suite! { harness: Memory::new().await }
}
