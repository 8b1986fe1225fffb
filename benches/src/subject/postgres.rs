//! PostgreSQL, as it is measured on.

use std::thread;
use std::time::Duration;

use anyhow::Context;
use taskservers::Postgres;

use super::{Meter, Store, Subject, Written};
use crate::broker::Broker;
use crate::floor::Driver;

impl Subject for Postgres {
    fn broker(&self) -> Broker {
        Broker::Postgres
    }

    fn about(&self) -> String {
        let version = self.psql("SHOW server_version");
        format!("PostgreSQL {}: its defaults, fsync and synchronous_commit on", version.trim())
    }

    fn drivers(&self) -> &'static [Driver] {
        &[Driver::Postgres]
    }

    fn store(&self, number: u32) -> Store {
        Store::new(number, format!("{}?schema=run_{number}", self.url()), self.url())
    }

    fn drop_store(&self, store: Store) {
        self.psql(&format!("DROP SCHEMA IF EXISTS run_{} CASCADE", store.number));
    }

    fn rest(&self) -> anyhow::Result<()> {
        self.psql("VACUUM (ANALYZE)");
        self.psql("CHECKPOINT");
        Ok(())
    }

    fn meter<'a>(&'a self, _place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        // After a checkpoint the first change of each page writes the whole page: so for everybody.
        self.psql("CHECKPOINT");
        Ok(Some(Box::new(Log(self))))
    }
}

/// The write-ahead log of the server.
struct Log<'a>(&'a Postgres);

impl Meter for Log<'_> {
    fn read(&mut self, _by_processes: u64) -> anyhow::Result<Written> {
        // What a session has done counts at the latest when it has ended.
        while self.0.psql(OTHERS).trim() != "0" {
            thread::sleep(Duration::from_millis(5));
        }
        let counted = self.0.psql(COUNTED);
        let (bytes, commits) = counted.trim().split_once('|').context("there are two columns")?;
        Ok(Written { bytes: bytes.parse()?, commits: commits.parse()? })
    }
}

const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
                      WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

const COUNTED: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'), xact_commit
                       FROM pg_stat_database WHERE datname = current_database()";
