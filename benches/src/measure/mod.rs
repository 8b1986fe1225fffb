//! What is measured, a file for each.

mod delays;
mod drain;
mod enqueue;
mod fan_in;
mod growth;
mod idle;
mod memory;
mod steady;
mod stream;
mod written;

use clap::ValueEnum;

use crate::broker::Broker;
use crate::lab::Lab;
use crate::options::Scale;

pub(crate) use drain::ONE_WORKER;
pub(crate) use enqueue::{AT_ONCE, BULK};
pub(crate) use growth::{FINISHED, WAITING};
pub(crate) use idle::{TO_RESULT, TO_START};

/// A measurement, in the order in which they are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Storing jobs: one at a time, 64 at once, in batches, in bulk
    Enqueue,
    /// One worker and two with nothing else to do, with outcomes and without
    Drain,
    /// Producer and worker at once: latencies at 500 jobs/s, and the highest rate
    Steady,
    /// How soon an idle worker starts a job, and what it costs meanwhile
    Idle,
    /// Draining with a thousand to a million other jobs, waiting or finished
    Growth,
    /// The peak memory of a worker that drains a million jobs
    Memory,
    /// Bytes written and transactions, for each job
    Written,
    /// One job that waits for 10,000 others
    FanIn,
    /// A stream between two processes, and what a report costs
    Stream,
    /// How late delayed jobs begin
    Delays,
}

impl What {
    pub(crate) const ALL: [Self; 10] = [
        Self::Enqueue,
        Self::Drain,
        Self::Steady,
        Self::Idle,
        Self::Growth,
        Self::Memory,
        Self::Written,
        Self::FanIn,
        Self::Stream,
        Self::Delays,
    ];

    /// How it is called on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|it| it.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether it can be measured on this broker.
    pub(crate) fn is_of(self, broker: Broker) -> bool {
        match self {
            Self::FanIn | Self::Stream => broker.keeps_outcomes(),
            // There the jobs are in the worker's memory.
            Self::Memory => !broker.is_here(),
            Self::Written => !matches!(broker, Broker::Memory | Broker::Amqp),
            _ => true,
        }
    }

    /// How often: what fills a store with millions, or takes a fixed time, is not made as often.
    pub(crate) fn runs(self, scale: Scale) -> u32 {
        match self {
            Self::Growth => scale.runs.min(3),
            Self::Memory | Self::Written | Self::Delays => 1,
            _ => scale.runs,
        }
    }

    pub(crate) fn measure(self, lab: &mut Lab, run: u32) -> anyhow::Result<()> {
        match self {
            Self::Enqueue => enqueue::measure(lab),
            Self::Drain => drain::measure(lab),
            Self::Steady => steady::measure(lab),
            Self::Idle => idle::measure(lab, run),
            Self::Growth => growth::measure(lab),
            Self::Memory => memory::measure(lab),
            Self::Written => written::measure(lab),
            Self::FanIn => fan_in::measure(lab),
            Self::Stream => stream::measure(lab),
            Self::Delays => delays::measure(lab),
        }
    }
}

/// Jobs per second.
fn rate(jobs: u64, took: std::time::Duration) -> f64 {
    jobs as f64 / took.as_secs_f64()
}

/// The unit of [`rate`].
const RATE: &str = "jobs/s";
