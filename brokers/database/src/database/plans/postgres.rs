//! How PostgreSQL runs the statements, whatever it believes of the tables.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use taskcore::JobId;
use taskcore::broker::{JobFilter, JobState};
use taskservers::Postgres;

use super::listed::statements;
use crate::database::connection::Connection;
use crate::database::filter::Query;
use crate::database::link::Role;
use crate::database::row;
use crate::database::statements::filters;
use crate::database::store::Store;
use crate::postgres::PostgresOptions;

/// A migrated schema, and a connection with the settings of ours.
struct Lab {
    sql: Connection<'static>,
    /// The first column of each index.
    first_columns: HashMap<String, String>,
    _store: Store,
}

impl Lab {
    async fn new() -> Self {
        let server = Postgres::shared();
        let options = PostgresOptions::parse(server.url()).unwrap();
        let options = options.schema(&server.schema()).unwrap().polling();
        let store = crate::postgres::open(options).await.unwrap();
        let mut sql = store.link.open(Role::Write).await.unwrap();
        let rows = run(
            &mut sql,
            "SELECT c.relname::text AS index, a.attname::text AS first
             FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = 1
             WHERE c.relnamespace = '{schema}'::regnamespace",
        )
        .await;
        let pair = |row| (row::text(row, "index").unwrap(), row::text(row, "first").unwrap());
        let first_columns = rows.iter().map(pair).collect();
        Self { sql, first_columns, _store: store }
    }

    /// How it runs a statement, whatever the parameters are.
    async fn plan(&mut self, name: &str, text: &str) -> Value {
        let count = (1..).take_while(|number| text.contains(&format!("${number}"))).count();
        let nulls = vec!["NULL"; count].join(", ");
        let arguments = if count == 0 { String::new() } else { format!("({nulls})") };
        let explained = format!(
            "PREPARE asked AS {text}; EXPLAIN (FORMAT JSON) EXECUTE asked{arguments};
             DEALLOCATE asked"
        );
        let rows = self.sql.script_text(explained.into()).await;
        let rows = rows.unwrap_or_else(|error| panic!("{name}: {error}\n{text}"));
        let plan = row::text(&rows[0], "QUERY PLAN").unwrap();
        let mut plan: Value = serde_json::from_str(&plan).unwrap();
        plan[0]["Plan"].take()
    }
}

async fn run(sql: &mut Connection<'_>, text: &str) -> Vec<row::Row> {
    let text = sql.dialect.built(text);
    sql.script_text(text.as_str().into()).await.unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a statement may walk over whole, or sort, and why.
const ALLOWED: &[(&str, &str)] = &[
    // Whether there is a row.
    ("CLAIM", "Index Only Scan of unique_pkey"),
    ("at_once::CLAIM", "Index Only Scan of unique_pkey"),
    // What was claimed together, beside a single row.
    ("at_once::CLAIM", "Nested Loop over all of \"taken\""),
    ("HEAD", "Index Only Scan of unique_pkey"),
    ("unique::HAS_KEYS", "Index Only Scan of unique_pkey"),
    ("COUNT_HELD", "Index Only Scan of unique_pkey"),
    ("COUNT_HELD", "Index Only Scan of input_dependant"),
    ("COUNT_HELD", "Index Only Scan of blocked_pkey"),
    ("COUNT_HELD", "Index Only Scan of attempt_pkey"),
    ("COUNT_HELD", "Index Only Scan of report_pkey"),
    ("RECORD", "Index Only Scan of unique_pkey"),
    ("RECORD", "Index Only Scan of input_dependant"),
    ("RECORD", "Index Only Scan of blocked_pkey"),
    ("RECORD", "Index Only Scan of attempt_pkey"),
    ("RECORD", "Index Only Scan of report_pkey"),
    ("inputs::HAS_EDGES", "Index Only Scan of input_dependant"),
    ("inputs::HAS_EDGES", "Index Only Scan of blocked_pkey"),
    ("reports::HAS_TRACES", "Index Only Scan of attempt_pkey"),
    ("reports::HAS_TRACES", "Index Only Scan of report_pkey"),
    // Whether there is a row, in an index of those that have no number yet.
    ("numbering::HAS_NEW_FINISHED", "Index Only Scan of finished_new"),
    ("numbering::HAS_NEW_CANCELLED", "Index Only Scan of cancelled_new"),
    ("numbering::HAS_NEW_EVENTS", "Index Only Scan of event_new"),
    // The first of these, in the order of that index, up to a limit.
    ("numbering::NUMBER_FINISHED", "Index Scan of finished_new"),
    ("numbering::NUMBER_CANCELLED", "Index Scan of cancelled_new"),
    ("numbering::NUMBER_EVENTS", "Index Scan of event_new"),
    // The first that nobody holds; as many as are being sent come before it.
    ("outbox::LOOK_UNSENT", "Index Scan of outbox_pkey"),
    ("outbox::UNSENT", "Index Scan of outbox_pkey"),
    // All of them are held.
    ("outbox::FREE_AT", "Seq Scan of outbox"),
    // Whether there is a row.
    ("outbox::READY_THESE", "Index Only Scan of unique_pkey"),
    ("outbox::CLAIM_THESE", "Index Only Scan of unique_pkey"),
    // What becomes ready together.
    ("ENQUEUE_READY_SORTED", "Sort"),
    ("ENQUEUE_READY_UNBLOCKED", "Sort"),
    // As many rows as all workers run at once.
    ("LEASES_ENDED", "Seq Scan of running"),
    ("COUNT_ENDED", "Seq Scan of running"),
    ("COUNT_RUNNING", "Index Only Scan of running_pkey"),
    ("COUNT_RUNNING", "Sort"),
    // The inputs of a batch.
    ("inputs::BLOCK", "Sort"),
    // What one job has said, or how it was tried.
    ("reports::LOG", "Sort"),
    ("history::TIMELINE", "Sort"),
    // As many chunks as were asked for.
    ("reports::ITEMS", "Sort"),
    // Counting is what they are for; they write nothing.
    ("COUNT_READY", "Index Only Scan of ready_pkey"),
    ("COUNT_SCHEDULED", "Seq Scan of scheduled"),
    ("COUNT_SCHEDULED", "Sort"),
    ("COUNT_BLOCKED", "Seq Scan of blocked"),
    ("COUNT_BLOCKED", "Sort"),
    ("COUNT_FAILED", "Index Only Scan of outcome_failed"),
    ("COUNT_FAILED", "Sort"),
    ("postgres::OLDEST_READY", "Index Only Scan of ready_pkey"),
    ("postgres::OLDEST_READY", "Sort"),
    ("PAUSED", "Index Only Scan of paused_pkey"),
    // Listing them is what it is for; upkeep keeps the sums few.
    ("history::TASKS", "Index Scan of task_name_key"),
    ("history::TASKS", "Seq Scan of sum"),
    ("history::TASKS", "Sort"),
    ("schedules::SCHEDULES", "Index Scan of schedule_pkey"),
];

/// Rows of every table, as many as a planner that knows of them would not read one by one.
const FILL: &str = include_str!("fill.sql");

const TABLES: [&str; 23] = [
    "job",
    "ready",
    "scheduled",
    "running",
    "outcome",
    "finished",
    "expiry",
    "tombstone",
    "paused",
    "input",
    "blocked",
    "continued",
    "cancelled",
    "unique",
    "schedule",
    "task",
    "sum",
    "event",
    "attempt",
    "report",
    "log",
    "chunk",
    "outbox",
];

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["Plans"].as_array().into_iter().flatten()
}

/// The children that a node reads from, and not those that it asks for a value.
fn sources(node: &Value) -> impl Iterator<Item = &Value> {
    children(node).filter(|child| is_source(child))
}

fn is_source(child: &Value) -> bool {
    !["InitPlan", "SubPlan"].contains(&text(child, "Parent Relationship"))
}

fn is_table_scan(node: &Value) -> bool {
    !text(node, "Relation Name").is_empty() && text(node, "Node Type").ends_with("Scan")
}

/// The names in a condition, without those of other tables.
fn own_names(condition: &str) -> impl Iterator<Item = &str> {
    names(condition).filter(|name| !name.contains('.')).map(|name| name.trim_matches('"'))
}

fn names(condition: &str) -> impl Iterator<Item = &str> {
    condition.split(|c: char| !(c.is_alphanumeric() || "_.\"".contains(c)))
}

/// Whether what a node reads follows from the row of a loop that it is the inner side of.
fn depends_on_row(node: &Value) -> bool {
    let conditions = ["Index Cond", "TID Cond"].map(|key| text(node, key));
    let is_of_row = |name: &str| name.contains('.') && !name.starts_with('.');
    if conditions.iter().any(|condition| names(condition).any(is_of_row)) {
        return true;
    }
    match text(node, "Node Type") {
        "Append" => sources(node).all(depends_on_row),
        // The outer side drives the inner one, which is looked at by itself.
        _ => sources(node).next().is_some_and(depends_on_row),
    }
}

/// What a plan begins with.
fn driver(node: &Value) -> &Value {
    sources(node).next().map_or(node, driver)
}

impl Lab {
    /// Steps that walk over a whole table or index, sort what is in one, or compare all with all.
    fn walks(&self, plan: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.find_walks(plan, false, &mut found);
        found
    }

    fn find_walks(&self, node: &Value, is_limited: bool, found: &mut Vec<String>) {
        let kind = text(node, "Node Type");
        let table = text(node, "Relation Name");
        let is_walk = match kind {
            "Seq Scan" => true,
            "Index Scan" | "Index Only Scan" => {
                let first = self.first_columns[text(node, "Index Name")].as_str();
                let is_by_key = own_names(text(node, "Index Cond")).any(|name| name == first);
                let is_bounded = is_limited && text(node, "Filter").is_empty();
                !(is_by_key || is_bounded)
            }
            _ => ["Bitmap Heap Scan", "Hash Join", "Merge Join"].contains(&kind),
        };
        if is_walk && table.is_empty() {
            found.push(kind.to_owned());
        } else if is_walk {
            let index = text(node, "Index Name");
            found.push(format!("{kind} of {}", if index.is_empty() { table } else { index }));
        }
        if kind.ends_with("Sort") && is_table_scan(driver(node)) {
            found.push("Sort".to_owned());
        }
        if kind == "Nested Loop" {
            let inner = sources(node).nth(1).expect("a loop has two sides");
            if !depends_on_row(inner) {
                found.push(format!("Nested Loop over all of {}", driver(inner)["Alias"]));
            }
        }
        let is_limited = kind == "Limit" || (is_limited && ["LockRows", "Result"].contains(&kind));
        for child in children(node) {
            self.find_walks(child, is_limited && is_source(child), found);
        }
    }

    /// Rows for a planner that does not know of them.
    async fn fill(&mut self) {
        run(&mut self.sql, FILL).await;
    }

    async fn tell_planner(&mut self) {
        for table in TABLES {
            run(&mut self.sql, &format!("VACUUM ANALYZE hereafter_{table}")).await;
        }
    }

    async fn empty(&mut self) {
        for table in TABLES {
            run(&mut self.sql, &format!("DELETE FROM hereafter_{table}")).await;
        }
    }

    /// Which tables each statement reads and by which keys; none may walk.
    async fn ways(&mut self, when: &str) -> Vec<(String, Vec<String>)> {
        let mut ways = Vec::new();
        let mut wrong = Vec::new();
        let mut used = BTreeSet::new();
        for named in statements() {
            let Some(text) = named.text(&self.sql.dialect) else { continue };
            let plan = self.plan(&named.name, &text).await;
            for walk in self.walks(&plan) {
                let allowed = ALLOWED.iter().position(|allowed| *allowed == (&*named.name, &*walk));
                used.extend(allowed);
                if allowed.is_none() {
                    wrong.push(format!("{when}, {}: {walk}\n{plan:#}", named.name));
                }
            }
            let mut way = way(&plan);
            // Which of two conditions is asked first is no matter; keys tell what comes after what.
            way.sort_unstable();
            ways.push((named.name, way));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let unused = (0..ALLOWED.len()).find(|place| !used.contains(place));
        assert!(unused.is_none(), "{when}: it does not: {:?}", unused.map(|place| ALLOWED[place]));
        ways
    }
}

fn way(node: &Value) -> Vec<String> {
    let own = is_table_scan(node).then(|| {
        let index = text(node, "Index Name");
        let condition = format!("{}{}", text(node, "Index Cond"), text(node, "TID Cond"));
        format!("{} by {index} where {condition}", text(node, "Alias"))
    });
    own.into_iter().chain(children(node).flat_map(way)).collect()
}

#[tokio::test]
async fn no_statement_walks_over_jobs_whatever_the_planner_believes() {
    let mut lab = Lab::new().await;
    let at_first = lab.ways("empty").await;
    lab.fill().await;
    assert_eq!(lab.ways("filled since").await, at_first);
    lab.tell_planner().await;
    assert_eq!(lab.ways("known to be full").await, at_first);
    lab.empty().await;
    lab.tell_planner().await;
    assert_eq!(lab.ways("known to be empty").await, at_first);
    lab.fill().await;
    assert_eq!(lab.ways("believed to be empty").await, at_first);
}

#[tokio::test]
async fn jobs_are_found_by_the_shortest_way_to_them() {
    let mut lab = Lab::new().await;
    let of = |state| JobFilter { states: vec![state], ..JobFilter::default() };
    let one = JobFilter { ids: Some(vec![JobId::new()]), ..JobFilter::default() };
    for filled in [false, true] {
        if filled {
            lab.fill().await;
        }
        for (filter, allowed) in [
            (of(JobState::Failed), "Index Scan of outcome_failed"),
            (of(JobState::Running), "Index Scan of running_pkey"),
            (of(JobState::Blocked), "Index Scan of blocked_pkey"),
            (one.clone(), "Sort"),
        ] {
            let mut query = Query::of(filters::SELECT_RECORD, &filter, 0);
            query.add(query.source.newest_first);
            let text = lab.sql.dialect.built(&query.sql);
            let plan = lab.plan("filter", &text).await;
            let walks = lab.walks(&plan);
            assert!(walks.iter().all(|walk| walk == allowed), "{filter:?}: {walks:?}\n{plan:#}");
        }
        for states in [vec![], vec![JobState::Failed]] {
            let filter = JobFilter { states, ..JobFilter::default() };
            let mut query = Query::of(filters::SELECT_KEY, &filter, 0);
            query.add(query.source.and_after);
            query.add(query.source.and_up_to);
            query.add(query.source.oldest_first);
            let text = lab.sql.dialect.built(&query.sql);
            let plan = lab.plan("sweep", &text).await;
            let walks = lab.walks(&plan);
            assert!(walks.is_empty(), "{filter:?}: {walks:?}\n{plan:#}");
        }
    }
}
