//! Storing a few plain jobs in one statement that is its own transaction.

use std::collections::HashSet;

use taskcore::JobId;
use taskcore::broker::millis::{ceil_ms, later};
use taskcore::broker::{Due, Enqueued, EventKind, NewJob};

use super::args::Args;
use super::events;
use super::row;
use super::server_clock::StoreClock;
use super::session::Session;
use super::statements::at_once as statements;

/// Stores jobs without inputs and unique keys.
pub(super) async fn store(
    session: &mut Session<'_>,
    clock: &StoreClock,
    jobs: &[NewJob],
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let placed: Vec<(i64, &NewJob)> = (0..).zip(jobs).collect();
    let row = |args: &mut Args, (place, job): &(i64, &NewJob)| {
        args.push(*place);
        args.push(job.id);
        args.push(job.queue.as_str());
        args.push(&*job.task);
        args.push(i64::from(job.priority.value()));
        let (due_at, wait_ms) = match job.due {
            Due::Now => (None, 0),
            Due::After(span) => (None, later(0, span)),
            Due::At(at) => (Some(ceil_ms(at)), 0),
        };
        args.push(due_at);
        args.push(wait_ms);
        args.push(job.expires_in.map(|span| later(0, span)));
        args.push(job.envelope.as_slice());
    };
    let (moved_ms, kept_events) = (clock.moved_ms(), i64::from(session.kept_events()));
    let rest = |args: Args| {
        args.with(moved_ms).with(&[events::code(EventKind::Stored)][..]).with(kept_events)
    };
    let rows = session.sql.fetch_bulk(&statements::STORE, &placed, row, rest).await?;
    let answer = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    clock.adjust(row::integer(answer, "now_ms")?.saturating_sub(moved_ms));
    let ids = row::bytes(answer, "ids")?;
    session.has_news = !ids.is_empty();
    Ok(tell_apart(jobs, ids.as_chunks::<16>().0))
}

fn tell_apart(jobs: &[NewJob], stored: &[[u8; 16]]) -> Vec<Enqueued> {
    let mut stored: HashSet<JobId> = stored.iter().copied().map(JobId::from_bytes).collect();
    // Removed, because the second job of one id in a batch is the duplicate of the first.
    let answer = |job: &NewJob| match stored.remove(&job.id) {
        true => Enqueued::Stored,
        false => Enqueued::Duplicate,
    };
    jobs.iter().map(answer).collect()
}
