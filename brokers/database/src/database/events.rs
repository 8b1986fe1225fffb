//! Events: what a transaction records of them, and how they are read.

use std::collections::HashMap;

use super::row::Row;
use taskcore::JobId;
use taskcore::broker::millis::timestamp;
use taskcore::broker::{Event, EventId, EventKind, Events};

use super::args::Args;
use super::connection::Connection;
use super::row;
use super::statements::history as sql;

/// The events of a transaction, which become one row.
#[derive(Debug)]
pub(super) struct NewEvents {
    kept: u32,
    /// As in the table.
    bytes: Vec<u8>,
}

impl NewEvents {
    pub(super) fn keeping(kept: u32) -> Self {
        Self { kept, bytes: Vec::new() }
    }

    pub(super) fn push(&mut self, kind: EventKind, job: &[u8; 16]) {
        if self.kept > 0 {
            self.bytes.push(code(kind));
            self.bytes.extend_from_slice(job);
        }
    }

    pub(super) fn kept(&self) -> u32 {
        self.kept
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Writes them, and deletes old ones now and then.
    pub(super) async fn write(
        &mut self,
        connection: &mut Connection<'_>,
        now_ms: i64,
    ) -> Result<(), sqlx::Error> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        let (count, kept) = (self.bytes.len() / SIZE, self.kept as usize);
        let first = count.saturating_sub(kept);
        let args = Args::new().with(count as i64).with(now_ms).with(&self.bytes[SIZE * first..]);
        let last = if connection.dialect.is_serial() {
            let row = connection.fetch_one(sql::NOTE_EVENTS, args).await?;
            Some(row::integer(&row, "last")?)
        } else {
            connection.execute(sql::NOTE_EVENTS, args).await?;
            None
        };
        self.bytes.clear();
        // A batch of the largest size is not what every later transaction needs.
        self.bytes.shrink_to(SIZE * 10_000);
        // Where they are numbered later, upkeep deletes the old ones.
        let Some(last) = last else { return Ok(()) };
        // In steps, so that a small transaction seldom pays for it.
        let (kept, step) = (i64::from(self.kept), i64::from(self.kept / 1024 + 1));
        if last / step != (last - count as i64) / step {
            connection.execute(sql::TRIM_EVENTS, Args::new().with(last - kept)).await?;
        }
        Ok(())
    }
}

/// The number of the latest event.
pub(super) async fn last(connection: &mut Connection<'_>) -> Result<EventId, sqlx::Error> {
    let row = connection.fetch_one(sql::EVENTS_LAST, Args::new()).await?;
    Ok(EventId(row::unsigned(&row, "last")?))
}

/// What comes after an event, at most `max`.
pub(super) async fn after(
    connection: &mut Connection<'_>,
    after: EventId,
    max: u32,
) -> Result<Events, sqlx::Error> {
    let max = max.clamp(1, MAX_EVENTS) as usize;
    let position = i64::try_from(after.0).unwrap_or(i64::MAX);
    let args = Args::new().with(position).with(max.min(MAX_ROWS) as i64);
    let rows = connection.fetch(sql::EVENTS_AFTER, args).await?;
    let mut events = Vec::new();
    for row in &rows {
        let left = max - events.len();
        events.extend(events_of(row, after)?.into_iter().take(left));
    }
    name(connection, &mut events).await?;
    let missed = events.first().map_or(0, |first| first.id.0 - after.0 - 1);
    let next = match events.last() {
        Some(last) => last.id,
        // A position of another file, or of one that was since lost, waits for nothing.
        None => after.min(last(connection).await?),
    };
    Ok(Events { missed, events, next })
}

/// The events of a row that come after this one.
fn events_of(row: &Row, after: EventId) -> Result<Vec<Event>, sqlx::Error> {
    let (last, at) = (row::unsigned(row, "last")?, timestamp(row::integer(row, "at")?));
    let bytes = row::bytes(row, "events")?;
    let events = bytes.as_chunks::<SIZE>().0;
    let ids = (last + 1).saturating_sub(events.len() as u64)..=last;
    let later = ids.zip(events).filter(|(id, _)| *id > after.0);
    let event = |(id, [kind, job @ ..]): (u64, &[u8; SIZE])| {
        let job = JobId::from_bytes(*job);
        Ok(Event { id: EventId(id), at, kind: kind_of(*kind)?, job, task: None })
    };
    later.map(event).collect()
}

/// Adds the names of their tasks.
async fn name(connection: &mut Connection<'_>, events: &mut [Event]) -> Result<(), sqlx::Error> {
    if events.is_empty() {
        return Ok(());
    }
    let mut jobs: Vec<JobId> = events.iter().map(|event| event.job).collect();
    jobs.sort_unstable();
    jobs.dedup();
    let mut tasks = HashMap::new();
    for row in connection.fetch(sql::TASKS_OF_IDS, Args::new().with(jobs.clone())).await? {
        let place = usize::try_from(row::integer(&row, "place")?).unwrap_or(usize::MAX);
        if let Some(job) = jobs.get(place) {
            tasks.insert(*job, row::text(&row, "task")?);
        }
    }
    for event in events {
        event.task = tasks.get(&event.job).cloned();
    }
    Ok(())
}

/// A kind as it is stored.
pub(super) fn code(kind: EventKind) -> u8 {
    let place = KINDS.iter().position(|known| *known == kind);
    u8::try_from(place.expect("all kinds that this crate records are listed")).expect("few kinds")
}

fn kind_of(code: u8) -> Result<EventKind, sqlx::Error> {
    KINDS.get(usize::from(code)).copied().ok_or_else(|| sqlx::Error::ColumnDecode {
        index: "events".to_owned(),
        source: format!("an event of the unknown kind {code}").into(),
    })
}

/// A kind is stored as its place here, so new ones come last.
const KINDS: [EventKind; 11] = [
    EventKind::Stored,
    EventKind::Started,
    EventKind::Done,
    EventKind::Retried,
    EventKind::Failed,
    EventKind::Released,
    EventKind::Continued,
    EventKind::Lost,
    EventKind::Cancelled,
    EventKind::Expired,
    EventKind::Replayed,
];

/// Bytes of one event.
const SIZE: usize = 17;

/// In one answer, whatever is asked for.
const MAX_EVENTS: u32 = 10_000;

/// In one answer: those of a busy store have hundreds of events each.
const MAX_ROWS: usize = 1000;
