//! What columns hold, as types of the core.
//!
//! The tables are `STRICT` and checked, so a value of a wrong type means a file changed by
//! hand; what can be read is read, and no row of one job keeps others from being read.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use taskcore::broker::{Delivery, JobRecord, JobState, Lookup, Outcome};
use taskcore::{Failure, FailureKind, JobError, JobId, Payload, Priority, QueueName};

use crate::receipt::{HandOut, Lease};
use taskcore::broker::millis::timestamp;

pub(super) fn integer(row: &SqliteRow, column: &str) -> Result<i64, sqlx::Error> {
    row.try_get_unchecked(column)
}

pub(super) fn optional_integer(row: &SqliteRow, column: &str) -> Result<Option<i64>, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// A count or a number that is never negative; 0 for null.
pub(super) fn unsigned(row: &SqliteRow, column: &str) -> Result<u64, sqlx::Error> {
    Ok(u64::try_from(optional_integer(row, column)?.unwrap_or(0)).unwrap_or(0))
}

pub(super) fn is_set(row: &SqliteRow, column: &str) -> Result<bool, sqlx::Error> {
    Ok(optional_integer(row, column)?.is_some_and(|value| value != 0))
}

pub(super) fn bytes(row: &SqliteRow, column: &str) -> Result<Vec<u8>, sqlx::Error> {
    row.try_get_unchecked(column)
}

/// Text that is not UTF-8 is shown with replacement characters.
pub(super) fn text(row: &SqliteRow, column: &str) -> Result<String, sqlx::Error> {
    let bytes = bytes(row, column)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

pub(super) fn optional_text(row: &SqliteRow, column: &str) -> Result<Option<String>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked(column)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn job_id(row: &SqliteRow, column: &str) -> Result<JobId, sqlx::Error> {
    let bytes: &[u8] = row.try_get_unchecked(column)?;
    let id = bytes.try_into().map_err(|_| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: format!("an id of {} bytes instead of 16", bytes.len()).into(),
    })?;
    Ok(JobId::from_bytes(id))
}

/// A count that no job reaches is shown as the largest.
pub(super) fn count(row: &SqliteRow, column: &str) -> Result<u32, sqlx::Error> {
    let value = integer(row, column)?.max(0);
    Ok(u32::try_from(value).unwrap_or(u32::MAX))
}

/// A row of `HEAD`, leased under this token.
pub(super) fn delivery(
    row: &SqliteRow,
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
pub(super) fn lookup(row: &SqliteRow, job: JobId, now_ms: i64) -> Result<Lookup, sqlx::Error> {
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
pub(super) fn error(row: &SqliteRow) -> Result<JobError, sqlx::Error> {
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
pub(super) fn record(row: &SqliteRow, now_ms: i64) -> Result<JobRecord, sqlx::Error> {
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

pub(super) fn queue(row: &SqliteRow) -> Result<QueueName, sqlx::Error> {
    QueueName::new(text(row, "queue")?).map_err(|error| sqlx::Error::ColumnDecode {
        index: "queue".to_owned(),
        source: error.into(),
    })
}

pub(super) fn priority(row: &SqliteRow) -> Result<Priority, sqlx::Error> {
    let value = integer(row, "priority")?;
    let clamped = value.clamp(Priority::MIN.value().into(), Priority::MAX.value().into());
    Ok(i8::try_from(clamped).ok().and_then(|value| Priority::new(value).ok()).unwrap_or_default())
}

/// The state that follows from the tables that the job is in. A scheduled job that is due
/// counts as ready, whether or not somebody has promoted it yet.
pub(super) fn state(row: &SqliteRow, now_ms: i64) -> Result<JobState, sqlx::Error> {
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

fn result(row: &SqliteRow) -> Result<Option<Payload>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = row.try_get_unchecked("result")?;
    Ok(bytes.map(Payload::from))
}

pub(super) fn failure(
    row: &SqliteRow,
    job: JobId,
    task: &str,
) -> Result<Option<Failure>, sqlx::Error> {
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
