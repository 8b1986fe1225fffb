//! [`Member`]: a worker or a producer that is replaced whenever its process is gone.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::time::Instant;

use super::clock::Clock;
use super::proxy::Proxy;
use crate::ledger::{Fact, Reader};
use crate::process::Process;
use crate::producer::{Load, Producer};
use crate::server::Server;
use crate::worker::LEDGER;

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs jobs, which belong to it for so long without a word of it.
    Worker(Duration),
    /// Stores its share of the jobs.
    Producer(Load),
}

/// One place in the system, with its own ways to the servers.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    role: Role,
    pub(super) proxies: Vec<Proxy>,
    url: String,
    folder: PathBuf,
    pub(super) clock: Option<Clock>,
    /// `None` when it has nothing more to do.
    process: Option<Process>,
    /// How often its process was started.
    starts: u64,
    started: Instant,
    pub(super) ledgers: Vec<Reader>,
    pub(super) done: Done,
    /// When a new process may be started, after one that ended by itself.
    not_before: Instant,
    /// Processes that ended though nobody had ended them.
    pub(super) ended_by_themselves: u64,
    /// Whether it was asked to end, or may not write or take what it needs.
    may_end: bool,
}

/// What the ledgers of a member say so far.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Calls that were acknowledged.
    pub(super) acknowledged: u64,
    /// Those that ran to their end, and were not asked for yet.
    pub(super) ended: Vec<u64>,
    /// When the last delayed job is due, in microseconds.
    pub(super) last_due: u64,
}

impl Member {
    /// One that is not started yet.
    pub(super) async fn new(
        name: &str,
        role: Role,
        server: &Server,
        folder: &Path,
        clock: Option<Clock>,
    ) -> anyhow::Result<Self> {
        let mut proxies = Vec::new();
        let mut url = server.url(0, super::EVENTS)?;
        for port in server.ports()? {
            let proxy = Proxy::start(port).await?;
            url = through(&url, port, proxy.port());
            proxies.push(proxy);
        }
        Ok(Self {
            name: name.to_owned(),
            role,
            proxies,
            url,
            folder: folder.to_owned(),
            clock,
            process: None,
            starts: 0,
            started: Instant::now(),
            ledgers: Vec::new(),
            done: Done::default(),
            not_before: Instant::now(),
            ended_by_themselves: 0,
            may_end: false,
        })
    }

    pub(super) fn is_worker(&self) -> bool {
        matches!(self.role, Role::Worker(_))
    }

    /// What is left for it: of a worker nobody knows.
    fn is_done(&self) -> bool {
        matches!(self.role, Role::Producer(load) if self.done.acknowledged >= load.jobs)
    }

    /// Whether it has stored its share.
    pub(super) fn has_stored(&self) -> bool {
        self.is_worker() || self.is_done() && self.process.is_none()
    }

    /// Starts its process, where it has none and something to do.
    pub(super) fn attend(&mut self) -> anyhow::Result<()> {
        if let Some(process) = &mut self.process {
            let Some(status) = process.ended()? else { return self.read() };
            self.process = None;
            if !status.success() || self.is_worker() {
                if !self.may_end {
                    self.ended_by_themselves += 1;
                }
                // What ends at its start, because no server is there, is not started without end.
                self.not_before = Instant::now() + PAUSE;
            }
        }
        self.read()?;
        if self.is_done() || Instant::now() < self.not_before {
            return Ok(());
        }
        self.start()
    }

    fn start(&mut self) -> anyhow::Result<()> {
        if self.starts == 0 {
            self.started = Instant::now();
        }
        self.starts += 1;
        self.may_end = false;
        let name = format!("{}.{}", self.name, self.starts);
        let ledger = self.folder.join(format!("{name}.ledger"));
        let mut variables: Vec<(&str, OsString)> =
            vec![(LEDGER, ledger.clone().into()), ("HEREAFTER_URL", self.url.clone().into())];
        if let Some(clock) = &self.clock {
            variables.extend(clock.variables());
        }
        let args = match self.role {
            Role::Worker(lease) => {
                let lease = format!("{}s", lease.as_secs());
                ["run", "--name", &name, "--log-level", "warn", "--lease", &lease]
                    .map(str::to_owned)
                    .to_vec()
            }
            Role::Producer(load) => {
                let left = Load {
                    jobs: load.jobs - self.done.acknowledged,
                    seconds: load.seconds.saturating_sub(self.started.elapsed().as_secs()).max(1),
                    // They are stored first, by the first process.
                    delayed: if self.starts == 1 { load.delayed } else { 0 },
                    seed: load.seed.wrapping_add(self.starts << 32),
                    first: load.first + (self.starts << CALLS),
                    ..load
                };
                let args = Producer::arguments(&self.url, &ledger, &left);
                [vec!["produce".to_owned()], args].concat()
            }
        };
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
        self.process = Some(Process::start(&name, &self.folder, &args, &variables)?);
        self.ledgers.push(Reader::new(ledger));
        Ok(())
    }

    /// Reads what was written down since.
    pub(super) fn read(&mut self) -> anyhow::Result<()> {
        let done = &mut self.done;
        for ledger in &mut self.ledgers {
            for entry in ledger.read()? {
                match entry.fact {
                    Fact::Acknowledged(_) => done.acknowledged += 1,
                    Fact::Delayed(due) => done.last_due = done.last_due.max(due),
                    Fact::Ended(_) => done.ended.push(entry.call),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Ends its process without a warning.
    pub(super) fn kill(&mut self) {
        // Dropped, it is killed.
        self.process = None;
    }

    /// Asks its process to end, which is replaced when it has.
    pub(super) fn ask_to_end(&mut self) {
        self.may_end = true;
        self.signal(Signal::TERM);
    }

    /// Ends its process in good order for good; one that stores jobs has done so.
    pub(super) fn end(&mut self) -> anyhow::Result<()> {
        match self.process.take() {
            Some(process) if self.is_worker() => process.stop(super::STOP),
            _ => Ok(()),
        }
    }

    /// Sends a signal, if there is a process.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            process.signal(signal);
        }
    }

    /// Lets none of its files grow beyond so many bytes, as a full disk does; or again as they like.
    pub(super) fn limit_files(&mut self, bytes: Option<u64>) -> anyhow::Result<()> {
        self.limit(Resource::Fsize, bytes)
    }

    /// Lets its process take so many bytes more than it has.
    pub(super) fn limit_memory(&mut self, more: u64) -> anyhow::Result<()> {
        let Some(process) = &self.process else { return Ok(()) };
        // It may have ended.
        let Some(size) = process.address_space() else { return Ok(()) };
        self.limit(Resource::As, Some(size + more))
    }

    pub(super) fn free_memory(&mut self) -> anyhow::Result<()> {
        self.limit(Resource::As, None)
    }

    fn limit(&mut self, resource: Resource, bytes: Option<u64>) -> anyhow::Result<()> {
        self.may_end |= bytes.is_some();
        let Some(process) = &self.process else { return Ok(()) };
        let limits = Rlimit { current: bytes, maximum: getrlimit(resource).maximum };
        match prlimit(Some(process.id()), resource, limits) {
            // It has ended by itself.
            Ok(_) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).context("cannot limit a process"),
        }
    }
}

/// The same URL with another port, also where it stands inside of an option.
fn through(url: &str, port: u16, other: u16) -> String {
    url.replace(&format!(":{port}/"), &format!(":{other}/"))
        .replace(&format!("%3A{port}%2F"), &format!("%3A{other}%2F"))
}

/// Bits of the numbers of one process's calls.
const CALLS: u32 = 40;

/// After a process that ended by itself.
const PAUSE: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_goes_another_way_and_so_does_the_one_inside_of_it() {
        let inner = "postgres%3A%2F%2Fpostgres%40127.0.0.1%3A5001%2Fpostgres%3Fevents%3D7";
        let url = format!("amqp://guest:guest@127.0.0.1:5000/%2f?results={inner}");
        let expected = url.replace("5000", "7000").replace("5001", "7001");
        assert_eq!(through(&through(&url, 5000, 7000), 5001, 7001), expected);
    }
}
