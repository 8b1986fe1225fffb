//! [`Look`]: reading again and again until there is what was waited for.

use std::time::Duration;

use taskcore::broker::millis::later;

use super::connection::Connection;
use super::store::Store;
use crate::error::Error;

/// One kind of read that waits.
pub(super) trait Look: Sync {
    /// What it is called in errors.
    const NAME: &'static str;

    /// What it answers.
    type Answer: Send;

    /// Reads once.
    fn look(
        &self,
        sql: &mut Connection,
        now_ms: i64,
    ) -> impl Future<Output = Result<Self::Answer, sqlx::Error>> + Send;

    /// Whether it waits no longer.
    fn is_enough(&self, answer: &Self::Answer) -> bool;
}

impl Store {
    /// Looks until it is enough, at most so long.
    pub(super) async fn look<L: Look>(&self, wait: Duration, look: L) -> Result<L::Answer, Error> {
        self.check_open()?;
        let clock = self.clock();
        let over_ms = later(clock.now_ms(), wait);
        let mut listener = self.watch.listen_as_reader();
        loop {
            let now_ms = clock.now_ms();
            let answer = self.read(L::NAME, async |sql| look.look(sql, now_ms).await).await?;
            let is_over = now_ms >= over_ms || self.closed.is_cancelled();
            if is_over || look.is_enough(&answer) {
                return Ok(answer);
            }
            listener.wait(clock, over_ms, [&self.closed; 2]).await;
        }
    }
}
