//! The [`Schedules`] trait: jobs that come again and again.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::{BrokerError, NewJob};
use crate::id::JobId;
use crate::payload::Payload;
use crate::queue::{Priority, QueueName};

/// Stores schedules, and turns their ticks into jobs, each once.
///
/// The store knows when the next tick of a schedule is and what its jobs look like. It does not
/// know what a cron expression is: which tick comes after which is the caller's business, who
/// reads it out of the [`spec`](NewSchedule::spec), a text that the store does not read.
///
/// The rules of [`Broker`](super::Broker) hold here as well: batches, `Err` means unknown, the
/// store's clock decides.
#[async_trait]
pub trait Schedules: fmt::Debug + Send + Sync + 'static {
    /// The time on the store's clock, from which callers count first ticks.
    async fn now(&self) -> Result<Timestamp, BrokerError>;

    /// Stores schedules under their names, all or none; one answer each, in order.
    ///
    /// One that is stored with the same spec keeps its next tick, its last one, its runs and
    /// whether it is paused; one with another spec takes the new next tick and keeps the rest.
    /// Either way the template of its jobs becomes the new one.
    async fn put(&self, batch: &[NewSchedule]) -> Result<Vec<Put>, BrokerError>;

    /// Schedules that pass the filter, by name.
    async fn list(&self, filter: &ScheduleFilter) -> Result<Vec<ScheduleRecord>, BrokerError>;

    /// Schedules whose next tick has come and that are not paused, the longest due first, at
    /// most `limit`, waiting at most `wait` for the first.
    ///
    /// Changes nothing: what is due stays due until somebody [fires](Self::fire) it.
    async fn due(&self, limit: NonZeroU32, wait: Duration) -> Result<DueSchedules, BrokerError>;

    /// Stores the jobs of a tick and moves the schedule on, in one atomic step, if it still is
    /// as the caller saw it; otherwise the answer is [`Fired::Stale`] and nothing changes.
    ///
    /// So a tick becomes jobs once, however many workers saw it come. A job whose id is stored
    /// already is left out, as by [`enqueue`](super::Broker::enqueue).
    async fn fire(&self, firing: &Firing) -> Result<Fired, BrokerError>;

    /// Holds schedules back, or lets them go on; answers for each whether it is stored.
    async fn hold(&self, names: &[String], hold: Hold) -> Result<Vec<Found>, BrokerError>;

    /// Deletes schedules, not their jobs; answers for each whether it was stored.
    async fn delete(&self, names: &[String]) -> Result<Vec<Found>, BrokerError>;
}

/// A schedule to store.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// What it is known by, at most 255 bytes.
    pub name: String,
    /// When it ticks, and everything else that only callers read.
    pub spec: String,
    /// Who wants it.
    pub origin: Origin,
    /// Its next tick, if it is new or its spec is another one; `None` if it has none any more.
    /// Whole milliseconds.
    pub next: Option<Timestamp>,
    /// What its jobs look like.
    pub template: Template,
}

/// What the jobs of a schedule have in common.
#[derive(Debug, Clone)]
pub struct Template {
    /// Where they wait.
    pub queue: QueueName,
    /// The task's name; at most 255 bytes.
    pub task: Cow<'static, str>,
    /// How urgent they are within their queue.
    pub priority: Priority,
    /// They end as expired if they did not start within this span.
    pub expires_in: Option<Duration>,
    /// Everything else, for the worker; the store does not read it.
    pub envelope: Payload,
}

/// Who wants a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The attribute on a task.
    Declared,
    /// A program that called.
    Called,
}

/// What became of one schedule of a `put`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Stored,
    /// It was there with another spec, and starts anew.
    Changed,
    /// It was there with this spec, and goes on.
    Kept,
}

/// Which schedules; every field narrows, and an empty filter is all of them.
#[derive(Debug, Clone, Default)]
pub struct ScheduleFilter {
    /// Only these names.
    pub names: Option<Vec<String>>,
    /// Only those of this origin.
    pub origin: Option<Origin>,
}

/// All that a store knows of one schedule. Times are the broker's, in whole milliseconds.
#[derive(Debug, Clone)]
pub struct ScheduleRecord {
    /// What it is known by.
    pub name: String,
    /// When it ticks; only callers read it.
    pub spec: String,
    /// Who wants it.
    pub origin: Origin,
    /// Its next tick; `None` once it has ended.
    pub next: Option<Timestamp>,
    /// The latest tick that became a job.
    pub last: Option<Timestamp>,
    /// Whether it is held back.
    pub hold: Hold,
    /// When it was stored first.
    pub created_at: Timestamp,
    /// Its latest jobs, oldest first, at most [`RUNS`](Self::RUNS); some may not be kept any
    /// more.
    pub runs: Vec<JobId>,
    /// What its jobs look like.
    pub template: Template,
}

impl ScheduleRecord {
    /// How many jobs of a schedule are remembered.
    pub const RUNS: usize = 100;
}

/// Schedules that are due.
#[derive(Debug, Clone)]
pub struct DueSchedules {
    /// The time at which they were due.
    pub now: Timestamp,
    /// Which.
    pub due: Vec<ScheduleRecord>,
}

/// The jobs of a tick, and how the schedule goes on.
#[derive(Debug, Clone)]
pub struct Firing {
    /// Which schedule.
    pub name: String,
    /// As the caller saw it.
    pub seen: Seen,
    /// The jobs of the tick; none passes over it.
    pub jobs: Vec<NewJob>,
    /// The latest tick that these jobs are of; `None` leaves it as it was.
    pub last: Option<Timestamp>,
    /// The tick after it; `None` ends the schedule.
    pub next: Option<Timestamp>,
}

/// What must still hold for a firing to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The next tick.
    pub next: Option<Timestamp>,
    /// Whether it is held back.
    pub hold: Hold,
}

/// Whether a schedule is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hold {
    /// It is not.
    Running,
    /// It is: nothing of it is due.
    Paused,
}

/// What became of a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The jobs are stored durably, and the schedule has moved on.
    Applied,
    /// Somebody was faster, or the schedule was changed or deleted.
    Stale,
}

/// Whether something of a name was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    /// It was.
    Known,
    /// Nothing of this name is stored.
    Unknown,
}
