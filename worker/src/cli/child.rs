//! The process of a worker that another one of `run --processes` started: its side.

use std::io::{Read, stdin};
use std::thread;

use super::settings::WorkerSettings;
use crate::shutdown::Shutdown;

/// The variable that tells a process that it is one, and which: numbers from 1.
pub(super) const VARIABLE: &str = "HEREAFTER_PROCESS";

/// Which one this is; `None` if nobody replaces it when it ends.
pub(super) fn number() -> Option<u16> {
    std::env::var(VARIABLE).ok()?.parse().ok()
}

/// What is different in one of several processes: its name, and the port of its health.
pub(super) fn adapt(settings: &mut WorkerSettings, number: u16) {
    let WorkerSettings { config, health, processes, .. } = settings;
    config.ends_when_stuck = true;
    config.max_jobs = processes.max_jobs;
    if processes.is_named {
        config.name = format!("{}.{number}", config.name);
    }
    if let Some(address) = health
        && address.port() != 0
    {
        address.set_port(address.port().saturating_add(number - 1));
    }
}

/// Stops when the process is gone that started this one: it holds the other end of the input.
pub(super) fn end_with_parent(shutdown: Shutdown) -> std::io::Result<()> {
    let wait = move || {
        // An error is an end too.
        let _ = stdin().read_to_end(&mut Vec::new());
        tracing::warn!(target: "hereafter::worker", "the process that started this one is gone; stopping");
        shutdown.request();
    };
    thread::Builder::new().name("hereafter-parent".to_owned()).spawn(wait).map(drop)
}
