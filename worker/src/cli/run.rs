//! `run`: the worker.

use std::sync::Arc;
use std::time::Duration;

use taskcore::broker::{Broker, Connection, Guarded};
use taskcore::{Client, Mode, error_chain};
use tokio::runtime::{Builder, Runtime};

use super::args::WorkerArgs;
use super::error::CliError;
use super::settings::{Settings, WorkerSettings};
use super::signals::Signals;
use super::{child, idle, processes};
use crate::config::WorkerConfig;
use crate::error::WorkerError;
use crate::health::Bound;
use crate::logging::{self, LogFilter};
use crate::shutdown::Shutdown;
use crate::view::View;
use crate::worker::Worker;

/// How long the connections may take to close once the worker has ended.
const CLOSE: Duration = Duration::from_secs(10);

/// Threads for what is no job: name look-ups, files.
const SPARE_THREADS: usize = 64;

/// Works until it is told to stop, or until the exit condition holds.
pub(crate) fn run(settings: &Settings, args: &WorkerArgs) -> Result<(), CliError> {
    let mut worker = settings.worker(args)?;
    check_mode()?;
    check_tasks()?;
    let url = settings.url()?;
    let log = settings.log(LogFilter::info());
    logging::install(&log)?;
    logging::log_panics(&log);
    let shutdown = Shutdown::new();
    match (worker.processes.count, child::number()) {
        (_, Some(number)) => {
            child::adapt(&mut worker, number);
            child::end_with_parent(shutdown.clone()).map_err(CliError::Runtime)?;
        }
        (Some(_), None) if url.starts_with("memory:") => {
            let text =
                "`memory://` is the memory of one process: with `--processes` name another broker";
            return Err(CliError::Usage(text.to_owned()));
        }
        (Some(count), None) => return processes::run(&worker, count),
        (None, None) => {}
    }
    let _signals = Signals::pass_to(shutdown.clone()).map_err(CliError::Runtime)?;
    let runtime = runtime(&worker.config).map_err(CliError::Runtime)?;
    let ended = runtime.block_on(work(&url, worker, &shutdown));
    // Threads of plain functions that never return must not keep the process.
    runtime.shutdown_background();
    ended
}

async fn work(url: &str, settings: WorkerSettings, shutdown: &Shutdown) -> Result<(), CliError> {
    let connection = tokio::select! {
        opened = taskbroker_connect::connect(url) => opened.map_err(CliError::Connect)?,
        () = shutdown.requested() => return Ok(()),
    };
    let broker = Guarded::new(connection.broker.clone());
    let ended = work_on(connection, settings, shutdown).await;
    close(&broker).await;
    ended
}

async fn work_on(
    connection: Connection,
    settings: WorkerSettings,
    shutdown: &Shutdown,
) -> Result<(), CliError> {
    let bound = match settings.health {
        Some(address) => {
            let bound = Bound::to(address).await;
            Some(bound.map_err(|source| CliError::Health { address, source })?)
        }
        None => None,
    };
    let client = Client::new(connection.clone());
    taskcore::set_default(client.clone());
    let (max_jobs, is_replaced) = (settings.config.max_jobs, settings.config.ends_when_stuck);
    let worker = Worker::builder(client).config(settings.config).build();
    let status = worker.status();
    let view = Arc::new(View::of(&worker, &connection, shutdown.clone()));
    let _health = bound.map(|bound| bound.serve(view.clone()));
    tokio::select! {
        ended = worker.run(shutdown) => ended?,
        never = idle::explain(&view) => match never {},
    }
    let now = status.snapshot();
    let is_used_up = now.ends_stuck || max_jobs.is_some_and(|most| now.taken >= most.get());
    if is_replaced && is_used_up { Err(CliError::UsedUp) } else { Ok(()) }
}

async fn close(broker: &Guarded) {
    match tokio::time::timeout(CLOSE, broker.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = error_chain(&error);
            tracing::warn!(target: "hereafter::worker", error, "cannot close the broker in order");
        }
        Err(_) => {
            tracing::warn!(target: "hereafter::worker", "the broker did not close in time");
        }
    }
}

fn check_mode() -> Result<(), CliError> {
    let [disabled, eager] = Mode::VARIABLES;
    let (mode, variable) = match Mode::from_env()? {
        Mode::Normal => return Ok(()),
        mode @ Mode::Disabled => (mode, disabled),
        mode @ Mode::Eager => (mode, eager),
    };
    Err(CliError::Switched { mode: mode.as_str(), variable })
}

/// The engine checks this too, but only once there is a connection.
fn check_tasks() -> Result<(), CliError> {
    let registry = taskcore::registry();
    if let Some(duplicate) = registry.duplicates().first() {
        return Err(WorkerError::DuplicateTask(duplicate.clone()).into());
    }
    match registry.tasks().next() {
        Some(_) => Ok(()),
        None => Err(WorkerError::NoTasks.into()),
    }
}

fn runtime(config: &WorkerConfig) -> std::io::Result<Runtime> {
    let slots = usize::try_from(config.concurrency.get()).unwrap_or(usize::MAX);
    // tokio's own default is 512.
    let blocking = slots.saturating_add(SPARE_THREADS).max(512);
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(blocking)
        .thread_name("hereafter-worker")
        .build()
}
