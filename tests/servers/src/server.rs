//! One server process of our own: started, stopped, killed, frozen.

use std::fs::{File, read_to_string, write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::account::Account;
use crate::folder::Folder;
use crate::process::{children, holds_within, is_alive, is_stopped, send};

/// How a server of one kind is run in its folder on its port.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// What it finds in its environment besides what the test has there.
    pub(crate) environment: Vec<(&'static str, String)>,
    pub(crate) account: Account,
    pub(crate) folder: PathBuf,
    /// The loopback address that it listens on: each node of a cluster has its own.
    pub(crate) host: Ipv4Addr,
    pub(crate) port: u16,
    /// Ends it so that what it has is kept.
    pub(crate) stop: Signal,
    /// Ends it at once, when what it has is thrown away, but with its shared memory given back.
    pub(crate) discard: Signal,
    /// Whether it answers, asked by a way that no other server can have.
    pub(crate) is_ready: fn(&Self) -> bool,
    /// Whether a killed one leaves something in the system that only its next start takes away.
    pub(crate) is_mended_by_start: bool,
}

/// A server that runs, or could run again.
#[derive(Debug)]
pub(crate) struct Server {
    plan: Plan,
    child: Option<Child>,
    was_killed: bool,
    /// Removed after the server has ended.
    #[expect(dead_code, reason = "it is held for what its drop does")]
    folder: Folder,
}

impl Server {
    /// Starts a server in `folder` as `plan` says for the port; on another one if that is taken.
    pub(crate) fn start(folder: Folder, plan: impl Fn(&Path, u16) -> Plan) -> Self {
        let mut tries = 1;
        let (plan, child) = loop {
            let plan = plan(folder.path(), free_port());
            match plan.spawn() {
                Ok(child) => break (plan, child),
                // Somebody else may have taken the port since we looked.
                Err(log) => assert!(tries < 5, "{} does not start:\n{log}", plan.program.display()),
            }
            tries += 1;
        };
        Self { plan, child: Some(child), was_killed: false, folder }
    }

    /// Starts a server just as `plan` says; else the end of its log.
    pub(crate) fn start_as(folder: Folder, plan: Plan) -> Result<Self, String> {
        let child = plan.spawn()?;
        Ok(Self { plan, child: Some(child), was_killed: false, folder })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn port(&self) -> u16 {
        self.plan.port
    }

    /// Whether it was started and neither ended nor frozen by a test.
    pub(crate) fn is_going(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !is_stopped(Pid::from_child(child)))
    }

    /// The file in which is what it says.
    pub(crate) fn log(&self) -> PathBuf {
        self.plan.folder.join(LOG)
    }

    /// Ends it in good order.
    pub(crate) fn stop(&mut self) {
        let signal = self.plan.stop;
        let has_ended = self.end(signal);
        assert!(has_ended, "the server does not stop:\n{}", self.plan.end_of_log());
    }

    /// Starts it after it was stopped or killed.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let child = self.plan.spawn();
        self.child =
            Some(child.unwrap_or_else(|log| panic!("the server does not start again:\n{log}")));
        self.was_killed = false;
    }

    /// Ends it like a crash; returns when nothing of it is left.
    pub(crate) fn kill(&mut self) {
        let pid = self.pid();
        // Standing still it starts no more children, so the list is complete.
        self.freeze();
        let children = children(pid);
        let has_ended = self.end(Signal::KILL);
        assert!(has_ended, "a process outlived SIGKILL");
        self.was_killed = true;
        children.iter().for_each(|it| send(*it, Signal::CONT));
        let are_gone = holds_within(LIMIT, || !children.iter().any(|it| is_alive(*it)));
        assert!(are_gone, "children of the killed server go on:\n{}", self.plan.end_of_log());
    }

    /// Makes it and its children stand still, with their connections open.
    pub(crate) fn freeze(&self) {
        let pid = self.pid();
        stop_here(pid);
        children(pid).into_iter().for_each(stop_here);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        thaw(self.pid());
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("the server runs"))
    }

    /// Whether it has ended by this signal within the time.
    fn end(&mut self, signal: Signal) -> bool {
        let Some(mut child) = self.child.take() else { return true };
        send(Pid::from_child(&child), signal);
        let has_ended = holds_within(LIMIT, || has_ended(&mut child));
        if !has_ended {
            self.child = Some(child);
        }
        has_ended
    }

    /// Ends it whatever it takes, without a panic: a test may be in one already.
    fn discard(&mut self) {
        if self.was_killed
            && self.plan.is_mended_by_start
            && let Ok(child) = self.plan.spawn()
        {
            self.child = Some(child);
        }
        if let Some(child) = &self.child {
            thaw(Pid::from_child(child));
        }
        if !self.end(self.plan.discard) {
            self.end(Signal::KILL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.discard();
    }
}

impl Plan {
    /// The whole command, to be run by somebody else.
    pub(crate) fn command_line(&self) -> impl Iterator<Item = &str> {
        let program = self.program.to_str().expect("programs are named in plain letters");
        std::iter::once(program).chain(self.arguments.iter().map(String::as_str))
    }

    /// The last lines of what the server said.
    pub(crate) fn end_of_log(&self) -> String {
        let log = read_to_string(self.folder.join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    /// A server that answers; else the end of its log.
    fn spawn(&self) -> Result<Child, String> {
        let log = File::options().create(true).append(true).open(self.folder.join(LOG));
        let log = log.expect("the folder is ours");
        let mut command = self.account.command(&self.program, &self.folder);
        // A group of its own: Ctrl-C is for the test, whose end the guard sees.
        command.args(&self.arguments).envs(self.environment.iter().cloned()).process_group(0);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log);
        let mut child = command.spawn().expect("the program can be run");
        write(self.folder.join("pid"), child.id().to_string()).expect("the folder is ours");
        let mut ended = false;
        let settled = holds_within(START_LIMIT, || {
            ended = has_ended(&mut child);
            ended || (self.is_ready)(self)
        });
        if settled && !ended {
            return Ok(child);
        }
        // It hangs, or is dead already.
        let _ = child.kill();
        let _ = child.wait();
        Err(self.end_of_log())
    }
}

/// A port that nobody listens on. Below the ports that the system gives to clients, so that a server
/// that is down for a moment finds its own free when it comes back.
pub(crate) fn free_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports =
        std::iter::repeat_with(|| 12_000 + u16::try_from(random() % 20_000).expect("it fits"));
    ports.by_ref().take(1_000).find(free).expect("one of a thousand ports is free")
}

/// Random bits: the standard library's hash maps are seeded with them.
pub(crate) fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("the process is ours").is_some()
}

fn stop_here(pid: Pid) {
    send(pid, Signal::STOP);
    assert!(holds_within(LIMIT, || is_stopped(pid)), "process {pid} does not stand still");
}

fn thaw(pid: Pid) {
    children(pid).into_iter().for_each(|it| send(it, Signal::CONT));
    send(pid, Signal::CONT);
}

const LOG: &str = "log";

/// Erlang says why it ends, and then for fifty lines what ended with it.
const LOG_LINES: usize = 60;

/// For an end, which may have to write down what is in memory.
const LIMIT: Duration = Duration::from_secs(30);

/// For a start on a machine that runs many tests at once, after a crash too.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);
