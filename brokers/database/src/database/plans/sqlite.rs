//! How SQLite runs the statements.

use taskcore::JobId;
use taskcore::broker::{JobFilter, JobState};

use super::listed::statements;
use crate::database::args::Args;
use crate::database::connection::Connection;
use crate::database::filter::Query;
use crate::database::link::Role;
use crate::database::row;
use crate::database::statements::filters;
use crate::database::store::Store;
use crate::sqlite::SqliteOptions;

/// What a statement may walk over whole, and why.
const ALLOWED: &[(&str, &str)] = &[
    // One row, by LIMIT 1 in the order of the key.
    ("LOOK", "SCAN hereafter_scheduled"),
    // Whether there is a row.
    ("COUNT_HELD", "SCAN hereafter_input USING COVERING INDEX hereafter_input_dependant"),
    ("COUNT_HELD", "SCAN hereafter_blocked"),
    ("inputs::HAS_EDGES", "SCAN hereafter_input USING COVERING INDEX hereafter_input_dependant"),
    ("inputs::HAS_EDGES", "SCAN hereafter_blocked"),
    ("HEAD", "SCAN hereafter_unique"),
    ("COUNT_HELD", "SCAN hereafter_unique"),
    ("unique::HAS_KEYS", "SCAN hereafter_unique"),
    ("COUNT_HELD", "SCAN hereafter_attempt"),
    ("COUNT_HELD", "SCAN hereafter_report"),
    ("reports::HAS_TRACES", "SCAN hereafter_attempt"),
    ("reports::HAS_TRACES", "SCAN hereafter_report"),
    // As many rows as were just promoted, by OFFSET in the order of the key.
    ("LAST_PROMOTED", "SCAN hereafter_scheduled"),
    // Whether there is an entry, and when the first job is due; both end with the first row. Those that
    // are held come before: as many as are being sent.
    ("outbox::LOOK_UNSENT", "SCAN o"),
    ("outbox::LOOK_UNSENT", "SCAN hereafter_scheduled"),
    ("outbox::UNSENT", "SCAN t"),
    ("outbox::READY_THESE", "SCAN hereafter_unique"),
    // What becomes ready together.
    ("ENQUEUE_READY_SORTED", "USE TEMP B-TREE FOR ORDER BY"),
    ("ENQUEUE_READY_UNBLOCKED", "USE TEMP B-TREE FOR ORDER BY"),
    ("MAKE_READY", "USE TEMP B-TREE FOR ORDER BY"),
    ("PROMOTE", "USE TEMP B-TREE FOR ORDER BY"),
    // As many rows as all workers run at once.
    ("LEASES_ENDED", "SCAN r"),
    ("COUNT_RUNNING", "SCAN r"),
    // Counting is what they are for; they run beside the writer.
    ("COUNT_READY", "SCAN hereafter_ready"),
    ("COUNT_SCHEDULED", "SCAN hereafter_scheduled"),
    ("COUNT_BLOCKED", "SCAN hereafter_blocked"),
    ("COUNT_FAILED", "SCAN o USING COVERING INDEX hereafter_outcome_failed"),
    ("sqlite::OLDEST_READY", "SCAN hereafter_ready"),
    ("PAUSED", "SCAN hereafter_paused"),
    // Listing them is what it is for.
    ("history::TASKS", "SCAN hereafter_task USING INDEX sqlite_autoindex_hereafter_task_1"),
    (
        "schedules::SCHEDULES",
        "SCAN hereafter_schedule USING INDEX sqlite_autoindex_hereafter_schedule_1",
    ),
];

async fn migrated() -> (Store, Connection<'static>) {
    let store = crate::sqlite::open(SqliteOptions::memory()).await.unwrap();
    let sql = store.link.open(Role::Write).await.unwrap();
    (store, sql)
}

async fn plan(sql: &mut Connection<'_>, text: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {text}");
    let rows = sql.fetch_built(&text, Args::new()).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}\n{text}"));
    rows.iter().map(|row| row::text(row, "detail").unwrap()).collect()
}

/// Steps that walk over a whole table or index, or sort.
fn walks(plan: &[String]) -> impl Iterator<Item = &String> {
    plan.iter().filter(|step| {
        let is_input = ["CONSTANT", "asked", "json_each"].iter().any(|input| step.contains(input))
            || [
                "SCAN input",
                "SCAN fallen",
                "SCAN mended",
                "SCAN unwanted",
                "SCAN needed",
                "SCAN completed",
                "SCAN due",
                "SCAN taken",
            ]
            .contains(&step.as_str());
        (step.starts_with("SCAN") && !is_input) || step.starts_with("USE TEMP B-TREE FOR ORDER")
    })
}

#[tokio::test]
async fn no_statement_walks_over_jobs_that_are_not_its_business() {
    let (_store, mut sql) = migrated().await;
    for named in statements() {
        let Some(text) = named.text(&sql.dialect) else { continue };
        let name = &*named.name;
        let plan = plan(&mut sql, &text).await;
        for step in walks(&plan) {
            let is_allowed = ALLOWED.contains(&(name, step.as_str()))
                || (name == "sqlite::OLDEST_READY" && step.starts_with("USE TEMP"));
            assert!(is_allowed, "{name}: {step}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn failed_and_running_jobs_are_found_without_looking_at_others() {
    let (_store, mut sql) = migrated().await;
    let of = |state| JobFilter { states: vec![state], ..JobFilter::default() };
    let one = JobFilter { ids: Some(vec![JobId::new()]), ..JobFilter::default() };
    for (filter, allowed) in [
        (of(JobState::Failed), "SCAN o USING INDEX hereafter_outcome_failed"),
        (of(JobState::Running), "SCAN r"),
        (of(JobState::Blocked), "SCAN b"),
        (one, "USE TEMP B-TREE FOR ORDER BY"),
    ] {
        let mut query = Query::of(filters::SELECT_RECORD, &filter, 0);
        query.add(query.source.newest_first);
        let plan = plan(&mut sql, &query.sql).await;
        assert!(walks(&plan).all(|step| step == allowed), "{filter:?}\n{plan:#?}");
    }
}

#[tokio::test]
async fn a_sweep_starts_where_its_last_step_ended() {
    let (_store, mut sql) = migrated().await;
    for states in [vec![], vec![JobState::Failed]] {
        let filter = JobFilter { states, ..JobFilter::default() };
        let mut query = Query::of(filters::SELECT_KEY, &filter, 0);
        query.add(query.source.and_after);
        query.add(query.source.and_up_to);
        query.add(query.source.oldest_first);
        let plan = plan(&mut sql, &query.sql).await;
        assert_eq!(walks(&plan).count(), 0, "{filter:?}\n{plan:#?}");
    }
}
