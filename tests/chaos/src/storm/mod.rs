//! [`Storm`]: everything goes wrong, at random and at the same time, for as long as one likes.
//!
//! Workers and producers are processes that are replaced whenever they end, each with a network, a
//! wall clock and limits of its own. When the storm is over, all that was acknowledged must have run.

mod clock;
mod crew;
mod proxy;
mod report;
mod trouble;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hereafter::{Client, JobId};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::audit::Findings;
use crate::books::{is_drained, records};
use crate::campaign::bar;
use crate::ledger::{Entry, Fact, Reader, now};
use crate::pace::Pace;
use crate::producer::Load;
use crate::server::{Kind, Server};
use crate::story::Outage;
use clock::Clock;
use crew::{Member, Role};
use proxy::{Cut, Weather};
use report::{StormReport, Struck};
use trouble::Trouble;

/// What is done.
#[derive(Debug, Clone)]
pub(crate) struct Storm {
    pub(crate) kind: Kind,
    /// All producers together.
    pub(crate) load: Load,
    /// How many things go wrong, about.
    pub(crate) troubles: u64,
    /// For how long a job belongs to a worker that does not tell that it lives.
    pub(crate) lease: Duration,
    /// The folder in which ledgers and logs are kept.
    pub(crate) keep: Option<PathBuf>,
}

/// A storm that is under way.
struct Blowing {
    kind: Kind,
    random: StdRng,
    lease: Duration,
    server: Option<Server>,
    /// What is done to the server, which comes back when it is done.
    at_server: Option<JoinHandle<anyhow::Result<Server>>>,
    url: String,
    crew: Vec<Member>,
    /// What is to be made good, and when: of what is alike, when the last of it is over.
    remedies: HashMap<Remedy, Instant>,
    since: Instant,
    /// What went wrong so far.
    struck: Vec<Struck>,
    /// Calls that ran to their end.
    ended: HashSet<u64>,
    folder: PathBuf,
}

/// How something is made good that went wrong with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Remedy {
    Thaw(usize),
    SetClock(usize),
    FreeMemory(usize),
    FreeDisk(usize),
    /// With one of its networks.
    Clear(usize, usize),
}

impl Storm {
    /// Runs it to its end; an error if it could not be run.
    pub(crate) async fn run(&self) -> anyhow::Result<StormReport> {
        let temporary = tempfile::tempdir()?;
        let folder = self.keep.as_deref().unwrap_or(temporary.path()).to_owned();
        let mut blowing = self.start(&folder).await?;
        let (is_finished, took) = blowing.blow(self).await?;
        let (ledgers, ended) = blowing.calm()?;
        let report = self.report(&blowing, &ledgers, is_finished, took, ended).await;
        drop(blowing);
        report
    }

    async fn start(&self, folder: &Path) -> anyhow::Result<Blowing> {
        let (kind, path) = (self.kind, folder.to_owned());
        let server = spawn_blocking(move || Server::start(kind, None, &path)).await??;
        let url = server.url(0, EVENTS)?;
        // So that the tables are there.
        Client::open(url.clone()).await?.close().await?;
        let mut crew = Vec::new();
        for number in 0..WORKERS + PRODUCERS {
            let (name, role) = if number < WORKERS {
                (format!("worker-{}", number + 1), Role::Worker(self.lease))
            } else {
                let place = number - WORKERS;
                let share = |all: u64| all / PRODUCERS + u64::from(place < all % PRODUCERS);
                let load = Load {
                    jobs: share(self.load.jobs),
                    delayed: share(self.load.delayed),
                    seed: self.load.seed.wrapping_add(place << 48),
                    first: (place + 1) << SHARE,
                    ..self.load
                };
                (format!("producer-{}", place + 1), Role::Producer(load))
            };
            let clock = Clock::new(folder.join(format!("{name}.clock")))?;
            crew.push(Member::new(&name, role, &server, folder, clock).await?);
        }
        Ok(Blowing {
            kind,
            random: StdRng::seed_from_u64(self.load.seed),
            lease: self.lease,
            server: Some(server),
            at_server: None,
            url,
            crew,
            remedies: HashMap::new(),
            since: Instant::now(),
            struck: Vec::new(),
            ended: HashSet::new(),
            folder: folder.to_owned(),
        })
    }

    async fn report(
        &self,
        blowing: &Blowing,
        ledgers: &[Reader],
        is_finished: bool,
        took: Duration,
        ended_by_themselves: u64,
    ) -> anyhow::Result<StormReport> {
        let entries = || ledgers.iter().flat_map(Reader::entries);
        let job = |entry: &Entry| match entry.fact {
            Fact::Acknowledged(job) | Fact::Began(job) => Some(job),
            _ => None,
        };
        let jobs: Vec<JobId> =
            entries().filter_map(job).collect::<BTreeSet<_>>().into_iter().collect();
        let client = Client::open(blowing.url.clone()).await?;
        let records = records(&client, self.kind, &jobs).await?;
        client.close().await?;
        let ends = entries().filter(|entry| matches!(entry.fact, Fact::Ended(_)));
        let pace = Pace::of(ends.map(|entry| entry.at));
        // A storm explains every further run.
        let always = Outage { from: 0, until: u64::MAX };
        Ok(StormReport {
            broker: self.kind.name(),
            seed: self.load.seed,
            seconds: took.as_secs_f64(),
            findings: Findings::of(entries(), &records, always),
            struck: blowing.struck.clone(),
            refused_verdicts: refused_verdicts(&blowing.folder)?,
            ended_by_themselves,
            longest_gap: pace.longest_gap(),
            is_finished,
            has_clocks: blowing.crew.iter().all(|member| member.clock.is_some()),
            is_on_own_clocks: matches!(self.kind, Kind::Sqlite),
        })
    }
}

impl Blowing {
    /// Lets it blow, and waits until every job has ended or nothing has for too long; whether they
    /// have, and how long it blew.
    async fn blow(&mut self, storm: &Storm) -> anyhow::Result<(bool, Duration)> {
        let since = self.since;
        let end = since + Duration::from_secs(storm.load.seconds);
        let gap = (end - since).div_f64(storm.troubles.max(1) as f64);
        let mut next = since + FIRST;
        let bar = bar(storm.load.jobs);
        let (mut last, mut moved) = (0, Instant::now());
        loop {
            self.attend().await?;
            let now = Instant::now();
            if now >= next && now < end {
                next = now + gap.mul_f64(self.random.random_range(0.5..1.4));
                self.strike().await?;
            }
            let ended = self.ended.len() as u64;
            let acknowledged: u64 = self.crew.iter().map(|it| it.done.acknowledged).sum();
            bar.set_position(ended);
            // What is not due yet is nothing to be waited for in vain.
            if ended + acknowledged > last || !self.are_all_due() {
                (last, moved) = (ended + acknowledged, now);
            }
            let is_calm = now >= end && self.remedies.is_empty() && self.at_server.is_none();
            let is_stored = self.crew.iter().all(Member::has_stored);
            let is_over = ended >= acknowledged && !self.kind.is_without_store();
            let is_quiet = is_over || moved.elapsed() > PATIENCE;
            if is_calm && is_stored && is_quiet && is_drained(&self.url).await {
                bar.finish_and_clear();
                return Ok((true, since.elapsed()));
            }
            if is_calm && moved.elapsed() > STUCK {
                bar.finish_and_clear();
                return Ok((false, since.elapsed()));
            }
            sleep(LOOK).await;
        }
    }

    /// Replaces who is gone, and makes good what is to be made good now.
    async fn attend(&mut self) -> anyhow::Result<()> {
        if let Some(done) = self.at_server.take_if(|done| done.is_finished()) {
            self.server = Some(done.await.context("the server does not come back")??);
        }
        let now = Instant::now();
        let due = self.remedies.extract_if(|_, at| *at <= now);
        let due: Vec<Remedy> = due.map(|(remedy, _)| remedy).collect();
        for remedy in due {
            self.remedy(remedy)?;
        }
        self.crew.iter_mut().try_for_each(Member::attend)?;
        self.ended.extend(self.crew.iter_mut().flat_map(|member| member.done.ended.drain(..)));
        Ok(())
    }

    fn remedy(&mut self, remedy: Remedy) -> anyhow::Result<()> {
        match remedy {
            Remedy::Thaw(member) => self.crew[member].signal(Signal::CONT),
            Remedy::SetClock(member) => {
                if let Some(clock) = &self.crew[member].clock {
                    clock.jump(0)?;
                }
            }
            Remedy::FreeMemory(member) => self.crew[member].free_memory()?,
            Remedy::FreeDisk(member) => self.crew[member].limit_files(None)?,
            Remedy::Clear(member, proxy) => self.crew[member].proxies[proxy].set(Weather::Fair),
        }
        Ok(())
    }

    /// Lets something go wrong.
    async fn strike(&mut self) -> anyhow::Result<()> {
        let trouble = Trouble::choose(self.kind, &mut self.random);
        let (workers, all) = (0..WORKERS as usize, 0..self.crew.len());
        let member = match trouble {
            Trouble::KillWorker | Trouble::EndWorker => self.random.random_range(workers),
            Trouble::KillProducer => self.random.random_range(workers.end..all.end),
            _ => self.random.random_range(all),
        };
        let span = Duration::from_secs_f64(self.random.random_range(0.3..6.0));
        let mut until = Instant::now() + span;
        let remedy = match trouble {
            Trouble::KillWorker | Trouble::KillProducer => {
                self.crew[member].kill();
                None
            }
            Trouble::EndWorker => {
                self.crew[member].ask_to_end();
                None
            }
            Trouble::Freeze => {
                // One of ten stands still for longer than its leases last.
                if self.random.random_bool(0.1) {
                    until += self.lease + Duration::from_secs(2);
                }
                self.crew[member].signal(Signal::STOP);
                Some(Remedy::Thaw(member))
            }
            Trouble::JumpClock => {
                let Some(clock) = &self.crew[member].clock else { return Ok(()) };
                clock.jump(self.random.random_range(-600..600))?;
                Some(Remedy::SetClock(member))
            }
            Trouble::LittleMemory => {
                let more = self.random.random_range(0..4 << 20);
                self.crew[member].limit_memory(more)?;
                Some(Remedy::FreeMemory(member))
            }
            Trouble::FullDisk => return self.fill_disk(until),
            Trouble::CrashServer => return self.strike_server(trouble, Server::crash),
            Trouble::RestartServer => return self.strike_server(trouble, Server::restart),
            Trouble::CrashStore => return self.strike_server(trouble, Server::crash_store),
            Trouble::EndSessions => return self.end_sessions().await,
            _ => return self.trouble_network(trouble, member, until),
        };
        let name = self.crew[member].name.clone();
        self.note(trouble, name);
        if let Some(remedy) = remedy {
            self.make_good(remedy, until);
        }
        Ok(())
    }

    fn make_good(&mut self, remedy: Remedy, until: Instant) {
        let at = self.remedies.entry(remedy).or_insert(until);
        *at = until.max(*at);
    }

    fn note(&mut self, what: Trouble, to: impl Into<String>) {
        let at = self.since.elapsed().as_secs_f64();
        self.struck.push(Struck { at, what, to: to.into() });
    }

    /// The disk is full for everybody.
    fn fill_disk(&mut self, until: Instant) -> anyhow::Result<()> {
        let Some(Server::File(file)) = &self.server else { return Ok(()) };
        let size = std::fs::metadata(file).map_or(0, |file| file.len());
        // The ledgers are on another disk, so to say: they are smaller.
        if size < LEAST_FILE {
            return Ok(());
        }
        for member in 0..self.crew.len() {
            self.crew[member].limit_files(Some(size))?;
            self.make_good(Remedy::FreeDisk(member), until);
        }
        self.note(Trouble::FullDisk, ALL);
        Ok(())
    }

    /// Does something to the server, which takes a while. One after the other.
    fn strike_server(
        &mut self,
        trouble: Trouble,
        act: fn(&mut Server) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        self.note(trouble, "the server");
        self.at_server = Some(spawn_blocking(move || act(&mut server).map(|()| server)));
        Ok(())
    }

    async fn end_sessions(&mut self) -> anyhow::Result<()> {
        let Some(server) = &self.server else { return Ok(()) };
        server.session().await?.end_others().await?;
        self.note(Trouble::EndSessions, ALL);
        Ok(())
    }

    /// For one member, or for all of them.
    fn trouble_network(
        &mut self,
        trouble: Trouble,
        member: usize,
        until: Instant,
    ) -> anyhow::Result<()> {
        let is_for_all = self.random.random_bool(0.3);
        let members = if is_for_all { 0..self.crew.len() } else { member..member + 1 };
        let proxy = self.random.random_range(0..self.crew[member].proxies.len());
        let late = Duration::from_millis(self.random.random_range(5..400));
        let rate = self.random.random_range(5_000..200_000);
        for member in members {
            let way = &self.crew[member].proxies[proxy];
            match trouble {
                Trouble::Cut => way.cut(Cut::Now),
                Trouble::CutInTheMiddle => way.cut(Cut::InTheMiddle),
                Trouble::Late => way.set(Weather::Late(late)),
                Trouble::Slow => way.set(Weather::Slow(rate)),
                Trouble::Silent => way.set(Weather::Silent),
                Trouble::Gone => way.set(Weather::Gone),
                Trouble::Closed => way.set(Weather::Closed),
                other => anyhow::bail!("`{other}` is nothing that a network does"),
            }
            if !matches!(trouble, Trouble::Cut | Trouble::CutInTheMiddle) {
                self.make_good(Remedy::Clear(member, proxy), until);
            }
        }
        let to = if is_for_all { ALL.to_owned() } else { self.crew[member].name.clone() };
        self.note(trouble, to);
        Ok(())
    }

    /// Whether every delayed job has had its time, and a second to come.
    fn are_all_due(&self) -> bool {
        let last_due = self.crew.iter().map(|member| member.done.last_due).max();
        now() > last_due.unwrap_or(0) + 1_000_000
    }

    /// Ends everybody in good order; what they wrote down, and how many had ended by themselves.
    fn calm(&mut self) -> anyhow::Result<(Vec<Reader>, u64)> {
        let (mut ledgers, mut ended) = (Vec::new(), 0);
        for mut member in self.crew.drain(..) {
            member.end()?;
            ended += member.ended_by_themselves;
            ledgers.append(&mut member.ledgers);
        }
        ledgers.iter_mut().try_for_each(Reader::finish)?;
        Ok((ledgers, ended))
    }
}

/// How many verdicts the workers were told to be too late, by their logs.
fn refused_verdicts(folder: &Path) -> anyhow::Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            let log = std::fs::read(&path)?;
            count += String::from_utf8_lossy(&log).matches(REFUSED).count();
        }
    }
    Ok(count)
}

/// What a worker says then.
const REFUSED: &str = "the lease was over; the verdict changed nothing";

/// Of whom something may go wrong with.
const ALL: &str = "all";

const WORKERS: u64 = 2;

const PRODUCERS: u64 = 2;

/// Bits of the numbers of one producer's calls.
const SHARE: u32 = 56;

/// More events than any storm has, so that all of them are kept.
const EVENTS: u32 = 1_000_000_000;

const LOOK: Duration = Duration::from_millis(50);

/// Everybody has begun to work by then.
const FIRST: Duration = Duration::from_millis(1_500);

/// RabbitMQ alone knows only of the jobs that are ready, and not of those that are on their way.
const PATIENCE: Duration = Duration::from_secs(40);

/// When nothing has ended for so long after the storm, nothing will.
const STUCK: Duration = Duration::from_secs(90);

/// How long a process may take to end in good order.
const STOP: Duration = Duration::from_secs(60);

/// Of the file of a store: smaller ones are not filled up.
const LEAST_FILE: u64 = 8 << 20;
