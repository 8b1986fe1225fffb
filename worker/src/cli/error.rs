//! [`CliError`]: what a command can end with, sorted by exit code.

use std::io;
use std::net::SocketAddr;
use std::process::ExitCode;

use taskcore::InvalidMode;
use taskcore::broker::{BrokerError, ConnectError};

use super::settings::ConfigError;
use crate::error::WorkerError;
use crate::logging::CannotLog;
use crate::watchdog::USED_UP;

/// The command failed while it ran.
const FAILED: u8 = 1;
/// The command was written wrongly; clap ends with the same.
const USAGE: u8 = 2;
/// Nothing was started.
pub(super) const REFUSED: u8 = 3;

/// The exit codes, for `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done, or stopped cleanly
  1  failed while running
  2  wrong usage
  3  refused to start: configuration, connection, or the worker's own checks
  4  one of several processes is used up, and another takes its place";

/// What a command can end with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A value that only this command can judge, or a question that nobody can answer.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Log(#[from] CannotLog),
    #[error("{0}")]
    Mode(#[from] InvalidMode),
    #[error("Hereafter is {mode} ({variable} is set): a worker has nothing to work on; unset it")]
    Switched { mode: &'static str, variable: &'static str },
    #[error("cannot connect")]
    Connect(#[source] ConnectError),
    #[error(
        "cannot serve `--health` on {address}: pass an address that is free and belongs to this machine"
    )]
    Health { address: SocketAddr, source: io::Error },
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The store cannot tell what was asked for.
    #[error("{broker} keeps no {what}: use a store that does, such as `sqlite://tasks.db`")]
    NotKept { broker: &'static str, what: &'static str },
    #[error("cannot start a process")]
    Spawn(#[source] io::Error),
    #[error("a process of the worker refused to start: its reason is above")]
    Process,
    /// One of several processes, which is replaced. Nobody is told.
    #[error("the process is used up")]
    UsedUp,
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The command worked, and what it found is bad news; already printed in full.
    #[error("{0}")]
    Unsuccessful(String),
}

impl CliError {
    /// The exit code of the process.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => USAGE,
            Self::UsedUp => return ExitCode::from(USED_UP),
            Self::Worker(WorkerError::AllSlotsStuck { .. })
            | Self::Broker(_)
            | Self::NotKept { .. }
            | Self::Output(_)
            | Self::Unsuccessful(_) => FAILED,
            Self::Config(_)
            | Self::Log(_)
            | Self::Mode(_)
            | Self::Switched { .. }
            | Self::Connect(_)
            | Self::Health { .. }
            | Self::Spawn(_)
            | Self::Process
            | Self::Runtime(_)
            | Self::Worker(_) => REFUSED,
        })
    }
}
