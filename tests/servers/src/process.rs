//! What the system knows of processes that need not be our children.

use std::fs::{read_dir, read_to_string};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How often a condition is looked at again.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks at a condition until it holds; `false` if it does not within `limit`.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let give_up = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= give_up {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
    true
}

/// Sends a signal. A process that is gone already needs none.
pub(crate) fn send(pid: Pid, signal: Signal) {
    // The only failure left: these are our processes, or we are root.
    let _ = kill_process(pid, signal);
}

/// Whether the process still does something: one that nobody has waited for yet does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    status(pid).is_some_and(|status| !matches!(status.state, 'Z' | 'X'))
}

/// Whether the process stands still after SIGSTOP, which takes effect a little later.
pub(crate) fn is_stopped(pid: Pid) -> bool {
    status(pid).is_none_or(|status| matches!(status.state, 'T' | 'Z' | 'X'))
}

/// The processes that this one started and that are still its own.
pub(crate) fn children(pid: Pid) -> Vec<Pid> {
    let entries = read_dir("/proc").expect("the system is a Linux");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let pids = pids.filter_map(Pid::from_raw);
    pids.filter(|it| status(*it).is_some_and(|status| status.parent == pid.as_raw_pid())).collect()
}

/// Whether the process has this path among its arguments: a number alone may be another's by now.
pub(crate) fn runs_in(pid: Pid, folder: &Path) -> bool {
    let arguments = read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.contains(folder.to_str().expect("temporary folders are named in plain letters"))
}

struct Status {
    state: char,
    parent: i32,
}

fn status(pid: Pid) -> Option<Status> {
    let line = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may hold anything.
    let (_, rest) = line.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    Some(Status { state: fields.next()?.chars().next()?, parent: fields.next()?.parse().ok()? })
}
