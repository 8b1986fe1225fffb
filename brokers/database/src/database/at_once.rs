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
    let (channel, text) = session.notice.as_ref().map_or(("", ""), |it| (&*it.channel, &*it.text));
    let rest = |args: Args| {
        let args = args.with(moved_ms).with(&[events::code(EventKind::Stored)][..]);
        args.with(kept_events).with(channel).with(channel).with(text)
    };
    let rows = session.sql.fetch_bulk(&statements::STORE, &placed, row, rest).await?;
    let answer = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    clock.adjust(row::integer(answer, "now_ms")?.saturating_sub(moved_ms));
    let ids = row::bytes(answer, "ids")?;
    session.has_jobs = !ids.is_empty();
    session.has_told = row::is_set(answer, "has_told")?;
    let stored = ids.as_chunks::<16>().0.iter().copied().map(JobId::from_bytes).collect();
    Ok(tell_apart(jobs, stored))
}

#[cfg(all(test, feature = "postgres"))]
mod tests {
    use super::*;
    use crate::database::bell::Notice;
    use crate::database::dialect::Statement;
    use crate::database::lab::{job, opened};
    use crate::database::link::{Link, Role};

    const TELLING: Statement =
        Statement::new("BEGIN; SELECT pg_try_advisory_xact_lock({lock} + 3) AS is_telling");
    const END: Statement = Statement::new("ROLLBACK");

    async fn session(link: &Link, notice: Option<Notice>) -> Session<'static> {
        let mut session = Session::of(link.open(Role::Write).await.unwrap(), link.events);
        session.begin(0, false);
        session.notice = notice;
        session
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_stores_a_job_tells_of_it_unless_another_statement_is_about_to() {
        let broker = opened().await;
        let link = &*broker.store.link;
        let notice = Notice { channel: "a channel".into(), text: "news".into() };
        let mut session = session(link, Some(notice)).await;
        let jobs = [(); 3].map(|()| [job(Due::Now, None)]);
        let stored = [Enqueued::Stored];
        assert_eq!(store(&mut session, &link.clock, &jobs[0]).await.unwrap(), stored);
        assert!(session.has_told);
        let mut other = super::tests::session(link, None).await;
        let rows = other.sql.script(TELLING).await.unwrap();
        assert!(row::is_set(rows.last().unwrap(), "is_telling").unwrap());
        assert_eq!(store(&mut session, &link.clock, &jobs[1]).await.unwrap(), stored);
        assert!(session.has_jobs && !session.has_told, "nobody queues up to tell");
        other.sql.script(END).await.unwrap();
        session.notice = None;
        assert_eq!(store(&mut session, &link.clock, &jobs[2]).await.unwrap(), stored);
        assert!(session.has_jobs && !session.has_told);
    }
}
