//! Tests of the query plans: what a statement reads must not grow with what waits or has ended.

use std::collections::BTreeSet;

use sqlx::Row;
use taskcore::broker::{JobFilter, JobState};
use taskcore::{Clock, JobId};

use super::args::Args;
use super::bulk::Bulk;
use super::connection::{self, Connection};
use super::filter::Query;
use super::migrate;
use super::options::SqliteOptions;
use super::statements::{
    self as s, continued, filters, history, inputs, reports, schedules, unique,
};

/// A text of a statement, whatever kind of constant it is.
trait Text {
    fn text(&'static self) -> String;
}

impl Text for &'static str {
    fn text(&'static self) -> String {
        (*self).to_owned()
    }
}

impl Text for Bulk {
    fn text(&'static self) -> String {
        let row = |args: &mut Args, number: &i64| args.push(*number);
        self.chunks(&[1, 2, 3], &row, &|args| args).next().unwrap().sql.to_owned()
    }
}

struct Named {
    name: &'static str,
    text: String,
}

macro_rules! named {
    ($($name:ident)*) => { vec![$(Named { name: stringify!($name), text: $name.text() }),*] };
}

/// Every statement that reads or writes tables of jobs.
fn statements() -> Vec<Named> {
    [of_jobs(), of_inputs(), of_continued(), of_keys(), of_schedules(), of_history(), of_reports()]
        .into_iter()
        .flatten()
        .collect()
}

fn of_jobs() -> Vec<Named> {
    use s::*;
    named! {
        ENQUEUE ENQUEUE_READY ENQUEUE_READY_UNBLOCKED
        ENQUEUE_SCHEDULED ENQUEUE_SCHEDULED_UNBLOCKED ENQUEUE_EXPIRY ENQUEUED
        LOOK PROMOTE LAST_PROMOTED PROMOTED HEAD LEASE TAKE
        BEGIN_JOB EXTEND HELD COUNT_HELD CANCELLED END_LEASE
        DONE FINISH FAIL RETRY SCHEDULE RELEASE SNOOZE MAKE_READY EXPIRE_AGAIN FINISHED
        NOTE_CANCELLED
        BURY DELETE_JOB DELETE_OUTCOME UNREADY UNSCHEDULE
        EXPIRY_DUE EXPIRY_SEEN LEASES_ENDED RECLAIM LOSE
        PRUNE_DUE PRUNABLE PRUNED PRUNED_PARTLY TOMBSTONES_OVER CANCELLED_OVER
        STANDING REPLAY PAUSE RESUME PAUSED MAX_SEQ
        COUNT_READY COUNT_READY_OF COUNT_SCHEDULED COUNT_BLOCKED COUNT_RUNNING COUNT_FAILED
        OUTCOMES FINISHED_AFTER FINISHED_LAST CANCELLED_AFTER CANCELLED_LAST OLDEST_READY
    }
}

fn of_inputs() -> Vec<Named> {
    use inputs::*;
    named! {
        HAS_EDGES STORED LINK UNKNOWN BLOCK BLOCK_FOR_UNKNOWN BROKEN BROKEN_INPUTS
        EDGES FALLEN AFFECTED CAUSES BREAK COUNT UNBLOCK KEPT_FOR UNLINK UNLINK_DELETED
        UNWANTED OWNED SHARED MENDED REVIVE BLOCK_AGAIN UNENDED
    }
}

fn of_keys() -> Vec<Named> {
    use unique::*;
    named! {
        HAS_KEYS KNOWN HOLDERS FREE FREE_DELETED TAKE_KEYS FREE_QUEUED FREE_ENDED DELETE_KEYS
        DELETE_OVER FREE_OVER WANTED HOLD
    }
}

fn of_schedules() -> Vec<Named> {
    use schedules::*;
    named! {
        PUT_SCHEDULE SCHEDULE_STANDING SCHEDULE SCHEDULES SCHEDULES_DUE SCHEDULE_NEXT
        FIRE_SCHEDULE HOLD_SCHEDULE DELETE_SCHEDULE
    }
}

fn of_continued() -> Vec<Named> {
    use continued::*;
    named! {
        CONTINUE CYCLES CONTINUED BLOCK_CONTINUED STARTED COMPLETED COMPLETE KEPT_FOR_CONTINUED
        UNCONTINUE UNCONTINUE_DELETED
    }
}

fn of_history() -> Vec<Named> {
    use history::*;
    named! {
        TASK_NUMBER ADD_UP TASKS_OF TASKS NOTE_EVENTS TRIM_EVENTS EVENTS_LAST EVENTS_AFTER
        TASKS_OF_IDS END_ATTEMPT DROP_ATTEMPT DELETE_ATTEMPTS TIMELINE
    }
}

fn of_reports() -> Vec<Named> {
    use reports::*;
    named! {
        HAS_TRACES SAID SAY ADD_LINE ADD_CHUNK DELETE_CHUNKS DELETE_LINES DELETE_REPORTS
        PROGRESS LOG ITEMS PULL DEMAND
    }
}

/// What a statement may walk over whole, and why.
const ALLOWED: &[(&str, &str)] = &[
    // One row, by LIMIT 1 in the order of the key.
    ("LOOK", "SCAN hereafter_scheduled"),
    // Whether there is a row.
    ("COUNT_HELD", "SCAN hereafter_input USING COVERING INDEX hereafter_input_dependant"),
    ("COUNT_HELD", "SCAN hereafter_blocked"),
    ("HAS_EDGES", "SCAN hereafter_input USING COVERING INDEX hereafter_input_dependant"),
    ("HAS_EDGES", "SCAN hereafter_blocked"),
    ("HEAD", "SCAN hereafter_unique"),
    ("COUNT_HELD", "SCAN hereafter_unique"),
    ("HAS_KEYS", "SCAN hereafter_unique"),
    ("COUNT_HELD", "SCAN hereafter_attempt"),
    ("COUNT_HELD", "SCAN hereafter_report"),
    ("HAS_TRACES", "SCAN hereafter_attempt"),
    ("HAS_TRACES", "SCAN hereafter_report"),
    // As many rows as were just promoted, by OFFSET in the order of the key.
    ("LAST_PROMOTED", "SCAN hereafter_scheduled"),
    // As many rows as all workers run at once.
    ("LEASES_ENDED", "SCAN r"),
    ("COUNT_RUNNING", "SCAN r"),
    // Counting is what they are for; they run beside the writer.
    ("COUNT_READY", "SCAN hereafter_ready"),
    ("COUNT_SCHEDULED", "SCAN hereafter_scheduled"),
    ("COUNT_BLOCKED", "SCAN hereafter_blocked"),
    ("COUNT_FAILED", "SCAN o USING COVERING INDEX hereafter_outcome_failed"),
    ("OLDEST_READY", "SCAN hereafter_ready"),
    ("PAUSED", "SCAN hereafter_paused"),
    // Listing them is what it is for.
    ("TASKS", "SCAN hereafter_task USING INDEX sqlite_autoindex_hereafter_task_1"),
    ("SCHEDULES", "SCAN hereafter_schedule USING INDEX sqlite_autoindex_hereafter_schedule_1"),
];

async fn migrated() -> Connection {
    let options = SqliteOptions::memory();
    let mut sql = Connection::open(&connection::first_options(&options, "/plans")).await.unwrap();
    migrate::migrate(&mut sql, &"plans".into(), &Clock::system()).await.unwrap();
    sql
}

async fn plan(sql: &mut Connection, text: &str) -> Vec<String> {
    let text = format!("EXPLAIN QUERY PLAN {text}");
    let rows = sql.fetch_built(text, Args::new()).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
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
            ]
            .contains(&step.as_str());
        (step.starts_with("SCAN") && !is_input) || step.starts_with("USE TEMP B-TREE FOR ORDER")
    })
}

#[tokio::test]
async fn no_statement_walks_over_jobs_that_are_not_its_business() {
    let mut sql = migrated().await;
    for Named { name, text } in statements() {
        let plan = plan(&mut sql, &text).await;
        for step in walks(&plan) {
            let is_allowed = ALLOWED.contains(&(name, step.as_str()))
                || (name == "OLDEST_READY" && step.starts_with("USE TEMP"));
            assert!(is_allowed, "{name}: {step}\n{plan:#?}");
        }
    }
}

#[tokio::test]
async fn failed_and_running_jobs_are_found_without_looking_at_others() {
    let mut sql = migrated().await;
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
    let mut sql = migrated().await;
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

#[test]
fn every_statement_about_jobs_is_checked() {
    let checked: BTreeSet<_> = statements().into_iter().map(|named| named.name).collect();
    let source = include_str!("statements.rs");
    let of_transactions =
        ["BEGIN", "COMMIT", "ROLLBACK", "PROBE", "SYNC", "NO_SYNC", "CHECKPOINT", "DATA_VERSION"];
    let of_inputs = include_str!("statements/inputs.rs");
    let of_keys = include_str!("statements/unique.rs");
    let of_schedules = include_str!("statements/schedules.rs");
    let of_continued = include_str!("statements/continued.rs");
    let of_history = include_str!("statements/history.rs");
    let of_reports = include_str!("statements/reports.rs");
    let of_upkeep = include_str!("statements/upkeep.rs");
    let visible = |line: &'static str| {
        line.strip_prefix("pub(super) ").or(line.strip_prefix("pub(in crate::sqlite) "))
    };
    let written: BTreeSet<_> = source
        .lines()
        .chain(of_inputs.lines())
        .chain(of_keys.lines())
        .chain(of_schedules.lines())
        .chain(of_continued.lines())
        .chain(of_history.lines())
        .chain(of_reports.lines())
        .chain(of_upkeep.lines())
        .filter_map(visible)
        .filter_map(|line| line.strip_prefix("const ").or(line.strip_prefix("static ")))
        .filter_map(|line| line.split(':').next())
        .filter(|name| !of_transactions.contains(name))
        .chain(["OLDEST_READY"])
        .collect();
    assert_eq!(checked, written);
}
