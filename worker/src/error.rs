//! [`WorkerError`]: why a worker did not start, or ended.

use std::time::Duration;

use taskcore::DuplicateTask;
use taskcore::broker::{BoxError, BrokerError};
use taskcore::schedule::InvalidDeclaration;

/// Why a worker did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// No task is linked.
    #[error(
        "no task is linked into this worker: name the crate that registers them, `use my_tasks as _;`, or the \
         linker leaves it out"
    )]
    NoTasks,
    /// Two tasks have one name.
    #[error(transparent)]
    DuplicateTask(#[from] DuplicateTask),
    /// Some linked task needs state that nothing provides.
    #[error(
        "task `{task}` needs `{state}`, which no start hook provides: call `start.provide(value)` in an `#[on_start]` \
         function, or give it to the worker's builder"
    )]
    MissingState {
        /// The task.
        task: &'static str,
        /// The type.
        state: &'static str,
    },
    /// A start hook failed.
    #[error("start hook `{hook}` failed")]
    Hook {
        /// The hook's path.
        hook: &'static str,
        /// Its error.
        #[source]
        source: BoxError,
    },
    /// A task declares a schedule that can never tick here.
    #[error(transparent)]
    Schedule(#[from] InvalidDeclaration),
    /// The client stores nothing, so there is nothing to work on.
    #[error("the client is {mode}: a worker needs one that is connected to a broker")]
    NotConnected {
        /// Its mode.
        mode: &'static str,
    },
    /// The broker cannot do what a worker needs.
    #[error("cannot start working")]
    Broker(#[from] BrokerError),
    /// A task may run longer than the broker lets it.
    #[error(
        "task `{task}` has a time-out of {}, and {broker} lets a job run {} here: lower it, or raise the server's \
         limit and tell the URL (docs/rabbitmq.md), or add a result store, with which there is no limit",
        humantime::format_duration(*timeout), humantime::format_duration(*longest)
    )]
    LongTask {
        /// The task.
        task: &'static str,
        /// Its time-out.
        timeout: Duration,
        /// The broker.
        broker: &'static str,
        /// The longest run.
        longest: Duration,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// A part of the worker panicked: a defect of Hereafter.
    #[error(
        "the worker's {part} panicked; its jobs run again when their leases end (please report the panic)"
    )]
    Panicked {
        /// Which part.
        part: &'static str,
    },
    /// Plain functions that outlived their deadline hold every slot.
    #[error(
        "all {slots} slots are held by plain functions that did not stop at their deadline or cancellation; the \
         worker ends so that its supervisor starts a fresh one"
    )]
    AllSlotsStuck {
        /// The concurrency.
        slots: u32,
    },
}
