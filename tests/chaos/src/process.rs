//! Processes of a campaign: this program, re-executed.

use std::ffi::OsStr;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A process that is killed when this is dropped, and ends by itself when this program is killed.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts this program again; what it says goes to a file in `folder`.
    pub(crate) fn start(
        name: &str,
        folder: &Path,
        args: &[impl AsRef<OsStr>],
        variables: &[(&str, &OsStr)],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let path = folder.join(format!("{name}.log"));
        let log = File::create(&path).with_context(|| format!("cannot write {path:?}"))?;
        // What a limit denies is told by an error, and not by a signal.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program);
        command.args(args).envs(variables.iter().copied());
        // The end of its input tells it that this program is gone.
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log: path })
    }

    /// Whether it has ended, as it should; an error if it ended otherwise.
    pub(crate) fn has_ended(&mut self) -> anyhow::Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(self.failed(status)),
        }
    }

    /// An error if it has ended, for one that should not.
    pub(crate) fn must_run(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.failed(status)),
        }
    }

    /// How it has ended; `None` if it has not.
    pub(crate) fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended, but it is there until somebody has asked how.
        let _ = kill_process(self.id(), signal);
    }

    /// The bytes of memory that it has mapped; `None` if it has ended.
    pub(crate) fn address_space(&self) -> Option<u64> {
        let path = format!("/proc/{}/statm", self.child.id());
        let pages: u64 = std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()?;
        Some(pages * rustix::param::page_size() as u64)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self, limit: Duration) -> anyhow::Result<()> {
        let give_up = Instant::now() + limit;
        kill_process(self.id(), Signal::TERM).context("it is gone already")?;
        while !self.has_ended()? {
            if Instant::now() > give_up {
                bail!("{} did not end within {limit:?} after SIGTERM", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn failed(&self, status: ExitStatus) -> anyhow::Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(LINES)..].join("\n");
        anyhow::anyhow!("{} ended by itself with {status}:\n{end}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How much of its log is shown.
const LINES: usize = 20;
