//! PostgreSQL, as it is measured on.

use taskservers::Postgres;

use crate::server::Server;

impl Server for Postgres {
    const NAME: &'static str = "PostgreSQL, fsync and synchronous_commit on";
    const FLOOR: [&'static str; 2] = ["postgres-floor-enqueue", "postgres-floor-drain"];

    fn raw(&self) -> String {
        self.url()
    }

    fn store(&self, run: usize) -> String {
        format!("{}?schema=run_{run}", self.url())
    }

    fn drop_store(&self, run: usize) {
        self.psql(&format!("DROP SCHEMA run_{run} CASCADE"));
    }

    /// Without looking at the tables for the planner.
    fn fill(&self, run: usize, extra: u64) {
        let now = "(extract(epoch FROM now()) * 1000)::bigint";
        for (first, table, columns) in [
            (1_u64, "ready (queue, rank, due_at, seq)", format!("'other', 0, {now}, seq")),
            (
                1 << 32,
                "scheduled (due_at, seq, queue, rank)",
                format!("{now} + 86400000, seq, 'other', 0"),
            ),
            (
                1 << 33,
                "outcome (seq, state, finished_at, keep_until)",
                format!("seq, 'done', {now}, {now} + 86400000"),
            ),
        ] {
            let last = first + extra - 1;
            self.psql(&format!(
                "INSERT INTO run_{run}.job (seq, id, queue, task, priority, created_at, due_at, envelope)
                 SELECT seq, gen_random_uuid(), 'other', 'other', 0, {now}, {now}, '{{}}'
                 FROM generate_series({first}::bigint, {last}) AS seq;
                 INSERT INTO run_{run}.{table}
                 SELECT {columns} FROM generate_series({first}::bigint, {last}) AS seq"
            ));
        }
        // Numbers given from now on are above these.
        self.psql(&format!("SELECT setval('run_{run}.batch', 100000)"));
    }
}
