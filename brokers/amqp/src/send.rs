//! Where a job is sent: to its queue, or onto the ladder.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use taskcore::{Priority, QueueName};

use crate::error::AmqpError;
use crate::ladder;
use crate::message::{Message, Outbound};
use crate::names::{Names, destination};
use crate::session::Session;

impl Session {
    /// Declares what these jobs need on their way, and says which way that is.
    pub(crate) async fn address(
        &self,
        names: &Names,
        jobs: &[Message],
    ) -> Result<Vec<Outbound>, AmqpError> {
        let now = Timestamp::now();
        let mut longest: HashMap<(&QueueName, Priority), u32> = HashMap::new();
        for job in jobs {
            let units = longest.entry((&job.queue, job.priority)).or_default();
            *units = units_until(job, now).max(*units);
        }
        for ((queue, _), units) in longest {
            self.declare_queue(names, queue).await?;
            if units > 0 {
                self.declare_delay(names, units).await?;
            }
        }
        let now = Timestamp::now();
        Ok(jobs.iter().map(|job| address(names, job, units_until(job, now))).collect())
    }

    /// Sends jobs, and waits for the confirms. If queues are gone although they were there, they
    /// are declared anew, once, and what was to go there is sent again.
    pub(crate) async fn send_jobs(
        &self,
        names: &Names,
        jobs: &[Message],
        others: Vec<Outbound>,
    ) -> Result<(), AmqpError> {
        // Declarations are not answered either.
        if self.is_blocked() && !(jobs.is_empty() && others.is_empty()) {
            return Err(AmqpError::Blocked);
        }
        let addressed = self.address(names, jobs).await;
        let mut outbound = addressed.map_err(|error| self.explain(error))?;
        outbound.extend(others);
        let again = match self.tell(&outbound).await {
            Ok(told) => match told.unroutable() {
                Some(ids) => outbound.iter().map(|it| it.has_id_of(ids)).collect(),
                None => return told.into_result(outbound.len()),
            },
            // An exchange of the ladder is gone, and what came after that is unknown.
            Err(error) if error.is_not_found() => vec![true; outbound.len()],
            Err(error) => return Err(error),
        };
        self.declared.lock().await.found_deleted();
        let addressed = self.address(names, jobs).await?;
        outbound.splice(..jobs.len(), addressed);
        let mut again = again.into_iter();
        outbound.retain(|_| again.next().unwrap_or(true));
        self.publish(&outbound).await
    }
}

fn address(names: &Names, job: &Message, units: u32) -> Outbound {
    match ladder::first_step(units) {
        None => job.outbound(String::new(), names.ready(&job.queue, job.priority)),
        Some(first) => {
            let to = destination(&job.queue, job.priority);
            job.outbound(names.step(first), ladder::routing_key(units, &to))
        }
    }
}

fn units_until(job: &Message, now: Timestamp) -> u32 {
    // A job that is due in this millisecond is due.
    let ms = job.due_ms.saturating_sub(now.as_millisecond());
    ladder::units(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}
