//! [`Look`]: reading again and again until there is what was waited for.

use std::time::Duration;

use taskcore::broker::millis::later;

use super::connection::Connection;
use super::numbering::Numbering;
use super::store::{Store, read};
use crate::error::SharedError;

/// One kind of read that waits.
pub(super) trait Look: Sync {
    /// What it is called in errors.
    const NAME: &'static str;

    /// What must have numbers before.
    const NUMBERING: Option<&'static Numbering> = None;

    /// What it answers.
    type Answer: Send;

    /// Reads once.
    fn look(
        &self,
        sql: &mut Connection<'_>,
        now_ms: i64,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;

    /// Whether it waits no longer.
    fn is_enough(&self, answer: &Self::Answer) -> bool;
}

impl Store {
    /// Looks until it is enough, at most so long.
    pub(super) async fn look<L: Look>(
        &self,
        wait: Duration,
        look: L,
    ) -> Result<L::Answer, SharedError> {
        self.check_open()?;
        let clock = self.clock();
        let over_ms = later(clock.now_ms(), wait);
        let mut listener = self.watch.listen_as_reader();
        loop {
            if let Some(numbering) = L::NUMBERING {
                self.number(numbering).await?;
            }
            let now_ms = clock.now_ms();
            let answer = read!(self, L::NAME, |sql| look.look(sql, now_ms))?;
            let is_over = now_ms >= over_ms || self.closed.is_cancelled();
            if is_over || look.is_enough(&answer) {
                return Ok(answer);
            }
            listener.wait(clock, over_ms, [&self.closed; 2]).await;
        }
    }
}
