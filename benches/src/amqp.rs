//! RabbitMQ, as it is measured on.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use taskservers::RabbitMq;

use crate::server::{self, Server};
use crate::{Scale, delays};

/// What is measured on RabbitMQ.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Measure an idle worker instead.
    #[arg(long)]
    idle: bool,
    /// Measure how late delayed jobs begin instead.
    #[arg(long, conflicts_with = "idle")]
    delays: bool,
}

/// Prints what is asked for.
pub(crate) fn measure(options: &Options, scale: Scale) -> anyhow::Result<()> {
    let server = RabbitMq::start();
    if options.delays {
        return delays::measure(RabbitMq::NAME, &server.store(0), scale);
    }
    server::measure(server, &server::Options { extra: 0, idle: options.idle }, scale)
}

impl Server for RabbitMq {
    const NAME: &'static str = "RabbitMQ alone, quorum queues, publisher confirms";
    const FLOOR: [&'static str; 2] = ["amqp-floor-enqueue", "amqp-floor-drain"];
    const FLOOR_AT_ONCE: Option<&'static str> = Some("amqp-floor-single");
    const FLOOR_BARE: Option<&'static str> = Some("amqp-floor-bare");

    fn raw(&self) -> String {
        self.url()
    }

    fn store(&self, run: usize) -> String {
        format!("{}?prefix=run-{run}", self.url())
    }

    fn drop_store(&self, run: usize) {
        for (name, _) in queues(self, run).unwrap_or_default() {
            self.delete_queue(&name);
        }
    }

    /// Each has left a reply for the process that stored it.
    fn count_done(&self, run: usize) -> anyhow::Result<u64> {
        let asked = Instant::now();
        loop {
            let queues = queues(self, run)?;
            let sum = |part: &str| -> u64 {
                queues.iter().filter(|(name, _)| name.contains(part)).map(|(_, it)| it).sum()
            };
            let (left, failed) = (sum(".1.ready."), sum(".1.failed."));
            if left + failed == 0 {
                return Ok(sum(".1.replies."));
            }
            ensure!(asked.elapsed() < COUNTED, "{left} jobs were left undone, {failed} failed");
        }
    }

    /// Not here: what waits in one queue does not concern another, and what has ended is gone.
    fn fill(&self, _run: usize, _extra: u64) {}
}

/// The queues of a run, and how many messages each has.
fn queues(server: &RabbitMq, run: usize) -> anyhow::Result<Vec<(String, u64)>> {
    let listed = server.ctl(&["list_queues", "--silent", "name", "messages"]);
    let lines = listed.lines().filter(|line| line.starts_with(&format!("run-{run}.")));
    lines
        .map(|line| {
            let (name, messages) = line.split_once('\t').context("a queue without a count")?;
            Ok((name.to_owned(), messages.trim().parse()?))
        })
        .collect()
}

/// A quorum queue counts anew every 5 s.
const COUNTED: Duration = Duration::from_secs(15);
