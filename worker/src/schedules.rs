//! Schedules: stores those that tasks declare, and turns ticks into jobs.
//!
//! Every worker does this; the store lets one of them through for each tick.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rand::RngExt;
use taskcore::Registry;
use taskcore::broker::{
    BrokerError, DueSchedules, Fired, Guarded, Origin, ScheduleFilter, ScheduleRecord, Schedules,
};
use taskcore::schedule::{self, Standing};
use tokio_util::sync::CancellationToken;

use crate::error::WorkerError;
use crate::report;

/// The schedules of a store, as a worker sees them.
#[derive(Debug, Clone)]
pub(crate) struct Ticker {
    pub(crate) schedules: Arc<dyn Schedules>,
    /// The broker's name, for errors.
    pub(crate) broker: &'static str,
}

/// One look waits this long for a tick; the store ends it when one comes.
const WAIT: Duration = Duration::from_secs(5);

/// The most schedules fired together.
const BATCH: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);

/// The pause after a failure, doubled with each further one up to five times.
const PACE: Duration = Duration::from_secs(1);

impl Ticker {
    /// Stores what these tasks declare, and reports what they declare no more.
    pub(crate) async fn declare(&self, tasks: &Registry) -> Result<(), WorkerError> {
        let store = self.schedules.clone();
        let now = self.guard("now", Duration::ZERO, async move { store.now().await }).await?;
        let declared = schedule::declared(tasks, now)?;
        if !declared.is_empty() {
            let store = self.schedules.clone();
            let put = async move { store.put(&declared).await };
            self.guard("put", Duration::ZERO, put).await?;
        }
        let filter = ScheduleFilter { origin: Some(Origin::Declared), ..ScheduleFilter::default() };
        let store = self.schedules.clone();
        let list = async move { store.list(&filter).await };
        for record in self.guard("list", Duration::ZERO, list).await? {
            match schedule::standing(&record, tasks) {
                Standing::Sound => {}
                standing => report::schedule_left_over(&record, standing),
            }
        }
        Ok(())
    }

    /// Turns the ticks that have come by now into jobs.
    pub(crate) async fn catch_up(&self) -> Result<(), BrokerError> {
        let mut due = self.look(Duration::ZERO).await?;
        let started = due.now;
        loop {
            // A short interval ticks again meanwhile, and would never be caught up with.
            due.due.retain(|record| record.next.is_some_and(|tick| tick <= started));
            // What cannot be fired stays due; it was reported.
            if due.due.is_empty() || self.fire_all(due).await? == Round::Unsound {
                return Ok(());
            }
            due = self.look(Duration::ZERO).await?;
        }
    }

    /// Turns ticks into jobs until the worker stops.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while !stop.is_cancelled() {
            // A look changes nothing, so it can be dropped.
            let looked = tokio::select! {
                looked = self.look(WAIT) => looked,
                () = stop.cancelled() => return,
            };
            let round = match looked {
                Ok(due) => self.fire_all(due).await,
                Err(error) => Err(error),
            };
            match round {
                Ok(Round::Sound) => {
                    failures = 0;
                    continue;
                }
                Ok(Round::Unsound) => {}
                Err(BrokerError::Closed { .. }) => return,
                Err(error) => report::cannot_tick(&error),
            }
            let pause = PACE.saturating_mul(1 << failures.min(5));
            failures += 1;
            let pause = pause.mul_f64(rand::rng().random_range(0.5..1.0));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    async fn look(&self, wait: Duration) -> Result<DueSchedules, BrokerError> {
        let store = self.schedules.clone();
        self.guard("due", wait, async move { store.due(BATCH, wait).await }).await
    }

    /// Fires schedules together, so that they share a round trip where the store lets them.
    async fn fire_all(&self, due: DueSchedules) -> Result<Round, BrokerError> {
        let DueSchedules { now, due } = due;
        let mut firings = Vec::with_capacity(due.len());
        let mut round = Round::Sound;
        for record in &due {
            match schedule::firing(record, now) {
                Ok(firing) => firings.push((record, firing)),
                Err(error) => {
                    report::schedule_unreadable(record, &error);
                    round = Round::Unsound;
                }
            }
        }
        let fired = firings.into_iter().map(|(record, firing)| async move {
            let jobs = firing.jobs.len();
            let store = self.schedules.clone();
            let fire = async move { store.fire(&firing).await };
            (record, jobs, self.guard("fire", Duration::ZERO, fire).await)
        });
        for (record, jobs, fired) in join_all(fired).await {
            if let Some(unsound) = Self::note(record, jobs, fired)? {
                round = unsound;
            }
        }
        Ok(round)
    }

    fn note(
        record: &ScheduleRecord,
        jobs: usize,
        fired: Result<Fired, BrokerError>,
    ) -> Result<Option<Round>, BrokerError> {
        match fired {
            Ok(Fired::Applied) => report::ticked(record, jobs),
            // Another worker was faster.
            Ok(Fired::Stale) => {}
            Err(error @ BrokerError::Closed { .. }) => return Err(error),
            // It stays due, and does not keep the others from going on.
            Err(error) => {
                report::cannot_fire(record, &error);
                return Ok(Some(Round::Unsound));
            }
        }
        Ok(None)
    }

    /// Runs a call in a task of its own and waits for it until its deadline, as [`Guarded`] does:
    /// a call that changes something is not dropped midway.
    async fn guard<T: Send + 'static>(
        &self,
        operation: &'static str,
        wait: Duration,
        call: impl Future<Output = Result<T, BrokerError>> + Send + 'static,
    ) -> Result<T, BrokerError> {
        let broker = self.broker;
        let limit = Guarded::DEADLINE + wait;
        match tokio::time::timeout(limit, tokio::spawn(call)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Err(BrokerError::Unavailable { broker, source: Box::new(error) }),
            Err(_) => Err(BrokerError::Deadline { broker, operation, seconds: limit.as_secs() }),
        }
    }
}

/// Whether everything that was due could be fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Sound,
    Unsound,
}
