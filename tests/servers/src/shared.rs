//! One server for all test processes of a run.
//!
//! Three files in the target folder are all that they share. `NAME.users`: each process holds a shared
//! lock on it as long as it lives. `NAME.start`: who looks for the server, or starts it, is alone.
//! `NAME.kept`: locked by the keeper (`keeper.sh`), so a server whose keeper died counts as gone.
//! Locks end with their processes, however these end; so nothing is left behind by an interrupted run.

use std::collections::BTreeMap;
use std::env::{current_exe, temp_dir, var, var_os};
use std::fs::{File, TryLockError, create_dir_all, read_to_string, remove_dir_all, write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use rustix::process::{Pid, Signal};

use crate::folder::{Folder, signal_name};
use crate::process::{holds_within, is_alive, runs_in, send};
use crate::server::{Plan, START_LIMIT, free_port, random};

/// The server that all test processes of a run share. It ends some seconds after the last of them.
#[derive(Debug, Clone)]
pub struct Shared {
    url: String,
}

impl Shared {
    pub(crate) fn of(kind: &Kind) -> Self {
        /// For each kind: the server, and the lock that says that this process uses it.
        static USED: Mutex<BTreeMap<&str, (Shared, Option<File>)>> = Mutex::new(BTreeMap::new());
        // A panic leaves no half entry behind.
        let mut used = USED.lock().unwrap_or_else(PoisonError::into_inner);
        used.entry(kind.name).or_insert_with(|| use_server(kind)).0.clone()
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A new name for the schema of one test; who uses it creates it.
    #[must_use]
    pub fn schema(&self) -> String {
        // 48 bits: thousands of names in one run, and not one twice.
        format!("t_{:012x}", random() >> 16)
    }

    /// A new prefix for the tables or queues of one test, where schemas cost too much or are not known.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}_", self.schema())
    }
}

/// A kind of server that can be shared.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The environment variable whose URL is used instead.
    pub(crate) variable: &'static str,
    /// Makes the folder of a new server.
    pub(crate) prepare: fn() -> Folder,
    pub(crate) plan: fn(&Path, u16) -> Plan,
    pub(crate) url: fn(u16) -> String,
}

fn use_server(kind: &Kind) -> (Shared, Option<File>) {
    if let Ok(url) = var(kind.variable) {
        return (Shared { url }, None);
    }
    let place = Place::new(kind);
    let users = place.open("users");
    users.lock_shared().expect("the file can be locked");
    // The keeper sees that somebody came, even one who is gone before it looks.
    users.set_modified(SystemTime::now()).expect("the file is ours");
    let start = place.open("start");
    start.lock().expect("the file can be locked");
    let port = place.living().unwrap_or_else(|| place.start());
    (Shared { url: (kind.url)(port) }, Some(users))
}

/// What the processes of a run share.
struct Place<'a> {
    kind: &'a Kind,
    folder: PathBuf,
}

impl<'a> Place<'a> {
    fn new(kind: &'a Kind) -> Self {
        let folder = var_os("HEREAFTER_TEST_SERVERS")
            .map_or_else(|| target().join("servers"), PathBuf::from);
        create_dir_all(&folder).expect("the target folder is ours");
        // One name for one folder, wherever it is asked for.
        let folder = folder.canonicalize().expect("the folder is there");
        Self { kind, folder }
    }

    fn path(&self, what: &str) -> PathBuf {
        self.folder.join(format!("{}.{what}", self.kind.name))
    }

    fn open(&self, what: &str) -> File {
        let file = File::options().create(true).truncate(false).write(true).open(self.path(what));
        file.expect("the target folder is ours")
    }

    /// The port of the server that runs, waiting for one whose starter was killed.
    fn living(&self) -> Option<u16> {
        let plan = self.recorded()?;
        let mut is_kept = true;
        let is_settled = holds_within(START_LIMIT, || {
            is_kept = self.is_kept();
            !is_kept || self.answers(&plan)
        });
        assert!(is_settled, "the shared server neither answers nor ends:\n{}", plan.end_of_log());
        if is_kept {
            return Some(plan.port);
        }
        remove_remains(&plan);
        None
    }

    fn is_kept(&self) -> bool {
        match self.open("kept").try_lock() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(error)) => {
                panic!("cannot lock {}: {error}", self.path("kept").display())
            }
        }
    }

    fn answers(&self, plan: &Plan) -> bool {
        // Asked once by its starter; a connection is a tenth of the price for the thousands after.
        if plan.folder.join(READY).exists() {
            return TcpStream::connect(("127.0.0.1", plan.port)).is_ok();
        }
        (plan.is_ready)(plan)
    }

    /// The server that was started last.
    fn recorded(&self) -> Option<Plan> {
        let record = read_to_string(self.path("server")).ok()?;
        let mut lines = record.lines();
        let (port, folder, here) = (lines.next()?, lines.next()?, lines.next()?);
        // A copied target folder has the record of a server that is not its own to end.
        if Path::new(here) != self.folder {
            return None;
        }
        Some((self.kind.plan)(Path::new(folder), port.parse().ok()?))
    }

    fn start(&self) -> u16 {
        // From here on the keeper removes it, or who finds it without one.
        let folder = (self.kind.prepare)().leave();
        for _ in 0..5 {
            let plan = (self.kind.plan)(&folder, free_port());
            let record =
                format!("{}\n{}\n{}\n", plan.port, folder.display(), self.folder.display());
            write(self.path("server"), record).expect("the target folder is ours");
            let mut keeper = self.keep(&plan);
            let ended =
                |keeper: &mut Child| keeper.try_wait().expect("the keeper is our child").is_some();
            let is_settled =
                holds_within(START_LIMIT, || ended(&mut keeper) || (plan.is_ready)(&plan));
            assert!(is_settled, "the shared server does not answer:\n{}", plan.end_of_log());
            if !ended(&mut keeper) {
                write(folder.join(READY), "").expect("the folder is ours");
                return plan.port;
            }
            // Somebody else may have taken the port since we looked.
        }
        let log = read_to_string(folder.join("log")).unwrap_or_default();
        panic!("the shared server does not start:\n{log}");
    }

    fn keep(&self, plan: &Plan) -> Child {
        let kept = self.open("kept");
        kept.lock().expect("the file can be locked");
        let grace = var("HEREAFTER_TEST_GRACE")
            .map_or(20_u32, |it| it.parse().expect("HEREAFTER_TEST_GRACE is a number of seconds"));
        let grace = grace.to_string();
        let mut command = plan.account.command(Path::new("/bin/sh"), &plan.folder);
        command.args([
            "-c",
            include_str!("keeper.sh"),
            "keeper",
            &grace,
            signal_name(plan.discard),
        ]);
        command.args(plan.command_line()).envs(plan.environment.iter().cloned());
        // A group of its own: it outlives this test, and Ctrl-C.
        command.process_group(0);
        command.stdin(self.open("users")).stdout(kept).stderr(Stdio::null());
        command.spawn().expect("the system has a shell")
    }
}

/// Ends a server whose keeper was killed, and removes its folder.
fn remove_remains(plan: &Plan) {
    let pid = read_to_string(plan.folder.join("pid")).ok();
    let pid = pid.and_then(|pid| Pid::from_raw(pid.trim().parse().ok()?));
    if let Some(pid) = pid.filter(|pid| runs_in(*pid, &plan.folder)) {
        for signal in [plan.discard, Signal::KILL] {
            send(pid, signal);
            holds_within(START_LIMIT, || !is_alive(pid));
        }
    }
    // Most often its keeper has done so already.
    let _ = remove_dir_all(&plan.folder);
}

/// The target folder of the build that this program is of: cargo marks it so that back-ups skip it.
fn target() -> PathBuf {
    let program = current_exe().expect("the system knows which program runs");
    let marked = program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| temp_dir().join("hereafter-tests"), Path::to_owned)
}

/// In the server's folder when it has answered once.
const READY: &str = "ready";
