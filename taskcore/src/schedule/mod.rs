//! Calls that come again and again.
//!
//! Applications use [`Call::every`](crate::Call::every) and [`Call::cron`](crate::Call::cron),
//! or declare a schedule with a task's attribute. The rest is what workers and the command line
//! share: [`Spec`] (when a schedule ticks), [`firing`] (what a tick becomes), [`declared`] and
//! [`standing`] (the schedules of linked tasks), [`resume`] and [`run_now`].

mod builder;
mod cron;
mod declared;
mod handle;
mod spec;
mod tick;

pub use builder::Schedule;
pub use declared::{Declaration, DeclaredTicks, InvalidDeclaration, Standing, declared, standing};
pub use handle::ScheduleHandle;
pub use spec::{Bounds, InvalidSchedule, Missed, Spec, Ticks};
pub use tick::{BURST, ON_TIME, end, firing, resume, run_now};
