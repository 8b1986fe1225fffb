//! What columns hold, as types of the core.
//!
//! The tables are `STRICT` and checked, so a value of a wrong type means a file changed by
//! hand; what can be read is read, and no row of one job keeps others from being read.

use jiff::Timestamp;
use sqlx::Row as _;
#[cfg(feature = "postgres")]
use sqlx::ValueRef as _;
#[cfg(feature = "mysql")]
use sqlx::mysql::MySqlRow;
#[cfg(feature = "postgres")]
use sqlx::postgres::{PgRow, PgValueFormat};
#[cfg(feature = "sqlite")]
use sqlx::sqlite::SqliteRow;
use taskcore::broker::{Delivery, JobRecord, JobState, Lookup, Outcome};
use taskcore::{Failure, FailureKind, JobError, JobId, Payload, Priority, QueueName};

use crate::receipt::{HandOut, Lease};
#[cfg(feature = "sqlite")]
use crate::sqlite::DirectRow;
use taskcore::broker::millis::timestamp;

/// A row of any of the databases.
#[derive(Debug)]
pub(crate) enum Row {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteRow),
    #[cfg(feature = "sqlite")]
    Direct(DirectRow),
    #[cfg(feature = "postgres")]
    Postgres(PgRow),
    #[cfg(feature = "mysql")]
    Mysql(MySqlRow),
}

#[cfg(feature = "sqlite")]
impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self::Sqlite(row)
    }
}

#[cfg(feature = "postgres")]
impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self::Postgres(row)
    }
}

#[cfg(feature = "mysql")]
impl From<MySqlRow> for Row {
    fn from(row: MySqlRow) -> Self {
        Self::Mysql(row)
    }
}

pub(crate) fn integer(row: &Row, column: &str) -> Result<i64, sqlx::Error> {
    optional_integer(row, column)?.ok_or_else(|| unexpected(column, "a null"))
}

/// Integers of any width, and truth values as 0 and 1.
pub(crate) fn optional_integer(row: &Row, column: &str) -> Result<Option<i64>, sqlx::Error> {
    match row {
        #[cfg(feature = "sqlite")]
        Row::Sqlite(row) => row.try_get_unchecked(column),
        #[cfg(feature = "sqlite")]
        Row::Direct(row) => row.integer(column),
        #[cfg(feature = "postgres")]
        Row::Postgres(row) => postgres_integer(row, column),
        #[cfg(feature = "mysql")]
        Row::Mysql(row) => row.try_get_unchecked(column),
    }
}

#[cfg(feature = "postgres")]
fn postgres_integer(row: &PgRow, column: &str) -> Result<Option<i64>, sqlx::Error> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(None);
    }
    let strange = |_| unexpected(column, "no integer");
    if value.format() == PgValueFormat::Text {
        let text = value.as_str().map_err(|_| unexpected(column, "no text"))?;
        return match text {
            "t" => Ok(Some(1)),
            "f" => Ok(Some(0)),
            _ => text.parse().map(Some).map_err(|_| unexpected(column, text)),
        };
    }
    let bytes = value.as_bytes().map_err(|_| unexpected(column, "no bytes"))?;
    let integer = match bytes.len() {
        1 => i64::from(bytes[0]),
        2 => i64::from(i16::from_be_bytes(bytes.try_into().map_err(strange)?)),
        4 => i64::from(i32::from_be_bytes(bytes.try_into().map_err(strange)?)),
        _ => i64::from_be_bytes(bytes.try_into().map_err(strange)?),
    };
    Ok(Some(integer))
}

pub(crate) fn unexpected(column: &str, found: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("the column holds {found}").into(),
    }
}

/// A count or a number that is never negative; 0 for null.
pub(crate) fn unsigned(row: &Row, column: &str) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(optional_integer(row, column)?.unwrap_or(0)).unwrap_or(0))
}

pub(crate) fn is_set(row: &Row, column: &str) -> Result<bool, sqlx::Error> {
    Ok(optional_integer(row, column)?.is_some_and(|value| value != 0))
}

pub(crate) fn bytes(row: &Row, column: &str) -> Result<Vec<u8>, sqlx::Error> {
    optional_bytes(row, column)?.ok_or_else(|| unexpected(column, "a null"))
}

/// The bytes of a blob, a text or an id.
fn optional_bytes(row: &Row, column: &str) -> Result<Option<Vec<u8>>, sqlx::Error> {
    match row {
        #[cfg(feature = "sqlite")]
        Row::Sqlite(row) => row.try_get_unchecked(column),
        #[cfg(feature = "sqlite")]
        Row::Direct(row) => Ok(row.bytes(column)?.map(<[u8]>::to_vec)),
        #[cfg(feature = "postgres")]
        Row::Postgres(row) => {
            let value = row.try_get_raw(column)?;
            if value.is_null() {
                return Ok(None);
            }
            let bytes = value.as_bytes().map_err(|_| unexpected(column, "no bytes"))?;
            Ok(Some(bytes.to_vec()))
        }
        #[cfg(feature = "mysql")]
        Row::Mysql(row) => row.try_get_unchecked(column),
    }
}

/// Text that is not UTF-8 is shown with replacement characters.
pub(crate) fn text(row: &Row, column: &str) -> Result<String, sqlx::Error> {
    optional_text(row, column)?.ok_or_else(|| unexpected(column, "a null"))
}

pub(crate) fn optional_text(row: &Row, column: &str) -> Result<Option<String>, sqlx::Error> {
    let text = |bytes| {
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        match row {
            #[cfg(feature = "sqlite")]
            Row::Sqlite(_) | Row::Direct(_) => text,
            #[cfg(feature = "postgres")]
            Row::Postgres(_) => super::zeroless::decoded(text),
            #[cfg(feature = "mysql")]
            Row::Mysql(_) => text,
        }
    };
    Ok(optional_bytes(row, column)?.map(text))
}

pub(crate) fn job_id(row: &Row, column: &str) -> Result<JobId, sqlx::Error> {
    let id = match row {
        #[cfg(feature = "sqlite")]
        Row::Sqlite(row) => row.try_get_unchecked::<&[u8], _>(column)?.try_into().ok(),
        #[cfg(feature = "sqlite")]
        Row::Direct(row) => row.bytes(column)?.and_then(|bytes| bytes.try_into().ok()),
        #[cfg(feature = "postgres")]
        Row::Postgres(row) => {
            row.try_get_raw(column)?.as_bytes().ok().and_then(|bytes| bytes.try_into().ok())
        }
        #[cfg(feature = "mysql")]
        Row::Mysql(row) => row.try_get_unchecked::<&[u8], _>(column)?.try_into().ok(),
    };
    id.map(JobId::from_bytes).ok_or_else(|| unexpected(column, "no id of 16 bytes"))
}

/// A count that no job reaches is shown as the largest.
pub(crate) fn count(row: &Row, column: &str) -> Result<u32, sqlx::Error> {
    let value = integer(row, column)?.max(0);
    Ok(u32::try_from(value).unwrap_or(u32::MAX))
}

/// A row of `HEAD`, leased under this token.
pub(crate) fn delivery(
    row: &Row,
    queue: &QueueName,
    token: i64,
    hand_out: HandOut,
) -> Result<Delivery, sqlx::Error> {
    let job = job_id(row, "id")?;
    let seq = integer(row, "seq")?;
    Ok(Delivery {
        job,
        task: text(row, "task")?,
        queue: queue.clone(),
        envelope: Payload::from(bytes(row, "envelope")?),
        attempt: std::num::NonZeroU32::MIN.saturating_add(count(row, "failures")?),
        receipt: Lease { job, seq, token }.receipt(hand_out),
        suspect: count(row, "losses")? >= Delivery::SUSPECT_AFTER,
        enqueued_at: timestamp(integer(row, "created_at")?),
        due_at: timestamp(integer(row, "due_at")?),
    })
}

/// A row of `OUTCOMES`.
pub(crate) fn lookup(row: &Row, job: JobId, now_ms: i64) -> Result<Lookup, sqlx::Error> {
    let state = state(row, now_ms)?;
    if !state.is_final() {
        return Ok(Lookup::Pending(state));
    }
    let task = text(row, "task")?;
    let is_failed = state == JobState::Failed;
    let failure = if is_failed { failure(row, job, &task)? } else { None };
    Ok(Lookup::Final(Box::new(Outcome {
        job,
        state,
        result: result(row)?,
        failure,
        finished_at: timestamp(integer(row, "finished_at")?),
        task,
    })))
}

/// Why the job of a row of `CAUSES` or `BROKEN_INPUTS` has no result.
pub(crate) fn error(row: &Row) -> Result<JobError, sqlx::Error> {
    let job = job_id(row, "id")?;
    let task = text(row, "task")?;
    let state = ended(&text(row, "state")?)?;
    let is_failed = state == JobState::Failed;
    let failure = if is_failed { failure(row, job, &task)? } else { None };
    let finished_at = Timestamp::UNIX_EPOCH;
    let outcome = Outcome { job, task, state, result: None, failure, finished_at };
    Ok(outcome.error().unwrap_or_else(|| JobError::unknown(job)))
}

/// A row of `SELECT_RECORD`.
pub(crate) fn record(row: &Row, now_ms: i64) -> Result<JobRecord, sqlx::Error> {
    let id = job_id(row, "id")?;
    let task = text(row, "task")?;
    Ok(JobRecord {
        waits_for: count(row, "waits_for")?,
        unique: optional_text(row, "unique_key")?,
        id,
        queue: queue(row)?,
        state: state(row, now_ms)?,
        priority: priority(row)?,
        failures: count(row, "failures")?,
        losses: count(row, "losses")?,
        recoveries: count(row, "recoveries")?,
        created_at: timestamp(integer(row, "created_at")?),
        due_at: timestamp(integer(row, "due_at")?),
        started_at: optional_integer(row, "started_at")?.map(timestamp),
        finished_at: optional_integer(row, "finished_at")?.map(timestamp),
        worker: optional_text(row, "worker")?,
        failure: failure(row, id, &task)?,
        envelope: Payload::from(bytes(row, "envelope")?),
        result: result(row)?,
        task,
    })
}

pub(crate) fn queue(row: &Row) -> Result<QueueName, sqlx::Error> {
    QueueName::new(text(row, "queue")?).map_err(|error| sqlx::Error::ColumnDecode {
        index: "queue".to_owned(),
        source: error.into(),
    })
}

pub(crate) fn priority(row: &Row) -> Result<Priority, sqlx::Error> {
    let value = integer(row, "priority")?;
    let clamped = value.clamp(Priority::MIN.value().into(), Priority::MAX.value().into());
    Ok(i8::try_from(clamped).ok().and_then(|value| Priority::new(value).ok()).unwrap_or_default())
}

/// The state that follows from the tables that the job is in. A scheduled job that is due
/// counts as ready, whether or not somebody has promoted it yet.
pub(crate) fn state(row: &Row, now_ms: i64) -> Result<JobState, sqlx::Error> {
    if let Some(word) = optional_text(row, "state")? {
        return ended(&word);
    }
    if is_set(row, "running")? {
        return Ok(JobState::Running);
    }
    if is_set(row, "blocked")? {
        return Ok(JobState::Blocked);
    }
    let is_due = integer(row, "due_at")? <= now_ms;
    Ok(if is_due { JobState::Ready } else { JobState::Scheduled })
}

fn ended(word: &str) -> Result<JobState, sqlx::Error> {
    word.parse().map_err(|error| sqlx::Error::ColumnDecode {
        index: "state".to_owned(),
        source: Box::new(error),
    })
}

fn result(row: &Row) -> Result<Option<Payload>, sqlx::Error> {
    Ok(optional_bytes(row, "result")?.map(Payload::from))
}

pub(crate) fn failure(row: &Row, job: JobId, task: &str) -> Result<Option<Failure>, sqlx::Error> {
    let Some(json) = optional_text(row, "failure")? else { return Ok(None) };
    Ok(Some(serde_json::from_str(&json).unwrap_or_else(|error| Failure {
        kind: FailureKind::Error,
        task: task.to_owned(),
        job,
        attempt: 0,
        error_type: None,
        message: format!("the stored failure cannot be read: {error}"),
        causes: Vec::new(),
        permanent: false,
    })))
}
