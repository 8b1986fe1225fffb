//! [`Feed`]: ids of jobs in the order in which something happened to them.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::millis::later;
use taskcore::broker::{BrokerError, Cursor};

use super::args::Args;
use super::connection::Connection;
use super::dialect::Statement;
use super::numbering::{self, Numbering};
use super::store::{Store, read};
use super::{row, statements};

/// A table of rows that hold ids, with a cursor for each reader.
#[derive(Debug)]
pub(super) struct Feed {
    operation: &'static str,
    after: Statement,
    last: Statement,
    numbering: &'static Numbering,
}

/// Jobs that became final.
pub(super) static FINISHED: Feed = Feed {
    operation: "finished",
    after: statements::FINISHED_AFTER,
    last: statements::FINISHED_LAST,
    numbering: &numbering::FINISHED,
};

/// Jobs that were cancelled while they ran.
pub(super) static CANCELLED: Feed = Feed {
    operation: "cancelled",
    after: statements::CANCELLED_AFTER,
    last: statements::CANCELLED_LAST,
    numbering: &numbering::CANCELLED,
};

/// Some of a feed, and where to go on.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) ids: Vec<JobId>,
    pub(super) next: Cursor,
}

impl Feed {
    /// What comes after a position, waiting at most `wait` for the first of it; without one,
    /// the position of now.
    pub(super) async fn read(
        &self,
        store: &Store,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Page, BrokerError> {
        store.check_open()?;
        let Some(Cursor(mut from)) = after else {
            store.number(self.numbering).await?;
            let next = read!(store, self.operation, |sql| self.last(sql))?;
            return Ok(Page { ids: Vec::new(), next: Cursor(next) });
        };
        let clock = store.clock();
        let over_ms = later(clock.now_ms(), wait);
        let mut listener = store.watch.listen();
        loop {
            store.number(self.numbering).await?;
            let page = read!(store, self.operation, |sql| self.page(sql, from))?;
            let is_over = clock.now_ms() >= over_ms || store.closed.is_cancelled();
            if is_over || !page.ids.is_empty() {
                return Ok(page);
            }
            Cursor(from) = page.next;
            listener.wait(clock, over_ms, [&store.closed; 2]).await;
        }
    }

    async fn last(&self, sql: &mut Connection<'_>) -> Result<i64, sqlx::Error> {
        let row = sql.fetch_one(self.last, Args::new()).await?;
        row::integer(&row, "position")
    }

    /// Whole rows, as long as their ids are not too many; at least one.
    async fn page(&self, sql: &mut Connection<'_>, after: i64) -> Result<Page, sqlx::Error> {
        let mut page = Page { ids: Vec::new(), next: Cursor(after) };
        let args = Args::new().with(after).with(ROWS);
        for row in sql.fetch(self.after, args).await? {
            let bytes = row::bytes(&row, "jobs")?;
            let (ids, _) = bytes.as_chunks::<16>();
            if !page.ids.is_empty() && page.ids.len() + ids.len() > MAX_IDS {
                break;
            }
            page.ids.extend(ids.iter().copied().map(JobId::from_bytes));
            page.next = Cursor(row::integer(&row, "position")?);
        }
        Ok(page)
    }
}

/// From the contracts of `finished` and `cancelled`.
const MAX_IDS: usize = 10_000;

/// Rows in one answer: a busy store's have dozens to hundreds of ids each.
const ROWS: i64 = 256;
