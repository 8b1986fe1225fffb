//! The contract between Hereafter and whatever stores its jobs.
//!
//! Six traits, all object-safe: [`Broker`] stores jobs and hands them out, [`ResultStore`]
//! keeps what became of them, [`Operate`] is what the command line needs, [`Schedules`] keeps
//! what comes again and again, [`Reports`] keeps what jobs say while they run, [`History`] tells
//! what happened. A [`Connection`] holds the six of one store. A store that lets another broker
//! carry its jobs is an [`Outbox`], too.

mod api;
mod capabilities;
mod connection;
mod delivery;
mod depth;
mod error;
mod guarded;
mod history;
mod job;
mod operate;
mod outbox;
mod reports;
mod results;
mod schedules;
mod secret;
mod unique;
mod verdict;

pub mod millis;

pub use api::Broker;
pub use capabilities::{Capabilities, OverLimit};
pub use connection::{ConnectError, Connection, Migration, Opener};
pub use delivery::{Delivery, QueueShare, Receipt, Reserve};
pub use depth::{Depth, Maintain, Upkeep};
pub use error::{BoxError, BrokerError};
pub use guarded::Guarded;
pub use history::{
    Attempt, AttemptEnd, Event, EventId, EventKind, Events, History, TaskStats, Timeline,
};
pub use job::{Due, Enqueued, Input, InvalidJobState, JobState, NewJob};
pub use operate::{
    CancelOutcome, CancelScope, Finding, FindingLevel, JobFilter, JobRecord, Operate, QueueStatus,
};
pub use outbox::{Claim, Claimed, Outbox, Outgoing};
pub use reports::{
    Demand, Items, LogLine, NewItems, NewLine, Progress, ProgressNow, ReadItems, Report, Reports,
};
pub use results::{Cancelled, Cursor, Finished, Lookup, Outcome, ResultStore};
pub use schedules::{
    DueSchedules, Fired, Firing, Found, Hold, NewSchedule, Origin, Put, ScheduleFilter,
    ScheduleRecord, Schedules, Seen, Template,
};
pub use secret::{check_password, shown_url};
pub use unique::{OnConflict, Unique, UniqueScope};
pub use verdict::{Extended, Keep, Settled, Settlement, Verdict};
