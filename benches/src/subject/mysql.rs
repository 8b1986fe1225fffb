//! MariaDB, as it is measured on.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use taskservers::MariaDb;

use super::{Meter, Store, Subject, Written};
use crate::broker::Broker;
use crate::floor::Driver;

impl Subject for MariaDb {
    fn broker(&self) -> Broker {
        Broker::Mysql
    }

    fn about(&self) -> String {
        let version = self.sql("SELECT version()");
        format!("MariaDB {}: its defaults, innodb_flush_log_at_trx_commit=1", version.trim())
    }

    fn drivers(&self) -> &'static [Driver] {
        &[Driver::Mysql]
    }

    fn store(&self, number: u32) -> Store {
        Store::new(number, format!("{}?prefix=run_{number}_", self.url()), self.url())
    }

    fn drop_store(&self, store: Store) {
        let tables = self.sql(&format!(
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'run\\_{}\\_%'",
            store.number
        ));
        let tables: Vec<_> = tables.lines().collect();
        if !tables.is_empty() {
            self.sql(&format!("DROP TABLE {}", tables.join(", ")));
        }
    }

    fn rest(&self) -> anyhow::Result<()> {
        self.sql("SET GLOBAL innodb_monitor_enable = 'trx_rseg_history_len'");
        let give_up = Instant::now() + LONGEST_REST;
        // A handful is always left.
        while self.sql(UNPURGED).trim().parse::<u64>()? > 50 && Instant::now() < give_up {
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn meter<'a>(&'a self, _place: &str) -> anyhow::Result<Option<Box<dyn Meter + 'a>>> {
        self.sql("SET GLOBAL innodb_monitor_enable = 'trx_rw_commits'");
        Ok(Some(Box::new(Log(self))))
    }
}

/// The redo log of the server.
struct Log<'a>(&'a MariaDb);

impl Meter for Log<'_> {
    fn read(&mut self, _by_processes: u64) -> anyhow::Result<Written> {
        let counted = self.0.sql(COUNTED);
        let mut numbers = counted.split_whitespace().map(str::parse);
        let mut next = || numbers.next().context("there are two rows");
        Ok(Written { bytes: next()??, commits: next()?? })
    }
}

/// Transactions whose old rows are still there.
const UNPURGED: &str = "SELECT count FROM information_schema.innodb_metrics
                        WHERE name = 'trx_rseg_history_len'";

const LONGEST_REST: Duration = Duration::from_secs(120);

const COUNTED: &str = "SELECT variable_value FROM information_schema.global_status
                       WHERE variable_name = 'Innodb_os_log_written';
                       SELECT count FROM information_schema.innodb_metrics
                       WHERE name = 'trx_rw_commits'";
