//! Storing a few plain jobs in one statement that is its own transaction.

use taskcore::JobId;
use taskcore::broker::millis::{ceil_ms, later};
use taskcore::broker::{Due, Enqueued, EventKind, NewJob};

use super::args::Args;
use super::enqueue::tell_apart;
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
    let stored = ids.as_chunks::<16>().0.iter().copied().map(JobId::from_bytes).collect();
    Ok(tell_apart(jobs, stored))
}
