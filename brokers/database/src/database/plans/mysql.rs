//! How MariaDB runs the statements, whatever it believes of the tables.

use std::collections::BTreeSet;

use taskcore::JobId;
use taskcore::broker::{JobFilter, JobState};
use taskservers::MariaDb;

use super::listed::statements;
use crate::database::args::Args;
use crate::database::connection::Connection;
use crate::database::filter::Query;
use crate::database::link::Role;
use crate::database::row;
use crate::database::statements::filters;
use crate::database::store::Store;
use crate::mysql::MysqlOptions;

/// Migrated tables, and a connection with the settings of ours.
struct Lab {
    sql: Connection<'static>,
    prefix: String,
    _store: Store,
}

impl Lab {
    async fn new() -> Self {
        let server = MariaDb::shared();
        let prefix = server.prefix();
        let options = MysqlOptions::parse(server.url()).unwrap().prefix(&prefix).unwrap();
        let store = crate::mysql::open(options).await.unwrap();
        let sql = store.link.open(Role::Write).await.unwrap();
        Self { sql, prefix, _store: store }
    }

    /// The steps that walk over a whole table or index, or sort what is in one.
    async fn walks(&mut self, name: &str, text: &str) -> Vec<String> {
        let explained = format!("EXPLAIN {text}");
        let rows = self.sql.fetch_text(explained.as_str().into(), arguments(text)).await;
        let rows = rows.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let mut walks = Vec::new();
        for row in &rows {
            let said = |column| row::optional_text(row, column).unwrap().unwrap_or_default();
            let (table, kind, extra) = (said("table"), said("type"), said("Extra"));
            // What was made for the statement, or is a list that it was given, or is written to.
            let is_read = row::optional_integer(row, "rows").unwrap().is_some();
            if table.starts_with('<') || extra.contains("Table function") || !is_read {
                continue;
            }
            let table = table.strip_prefix(&self.prefix).unwrap_or(&table);
            if ["ALL", "index"].contains(&kind.as_str()) {
                walks.push(format!("{kind} of {table}"));
            }
            if extra.contains("filesort") {
                walks.push(format!("sort of {table}"));
            }
        }
        walks
    }

    /// Some rows of the tables that are read most.
    async fn fill(&mut self) {
        let text = self.sql.dialect.text(&crate::database::dialect::Statement::new(FILL));
        self.sql.script_text(text).await.unwrap();
    }
}

/// Parameters that fit: lists where a list is read, and numbers where rows are counted.
fn arguments(text: &str) -> Args {
    let mut args = Args::new();
    for (place, _) in text.match_indices('?') {
        let before = text[..place].trim_end();
        if before.ends_with("JSON_TABLE(") {
            args.push("[[1,1,1,1,1,1,1,1,1,1,1,1,1],[2,2,2,2,2,2,2,2,2,2,2,2,2]]");
        } else if before.ends_with("LIMIT") || before.ends_with("OFFSET") {
            args.push(1_i64);
        } else {
            args.push("1");
        }
    }
    args
}

/// Enough that reading all of them would be the slower way.
const FILL: &str = "
    INSERT INTO hereafter_job (seq, id, queue, task, priority, created_at, due_at, envelope)
        SELECT seq, unhex(lpad(hex(seq), 32, '0')), 'q', 't', 0, 0, 0, '' FROM seq_1_to_5000;
    INSERT INTO hereafter_ready (queue, rank, due_at, seq)
        SELECT 'q', 0, 0, seq FROM seq_1_to_1000;
    INSERT INTO hereafter_scheduled (due_at, seq, queue, rank)
        SELECT seq, seq, 'q', 0 FROM seq_1001_to_2000;
    INSERT INTO hereafter_running (seq, token, lease_end, started_at, worker)
        SELECT seq, seq, seq, 0, 'w' FROM seq_2001_to_3000;
    INSERT INTO hereafter_outcome (seq, state, finished_at, keep_until)
        SELECT seq, 'done', 0, seq FROM seq_3001_to_4000;
    INSERT INTO hereafter_finished (prune_at, jobs) SELECT seq, '' FROM seq_1_to_1000;
    INSERT INTO hereafter_input (input, dependant, tolerant, owned)
        SELECT seq, seq + 1000, 0, 0 FROM seq_3001_to_4000;
    INSERT INTO hereafter_blocked (seq, queue, due_at, open, broken)
        SELECT seq, 'q', 0, 1, 0 FROM seq_4001_to_5000;
    INSERT INTO hereafter_event (count, at, events) SELECT 1, 0, repeat('e', 17) FROM seq_1_to_1000;
    INSERT INTO hereafter_outbox (seq) SELECT seq FROM seq_1_to_1000";

/// What a statement may walk over whole, or sort, and why.
const ALLOWED: &[(&str, &str)] = &[
    // Whether there is a row: the first one ends it.
    ("HEAD", "ALL of unique"),
    ("HEAD", "index of unique"),
    ("unique::HAS_KEYS", "ALL of unique"),
    ("unique::HAS_KEYS", "index of unique"),
    ("COUNT_HELD", "ALL of blocked"),
    ("COUNT_HELD", "index of blocked"),
    ("COUNT_HELD", "ALL of input"),
    ("COUNT_HELD", "index of input"),
    ("COUNT_HELD", "ALL of report"),
    ("COUNT_HELD", "index of report"),
    ("COUNT_HELD", "ALL of unique"),
    ("COUNT_HELD", "index of unique"),
    ("COUNT_HELD", "index of attempt"),
    ("inputs::HAS_EDGES", "ALL of blocked"),
    ("inputs::HAS_EDGES", "index of blocked"),
    ("inputs::HAS_EDGES", "ALL of input"),
    ("inputs::HAS_EDGES", "index of input"),
    ("reports::HAS_TRACES", "ALL of attempt"),
    ("reports::HAS_TRACES", "index of attempt"),
    ("reports::HAS_TRACES", "ALL of report"),
    ("reports::HAS_TRACES", "index of report"),
    // The first of these, in the order of that index, up to a limit.
    ("LOOK", "index of scheduled"),
    ("MAX_SEQ", "index of job"),
    ("numbering::DROP_BATCHES", "index of batch"),
    ("numbering::NEW_SUMS", "index of sum"),
    // The first that nobody holds; as many as are being sent come before it.
    ("outbox::LOOK_UNSENT", "index of o"),
    ("outbox::LOOK_UNSENT", "index of scheduled"),
    ("outbox::UNSENT", "index of t"),
    // All of them are held.
    ("outbox::FREE_AT", "ALL of o"),
    // Whether there is a row.
    ("outbox::READY_THESE", "ALL of unique"),
    ("outbox::READY_THESE", "index of unique"),
    // Never run on a server.
    ("LAST_PROMOTED", "index of scheduled"),
    ("PROMOTED", "ALL of scheduled"),
    // As many rows as all workers run at once.
    ("LEASES_ENDED", "ALL of t"),
    ("COUNT_ENDED", "ALL of r"),
    ("COUNT_RUNNING", "ALL of r"),
    ("COUNT_RUNNING", "index of r"),
    ("COUNT_RUNNING", "sort of r"),
    // Counting is what they are for; they write nothing.
    ("COUNT_READY", "index of ready"),
    ("COUNT_SCHEDULED", "ALL of scheduled"),
    ("COUNT_SCHEDULED", "sort of scheduled"),
    ("COUNT_BLOCKED", "ALL of blocked"),
    ("COUNT_BLOCKED", "sort of blocked"),
    ("COUNT_FAILED", "sort of o"),
    ("mysql::OLDEST_READY", "index of ready"),
    ("mysql::OLDEST_READY", "sort of ready"),
    ("PAUSED", "ALL of paused"),
    ("PAUSED", "index of paused"),
    // Listing them is what it is for; upkeep keeps the sums few.
    ("history::TASKS", "ALL of sum"),
    ("history::TASKS", "ALL of task"),
    ("schedules::SCHEDULES", "index of schedule"),
];

#[tokio::test]
async fn no_statement_walks_over_jobs_whatever_is_in_the_tables() {
    let mut lab = Lab::new().await;
    let (mut wrong, mut used) = (BTreeSet::new(), BTreeSet::new());
    let table = |place: usize| {
        let (name, walk) = ALLOWED[place];
        (name, walk.split(" of ").nth(1))
    };
    for is_filled in [false, true] {
        if is_filled {
            lab.fill().await;
        }
        for named in statements() {
            let Some(text) = named.text(&lab.sql.dialect) else { continue };
            for walk in lab.walks(&named.name, &text).await {
                let allowed = ALLOWED.iter().position(|allowed| *allowed == (&*named.name, &*walk));
                // Whether it reads the table or an index of it depends on when it has last counted.
                used.extend(allowed.map(table));
                if allowed.is_none() {
                    wrong.insert(format!("(\"{}\", \"{walk}\"),", named.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    let unused = (0..ALLOWED.len()).find(|place| !used.contains(&table(*place)));
    assert!(unused.is_none(), "it does not: {:?}", unused.map(|place| ALLOWED[place]));
}

#[tokio::test]
async fn jobs_are_found_by_the_shortest_way_to_them() {
    let mut lab = Lab::new().await;
    lab.fill().await;
    let of = |state| JobFilter { states: vec![state], ..JobFilter::default() };
    let one = JobFilter { ids: Some(vec![JobId::new()]), ..JobFilter::default() };
    for (filter, allowed) in [
        (of(JobState::Failed), &[][..]),
        // As many rows as all workers run at once, and as wait for others.
        (of(JobState::Running), &["index of r"]),
        (of(JobState::Blocked), &["index of b"]),
        (one, &[]),
    ] {
        let mut query = Query::of(filters::SELECT_RECORD, &filter, 0);
        query.add(query.source.newest_first);
        let text = lab.sql.dialect.built(&query.sql);
        let walks = lab.walks("filter", &text).await;
        assert!(walks.iter().all(|walk| allowed.contains(&&**walk)), "{filter:?}: {walks:?}");
    }
    for states in [vec![], vec![JobState::Failed]] {
        let filter = JobFilter { states, ..JobFilter::default() };
        let mut query = Query::of(filters::SELECT_KEY, &filter, 0);
        query.add(query.source.and_after);
        query.add(query.source.and_up_to);
        query.add(query.source.oldest_first);
        let text = lab.sql.dialect.built(&query.sql);
        let walks = lab.walks("sweep", &text).await;
        assert!(walks.is_empty(), "{filter:?}: {walks:?}");
    }
}
