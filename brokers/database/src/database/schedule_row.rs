//! What the columns of a schedule hold, as types of the core.

use std::borrow::Cow;
use std::time::Duration;

use super::row::Row;
use taskcore::broker::millis::timestamp;
use taskcore::broker::{Hold, Origin, ScheduleRecord, Template};
use taskcore::{JobId, Payload};

use super::row;

/// A row of `SCHEDULE` and its siblings.
pub(super) fn record(found: &Row) -> Result<ScheduleRecord, sqlx::Error> {
    let time = |column| row::optional_integer(found, column).map(|ms| ms.map(timestamp));
    Ok(ScheduleRecord {
        name: row::text(found, "name")?,
        spec: row::text(found, "spec")?,
        origin: match row::text(found, "origin")?.as_str() {
            "declared" => Origin::Declared,
            _ => Origin::Called,
        },
        next: time("next_at")?,
        last: time("last_at")?,
        hold: hold(found)?,
        created_at: timestamp(row::integer(found, "created_at")?),
        runs: runs(found)?,
        template: Template {
            queue: row::queue(found)?,
            task: Cow::Owned(row::text(found, "task")?),
            priority: row::priority(found)?,
            expires_in: row::optional_integer(found, "expires_in")?
                .map(|ms| Duration::from_millis(ms.max(0).cast_unsigned())),
            envelope: Payload::from(row::bytes(found, "envelope")?),
        },
    })
}

pub(super) fn hold(found: &Row) -> Result<Hold, sqlx::Error> {
    Ok(if row::is_set(found, "paused")? { Hold::Paused } else { Hold::Running })
}

pub(super) fn next_ms(found: &Row) -> Result<Option<i64>, sqlx::Error> {
    row::optional_integer(found, "next_at")
}

pub(super) fn runs(found: &Row) -> Result<Vec<JobId>, sqlx::Error> {
    let bytes = row::bytes(found, "runs")?;
    let (ids, _) = bytes.as_chunks::<16>();
    Ok(ids.iter().copied().map(JobId::from_bytes).collect())
}
