//! Storing many new jobs at once on a server, faster than a statement over rows of input does it.

#[cfg(feature = "mysql")]
use std::sync::Arc;

use taskcore::broker::NewJob;
#[cfg(feature = "mysql")]
use taskcore::broker::millis::{due_ms, later};

use super::args::Args;
#[cfg(feature = "postgres")]
use super::copy;
#[cfg(feature = "mysql")]
use super::dialect::Kind;
use super::session::Session;
use super::statements;
use crate::error::is_repeated;

/// Stores the first of these jobs, numbered from the one after `before` on; answers how many, which
/// is none where there are few. A job that is there already, or was, is an error.
pub(super) async fn store(
    session: &mut Session<'_>,
    jobs: &[NewJob],
    before: i64,
) -> Result<usize, sqlx::Error> {
    let stored = insert(session, jobs, before).await;
    session.has_repeats = stored.as_ref().is_err_and(is_repeated);
    let stored = stored?;
    if stored > 0 {
        let (last, now_ms) = (before + stored as i64, session.now_ms);
        let args = Args::new().with(before + 1).with(last).with(now_ms);
        if !session.sql.fetch(statements::ENQUEUED_BEFORE, args).await?.is_empty() {
            session.has_repeats = true;
            return Err(sqlx::Error::Protocol("one of the jobs was deleted before".to_owned()));
        }
    }
    Ok(stored)
}

async fn insert(
    session: &mut Session<'_>,
    jobs: &[NewJob],
    before: i64,
) -> Result<usize, sqlx::Error> {
    let (text, now_ms) = (session.sql.dialect.text(&statements::ENQUEUE_MANY), session.now_ms);
    #[cfg(feature = "postgres")]
    if jobs.len() >= copy::COPY_FROM
        && let Some(sql) = session.sql.as_postgres()
    {
        copy::store(sql, &text, jobs, before + 1, now_ms).await?;
        return Ok(jobs.len());
    }
    #[cfg(feature = "mysql")]
    if session.sql.dialect.kind == Kind::Mysql {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; ROWS].join(", ");
        let text: Arc<str> = format!("{text}{rows}").into();
        let mut stored = 0;
        for chunk in jobs.as_chunks::<ROWS>().0 {
            let bytes: usize = chunk.iter().map(|job| job.envelope.as_slice().len()).sum();
            if bytes > MOST_BYTES {
                break;
            }
            let args = values(chunk, before + 1 + stored as i64, now_ms);
            session.sql.run(Arc::clone(&text), args).await?;
            stored += ROWS;
        }
        return Ok(stored);
    }
    Ok(0)
}

/// Rows of one statement, whose text is prepared once for so many.
#[cfg(feature = "mysql")]
const ROWS: usize = 500;

/// Of all envelopes of a statement: a server takes a message of 16 MiB by default.
#[cfg(feature = "mysql")]
const MOST_BYTES: usize = 2 * 1024 * 1024;

#[cfg(feature = "mysql")]
fn values(jobs: &[NewJob], first: i64, now_ms: i64) -> Args {
    let mut args = Args::new();
    for (seq, job) in (first..).zip(jobs) {
        args.push(seq);
        args.push(job.id);
        args.push(job.queue.as_str());
        args.push(&*job.task);
        args.push(i64::from(job.priority.value()));
        args.push(now_ms);
        args.push(due_ms(job.due, now_ms));
        args.push(job.expires_in.map(|span| later(now_ms, span)));
        args.push(job.envelope.as_slice());
    }
    args
}
