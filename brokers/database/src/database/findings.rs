//! What `doctor` says of a store on any database.

use taskcore::broker::millis::timestamp;
use taskcore::broker::{Finding, FindingLevel};

use super::connection::Connection;
use super::dialect::Statement;
use super::row::{integer, text};
use super::wake::Source;
use super::wake::Watch;

pub(crate) fn finding(level: FindingLevel, subject: &str, detail: String) -> Finding {
    Finding { level, subject: subject.to_owned(), detail }
}

/// The version that was found, and the newest that this program knows.
pub(crate) fn schema(found: i64, supported: i64) -> Finding {
    if found == supported {
        return finding(FindingLevel::Ok, "schema", format!("version {found}"));
    }
    let detail = format!(
        "version {found}, and this program was started with version {supported}: restart it, or \
         upgrade it"
    );
    finding(FindingLevel::Error, "schema", detail)
}

/// How commits of other processes are noticed, where it is by polling.
pub(crate) fn polling(watch: &Watch) -> Option<Finding> {
    let Source::Polling(reason) = &watch.source else { return None };
    let detail = format!(
        "polling up to 250 ms apart, because {reason}: jobs of other processes start later"
    );
    Some(finding(FindingLevel::Warning, "wake-ups", detail))
}

/// The job that waits for longest, by a statement that answers its `queue` and `due_at`.
pub(crate) async fn oldest_ready(
    sql: &mut Connection<'_>,
    statement: Statement,
    now_ms: i64,
) -> Result<Finding, sqlx::Error> {
    let subject = "oldest ready job";
    let rows = sql.all(statement).await?;
    let Some(row) = rows.first() else {
        return Ok(finding(FindingLevel::Ok, subject, "none".to_owned()));
    };
    let due_at = integer(row, "due_at")?;
    let (queue, since) = (text(row, "queue")?, timestamp(due_at));
    Ok(if now_ms - due_at < LONG_WAIT_MS {
        finding(FindingLevel::Ok, subject, format!("in queue `{queue}`, since {since}"))
    } else {
        let detail = format!(
            "in queue `{queue}`, since {since}: is a worker running for it, and is it paused?"
        );
        finding(FindingLevel::Warning, subject, detail)
    })
}

/// A job that waits longer than this for a worker is worth a warning.
const LONG_WAIT_MS: i64 = 15 * 60 * 1000;
