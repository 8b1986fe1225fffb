//! Schedules, on every broker.
//!
//! A program of its own: its declared schedules would tick in the tests of others.

mod called;
mod declared;
mod processes;
mod testing;

use std::time::Duration;

use hereafter::broker::{ScheduleFilter, ScheduleRecord, Schedules};
use hereafter::prelude::*;
use hereafter::{JobId, TaskDescriptor, registry};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use tasksystem::{Journal, World};

/// Writes the name down, and answers how many lines there are.
#[register_task(name = "count")]
fn count(State(journal): State<Journal>, name: String) -> usize {
    journal.write(&name);
    journal.lines().iter().filter(|line| **line == name).count()
}

#[register_task(
    name = "nightly",
    cron = "0 5 * * *",
    tz = "Europe/Berlin",
    queue = "night",
    priority = 2
)]
fn nightly(State(journal): State<Journal>, #[arg(default)] depth: u32, limit: Option<u32>) {
    journal.write(format!("nightly {depth} {limit:?}"));
}

#[register_task(name = "often", every = "10m", missed = "all", expires_in = "1h")]
async fn often(State(journal): State<Journal>) {
    journal.write("often");
}

const TEN: Duration = Duration::from_secs(10);

/// A linked task of this program.
fn task(name: &str) -> &'static TaskDescriptor {
    registry().find(name).expect("it is in this file")
}

fn schedules(world: &World) -> Arc<dyn Schedules> {
    let open = world.client.connection().expect("a world is connected");
    open.schedules.clone().expect("each broker keeps schedules")
}

async fn listed(world: &World) -> Vec<ScheduleRecord> {
    schedules(world).list(&ScheduleFilter::default()).await.unwrap()
}

fn later(time: Timestamp, span: Duration) -> Timestamp {
    time.checked_add(SignedDuration::try_from(span).unwrap()).unwrap()
}

/// The ids of a schedule's jobs at `count` ticks from `first` on.
fn ticks(name: &str, first: Timestamp, interval: Duration, count: usize) -> Vec<JobId> {
    let tick = |number: usize| later(first, interval * u32::try_from(number).unwrap());
    (0..count).map(|number| JobId::of_tick(name, tick(number))).collect()
}
