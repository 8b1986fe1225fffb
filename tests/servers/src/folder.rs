//! The folder of one server, removed whatever becomes of who made it.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::account::Account;

/// A folder of the server's account, and the guard that clears up if this process dies.
#[derive(Debug)]
pub(crate) struct Folder {
    folder: TempDir,
    /// Sees the end of this process as the end of its input.
    guard: Child,
    is_left: bool,
}

impl Folder {
    /// A new folder for a server that `discard` ends.
    pub(crate) fn new(name: &str, account: Account, discard: Signal) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("hereafter-{name}-")).tempdir();
        let folder = folder.expect("the system has a temporary folder");
        account.take(folder.path());
        let mut command = account.command(Path::new("/bin/sh"), Path::new("/"));
        command
            .args(["-c", include_str!("guard.sh"), "guard", signal_name(discard)])
            .arg(folder.path());
        // A group of its own: Ctrl-C ends the test, not the guard.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let guard = command.spawn().expect("the system has a shell");
        Self { folder, guard, is_left: false }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder to somebody else, who is to remove it.
    pub(crate) fn leave(mut self) -> PathBuf {
        let pipe = self.guard.stdin.as_mut().expect("it was asked for");
        pipe.write_all(b"leave\n").expect("the guard listens");
        self.is_left = true;
        self.folder.disable_cleanup(true);
        self.path().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.is_left {
            // Before the guard looks whether there is something left to do. What cannot be removed
            // here, it may.
            let _ = std::fs::remove_dir_all(self.path());
        }
        drop(self.guard.stdin.take());
        // A guard that somebody killed is not missed.
        let _ = self.guard.wait();
    }
}

/// What the shell calls the signals that end servers.
pub(crate) fn signal_name(signal: Signal) -> &'static str {
    match signal {
        Signal::QUIT => "QUIT",
        Signal::KILL => "KILL",
        other => unreachable!("no server is discarded by {other:?}"),
    }
}
