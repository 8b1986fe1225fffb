//! [`Watchdog`]: ends a process in which a job blocks a thread of the runtime past its time-out.
//!
//! Such a job never comes to where it could be dropped. Its time-out is noticed here, by a thread that no
//! job can block: the worker stops, the other jobs get their time to finish, and then the process ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::config::WorkerConfig;
use crate::status::Status;

/// The deadlines of all jobs that run.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    deadlines: HashMap<u64, Instant>,
}

/// One job, until this is dropped.
#[derive(Debug)]
pub(crate) struct Watched<'a> {
    watchdog: &'a Watchdog,
    number: u64,
}

impl Watchdog {
    /// Starts the thread, which ends with this.
    pub(crate) fn start(
        config: &WorkerConfig,
        status: Arc<Status>,
        stop: CancellationToken,
    ) -> std::io::Result<Arc<Self>> {
        let watchdog = Arc::<Self>::default();
        let watched = Arc::downgrade(&watchdog);
        // Jobs that can be dropped are, at their deadline; and plain functions are told so long before.
        let patience = config.cancel_grace + MARGIN;
        let last = config.grace + config.cancel_grace + LAST;
        thread::Builder::new().name("hereafter-watchdog".to_owned()).spawn(move || {
            if wait(&watched, patience) {
                tracing::error!(
                    target: "hereafter::worker",
                    "a job blocks a thread of the runtime past its time-out; the worker ends, and its process with it"
                );
                status.end_stuck();
                stop.cancel();
                thread::sleep(last);
                // In order, it would have ended by now.
                std::process::exit(i32::from(USED_UP));
            }
        })?;
        Ok(watchdog)
    }

    /// Watches a job with this time-out, if it has one.
    pub(crate) fn watch(&self, timeout: Option<Duration>) -> Option<Watched<'_>> {
        let deadline = Instant::now().checked_add(timeout?)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let number = state.last;
        state.deadlines.insert(number, deadline);
        Some(Watched { watchdog: self, number })
    }

    fn is_blocked(&self, patience: Duration) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.deadlines.values().any(|deadline| deadline.elapsed() > patience)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let mut state = self.watchdog.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.deadlines.remove(&self.number);
    }
}

/// Whether a job was so late, before there was nobody more to watch.
fn wait(watched: &Weak<Watchdog>, patience: Duration) -> bool {
    let mut was_blocked = false;
    loop {
        thread::sleep(LOOK);
        let Some(watchdog) = watched.upgrade() else { return false };
        let is_blocked = watchdog.is_blocked(patience);
        // After a pause of the whole process this thread may be the first to run.
        if is_blocked && was_blocked {
            return true;
        }
        was_blocked = is_blocked;
    }
}

/// The exit code of a worker's process that has to be replaced.
pub(crate) const USED_UP: u8 = 4;

const LOOK: Duration = Duration::from_millis(200);

/// Beyond the time that a job has to react.
const MARGIN: Duration = Duration::from_secs(1);

/// Beyond the time in which a worker ends.
const LAST: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_late_from_its_deadline_on_until_it_has_ended() {
        let watchdog = Watchdog::default();
        assert!(watchdog.watch(None).is_none());
        let watched = watchdog.watch(Some(Duration::from_millis(20))).unwrap();
        assert!(!watchdog.is_blocked(Duration::ZERO));
        thread::sleep(Duration::from_millis(30));
        assert!(watchdog.is_blocked(Duration::ZERO));
        assert!(!watchdog.is_blocked(Duration::from_secs(5)));
        drop(watched);
        assert!(!watchdog.is_blocked(Duration::ZERO));
    }
}
