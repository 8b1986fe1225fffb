//! What can be written on the command line.

use std::net::SocketAddr;
use std::num::{NonZeroU16, NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use bytesize::ByteSize;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use super::doctor::DoctorArgs;
use super::error::EXIT_CODES;
use super::events::EventsArgs;
use super::jobs::{JobsCommand, ReplayArgs};
use super::migrate::MigrateArgs;
use super::queues::QueuesCommand;
use super::schedules::SchedulesCommand;
use super::stats::StatsArgs;
use super::text::Span;
use crate::config::QueueConfig;
use crate::logging::{Color, LogFilter, LogFormat};

/// Work on the jobs of a Hereafter task queue, and operate it.
#[derive(Debug, Parser)]
#[command(
    name = "hereafter",
    version,
    after_help = EXIT_CODES,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command knows.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// The broker, for example sqlite://tasks.db
    #[arg(long, short, global = true, env = "HEREAFTER_URL")]
    pub(crate) url: Option<String>,
    /// The store of an amqp:// broker, for example postgres://host/database; none by default
    #[arg(long, global = true, value_name = "URL", env = "HEREAFTER_RESULTS")]
    pub(crate) results: Option<String>,
    /// The configuration file; `hereafter.toml` of the current directory by default
    #[arg(long, global = true, value_name = "FILE", env = "HEREAFTER_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// off, error, warn, info, debug or trace, or a filter such as `info,sqlx=debug`
    #[arg(long, short, global = true, value_name = "LEVEL", env = "HEREAFTER_LOG_LEVEL")]
    pub(crate) log_level: Option<LogFilter>,
    /// Append the log to this file; standard error by default
    #[arg(long, short = 'f', global = true, value_name = "FILE", env = "HEREAFTER_LOG_FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// The form of the log's lines; text by default
    #[arg(long, global = true, value_name = "FORMAT", env = "HEREAFTER_LOG_FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
    /// Whether to colour; auto by default
    #[arg(long, global = true, value_name = "WHEN", env = "HEREAFTER_COLOR")]
    pub(crate) color: Option<Color>,
}

/// The commands: nouns, then verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run jobs until told to stop (SIGTERM or SIGINT)
    Run(WorkerArgs),
    /// List the tasks that are linked into this program
    Tasks,
    /// Look at queues, empty, pause and resume them
    #[command(subcommand)]
    Queues(QueuesCommand),
    /// Look at jobs, watch, cancel and retry them
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Look at schedules, pause, resume, run and delete them
    #[command(subcommand)]
    Schedules(SchedulesCommand),
    /// Print what happens to jobs, an event on a line, until stopped (Ctrl-C)
    Events(EventsArgs),
    /// Show what became of the jobs of each task, and the times that they took
    Stats(StatsArgs),
    /// Run failed jobs again, in order of creation, each once
    Replay(ReplayArgs),
    /// Look the system over: store, queues, clock, modes, and a running worker
    Doctor(DoctorArgs),
    /// Bring the store's tables up to date, as `run` does when it starts
    Migrate(MigrateArgs),
    /// Print the completions for a shell
    Completions(CompletionsArgs),
}

/// Which completions.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// What a worker can be told.
#[derive(Debug, Default, Args)]
pub(crate) struct WorkerArgs {
    /// How many jobs run at once; 8 for each core by default
    #[arg(long, short, value_name = "N", env = "HEREAFTER_CONCURRENCY")]
    pub(crate) concurrency: Option<NonZeroU32>,
    /// Serve this queue (repeat, or separate by commas), weighted against the others, and at
    /// most LIMIT of its jobs at once; `default` and those that the tasks name by default
    #[arg(
        long = "queue",
        short,
        value_name = "NAME[:WEIGHT][=LIMIT]",
        value_delimiter = ',',
        env = "HEREAFTER_QUEUES"
    )]
    pub(crate) queues: Vec<QueueConfig>,
    /// Run what is due, then exit
    #[arg(long)]
    pub(crate) burst: bool,
    /// Exit once no job came for this long, for example 10m
    #[arg(long, value_name = "SPAN", env = "HEREAFTER_IDLE_EXIT")]
    pub(crate) idle_exit: Option<Span>,
    /// For how long a delivery belongs to this worker, renewed at a third of it; 30s by default
    #[arg(long, value_name = "SPAN", env = "HEREAFTER_LEASE")]
    pub(crate) lease: Option<Span>,
    /// How long running jobs may go on after a stop; 25s by default
    #[arg(long, value_name = "SPAN", env = "HEREAFTER_GRACE")]
    pub(crate) grace: Option<Span>,
    /// Run so many processes, each a worker with all of these options; one that ends is replaced
    #[arg(long, value_name = "N", env = "HEREAFTER_PROCESSES")]
    pub(crate) processes: Option<NonZeroU16>,
    /// Replace a process once it has run so many jobs
    #[arg(long, value_name = "N", env = "HEREAFTER_MAX_JOBS_PER_PROCESS")]
    pub(crate) max_jobs_per_process: Option<NonZeroU64>,
    /// Replace a process that has more memory than this, for example 512MiB; one that has half as much
    /// again is killed
    #[arg(long, value_name = "SIZE", env = "HEREAFTER_MAX_MEMORY")]
    pub(crate) max_memory: Option<ByteSize>,
    /// Serve /live, /ready, /metrics and /status here, for example 127.0.0.1:9090
    #[arg(long, value_name = "ADDR", env = "HEREAFTER_HEALTH")]
    pub(crate) health: Option<SocketAddr>,
    /// The worker's name in records and logs; `host:pid` by default
    #[arg(long, value_name = "NAME", env = "HEREAFTER_NAME")]
    pub(crate) name: Option<String>,
}
