//! Every statement that reads or writes tables of jobs.

use std::collections::BTreeSet;

use crate::database::args::Args;
use crate::database::bulk::Bulk;
use crate::database::dialect::{Dialect, Statement};
use crate::database::statements::{
    self as s, at_once, continued, history, inputs, numbering, outbox, reports, schedules, unique,
};

/// A statement, and what it is called in errors of these tests.
#[derive(Debug)]
pub(super) struct Named {
    /// `MODULE::CONSTANT`; those of no module of their own have none.
    pub(super) name: String,
    said: Said,
}

#[derive(Debug)]
enum Said {
    Once(Statement),
    OverRows(&'static Bulk),
}

impl Named {
    /// How a database says it; `None` if it has no such statement.
    pub(super) fn text(&self, dialect: &Dialect) -> Option<String> {
        let owner = self.name.split("::").next().unwrap_or_default();
        if ["sqlite", "postgres", "mysql"].contains(&owner) && owner != dialect.kind.name() {
            return None;
        }
        let text = match self.said {
            Said::Once(statement) => dialect.text(&statement).to_string(),
            Said::OverRows(bulk) => {
                let row = |args: &mut Args, number: &i64| args.push(*number);
                let chunk = bulk.chunks(dialect, &[1, 2, 3], &row, &|args| args).next();
                chunk.expect("there are rows").sql.to_string()
            }
        };
        (!text.is_empty()).then_some(text)
    }
}

/// Whatever kind of constant it is.
trait Listed {
    fn said(&'static self) -> Said;
}

impl Listed for Statement {
    fn said(&'static self) -> Said {
        Said::Once(*self)
    }
}

impl Listed for Bulk {
    fn said(&'static self) -> Said {
        Said::OverRows(self)
    }
}

macro_rules! named {
    ($module:literal: $($name:ident)*) => {
        vec![$(Named { name: concat!($module, stringify!($name)).to_owned(), said: $name.said() }),*]
    };
}

pub(super) fn statements() -> Vec<Named> {
    [
        of_jobs(),
        of_at_once(),
        of_looking_over(),
        of_inputs(),
        of_continued(),
        of_keys(),
        of_schedules(),
        of_history(),
        of_numbering(),
        of_reports(),
        of_outbox(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn of_jobs() -> Vec<Named> {
    use s::*;
    #[cfg(feature = "postgres")]
    let claim = named! { "": CLAIM };
    #[cfg(not(feature = "postgres"))]
    let claim = Vec::new();
    #[cfg(feature = "mysql")]
    let steps = named! { "": DUE PROMOTE_THESE UNSCHEDULE_THESE TAKE_THESE };
    #[cfg(not(feature = "mysql"))]
    let steps = Vec::new();
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    let many = named! { "": ENQUEUED_BEFORE };
    #[cfg(not(any(feature = "postgres", feature = "mysql")))]
    let many = Vec::new();
    let others = named! { "":
        ENQUEUE ENQUEUE_NEW ENQUEUE_READY ENQUEUE_READY_SORTED ENQUEUE_READY_UNBLOCKED
        ENQUEUE_SCHEDULED ENQUEUE_SCHEDULED_UNBLOCKED ENQUEUE_EXPIRY ENQUEUED NEXT_BATCH
        LOOK PROMOTE LAST_PROMOTED PROMOTED HEAD LEASE TAKE LEASE_THESE
        BEGIN_JOB EXTEND SEEN_HELD HELD_FREE COUNT_HELD RECORD CANCELLED END_LEASE
        DONE FINISH FAIL RETRY SCHEDULE RELEASE SNOOZE MAKE_READY TURNS EXPIRE_AGAIN FINISHED
        NOTE_CANCELLED
        BURY DELETE_JOB DELETE_OUTCOME UNREADY UNSCHEDULE
        EXPIRY_DUE EXPIRY_SEEN LEASES_ENDED COUNT_ENDED RECLAIM LOSE
        PRUNE_DUE PRUNABLE PRUNED PRUNED_PARTLY TOMBSTONES_OVER CANCELLED_OVER
        STANDING REPLAY PAUSE RESUME PAUSED MAX_SEQ
        COUNT_READY COUNT_READY_OF COUNT_SCHEDULED COUNT_BLOCKED COUNT_RUNNING COUNT_FAILED
        OUTCOMES FINISHED_AFTER FINISHED_LAST CANCELLED_AFTER CANCELLED_LAST
    };
    claim.into_iter().chain(steps).chain(many).chain(others).collect()
}

fn of_at_once() -> Vec<Named> {
    use at_once::*;
    #[cfg(feature = "mysql")]
    let script = named! { "at_once::": SCRIPT_TOMBSTONES };
    #[cfg(not(feature = "mysql"))]
    let script = Vec::new();
    #[cfg(feature = "postgres")]
    let claim = named! { "at_once::": CLAIM };
    #[cfg(not(feature = "postgres"))]
    let claim = Vec::new();
    script.into_iter().chain(claim).chain(named! { "at_once::": STORE }).collect()
}

/// The same question is asked of each database in its own words.
fn of_looking_over() -> Vec<Named> {
    let mut named = Vec::new();
    #[cfg(feature = "sqlite")]
    named.extend({
        use crate::sqlite::OLDEST_READY;
        named! { "sqlite::": OLDEST_READY }
    });
    #[cfg(feature = "postgres")]
    named.extend({
        use crate::postgres::OLDEST_READY;
        named! { "postgres::": OLDEST_READY }
    });
    #[cfg(feature = "mysql")]
    named.extend({
        use crate::mysql::OLDEST_READY;
        named! { "mysql::": OLDEST_READY }
    });
    named
}

fn of_inputs() -> Vec<Named> {
    use inputs::*;
    named! { "inputs::":
        HAS_EDGES STORED LINK UNKNOWN BLOCK BLOCK_FOR_UNKNOWN BROKEN BROKEN_INPUTS
        EDGES FALLEN AFFECTED CAUSES BREAK COUNT UNBLOCK KEPT_FOR UNLINK UNLINK_DELETED
        UNWANTED OWNED SHARED MENDED REVIVE IDS BLOCK_AGAIN BLOCKED UNENDED
    }
}

fn of_keys() -> Vec<Named> {
    use unique::*;
    named! { "unique::":
        HAS_KEYS KNOWN HOLDERS FREE FREE_DELETED TAKE_KEYS FREE_QUEUED FREE_ENDED DELETE_KEYS
        DELETE_OVER FREE_OVER WANTED HOLD
    }
}

fn of_schedules() -> Vec<Named> {
    use schedules::*;
    named! { "schedules::":
        PUT_SCHEDULE SCHEDULE_STANDING SCHEDULE SCHEDULES SCHEDULES_DUE SCHEDULE_NEXT
        FIRE_SCHEDULE HOLD_SCHEDULE DELETE_SCHEDULE
    }
}

fn of_continued() -> Vec<Named> {
    use continued::*;
    named! { "continued::":
        CONTINUE CYCLES CONTINUED BLOCK_CONTINUED STARTED COMPLETED COMPLETE KEPT_FOR_CONTINUED
        UNCONTINUE UNCONTINUE_DELETED
    }
}

fn of_history() -> Vec<Named> {
    use history::*;
    named! { "history::":
        TASK_NUMBER ADD_UP ADD_STORED TASKS_OF TASKS NOTE_EVENTS TRIM_EVENTS EVENTS_LAST EVENTS_AFTER
        TASKS_OF_IDS END_ATTEMPT LAST_ATTEMPT DROP_ATTEMPT DELETE_ATTEMPTS TIMELINE
    }
}

fn of_numbering() -> Vec<Named> {
    use numbering::*;
    let mut named = named! { "numbering::":
        NUMBER_ALONE UPKEEP_TURN HAS_NEW_FINISHED HAS_NEW_CANCELLED HAS_NEW_EVENTS
        NUMBER_FINISHED NUMBER_CANCELLED NUMBER_EVENTS ADD_SUMS
    };
    #[cfg(feature = "mysql")]
    named.extend(named! { "numbering::": NEW_SUMS ADD_THESE DROP_SUMS DROP_BATCHES });
    named
}

fn of_reports() -> Vec<Named> {
    use reports::*;
    named! { "reports::":
        HAS_TRACES SAID SAY ADD_LINE ADD_CHUNK DELETE_CHUNKS DELETE_LINES WITH_REPORTS DELETE_REPORTS
        PROGRESS LOG ITEMS PULL DEMAND
    }
}

fn of_outbox() -> Vec<Named> {
    use outbox::*;
    let mut named = named! { "outbox::":
        LOOK_UNSENT FREE_AT UNSENT HOLD ENTERED ENTERED_JOBS DROP AFTER
        READY_THESE STORED_THESE
    };
    #[cfg(feature = "postgres")]
    named.extend(named! { "outbox::": CLAIM_THESE });
    #[cfg(feature = "mysql")]
    named.extend(named! { "outbox::": ALL_ARE_ENTERED });
    named
}

/// What is run once in the life of a store, and what has no plan.
const WITHOUT_PLAN: [&str; 12] = [
    "ENQUEUE_MANY",
    "outbox::IS_OPEN",
    "outbox::OPEN_ALONE",
    "outbox::HOLD_READY",
    "outbox::ENTER_FROM_NOW_ON",
    "outbox::ENTER_ALL",
    "at_once::SCRIPT_BEGIN",
    "at_once::SCRIPT_UNKNOWN",
    "at_once::SCRIPT_JOBS",
    "at_once::SCRIPT_SUMS",
    "at_once::SCRIPT_EVENTS",
    "at_once::SCRIPT_END",
];

/// The files of statements about jobs, and the module of each. What is missing here is about
/// transactions, or is put together from fragments and has tests of its own.
const FILES: [(&str, &str); 11] = [
    ("", include_str!("../statements.rs")),
    ("", include_str!("../statements/upkeep.rs")),
    ("at_once::", include_str!("../statements/at_once.rs")),
    ("inputs::", include_str!("../statements/inputs.rs")),
    ("unique::", include_str!("../statements/unique.rs")),
    ("schedules::", include_str!("../statements/schedules.rs")),
    ("continued::", include_str!("../statements/continued.rs")),
    ("history::", include_str!("../statements/history.rs")),
    ("numbering::", include_str!("../statements/numbering.rs")),
    ("reports::", include_str!("../statements/reports.rs")),
    ("outbox::", include_str!("../statements/outbox.rs")),
];

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[test]
fn every_statement_about_jobs_is_checked() {
    let checked: BTreeSet<_> = statements().into_iter().map(|named| named.name).collect();
    let visible = |line: &'static str| {
        line.strip_prefix("pub(super) ").or(line.strip_prefix("pub(in crate::database) "))
    };
    let in_file = |(module, file): (&'static str, &'static str)| {
        file.lines()
            .filter_map(visible)
            .filter_map(|line| line.strip_prefix("const ").or(line.strip_prefix("static ")))
            .filter_map(|line| line.split(':').next())
            .map(move |name| format!("{module}{name}"))
    };
    let written: BTreeSet<_> = FILES
        .into_iter()
        .flat_map(in_file)
        .filter(|name| !WITHOUT_PLAN.contains(&name.as_str()))
        .chain(
            ["sqlite::OLDEST_READY", "postgres::OLDEST_READY", "mysql::OLDEST_READY"]
                .map(str::to_owned),
        )
        .collect();
    assert_eq!(checked, written);
}

#[cfg(all(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[test]
fn no_file_of_statements_is_forgotten() {
    let modules = include_str!("../statements.rs").lines().filter_map(|line| {
        let line =
            line.strip_prefix("pub(super) ").or(line.strip_prefix("pub(crate) ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';')
    });
    let known = FILES.map(|(module, _)| module.trim_end_matches("::"));
    let without_jobs = ["filters", "inside", "transactions", "upkeep"];
    for module in modules {
        assert!(known.contains(&module) || without_jobs.contains(&module), "{module}");
    }
}
