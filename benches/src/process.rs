//! Processes of this program: how they end, what they write, and what memory and time they take.

use std::fs::read_to_string;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// One that runs; killed if it is dropped.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

/// This program, to be started again.
pub(crate) fn again() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe()?))
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Ok(Self(command.spawn().context("cannot start this program again")?))
    }

    /// Waits until it has ended well; answers how many bytes it has written by then.
    pub(crate) fn end(mut self) -> anyhow::Result<u64> {
        let pid = WaitId::Pid(Pid::from_child(&self.0));
        // What it wrote is there to be read until somebody has waited for it.
        waitid(pid, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
        let written = written(&self.0.id().to_string())?;
        self.check_end()?;
        Ok(written)
    }

    /// The same; answers the most MiB that it had in memory.
    pub(crate) fn end_watched(mut self) -> anyhow::Result<f64> {
        let status = format!("/proc/{}/status", self.0.id());
        let mut peak_kib = 0;
        while self.0.try_wait()?.is_none() {
            // Between its end and our wait it has no memory left.
            let status = read_to_string(&status).unwrap_or_default();
            peak_kib = number(&status, "VmHWM:").unwrap_or(peak_kib);
            thread::sleep(LOOK);
        }
        self.check_end()?;
        Ok(peak_kib as f64 / 1024.0)
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        kill_process(Pid::from_child(&self.0), Signal::TERM)?;
        self.check_end()
    }

    fn check_end(&mut self) -> anyhow::Result<()> {
        let status = self.0.wait()?;
        ensure!(status.success(), "a process of this benchmark ended with {status}");
        Ok(())
    }

    /// The share of one core that it takes during this time.
    pub(crate) fn cpu_share(&self, watch: Duration) -> anyhow::Result<f64> {
        let (before, since) = (self.cpu_time()?, Instant::now());
        thread::sleep(watch);
        let used = self.cpu_time()? - before;
        Ok(used.as_secs_f64() / since.elapsed().as_secs_f64())
    }

    /// User and system time so far: fields 14 and 15 of proc(5), in ticks of 10 ms.
    fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        // The program's name, in parentheses, may hold spaces.
        let fields = stat.rsplit_once(") ").context("no name in the process's figures")?.1;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u64>);
        Ok(Duration::from_millis(ticks.sum::<Result<u64, _>>()? * 10))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, or is of no use any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The bytes that this process has given to `write` so far.
pub(crate) fn written_here() -> anyhow::Result<u64> {
    written("self")
}

fn written(pid: &str) -> anyhow::Result<u64> {
    let io = read_to_string(format!("/proc/{pid}/io")).context("cannot read what was written")?;
    number(&io, "wchar:").context("the system does not count what is written")
}

/// The first number of a line.
fn number(lines: &str, start: &str) -> Option<u64> {
    let line = lines.lines().find_map(|line| line.strip_prefix(start))?;
    line.split_whitespace().next()?.parse().ok()
}

/// A peak that comes in the last moment of a process is missed by at most so long.
const LOOK: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn what_a_process_has_written_is_known_when_it_has_ended() {
        let mut command = Command::new("head");
        command.args(["-c", "300000", "/dev/zero"]).stdout(Stdio::null());
        let written = Process::start(&mut command).unwrap().end().unwrap();
        assert!((300_000..310_000).contains(&written), "{written}");
    }

    #[test]
    fn the_peak_of_a_process_is_seen() {
        let mut command = Command::new("dd");
        // Through a buffer of 32 MiB.
        command.args(["if=/dev/zero", "of=/dev/null", "bs=32M", "count=20", "status=none"]);
        let peak = Process::start(&mut command).unwrap().end_watched().unwrap();
        assert!((32.0..64.0).contains(&peak), "{peak} MiB");
    }

    #[test]
    fn a_process_that_fails_is_an_error() {
        assert!(Process::start(&mut Command::new("false")).unwrap().end().is_err());
    }
}
