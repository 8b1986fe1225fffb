//! `run --processes`: workers in processes of their own, each replaced when it ends.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use taskcore::error_chain;
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::Builder;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::child;
use super::error::{CliError, REFUSED};
use super::settings::{ConfigError, WorkerSettings};
use super::signals::Signals;
use crate::config::Exit;
use crate::shutdown::Shutdown;
use crate::watchdog::USED_UP;

/// How many processes there are, and when one of them is replaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Processes {
    /// `None` is this process alone.
    pub(crate) count: Option<NonZeroU16>,
    pub(crate) max_jobs: Option<NonZeroU64>,
    /// In bytes.
    pub(crate) max_memory: Option<u64>,
    /// Whether a user named the worker.
    pub(crate) is_named: bool,
}

impl Processes {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |text: &str| Err(ConfigError::Value(text.to_owned()));
        if self.count.is_none() && (self.max_jobs.is_some() || self.max_memory.is_some()) {
            return refuse(
                "`--max-jobs-per-process` and `--max-memory` need `--processes N`: nobody replaces a process \
                 that is alone",
            );
        }
        if self.max_memory.is_some() && cfg!(not(target_os = "linux")) {
            return refuse("`--max-memory` is for Linux only: leave it out");
        }
        Ok(())
    }
}

/// Starts the processes, and replaces them until all are to stop.
pub(super) fn run(settings: &WorkerSettings, count: NonZeroU16) -> Result<(), CliError> {
    let shutdown = Shutdown::new();
    let _signals = Signals::pass_to(shutdown.clone()).map_err(CliError::Runtime)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::Runtime)?;
    runtime.block_on(async {
        tracing::info!(target: "hereafter::worker", processes = count, "starting processes");
        // Asked once: a new version of the program may take its place in the file system.
        let program = std::env::current_exe().map_err(CliError::Spawn)?;
        let place = |number| Place::new(number, settings, &program, &shutdown).keep();
        // Where one cannot be, the others stop in order.
        let ended = futures::future::join_all((1..=count.get()).map(place)).await;
        tracing::info!(target: "hereafter::worker", "all processes have ended");
        ended.into_iter().collect()
    })
}

/// One of the processes, whichever is there now.
struct Place<'a> {
    number: u16,
    settings: &'a WorkerSettings,
    program: &'a Path,
    shutdown: &'a Shutdown,
    /// Whether one has worked here.
    has_worked: bool,
    /// How long the next one waits, after those that ended soon.
    pause: Duration,
}

/// A process, and the end of its input: while this is open it is not alone.
struct Process {
    child: Child,
    #[cfg_attr(unix, expect(dead_code, reason = "it is there to be closed"))]
    input: Option<ChildStdin>,
}

/// Why one ended.
enum Ended {
    /// By itself.
    Alone(ExitStatus),
    /// It was told to, because it took too much memory.
    TooLarge,
    /// It was told to, because all were.
    Told,
}

impl<'a> Place<'a> {
    fn new(
        number: u16,
        settings: &'a WorkerSettings,
        program: &'a Path,
        shutdown: &'a Shutdown,
    ) -> Self {
        Self { number, settings, program, shutdown, has_worked: false, pause: FIRST_PAUSE }
    }

    /// Keeps a process here until it is to be no more. An error where none can be.
    async fn keep(mut self) -> Result<(), CliError> {
        while !self.shutdown.is_requested() {
            let started = Instant::now();
            let mut process = match self.start() {
                Ok(process) => process,
                Err(error) if self.has_worked => {
                    let error = error_chain(&error);
                    tracing::error!(target: "hereafter::worker", process = self.number, error, "cannot start a process; trying again");
                    self.rest(false, Duration::ZERO).await;
                    continue;
                }
                Err(error) => {
                    self.shutdown.request();
                    return Err(error);
                }
            };
            let pid = process.child.id().unwrap_or_default();
            tracing::info!(target: "hereafter::worker", process = self.number, pid, "process started");
            let ended = self.wait(&mut process).await?;
            let has_lived = started.elapsed();
            match ended {
                Ended::Told => return Ok(()),
                Ended::TooLarge => {}
                Ended::Alone(status) => {
                    let code = status.code();
                    if code == Some(0) && self.settings.config.exit != Exit::Never {
                        return Ok(());
                    }
                    if code == Some(i32::from(REFUSED)) && !self.has_worked {
                        self.shutdown.request();
                        return Err(CliError::Process);
                    }
                    if code == Some(i32::from(USED_UP)) {
                        tracing::info!(target: "hereafter::worker", process = self.number, pid, "process is used up; starting another");
                    } else {
                        tracing::warn!(target: "hereafter::worker", process = self.number, pid, %status, "process ended; starting another");
                    }
                }
            }
            self.has_worked |= !matches!(&ended, Ended::Alone(status) if status.code() == Some(i32::from(REFUSED)));
            let is_used_up =
                matches!(&ended, Ended::Alone(status) if status.code() == Some(i32::from(USED_UP)));
            self.rest(is_used_up, has_lived).await;
        }
        Ok(())
    }

    fn start(&self) -> Result<Process, CliError> {
        let mut command = Command::new(self.program);
        // The way that led here leads there as well.
        let (args, variables) = child::arguments(std::env::args_os().skip(1));
        command.args(args).envs(variables).env(child::VARIABLE, self.number.to_string());
        // The end of its input tells it that this process is gone.
        command.stdin(Stdio::piped()).kill_on_drop(true);
        // A signal of a terminal goes to this process, which passes it on.
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn().map_err(CliError::Spawn)?;
        // Whoever waits for its end would close it.
        let input = child.stdin.take();
        Ok(Process { child, input })
    }

    /// Waits for its end, looks after its memory, and passes on that all are to stop.
    async fn wait(&self, process: &mut Process) -> Result<Ended, CliError> {
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut large_since = None;
        loop {
            tokio::select! {
                status = process.child.wait() => {
                    let status = status.map_err(CliError::Spawn)?;
                    return Ok(if large_since.is_some() { Ended::TooLarge } else { Ended::Alone(status) });
                }
                () = self.shutdown.requested() => return self.stop(process).await,
                _ = ticks.tick(), if self.settings.processes.max_memory.is_some() => {
                    if self.limit_memory(process, large_since) {
                        large_since.get_or_insert_with(Instant::now);
                    }
                }
            }
        }
    }

    /// Tells a process to stop that has more memory than it may, and kills one that has half as much again,
    /// or was told long ago; whether it was told.
    fn limit_memory(&self, process: &mut Process, told: Option<Instant>) -> bool {
        let limit = self.settings.processes.max_memory.unwrap_or(u64::MAX);
        let Some(bytes) = process.child.id().and_then(memory) else { return false };
        let is_late = told.is_some_and(|told| told.elapsed() > self.patience());
        if bytes > limit / 2 * 3 || is_late {
            tracing::error!(target: "hereafter::worker", process = self.number, bytes, limit, "process takes far too much memory; killing it");
            // It may have ended.
            let _ = process.child.start_kill();
            return true;
        }
        if bytes > limit && told.is_none() {
            tracing::warn!(target: "hereafter::worker", process = self.number, bytes, limit, "process takes too much memory; it stops, and another is started");
            terminate(process);
            return true;
        }
        false
    }

    /// Tells it to stop, and once more when somebody does not want to wait; kills it if it does not.
    async fn stop(&self, process: &mut Process) -> Result<Ended, CliError> {
        terminate(process);
        let patience = self.patience();
        tokio::select! {
            _ = process.child.wait() => return Ok(Ended::Told),
            () = sleep(patience) => {}
            () = self.shutdown.abort_token().cancelled() => terminate(process),
        }
        if timeout(ABORT, process.child.wait()).await.is_err() {
            tracing::error!(target: "hereafter::worker", process = self.number, "process did not stop in time; killing it");
            process.child.kill().await.map_err(CliError::Spawn)?;
        }
        Ok(Ended::Told)
    }

    /// How long a process may take that was told to stop.
    fn patience(&self) -> Duration {
        let config = &self.settings.config;
        config.grace + config.cancel_grace + LAST
    }

    /// Waits before the next one, the longer the more of them ended soon.
    async fn rest(&mut self, is_used_up: bool, has_lived: Duration) {
        if is_used_up || has_lived > SOON {
            self.pause = FIRST_PAUSE;
            return;
        }
        tokio::select! {
            () = sleep(self.pause) => {}
            () = self.shutdown.requested() => {}
        }
        self.pause = (self.pause * 2).min(LAST_PAUSE);
    }
}

/// Bytes of memory that a process has; `None` if it has ended.
#[cfg(target_os = "linux")]
fn memory(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(not(target_os = "linux"))]
fn memory(_process: u32) -> Option<u64> {
    None
}

#[cfg(unix)]
fn terminate(process: &mut Process) {
    let pid = process.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
    if let Some(pid) = pid {
        // It may have ended, but it is there until somebody has asked how.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// There, the end of its input tells a process to stop.
#[cfg(not(unix))]
fn terminate(process: &mut Process) {
    drop(process.input.take());
}

const LOOK: Duration = Duration::from_millis(100);

/// A process that ended within this time is replaced after a pause.
const SOON: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(100);

const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Beyond the time in which a worker ends by itself.
const LAST: Duration = Duration::from_secs(30);

/// How long a process may take that was told to drop what runs.
const ABORT: Duration = Duration::from_secs(10);
