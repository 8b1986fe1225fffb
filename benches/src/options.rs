//! What can be written on the command line.

use std::path::PathBuf;

use clap::Parser;

use crate::broker::Broker;
use crate::measure::What;

/// Measures brokers beside small programs that do the same with the raw driver
#[derive(Debug, Parser)]
#[command(name = "taskbench")]
pub(crate) struct Options {
    /// What is measured; by default all but `amqp+postgres`
    #[arg(value_name = "BROKER")]
    pub(crate) brokers: Vec<Broker>,
    /// Which measurements; all by default. Separate them by commas
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) only: Vec<What>,
    /// Runs of each side
    #[arg(long, default_value_t = 5)]
    pub(crate) runs: u32,
    /// At most so many jobs at once, instead of up to a million
    #[arg(long, value_name = "N")]
    pub(crate) jobs: Option<u64>,
    /// One short run of each side: does it work at all?
    #[arg(long, conflicts_with_all = ["runs", "jobs"])]
    pub(crate) quick: bool,
    /// Write each figure to this file, as JSON on a line
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Draw charts into this folder; `docs/performance` by default
    #[arg(
        long,
        value_name = "FOLDER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "docs/performance"
    )]
    pub(crate) plot: Option<PathBuf>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) runs: u32,
    most: u64,
    /// Whether it is only to be seen whether it works.
    pub(crate) is_quick: bool,
}

impl Scale {
    /// As many jobs as that, if it may be as many.
    pub(crate) fn jobs(self, full: u64) -> u64 {
        full.min(self.most)
    }
}

impl Options {
    pub(crate) fn scale(&self) -> Scale {
        match self.quick {
            true => Scale { runs: 1, most: QUICK, is_quick: true },
            false => Scale {
                runs: self.runs.max(1),
                most: self.jobs.unwrap_or(u64::MAX).max(LEAST),
                is_quick: false,
            },
        }
    }

    pub(crate) fn brokers(&self) -> Vec<Broker> {
        if self.brokers.is_empty() { Broker::ALL.to_vec() } else { self.brokers.clone() }
    }

    pub(crate) fn measurements(&self) -> Vec<What> {
        if self.only.is_empty() { What::ALL.to_vec() } else { self.only.clone() }
    }
}

/// Jobs at once with `--quick`.
const QUICK: u64 = 300;

/// Two jobs that tell the time stand around others, and a backlog is measured at a hundredth of it.
const LEAST: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split(' '))
    }

    #[test]
    fn a_broker_after_plot_is_no_folder() {
        let options = read("taskbench --plot sqlite --only drain,idle").unwrap();
        assert_eq!(options.brokers, [Broker::Sqlite]);
        assert_eq!(options.plot, Some(PathBuf::from("docs/performance")));
        assert_eq!(options.only, [What::Drain, What::Idle]);
        assert_eq!(read("taskbench --plot=here").unwrap().plot, Some(PathBuf::from("here")));
    }

    #[test]
    fn every_broker_is_read_by_the_name_that_json_has() {
        for broker in Broker::ALL.into_iter().chain([Broker::AmqpPostgres]) {
            let options = read(&format!("taskbench {}", broker.name())).unwrap();
            assert_eq!(options.brokers, [broker]);
        }
    }
}
