//! [`Schedule`]: a call that is to come again and again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::handle::ScheduleHandle;
use super::spec::{Bounds, InvalidSchedule, Missed, Spec, Ticks};
use crate::broker::{BrokerError, NewJob, NewSchedule, Origin, Template};
use crate::call::Call;
use crate::client::{Client, Mode};
use crate::error::DelayError;
use crate::plan::{Plan, Planned};

/// A call that is to come again and again, not stored anywhere yet.
///
/// ```
/// use std::time::Duration;
/// # use taskcore as hereafter;
/// # use hereafter::register_task;
/// #[register_task(crate = hereafter)]
/// async fn report(city: String) {}
///
/// # async fn example() -> Result<(), hereafter::DelayError> {
/// let daily = report("Berlin".to_owned()).cron("0 5 * * *").zone("Europe/Berlin").save().await?;
/// let often = report("Graz".to_owned()).every(Duration::from_secs(600)).named("graz").save().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a schedule does nothing until it is saved"]
pub struct Schedule<T> {
    task: &'static str,
    call: Result<Plan, DelayError>,
    timing: Timing,
    zone: Option<String>,
    name: Option<String>,
    bounds: Bounds,
    missed: Missed,
    marker: PhantomData<fn() -> T>,
}

enum Timing {
    Every(Duration),
    Cron(String),
}

impl<T, R, P> Call<T, R, P> {
    /// Runs the call again and again, this long after each other: first one interval after the
    /// schedule was saved, or at its [start](Schedule::starting). A wrong interval is reported
    /// by [`Schedule::save`].
    pub fn every(self, interval: Duration) -> Schedule<T> {
        Schedule::new(&self, Timing::Every(interval))
    }

    /// Runs the call whenever a cron expression says: five fields (minute, hour, day, month,
    /// weekday), or six with seconds first, in UTC or in a [zone](Schedule::zone). A wrong
    /// expression is reported by [`Schedule::save`].
    ///
    /// Where the clock leaps over a time of day, the job comes right after the leap; where a
    /// time of day comes twice, it comes the first time only.
    pub fn cron(self, expression: impl Into<String>) -> Schedule<T> {
        Schedule::new(&self, Timing::Cron(expression.into()))
    }
}

impl<T> Schedule<T> {
    fn new<R, P>(call: &Call<T, R, P>, timing: Timing) -> Self {
        Self {
            task: call.task().name,
            call: plan(call),
            timing,
            zone: None,
            name: None,
            bounds: Bounds::default(),
            missed: Missed::default(),
            marker: PhantomData,
        }
    }

    /// What it is stored under; saved again, it replaces what had this name. By default the
    /// task's name with a hash of the arguments.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// No tick before this time, on the broker's clock; for an interval, its first tick. Ticks
    /// that would have been before it is saved are not made up for.
    pub fn starting(mut self, time: Timestamp) -> Self {
        self.bounds.starting = Some(time);
        self
    }

    /// No tick at or after this time.
    pub fn until(mut self, time: Timestamp) -> Self {
        self.bounds.until = Some(time);
        self
    }

    /// The time zone of a cron expression: an IANA name such as `Europe/Berlin`.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// What becomes of ticks while no worker is there: one run for all of them by default.
    pub fn missed(mut self, missed: Missed) -> Self {
        self.missed = missed;
        self
    }

    /// Stores the schedule, durably, under its name. If one of this name is there with the same
    /// times, it goes on as it was, with the new arguments and options; with others, it starts
    /// anew.
    ///
    /// Uses the client that [`Call::delay`] would use.
    ///
    /// # Errors
    ///
    /// [`DelayError`], also if the expression, zone, interval or name is wrong, if no tick will
    /// ever come, or if an argument of the call is itself a call. Repeating it is safe.
    pub async fn save(self) -> Result<ScheduleHandle<T>, DelayError> {
        let client = Client::for_task(self.task).await?;
        self.save_on(&client).await
    }

    /// Stores the schedule through the given client.
    ///
    /// # Errors
    ///
    /// As for [`save`](Self::save).
    pub async fn save_on(self, client: &Client) -> Result<ScheduleHandle<T>, DelayError> {
        let task = self.task;
        let failed =
            |source| DelayError::Broker { task: task.to_owned(), source: Arc::new(source) };
        let invalid = |error: InvalidSchedule| DelayError::Option {
            task: task.to_owned(),
            reason: error.to_string(),
        };
        let spec = self.spec().map_err(invalid)?;
        let plan = self.call?;
        let name = match self.name {
            Some(name) => checked(name).map_err(invalid)?,
            None => default_name(task, plan.args.given().as_slice()),
        };
        let template = client.template(&plan)?;
        drop(plan);
        if client.mode() == Mode::Normal {
            let schedules = client.schedules().map_err(failed)?;
            let now = schedules.now().await.map_err(failed)?;
            let next = spec.first(now);
            if next.is_none() {
                return Err(invalid(InvalidSchedule::Never { ticks: spec.described() }));
            }
            let name = name.clone();
            let new =
                NewSchedule { name, spec: spec.encode(), origin: Origin::Called, next, template };
            schedules.put(&[new]).await.map_err(failed)?;
        } else {
            let mode = client.mode().as_str();
            tracing::warn!(target: "hereafter", task, schedule = name, mode, "would have stored the schedule, but Hereafter is switched");
        }
        Ok(ScheduleHandle::new(name, client.clone()))
    }

    fn spec(&self) -> Result<Spec, InvalidSchedule> {
        let zone = self.zone.as_deref();
        let ticks = match &self.timing {
            Timing::Every(_) if zone.is_some() => return Err(InvalidSchedule::ZoneOfInterval),
            Timing::Every(interval) => Ticks::Every(*interval),
            Timing::Cron(expression) => Ticks::Cron { expression, zone },
        };
        Spec::new(ticks, self.bounds, self.missed)
    }
}

/// The plan of a call whose arguments are all values.
fn plan<T, R, P>(call: &Call<T, R, P>) -> Result<Plan, DelayError> {
    let task = call.task().name.to_owned();
    match call.planned() {
        Ok(Planned::Call(plan)) if !plan.options.follow_ups.is_empty() => {
            let reason = "a scheduled call has no follow-ups: delay it with them in a task, and \
                          schedule that"
                .to_owned();
            Err(DelayError::Option { task, reason })
        }
        Ok(Planned::Call(plan)) if plan.options.unique.is_set() => {
            let reason = "a scheduled call has no unique key, each tick is a job of its own: \
                          delay it with the key in a task, and schedule that"
                .to_owned();
            Err(DelayError::Option { task, reason })
        }
        Ok(Planned::Call(plan)) if plan.args.inputs.is_empty() => Ok(*plan),
        Ok(_) => {
            let reason =
                "a scheduled call takes values, not other calls or handles: delay it with \
                          them in a task, and schedule that"
                    .to_owned();
            Err(DelayError::Option { task, reason })
        }
        Err(source) => Err(DelayError::Encode { task, source }),
    }
}

impl Template {
    /// What a job would be made like.
    pub(crate) fn of_job(job: NewJob) -> Self {
        let NewJob { queue, task, priority, expires_in, envelope, .. } = job;
        Self { queue, task, priority, expires_in, envelope }
    }
}

impl Client {
    /// The schedules of its store.
    pub(crate) fn schedules(&self) -> Result<&Arc<dyn crate::broker::Schedules>, BrokerError> {
        let operation = "schedules";
        if self.mode() != Mode::Normal {
            return Err(BrokerError::Unsupported { broker: self.mode().as_str(), operation });
        }
        let open = self.connection().and_then(|open| open.schedules.as_ref());
        open.ok_or_else(|| BrokerError::Unsupported { broker: self.broker_name(), operation })
    }

    /// A handle of a schedule that is known by its name.
    #[must_use]
    pub fn schedule<T>(&self, name: impl Into<String>) -> ScheduleHandle<T> {
        ScheduleHandle::new(name.into(), self.clone())
    }
}

/// A name that every store can keep.
fn checked(name: String) -> Result<String, InvalidSchedule> {
    let is_usable = (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if is_usable { Ok(name) } else { Err(InvalidSchedule::Name) }
}

/// In bytes: what fits an indexed column of every database.
const MAX_NAME: usize = 255;

/// The task's name with a hash of the arguments: the same for the same call, in every process.
fn default_name(task: &str, args: &[u8]) -> String {
    let mut hashed = task.as_bytes().to_vec();
    hashed.push(0);
    hashed.extend_from_slice(args);
    let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, &hashed).simple().to_string();
    let (hash, _) = hash.split_at(HASH_DIGITS);
    let room = MAX_NAME - HASH_DIGITS - 1;
    let end = (0..=task.len().min(room)).rev().find(|end| task.is_char_boundary(*end));
    format!("{}#{hash}", &task[..end.unwrap_or(0)])
}

/// Hexadecimal digits of the hash in a name: 64 bits.
const HASH_DIGITS: usize = 16;

impl<T> fmt::Debug for Schedule<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({})", self.name.as_deref().unwrap_or(self.task))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_is_the_same_for_the_same_call_and_always_fits() {
        let name = default_name("app::report", br#"{"city":"Berlin"}"#);
        assert_eq!(name, "app::report#427444d065b654d7");
        assert_eq!(default_name("app::report", br#"{"city":"Berlin"}"#), name);
        assert_ne!(default_name("app::report", br#"{"city":"Graz"}"#), name);
        assert!(checked(default_name(&"ü".repeat(127), b"{}")).is_ok());
    }

    #[test]
    fn a_name_is_short_and_printable() {
        for name in ["", "a\nb", &"x".repeat(256)] {
            assert_eq!(checked(name.to_owned()), Err(InvalidSchedule::Name));
        }
        assert!(checked("nightly report".to_owned()).is_ok());
    }
}
