//! Floors: the same durable work by the raw driver and nothing else.
//!
//! Each stores a row of the same size for each job, claims rows in an order and in batches, marks
//! them as claimed for good, and writes an outcome for each: with the same durability as ours (a
//! claim need not survive a crash of the machine, a job and an outcome must), batched as well as
//! the driver allows, by prepared statements.

mod amqp;
mod memory;
mod mysql;
mod postgres;
mod rusqlite;
pub(crate) mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use clap::ValueEnum;

/// What the driver of a floor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Driver {
    /// A locked list.
    Memory,
    /// sqlx, as ours.
    Sqlite,
    /// Another one for the same files, which is no part of ours.
    Rusqlite,
    /// sqlx, as ours.
    Postgres,
    /// sqlx, as ours.
    Mysql,
    /// lapin, as ours.
    Amqp,
}

impl Driver {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Rusqlite => "rusqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Amqp => "amqp",
        }
    }
}

/// How jobs are stored.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// So many callers, each of which stores one after the other. A floor on a database stores as
    /// many in one transaction.
    AtOnce(usize),
    /// As many together, all or none.
    Batch(u64),
}

impl Manner {
    /// Jobs that are stored together.
    fn size(self) -> u64 {
        match self {
            Self::AtOnce(count) => count as u64,
            Self::Batch(size) => size,
        }
    }
}

/// What is left of a job that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// That it is done, and when.
    Outcome,
    /// Nothing, not even the job.
    Nothing,
}

/// A floor in one place.
#[async_trait(?Send)]
pub(crate) trait Floor {
    /// Makes it empty.
    async fn prepare(&self) -> anyhow::Result<()>;

    /// Stores jobs; answers how long that took on a connection that is open.
    async fn enqueue(&self, jobs: u64, manner: Manner) -> anyhow::Result<Duration>;

    /// Claims and finishes all jobs, or `share` where a driver cannot know of the last one.
    async fn drain(&self, share: u64, leave: Leave) -> anyhow::Result<()>;

    /// Where others are told of what was stored.
    fn round_trip(&self) -> Option<&dyn RoundTrip> {
        None
    }
}

/// What happens between an idle worker and one who stores a job: commit, wake, claim.
#[async_trait(?Send)]
pub(crate) trait RoundTrip {
    /// Stores jobs one by one, each with the time at which that began, with so long between them.
    async fn send(&self, count: u64, gap: Duration) -> anyhow::Result<()>;

    /// Claims jobs as they come; answers how many ms each took until then. `is_ready` is called when
    /// they may come.
    async fn receive(&self, count: u64, is_ready: &dyn Fn()) -> anyhow::Result<Vec<f64>>;
}

/// The floor of this driver at a path or a URL.
pub(crate) fn open(driver: Driver, place: &str) -> Box<dyn Floor> {
    let place = place.to_owned();
    match driver {
        Driver::Memory => Box::new(memory::Memory::default()),
        Driver::Sqlite => Box::new(sqlite::Sqlite(place)),
        Driver::Rusqlite => Box::new(rusqlite::Rusqlite(place)),
        Driver::Postgres => Box::new(postgres::Postgres(place)),
        Driver::Mysql => Box::new(mysql::Mysql(place)),
        Driver::Amqp => Box::new(amqp::Amqp(place)),
    }
}

/// The name of our task.
const TASK: &str = "taskbench::ours::no_op";

/// As large as the stored form of one of our no-op jobs.
fn envelope(id: u64) -> Vec<u8> {
    format!(
        r#"{{"hereafter":1,"task":"{TASK}","args":{{"id":{id},"name":"user_{id}"}},"headers":{{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}}"#
    )
    .into_bytes()
}

/// Pieces of `0..jobs`, so many each.
fn pieces(jobs: u64, size: u64) -> impl Iterator<Item = std::ops::Range<u64>> {
    // A size of usize is one of u64 on every machine that this runs on.
    (0..jobs).step_by(size.max(1) as usize).map(move |first| first..jobs.min(first + size))
}
