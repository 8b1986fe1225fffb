//! Storing a few plain jobs on MySQL by one text of several statements, with all values in it: one way
//! there and back, where the steps of a transaction take seven. Values are numbers, and bytes in
//! hexadecimal, so nothing in them can be taken for SQL.

use std::collections::BTreeMap;

use taskcore::broker::millis::{ceil_ms, later};
use taskcore::broker::{Due, Enqueued, EventKind, NewJob};

use super::dialect::{Dialect, Statement};
use super::server_clock::StoreClock;
use super::session::Session;
use super::statements::at_once as sql;
use super::statements::{self, transactions};
use super::{events, row};

/// Stores jobs without inputs and unique keys; `None` if they are too large for one text. One that
/// is there already, or was, is an error.
pub(super) async fn store(
    session: &mut Session<'_>,
    clock: &StoreClock,
    jobs: &[NewJob],
) -> Result<Option<Vec<Enqueued>>, sqlx::Error> {
    let bytes: usize = jobs.iter().map(|job| job.envelope.as_slice().len()).sum();
    if bytes > MOST_BYTES {
        return Ok(None);
    }
    let (moved_ms, kept_events) = (clock.moved_ms(), session.kept_events() as usize);
    let text = text(&session.sql.dialect, jobs, moved_ms, kept_events);
    let rows = match session.sql.script_text(text.into()).await {
        Ok(rows) => rows,
        Err(error) => {
            let rolled_back = session.sql.script(transactions::ROLLBACK).await;
            rolled_back.map_err(|_| sqlx::Error::Protocol("cannot roll back".to_owned()))?;
            return Err(error);
        }
    };
    let now = rows.last().ok_or(sqlx::Error::RowNotFound)?;
    clock.adjust(row::integer(now, "now_ms")?);
    session.has_jobs = true;
    Ok(Some(vec![Enqueued::Stored; jobs.len()]))
}

/// Of all envelopes, which become twice as long in the text: servers take one of 16 MiB by default,
/// and some are set to 1 MiB.
const MOST_BYTES: usize = 256 * 1024;

pub(super) fn text(
    dialect: &Dialect,
    jobs: &[NewJob],
    moved_ms: i64,
    kept_events: usize,
) -> String {
    let mut script = Script { dialect, text: String::with_capacity(1024 * jobs.len()) };
    script.add(&sql::SCRIPT_BEGIN, &[&moved_ms.to_string()]);
    let ids = list(jobs, |job| hex(job.id.as_bytes()));
    let tombstones = filled(&dialect.text(&sql::SCRIPT_TOMBSTONES), &[&ids, "@job_now"]);
    script.add(&sql::SCRIPT_UNKNOWN, &[&tombstones]);
    let mut place = -1;
    script.add(
        &sql::SCRIPT_JOBS,
        &[&list(jobs, |job| {
            place += 1;
            job_row(place, job)
        })],
    );
    let last = format!("@job_first + {place}");
    let of_these = ["@job_first", &last, "@job_now"];
    let is_sorted = jobs.windows(2).all(|pair| pair[0].priority == pair[1].priority);
    let ready = match is_sorted {
        true => &statements::ENQUEUE_READY,
        false => &statements::ENQUEUE_READY_SORTED,
    };
    script.add(ready, &of_these);
    if jobs.iter().any(|job| job.due != Due::Now) {
        script.add(&statements::ENQUEUE_SCHEDULED, &of_these);
    }
    if jobs.iter().any(|job| job.expires_in.is_some()) {
        script.add(&statements::ENQUEUE_EXPIRY, &of_these[..2]);
    }
    let mut stored = BTreeMap::<&str, u64>::new();
    for job in jobs {
        *stored.entry(&job.task).or_default() += 1;
    }
    let sum = |(task, stored): (&str, u64)| format!("({}, {stored})", hex(task.as_bytes()));
    script.add(&sql::SCRIPT_SUMS, &[&list(stored, sum)]);
    if kept_events > 0 {
        let mut happened = Vec::with_capacity(17 * jobs.len());
        for job in &jobs[jobs.len().saturating_sub(kept_events)..] {
            happened.push(events::code(EventKind::Stored));
            happened.extend_from_slice(job.id.as_bytes());
        }
        script.add(&sql::SCRIPT_EVENTS, &[&jobs.len().to_string(), &hex(&happened)]);
    }
    script.add(&sql::SCRIPT_END, &[]);
    script.text
}

fn job_row(place: i64, job: &NewJob) -> String {
    let due_at = match job.due {
        Due::Now => "@job_now".to_owned(),
        Due::After(span) => format!("@job_now + {}", later(0, span)),
        Due::At(at) => format!("greatest(@job_now, {})", ceil_ms(at)),
    };
    let expires_at = match job.expires_in {
        Some(span) => format!("@job_now + {}", later(0, span)),
        None => "NULL".to_owned(),
    };
    format!(
        "(@job_first + {place}, {}, {}, {}, {}, @job_now, {due_at}, {expires_at}, {})",
        hex(job.id.as_bytes()),
        hex(job.queue.as_str().as_bytes()),
        hex(job.task.as_bytes()),
        job.priority.value(),
        hex(job.envelope.as_slice()),
    )
}

struct Script<'a> {
    dialect: &'a Dialect,
    text: String,
}

impl Script<'_> {
    /// Adds a statement whose parameters have these values.
    fn add(&mut self, statement: &Statement, values: &[&str]) {
        self.text.push_str(&filled(&self.dialect.text(statement), values));
        self.text.push_str(";\n");
    }
}

/// A statement with these values for its parameters.
fn filled(statement: &str, values: &[&str]) -> String {
    let mut parts = statement.split('?');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.zip(values).fold(first, |filled, (part, value)| filled + value + part)
}

fn list<T>(items: impl IntoIterator<Item = T>, write: impl FnMut(T) -> String) -> String {
    items.into_iter().map(write).collect::<Vec<_>>().join(", ")
}

/// Bytes as the text of a literal.
fn hex(bytes: &[u8]) -> String {
    format!("X'{}'", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;
    use taskcore::{JobId, Payload, Priority, QueueName};

    use super::*;
    use crate::database::Kind;

    fn job(due: Due, expires_in: Option<Duration>) -> NewJob {
        NewJob {
            id: JobId::new(),
            queue: QueueName::DEFAULT,
            task: "it's \\ ? \0".into(),
            priority: Priority::default(),
            due,
            expires_in,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: Payload::from(b"'; DROP TABLE other_job; -- ?".to_vec()),
        }
    }

    #[test]
    fn all_that_a_script_reads_is_in_it_whatever_the_prefix() {
        let dialect = Dialect::new(Kind::Mysql, "other_".to_owned(), 1);
        let second = Duration::from_secs(1);
        let jobs = [
            job(Due::Now, None),
            job(Due::After(second), Some(second)),
            job(Due::At(Timestamp::UNIX_EPOCH), None),
        ];
        let text = text(&dialect, &jobs, 0, 2);
        assert!(!text.contains("hereafter_") && !text.contains('?'), "{text}");
        assert!(!text.contains("it's") && !text.contains("DROP"), "{text}");
        for read in text.split('@').skip(1) {
            let end = read.find(|letter: char| !letter.is_ascii_lowercase() && letter != '_');
            let name = &read[..end.unwrap_or(read.len())];
            assert!(text.contains(&format!("@{name} = ")), "@{name} in {text}");
        }
    }
}
