//! [`ScheduleHandle`]: the client's end of a schedule.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::tick;
use crate::broker::{BrokerError, Found, Hold, ScheduleRecord, Schedules};
use crate::client::Client;
use crate::handle::Handle;

/// The client's end of a schedule, known by its name. Dropping it changes nothing.
///
/// Of an eager or disabled client, every method but [`name`](Self::name) answers
/// [`BrokerError::Unsupported`]: no schedule was stored.
pub struct ScheduleHandle<T> {
    name: String,
    client: Client,
    marker: PhantomData<fn() -> T>,
}

/// The longest pause between two looks of [`ScheduleHandle::ended`].
const PACE: Duration = Duration::from_secs(1);

impl<T> ScheduleHandle<T> {
    pub(crate) fn new(name: String, client: Client) -> Self {
        Self { name, client, marker: PhantomData }
    }

    /// What the schedule is known by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that is stored of it; `None` once it was deleted.
    ///
    /// # Errors
    ///
    /// [`BrokerError`], also if this broker keeps no schedules; as for all methods below.
    pub async fn record(&self) -> Result<Option<ScheduleRecord>, BrokerError> {
        tick::find(&**self.schedules()?, &self.name).await
    }

    /// Its next tick; `None` once it has ended.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn next(&self) -> Result<Option<Timestamp>, BrokerError> {
        Ok(self.record().await?.and_then(|record| record.next))
    }

    /// Holds it back: nothing of it is due until it is resumed.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn pause(&self) -> Result<Found, BrokerError> {
        let found = self.schedules()?.hold(std::slice::from_ref(&self.name), Hold::Paused).await?;
        Ok(found.first().copied().unwrap_or(Found::Unknown))
    }

    /// Lets it go on with its next tick. Those that came while it was held back are passed over.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn resume(&self) -> Result<Found, BrokerError> {
        tick::resume(&**self.schedules()?, &self.name).await
    }

    /// Ends it: it ticks no more, and its runs can still be listed. Its jobs go on. One that an
    /// attribute declares starts again with the next worker.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn cancel(&self) -> Result<Found, BrokerError> {
        tick::end(&**self.schedules()?, &self.name).await
    }

    /// Deletes it with what is known of its runs. Its jobs go on.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn delete(&self) -> Result<Found, BrokerError> {
        let found = self.schedules()?.delete(std::slice::from_ref(&self.name)).await?;
        Ok(found.first().copied().unwrap_or(Found::Unknown))
    }

    fn schedules(&self) -> Result<&Arc<dyn Schedules>, BrokerError> {
        self.client.schedules()
    }
}

impl<T: DeserializeOwned + Send + 'static> ScheduleHandle<T> {
    /// Handles of its latest jobs, oldest first, at most
    /// [`ScheduleRecord::RUNS`]. The results of some may not be kept any more.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn runs(&self) -> Result<Vec<Handle<T>>, BrokerError> {
        let runs = self.record().await?.map_or_else(Vec::new, |record| record.runs);
        Ok(runs.into_iter().map(|job| self.client.handle(job)).collect())
    }

    /// Runs it once now, beside its ticks; `None` if it was deleted.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn run(&self) -> Result<Option<Handle<T>>, BrokerError> {
        let job = tick::run_now(&**self.schedules()?, &self.name).await?;
        Ok(job.map(|job| self.client.handle(job)))
    }

    /// Waits until it ticks no more, and answers its [`runs`](Self::runs). A schedule without an
    /// end goes on until somebody ends it.
    ///
    /// Looks about once a second. Cancel-safe.
    ///
    /// # Errors
    ///
    /// As for [`record`](Self::record).
    pub async fn ended(&self) -> Result<Vec<Handle<T>>, BrokerError> {
        while self.next().await?.is_some() {
            tokio::time::sleep(PACE.mul_f64(rand::random_range(0.5..1.0))).await;
        }
        self.runs().await
    }
}

impl<T> Clone for ScheduleHandle<T> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone(), self.client.clone())
    }
}

impl<T> fmt::Debug for ScheduleHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScheduleHandle({})", self.name)
    }
}
