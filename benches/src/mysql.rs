//! MariaDB, as it is measured on.

use taskservers::MariaDb;

use crate::server::Server;

impl Server for MariaDb {
    const NAME: &'static str = "MariaDB, innodb_flush_log_at_trx_commit=1";
    const FLOOR: [&'static str; 2] = ["mysql-floor-enqueue", "mysql-floor-drain"];

    fn raw(&self) -> String {
        self.url()
    }

    fn store(&self, run: usize) -> String {
        format!("{}?prefix=run_{run}_", self.url())
    }

    fn drop_store(&self, run: usize) {
        let tables = self.sql(&format!(
            "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'run\\_{run}\\_%'"
        ));
        for table in tables.lines().filter(|line| line.starts_with("run_")) {
            self.sql(&format!("DROP TABLE {table}"));
        }
    }

    fn fill(&self, run: usize, extra: u64) {
        let now = "unix_timestamp() * 1000";
        for (first, table, columns) in [
            (1_u64, "ready (queue, `rank`, due_at, seq)", format!("'other', 0, {now}, seq + 0")),
            (
                1 << 32,
                "scheduled (due_at, seq, queue, `rank`)",
                format!("{now} + 86400000, seq + {}, 'other', 0", 1_u64 << 32),
            ),
            (
                1 << 33,
                "outcome (seq, state, finished_at, keep_until)",
                format!("seq + {}, 'done', {now}, {now} + 86400000", 1_u64 << 33),
            ),
        ] {
            let above = if first == 1 { 0 } else { first };
            self.sql(&format!(
                "INSERT INTO run_{run}_job (seq, id, queue, task, priority, created_at, due_at, envelope)
                 SELECT seq + {above}, random_bytes(16), 'other', 'other', 0, {now}, {now}, '{{}}'
                 FROM seq_1_to_{extra};
                 INSERT INTO run_{run}_{table} SELECT {columns} FROM seq_1_to_{extra}"
            ));
        }
        // Numbers given from now on are above these.
        self.sql(&format!("ALTER TABLE run_{run}_batch AUTO_INCREMENT = 100000"));
    }
}
